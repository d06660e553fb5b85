//! Datagrams that one call of the system receives: each is told by itself, and none gets lost on the way to the callback.

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::channel;

use runloop::{Mode, OnPanic, RunLoop};
use socket_source::{Callbacks, DatagramEvent, Reenable, Socket, SocketOptions, TakeError};
use tests::{Log, Watchdog};

use crate::{address_of, anywhere, pass, run};

const NOTHING: [&str; 0] = [];

/// Options for so many datagrams per call.
fn together(most: usize) -> SocketOptions {
    SocketOptions::new().datagrams_per_call(most)
}

/// A datagram socket in the default mode that writes down what it gets, and then does something.
fn receiver(
    options: SocketOptions,
    log: &Log,
    mut then: impl FnMut(&RunLoop, &Socket, &str) + 'static,
) -> (Socket, UdpSocket) {
    let log = log.clone();
    let socket = Socket::binding_with(options, anywhere(), move |run_loop, socket, event| {
        let text = told(event);
        log.add(&text);
        then(run_loop, socket, &text);
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    let client = UdpSocket::bind(anywhere()).unwrap();
    client.connect(address_of(&socket)).unwrap();
    (socket, client)
}

fn told(event: DatagramEvent) -> String {
    match event {
        DatagramEvent::Received(datagram) => {
            String::from_utf8(datagram.into_bytes().into()).unwrap()
        }
        other => format!("{other:?}"),
    }
}

/// Sends each of these as a datagram. On one machine they are there when this returns.
fn send(client: &UdpSocket, all: &[&str]) {
    for bytes in all {
        client.send(bytes.as_bytes()).unwrap();
    }
}

/// Whether the system has still something for a socket.
fn more_waits(socket: &Socket) -> bool {
    let peeked = socket.native(|native| native.peek(&mut [MaybeUninit::uninit(); 1]));
    peeked.unwrap().is_ok()
}

#[test]
fn one_call_takes_what_is_there_and_each_datagram_is_told_with_its_sender_and_length() {
    let _watchdog = Watchdog::new();
    for (per_call, alone) in [(8, "all of it is here"), (1, "more waits")] {
        let log = Log::new();
        let (lines, mut first) = (log.clone(), true);
        let socket =
            Socket::binding_with(together(per_call), anywhere(), move |_, socket, event| {
                let DatagramEvent::Received(datagram) = event else {
                    panic!("{event:?}");
                };
                if std::mem::take(&mut first) {
                    let more = more_waits(socket);
                    lines.add(if more {
                        "more waits"
                    } else {
                        "all of it is here"
                    });
                }
                let port = datagram.from().unwrap().as_socket().unwrap().port();
                let (length, whole) = (datagram.bytes().len(), datagram.original_len());
                let first = datagram.bytes().first().copied();
                let all = datagram.bytes().iter().all(|&byte| Some(byte) == first);
                lines.add(format!("{length} of {whole} from {port}, {first:?}: {all}"));
            });
        let socket = socket.unwrap();
        RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
        let clients = [(); 3].map(|()| UdpSocket::bind(anywhere()).unwrap());
        let mut expected = vec![alone.to_owned()];
        for (number, size) in [5, 0, 20_000, 60_000, 1].into_iter().enumerate() {
            let (client, byte) = (&clients[number % 3], u8::try_from(number).unwrap());
            client
                .send_to(&vec![byte; size], address_of(&socket))
                .unwrap();
            let (port, first) = (
                client.local_addr().unwrap().port(),
                (size > 0).then_some(byte),
            );
            expected.push(format!("{size} of {size} from {port}, {first:?}: true"));
        }
        pass();
        assert_eq!(log.take(), expected, "{per_call} per call");
        socket.invalidate();
    }
}

#[test]
fn sockets_of_both_families_take_turns_in_one_thread() {
    let _watchdog = Watchdog::new();
    let mut homes = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        homes.push(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)));
    }
    let log = Log::new();
    let pairs: Vec<_> = homes
        .iter()
        .map(|&home| {
            let lines = log.clone();
            let socket = Socket::binding_with(together(4), home, move |_, _, event| {
                if let DatagramEvent::Received(datagram) = event {
                    lines.add(datagram.from().unwrap().as_socket().unwrap().to_string());
                }
            });
            let socket = socket.unwrap();
            RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
            (socket, UdpSocket::bind(home).unwrap())
        })
        .collect();
    for (socket, client) in pairs.iter().cycle().take(6) {
        for _ in 0..3 {
            client.send_to(b"x", address_of(socket)).unwrap();
        }
        pass();
        let from = client.local_addr().unwrap().to_string();
        assert_eq!(log.take(), [&from[..]; 3]);
    }
    pairs.iter().for_each(|(socket, _)| socket.invalidate());
}

#[test]
fn a_call_receives_no_more_than_the_pass_may_deliver() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let options = together(8).datagrams_per_pass(3);
    let (socket, client) = receiver(options, &log, |_, _, _| ());
    send(&client, &["1", "2", "3", "4"]);
    pass();
    assert_eq!(log.take(), ["1", "2", "3"]);
    assert!(more_waits(&socket), "the fourth is the system's still");
    pass();
    assert_eq!(log.take(), ["4"]);
    socket.invalidate();
}

#[test]
fn a_call_that_finds_less_than_it_may_is_the_last_of_its_pass() {
    let _watchdog = Watchdog::new();
    for (per_call, first) in [(8, &["1"][..]), (1, &["1", "2"])] {
        let log = Log::new();
        let (socket, client) = receiver(together(per_call), &log, |_, socket, text| {
            if text == "1" {
                let ourselves = address_of(socket);
                socket.send_to("2", ourselves).unwrap();
            }
        });
        send(&client, &["1"]);
        pass();
        assert_eq!(log.take(), first, "{per_call} per call");
        pass();
        assert_eq!(log.take(), ["1", "2"][first.len()..], "the rest");
        socket.invalidate();
    }
}

#[test]
fn a_socket_that_is_not_of_udp_receives_one_by_one() {
    let _watchdog = Watchdog::new();
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let log = Log::new();
    let lines = log.clone();
    let socket = Socket::receiving_with(together(8), ours, move |_, socket, event| {
        lines.add(format!(
            "{}, more waits: {}",
            told(event),
            more_waits(socket)
        ));
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    theirs.send(b"one").unwrap();
    theirs.send(b"two").unwrap();
    pass();
    assert_eq!(
        log.take(),
        ["one, more waits: true", "two, more waits: false"]
    );
    socket.invalidate();
}

#[test]
fn what_was_received_waits_while_the_socket_is_paused_and_keeps_its_place() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (socket, client) = receiver(together(8), &log, |_, socket, text| {
        if text == "2" {
            socket.pause();
        }
    });
    send(&client, &["1", "2", "3", "4"]);
    pass();
    assert_eq!(log.take(), ["1", "2"]);
    send(&client, &["5"]);
    pass();
    assert_eq!(log.take(), NOTHING, "paused");
    let refused = socket.clone().into_inner().unwrap_err();
    assert_eq!(refused, TakeError::Undelivered, "or they would be lost");
    socket.resume();
    pass();
    pass();
    assert_eq!(log.take(), ["3", "4", "5"]);
    let native = UdpSocket::from(socket.into_inner().unwrap());
    drop(native);
}

#[test]
fn what_was_received_is_told_one_by_one_where_each_is_asked_for() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let options = together(8).reenable(Callbacks::READ, Reenable::ByHand);
    let (socket, client) = receiver(options, &log, |_, socket, text| {
        if text == "2" {
            socket.resume();
        }
    });
    send(&client, &["1", "2", "3", "4"]);
    for expected in [&["1"][..], &["2", "3"], &["4"], &[]] {
        pass();
        pass();
        assert_eq!(log.take(), expected);
        socket.resume();
    }
    socket.invalidate();
}

#[test]
fn what_was_received_is_told_in_another_mode_or_when_the_socket_comes_back() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (socket, client) = receiver(together(8), &log, |run_loop, socket, text| {
        if text == "1" || text == "3" {
            run_loop.remove(socket, Mode::DEFAULT);
        }
    });
    let (run_loop, other) = (RunLoop::current(), Mode::new("another"));
    run_loop.add(&socket, other).unwrap();
    send(&client, &["1", "2"]);
    pass();
    assert_eq!(log.take(), ["1"]);
    let (now, limit) = (runloop::Limit::Now, runloop::ReturnAfter::Limit);
    let _ended = run_loop.run_in_mode(other, now, limit).unwrap();
    assert_eq!(log.take(), ["2"], "it is in this mode still");
    run_loop.remove(&socket, other);

    run_loop.add(&socket, Mode::DEFAULT).unwrap();
    send(&client, &["3", "4"]);
    pass();
    assert_eq!(log.take(), ["3"]);
    pass();
    assert_eq!(log.take(), NOTHING, "it is in no mode");
    run_loop.add(&socket, Mode::DEFAULT).unwrap();
    pass();
    assert_eq!(log.take(), ["4"]);
    socket.invalidate();
}

#[test]
fn what_was_received_survives_a_panic_and_not_the_socket() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let options = together(8).on_panic(OnPanic::Keep);
    let (socket, client) = receiver(options, &log, |_, socket, text| match text {
        "1" => panic!("on purpose"),
        "3" => socket.invalidate(),
        _ => {}
    });
    send(&client, &["1", "2", "3", "4"]);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(pass));
    drop(panicked);
    assert_eq!(log.take(), ["1"]);
    pass();
    pass();
    assert_eq!(log.take(), ["2", "3"], "and nothing after its end");
    assert!(!socket.is_valid(), "invalidated");
}

#[test]
fn a_thread_that_resumes_a_socket_in_the_middle_of_a_batch_is_never_missed() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (paused, resumes) = channel::<Socket>();
    let (socket, client) = receiver(together(8), &log, move |run_loop, socket, text| {
        socket.pause();
        paused.send(socket.clone()).unwrap();
        if text == "3" {
            run_loop.stop();
        }
    });
    let resuming = std::thread::spawn(move || resumes.iter().for_each(|socket| socket.resume()));
    for _ in 0..2_000 {
        send(&client, &["1", "2", "3"]);
        run();
        assert_eq!(log.take(), ["1", "2", "3"]);
    }
    socket.invalidate();
    pass();
    resuming.join().unwrap();
}
