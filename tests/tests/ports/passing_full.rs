//! F33, F34: descriptors for which there is no room, at the receiver, on the way, or because nobody takes them.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use messageport::{LocalPort, Message, Reply, SendError};
use runloop::{Mode, ReturnAfter, RunLoop};
use rustix::net::SendFlags;
use tests::{Log, Watchdog, in_own_process, open_descriptors};
use timer_source::Timer;

use crate::children::{Child, ECHO, OPEN, READ};
use crate::descriptors::{hoard, lower_the_limit};
use crate::passing::{marked, read_all};
use crate::support::{FAR, Place, Server, pass, patiently, run_until, wait_until, within};
use tests::raw::{Client, WHOLE, record, take_packets};

/// How long a call waits that is to wait in vain.
const SHORT: Duration = Duration::from_millis(60);

#[test]
fn a_full_table_at_the_port_keeps_what_a_client_sends_and_nobody_else() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let log = Log::new();
        let told = log.clone();
        let _port = place.served("full", move |mut message: Message| {
            let files = message.take_descriptors();
            told.add(format!("{} with {}", message.id(), read_all(files)));
        });
        lower_the_limit();
        let (remote, other) = (place.connect("full"), place.connect("full"));
        remote.send(1, b"").unwrap();
        other.send(2, b"").unwrap();
        run_until(|| log.count() == 2);
        log.take();
        let files = [marked("one,"), marked("two,"), marked("three")];
        let files = files.each_ref().map(AsFd::as_fd);
        // Room for one of three.
        let hoarded = hoard(1);
        remote
            .send_with_descriptors(3, b"", &files, patiently())
            .unwrap();
        remote.send(4, b"").unwrap();
        other.send(5, b"").unwrap();
        let run_loop = RunLoop::current();
        let before = run_loop.statistics();
        let until = Instant::now() + Duration::from_millis(500);
        let _timed_out = run_loop
            .run_in_mode(Mode::DEFAULT, until, ReturnAfter::Limit)
            .unwrap();
        let passes = run_loop.statistics().passes - before.passes;
        assert!((5..200).contains(&passes), "it looked {passes} times");
        assert_eq!(log.take(), ["5 with "], "the other client is served");
        drop(hoarded);
        // Nothing else happens now: the port looks again by itself.
        run_until(|| log.count() == 2);
        assert_eq!(log.take(), ["3 with one,two,three", "4 with "]);
        assert!(remote.is_valid(), "it is a client like any other");
    });
}

#[test]
fn a_full_table_at_a_port_on_a_queue_loses_nothing_either() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut child = Child::start("crowded on a queue", &place, "crowded");
    let remote = place.connect("crowded");
    remote.request_with(ECHO, b"", patiently()).unwrap();
    child.tell("hoard 0");
    assert_eq!(child.hear(), "hoarded");
    let asks = std::thread::spawn(move || {
        let (one, two) = (marked("one,"), marked("two"));
        let passed = [one.as_fd(), two.as_fd()];
        let answer = remote.request_with_descriptors(READ, b"", &passed, patiently());
        answer.unwrap().0.to_vec()
    });
    // Long enough for the port to try more than once.
    std::thread::sleep(Duration::from_millis(100));
    assert!(!asks.is_finished(), "there is no room");
    child.tell("release");
    assert_eq!(asks.join().unwrap(), b"one,two");
}

#[test]
fn a_reply_that_has_no_room_here_is_waited_for_until_the_deadline_and_hinders_nobody_then() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let _child = Child::start("server", &place, "served");
        let remote = place.connect("served");
        remote.request_with(ECHO, b"", patiently()).unwrap();
        let before = open_descriptors().len();
        // What a thread needs to wait on the link is there before the table is full.
        let ready = std::sync::Barrier::new(2);
        lower_the_limit();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                remote.request_with(ECHO, b"", patiently()).unwrap();
                ready.wait();
                ready.wait();
                let answer = remote.request_with_descriptors(OPEN, b"2", &[], patiently());
                read_all(answer.unwrap().1)
            });
            ready.wait();
            let hoarded = hoard(1);
            let options = within(FAR, SHORT);
            let begun = Instant::now();
            let late = remote.request_with_descriptors(OPEN, b"2", &[], options);
            assert!(matches!(late, Err(SendError::ReceiveTimeout)), "{late:?}");
            assert!(begun.elapsed() >= SHORT, "not before the deadline");
            let reply = remote.request_with(ECHO, b"behind it", patiently());
            assert_eq!(&reply.unwrap()[..], b"behind it");
            assert_eq!(remote.late_replies(), 1, "it was dropped unopened");
            // Whoever waits gets it when there is room; what is behind it waits as well.
            ready.wait();
            wait_until(|| remote.statistics().sent == 5);
            let options = within(FAR, SHORT);
            let behind = remote.request_with(ECHO, b"", options);
            assert!(
                matches!(behind, Err(SendError::ReceiveTimeout)),
                "{behind:?}"
            );
            drop(hoarded);
            assert_eq!(waits.join().unwrap(), "0,1,");
        });
        remote.request_with(ECHO, b"", patiently()).unwrap();
        assert_eq!(remote.late_replies(), 2);
        wait_until(|| open_descriptors().len() == before);
    });
}

#[test]
fn a_reply_of_a_dead_port_that_has_no_room_here_is_got_when_it_has() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        // Kept when it is killed: what it has open here would be room.
        let child = Rc::new(RefCell::new(Child::start("server", &place, "served")));
        let remote = place.connect("served");
        remote.request_with(ECHO, b"", patiently()).unwrap();
        lower_the_limit();
        let mode = Mode::new("ports.no-room");
        let options = patiently().in_mode(mode);
        remote.request_with(ECHO, b"", options).unwrap();
        let mut hoarded = Some(hoard(0));
        // When it is killed its reply is here; and when there is room for that it is dead.
        let served = Rc::clone(&child);
        let kill = Timer::once(SHORT, move |_, _| served.borrow_mut().kill());
        let release = Timer::once(SHORT * 3, move |_, _| drop(hoarded.take()));
        let run_loop = RunLoop::current();
        run_loop.add(&kill, mode).unwrap();
        run_loop.add(&release, mode).unwrap();
        let answer = remote.request_with_descriptors(OPEN, b"2", &[], options);
        assert_eq!(read_all(answer.unwrap().1), "0,1,");
        assert!(!remote.is_valid(), "it is gone");
        drop(child);
    });
}

#[test]
pub(crate) fn a_full_socket_ends_in_a_send_timeout_and_nothing_of_it_is_delivered_later() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.port("unserved", move |mut message: Message| {
        told.add(format!(
            "{} {}",
            message.id(),
            read_all(message.take_descriptors())
        ));
    });
    let remote = place.connect("unserved");
    // Another thread waits for room; this one is the only one that serves the port.
    let sent = std::thread::scope(|scope| {
        let sends = scope.spawn(|| {
            for id in 0.. {
                let (file, begun) = (marked(&id.to_string()), Instant::now());
                let passed = [file.as_fd(); 1];
                match remote.send_with_descriptors(id, b"", &passed, within(SHORT, SHORT)) {
                    Ok(()) => {}
                    Err(SendError::SendTimeout) => {
                        assert!(begun.elapsed() >= SHORT, "not before the deadline");
                        return id;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            unreachable!("a socket holds less than that")
        });
        sends.join().unwrap()
    });
    assert!(sent > 50, "it holds many: {sent}");
    // Bytes have room, and none has to wait for what gave up.
    remote.send(-1, b"").unwrap();
    RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
    let expected = usize::try_from(sent).unwrap() + 1;
    run_until(|| log.count() == expected);
    let mut told: Vec<_> = (0..sent).map(|id| format!("{id} {id}")).collect();
    told.push("-1 ".to_owned());
    assert_eq!(log.take(), told);
    let file = marked("again");
    remote
        .send_with_descriptors(7, b"", &[file.as_fd()], patiently())
        .unwrap();
    run_until(|| log.count() == 1);
    assert_eq!(log.take(), ["7 again"]);
}

#[test]
pub(crate) fn a_sender_without_room_for_descriptors_goes_on_when_the_port_takes_some() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.port("slow", move |mut message: Message| {
        told.add(read_all(message.take_descriptors()));
    });
    let remote = place.connect("slow");
    let sends = std::thread::spawn(move || {
        for id in 0..1_000 {
            let file = marked(&id.to_string());
            let passed = [file.as_fd(); 1];
            remote
                .send_with_descriptors(id, b"", &passed, patiently())
                .unwrap();
        }
        remote
    });
    std::thread::sleep(SHORT);
    RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
    run_until(|| log.count() == 1_000);
    let expected: Vec<_> = (0..1_000).map(|id| id.to_string()).collect();
    assert_eq!(log.take(), expected);
    drop(sends.join().unwrap());
}

/// A port that answers each request with a descriptor, and a client that has asked it [`MANY`] times and takes none.
pub(crate) fn giving_to_a_client_that_takes_nothing(place: &Place) -> (LocalPort, Client) {
    let port = place.served("giving", |message: Message| {
        let files = if message.wants_reply() {
            vec![marked("")]
        } else {
            vec![]
        };
        Reply::from("").with_descriptors(files)
    });
    let client = Client::connect(&place.directory, "giving");
    client.introduce();
    for number in 1..=MANY {
        client.request(number, &number.to_le_bytes());
    }
    (port, client)
}

/// More replies with descriptors than a port keeps for a client that takes none.
pub(crate) const MANY: u64 = 600;

#[test]
fn replies_whose_descriptors_a_client_does_not_take_wait_without_work_and_keep_few_open() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let (port, client) = giving_to_a_client_that_takes_nothing(&place);
        let quiet = || {
            let before = port.statistics().received;
            (0..100).for_each(|_| pass());
            std::thread::sleep(Duration::from_millis(1));
            port.statistics().received == before
        };
        run_until(quiet);
        let taken = port.statistics().received;
        assert!(taken < MANY, "{taken} of {MANY} are answered");
        assert!(open_descriptors().len() < 150, "and few are open for it");
        // The others are served, and the loop sleeps.
        let options = patiently().in_mode(Mode::DEFAULT);
        place
            .connect("giving")
            .request_with(1, b"", options)
            .unwrap();
        let run_loop = RunLoop::current();
        let before = run_loop.statistics().passes;
        let until = Instant::now() + Duration::from_millis(500);
        let _timed_out = run_loop
            .run_in_mode(Mode::DEFAULT, until, ReturnAfter::Limit)
            .unwrap();
        let passes = run_loop.statistics().passes - before;
        assert!(passes < 200, "it looked {passes} times");
        // Taking the packets is enough, of which nobody tells.
        let mut packets = 0;
        run_until(|| {
            packets += take_packets(&client.socket);
            packets == usize::try_from(MANY).unwrap()
        });
        assert_eq!(port.statistics().received, MANY + 1);
    });
}

/// With bells on the socket, those of a client are not heard while descriptors of messages that are not taken stand
/// before them; and they may find it full.
#[test]
fn a_client_that_is_waited_for_goes_on_although_its_bell_stands_behind_descriptors() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let server = Server::start(&place, "behind", move |mut message: Message| {
        if !message.wants_reply() {
            told.add(read_all(message.take_descriptors()));
        }
        vec![7; 100_000]
    });
    let mut client = Client::connect(&place.directory, "behind").with_socket_bells();
    client.introduce();
    const REQUESTS: u64 = 30;
    for number in 1..=REQUESTS {
        client.request(number, &number.to_le_bytes());
    }
    // Then the message that has them, of which the port hears, and which it does not take yet.
    wait_until(|| server.port.statistics().received > 5);
    let at = REQUESTS * 64;
    let mut header = record(1, WHOLE, REQUESTS + 1, 0, 0);
    header[6] = 1;
    let mut packet = [0; 16];
    (packet[0], packet[4]) = (1, 1);
    packet[8..].copy_from_slice(&(REQUESTS + 1).to_le_bytes());
    tests::raw::send(&client.socket, &packet, &[marked("in the end").as_fd()]);
    client.write(4_096 + at, &header);
    client.publish(at + 32);
    // Its replies are read, and each time it rings, but the socket is full: of these bells the port takes none off.
    while rustix::net::send(&client.socket, &[0], SendFlags::DONTWAIT).is_ok() {}
    for number in 1..=REQUESTS {
        let (conversation, reply) = client.reply();
        assert_eq!((conversation, reply.len()), (number, 100_000));
    }
    wait_until(|| log.count() == 1);
    assert_eq!(log.take(), ["in the end"]);
}

#[test]
pub(crate) fn what_finds_the_ring_full_leaves_no_descriptors_to_the_next_message() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.port("full", move |mut message: Message| {
        told.add(read_all(message.take_descriptors()));
    });
    let remote = place.connect("full");
    let sent = std::thread::scope(|scope| {
        let fills = scope.spawn(|| {
            let none = within(Duration::ZERO, Duration::ZERO);
            let fill = |size| {
                let bytes = vec![0; size];
                std::iter::from_fn(|| remote.send_with(1, &bytes, none).ok()).count()
            };
            let sent = fill(60_000) + fill(100) + fill(0);
            let file = marked("gave up");
            for _ in 0..3 {
                let passed = [file.as_fd()];
                let full = remote.send_with_descriptors(2, b"", &passed, none);
                assert!(matches!(full, Err(SendError::SendTimeout)), "{full:?}");
            }
            sent
        });
        fills.join().unwrap()
    });
    RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
    run_until(|| log.count() == sent);
    log.take();
    let file = marked("mine");
    remote
        .send_with_descriptors(3, b"", &[file.as_fd()], patiently())
        .unwrap();
    run_until(|| log.count() == 1);
    assert_eq!(log.take(), ["mine"]);
}
