//! Clients that do not read their replies: the port waits for them without working, serves the others, and loses nothing.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use messageport::{Message, Reply};
use runloop::Mode;
use tests::Watchdog;

use crate::support::{Place, Server, assert_same, patiently, pattern, wait_until};
use tests::raw::{Client, has_hung_up, last_words};

/// A request for that many bytes.
const SIZE: usize = 100_000;
/// More requests than a port keeps the replies of.
const MANY: u64 = 30;
/// A port that has taken nothing in so many passes of its loop takes nothing more.
const QUIET: u64 = 100;

/// A port that answers with a pattern for each request and tells of each message.
fn target(place: &Place) -> (Server, Receiver<Option<u64>>) {
    let (out, told) = channel();
    let server = Server::start(place, "target", move |message: Message| {
        if !message.wants_reply() {
            out.send(None).unwrap();
            return Reply::empty();
        }
        let bytes = message.data().try_into().unwrap_or([0; 8]);
        let number = u64::from_le_bytes(bytes);
        out.send(Some(number)).unwrap();
        pattern(SIZE, usize::try_from(number).unwrap()).into()
    });
    (server, told)
}

/// Waits until the port has taken as many requests as it will while nobody reads its replies.
fn choke(client: &Client, server: &Server, told: &Receiver<Option<u64>>) -> u64 {
    for number in 1..=MANY {
        client.request(number, &number.to_le_bytes());
    }
    // From its first request on a client is served in every pass, until it is waited for.
    assert_eq!(told.recv().unwrap(), Some(1));
    let (mut taken, mut since) = (1, passes(server));
    while passes(server) - since < QUIET {
        for number in told.try_iter() {
            taken += 1;
            assert_eq!(number, Some(taken), "in order");
            since = passes(server);
        }
    }
    taken
}

fn passes(server: &Server) -> u64 {
    let (out, found) = channel();
    let asked = server.run_loop.perform(Mode::DEFAULT, move |run_loop| {
        out.send(run_loop.statistics().passes).unwrap();
    });
    drop(asked);
    found.recv().unwrap()
}

#[test]
fn a_client_that_does_not_read_is_waited_for_without_work_and_gets_everything_in_the_end() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (server, told) = target(&place);
    let mut client = Client::connect(&place.directory, "target");
    client.introduce();
    let taken = choke(&client, &server, &told);
    assert!(
        (5..MANY).contains(&taken),
        "{taken} of {MANY} requests are being kept"
    );

    let before = passes(&server);
    std::thread::sleep(Duration::from_millis(100));
    let made = passes(&server) - before;
    assert!(made < 50, "{made} passes in a tenth of a second");
    let other = place.connect("target");
    let reply = other
        .request_with(1, &77_u64.to_le_bytes(), patiently())
        .unwrap();
    assert_same(&reply, &pattern(SIZE, 77), "the reply of another client");

    for number in 1..=MANY {
        let (conversation, reply) = client.reply();
        assert_eq!(conversation, number);
        let seed = usize::try_from(number).unwrap();
        assert_same(&reply, &pattern(SIZE, seed), "a reply that had to wait");
    }
    assert!(
        !has_hung_up(&client.socket, Duration::ZERO),
        "it is a client like any other"
    );
}

#[test]
fn what_a_client_sent_is_delivered_although_it_died_without_reading() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (server, told) = target(&place);
    let client = Client::connect(&place.directory, "target");
    client.introduce();
    let taken = choke(&client, &server, &told);
    client.send_empty_after_requests(MANY);
    drop(client);
    for number in taken + 1..=MANY {
        assert_eq!(told.recv().unwrap(), Some(number));
    }
    assert_eq!(told.recv().unwrap(), None, "the last one");
}

#[test]
fn replies_that_wait_for_room_when_the_port_ends_still_arrive_before_the_hang_up() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (server, told) = target(&place);
    let mut client = Client::connect(&place.directory, "target");
    client.introduce();
    let taken = choke(&client, &server, &told);
    server.port.invalidate();
    for number in 1..=taken {
        let (conversation, reply) = client.reply();
        assert_eq!(conversation, number);
        let seed = usize::try_from(number).unwrap();
        assert_same(
            &reply,
            &pattern(SIZE, seed),
            "a reply that was made before the end",
        );
    }
    assert!(
        last_words(&client.socket).is_empty(),
        "then the line goes dead"
    );
}

#[test]
fn a_client_that_dies_with_replies_waiting_is_forgotten() {
    let _watchdog = Watchdog::new();
    for has_ended in [false, true] {
        let place = Place::new();
        let (server, told) = target(&place);
        let client = Client::connect(&place.directory, "target");
        client.introduce();
        choke(&client, &server, &told);
        if has_ended {
            server.port.invalidate();
        }
        let memory = rustix::io::dup(&client.memory).unwrap();
        assert!(is_mapped(&memory), "by the port");
        drop(client);
        wait_until(|| !is_mapped(&memory));
    }
}

/// Whether a file of memory is mapped somewhere in this process.
fn is_mapped(memory: &std::os::fd::OwnedFd) -> bool {
    let inode = rustix::fs::fstat(memory).unwrap().st_ino.to_string();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .any(|line| line.split_whitespace().nth(4) == Some(inode.as_str()))
}

#[test]
#[ignore = "takes as long as an ended port is patient with a client that does not read: five seconds"]
fn a_client_that_never_reads_is_hung_up_on_some_time_after_the_end() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (server, told) = target(&place);
    let client = Client::connect(&place.directory, "target");
    client.introduce();
    choke(&client, &server, &told);
    let began = Instant::now();
    server.port.invalidate();
    assert!(last_words(&client.socket).is_empty(), "without a word");
    assert!(
        began.elapsed() >= Duration::from_secs(5),
        "not before its time"
    );
}
