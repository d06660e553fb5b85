//! Datagrams come whole, with their sender, and as they are wanted; what goes wrong with one says nothing of the next.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;

use runloop::{Mode, RunLoop};
use socket_source::{
    AdoptError, Callbacks, DatagramEvent, Reenable, SendError, SockAddr, Socket, SocketOptions,
};
use tests::{Log, Watchdog};

use crate::{Place, address_of, anywhere, drain, pass, pass_until};

const NOTHING: [&str; 0] = [];

/// A datagram socket in the default mode that writes down what it is told.
fn receiver(options: SocketOptions, socket: impl Into<std::os::fd::OwnedFd>, log: &Log) -> Socket {
    let log = log.clone();
    let socket = Socket::receiving_with(options, socket, move |_, _, event| log.add(told(&event)));
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    socket
}

fn told(event: &DatagramEvent) -> String {
    match event {
        DatagramEvent::Received(datagram) if datagram.bytes().len() > 100 => {
            let lengths = (datagram.bytes().len(), datagram.original_len());
            format!("{} of {} bytes", lengths.0, lengths.1)
        }
        DatagramEvent::Received(datagram) => format!("{:?}", datagram.bytes()),
        DatagramEvent::Failed(error) => format!("failed: {:?}", error.kind()),
        DatagramEvent::Unsent(unsent) => format!("unsent: {:?}", unsent.kind()),
        other => format!("{other:?}"),
    }
}

#[test]
fn an_empty_datagram_an_error_and_bytes_are_three_things() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = (
        UdpSocket::bind(anywhere()).unwrap(),
        UdpSocket::bind(anywhere()).unwrap(),
    );
    let gone = UdpSocket::bind(anywhere()).unwrap().local_addr().unwrap();
    let address = ours.local_addr().unwrap();
    let socket = receiver(SocketOptions::new(), ours, &log);
    for bytes in ["one", "", "three"] {
        theirs.send_to(bytes.as_bytes(), address).unwrap();
    }
    assert_eq!(pass_until(&log, 3), ["b\"one\"", "b\"\"", "b\"three\""]);
    assert!(socket.is_valid(), "an empty one is no end");
    socket.invalidate();

    let ours = UdpSocket::bind(anywhere()).unwrap();
    ours.connect(gone).unwrap();
    let socket = receiver(SocketOptions::new(), ours, &log);
    socket.send("is anybody there?").unwrap();
    assert_eq!(pass_until(&log, 1), ["failed: ConnectionRefused"]);
    assert!(socket.is_valid(), "nor is an error");
    socket.invalidate();
}

#[test]
fn every_datagram_comes_with_its_sender_who_can_be_answered() {
    let _watchdog = Watchdog::new();
    let answer = |_: &RunLoop, socket: &Socket, event: DatagramEvent| {
        let DatagramEvent::Received(datagram) = event else {
            panic!("{event:?}");
        };
        if let Some(from) = datagram.from().cloned() {
            socket.send_to(datagram.into_bytes(), from).unwrap();
        }
    };
    let mut room = [0; 16];
    let socket = Socket::binding(anywhere(), answer).unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    let clients = [(); 3].map(|()| UdpSocket::bind(anywhere()).unwrap());
    for (number, client) in clients.iter().enumerate() {
        let bytes = format!("client {number}");
        client
            .send_to(bytes.as_bytes(), address_of(&socket))
            .unwrap();
    }
    for (number, client) in clients.iter().enumerate() {
        client.set_nonblocking(true).unwrap();
        let count = loop {
            pass();
            if let Ok(count) = client.recv(&mut room) {
                break count;
            }
        };
        assert_eq!(&room[..count], format!("client {number}").as_bytes());
    }
    socket.invalidate();

    let place = Place::new("datagrams");
    let address = SockAddr::unix(place.path("server")).unwrap();
    let socket = Socket::binding(address, answer).unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    let named = UnixDatagram::bind(place.path("client")).unwrap();
    let nameless = UnixDatagram::unbound().unwrap();
    nameless.send_to(b"nobody", place.path("server")).unwrap();
    named.send_to(b"somebody", place.path("server")).unwrap();
    pass();
    assert_eq!(named.recv(&mut room).unwrap(), 8, "answered by its path");
    socket.invalidate();
}

#[test]
fn a_sender_with_an_abstract_name_or_one_that_is_no_text_is_answered() {
    let _watchdog = Watchdog::new();
    let place = Place::new("names");
    let address = SockAddr::unix(place.path("server")).unwrap();
    let socket = Socket::binding(address, |_, socket, event| {
        let DatagramEvent::Received(datagram) = event else {
            panic!("{event:?}");
        };
        let from = datagram.from().cloned().expect("it has a name");
        socket.send_to(datagram.into_bytes(), from).unwrap();
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    let name = format!("socket-tests-{}", std::process::id());
    let name = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    let no_text = place
        .path("")
        .join(std::ffi::OsStr::from_bytes(b"no\xfftext"));
    let no_text = std::os::unix::net::SocketAddr::from_pathname(no_text).unwrap();
    for name in [name, no_text] {
        let client = UnixDatagram::bind_addr(&name).unwrap();
        client.send_to(b"hello", place.path("server")).unwrap();
        pass();
        assert_eq!(client.recv(&mut [0; 16]).unwrap(), 5, "{name:?}");
    }
    socket.invalidate();
}

#[test]
fn a_pass_receives_as_many_as_the_options_say_and_none_while_paused() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let options = SocketOptions::new().datagrams_per_pass(2).paused();
    let socket = receiver(options, ours, &log);
    for number in 0..5 {
        theirs.send(format!("{number}").as_bytes()).unwrap();
    }
    pass();
    assert_eq!(log.take(), NOTHING, "paused");
    socket.resume();
    for expected in [
        &["b\"0\"", "b\"1\""][..],
        &["b\"2\"", "b\"3\""],
        &["b\"4\""],
    ] {
        pass();
        assert_eq!(log.take(), expected);
    }
    socket.invalidate();

    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let options = SocketOptions::new().reenable(Callbacks::READ, Reenable::ByHand);
    let socket = receiver(options, ours, &log);
    for _ in 0..3 {
        theirs.send(b"x").unwrap();
    }
    for _ in 0..3 {
        pass();
        pass();
        assert_eq!(log.take(), ["b\"x\""], "one at a time");
        socket.resume();
    }
    socket.invalidate();
}

#[test]
fn large_datagrams_come_whole_and_larger_ones_say_that_they_are_cut() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = (
        UdpSocket::bind(anywhere()).unwrap(),
        UdpSocket::bind(anywhere()).unwrap(),
    );
    let address = ours.local_addr().unwrap();
    let socket = receiver(SocketOptions::new(), ours, &log);
    for size in [65_507, 20_000, 65_507] {
        theirs.send_to(&vec![1; size], address).unwrap();
        assert_eq!(pass_until(&log, 1), [format!("{size} of {size} bytes")]);
    }
    socket.invalidate();
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let socket = receiver(SocketOptions::new(), ours, &log);
    theirs.send(&vec![1; 100_000]).unwrap();
    assert_eq!(pass_until(&log, 1), ["65536 of 100000 bytes"]);
    socket.invalidate();
}

#[test]
fn what_there_is_no_room_for_waits_in_order_and_then_comes_back() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let options = SocketOptions::new().outbox(1_000, 20_000);
    let socket = receiver(options, ours, &log);
    let mut sent = 0;
    loop {
        assert!(sent < 10_000, "a limit holds");
        match socket.send(format!("datagram {sent}")) {
            Ok(()) => sent += 1,
            Err(SendError::Full(bytes)) => {
                assert_eq!(bytes, format!("datagram {sent}"), "it comes back");
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(socket.unsent() >= 20_000, "the outbox is full");
    let mut room = [0; 64];
    for number in 0..sent {
        let count = loop {
            theirs.set_nonblocking(true).unwrap();
            match theirs.recv(&mut room) {
                Ok(count) => break count,
                Err(_empty) => pass(),
            }
        };
        assert_eq!(&room[..count], format!("datagram {number}").as_bytes());
    }
    assert_eq!(log.take(), ["Writable"], "there is room again");
    socket.invalidate();
}

#[test]
fn a_datagram_that_is_refused_is_told_of_and_the_next_one_goes() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let theirs = UdpSocket::bind(anywhere()).unwrap();
    let to = theirs.local_addr().unwrap();
    let socket = receiver(
        SocketOptions::new(),
        UdpSocket::bind(anywhere()).unwrap(),
        &log,
    );
    socket.send_to(vec![0; 70_000], to).unwrap();
    socket.send_to("fits", to).unwrap();
    pass();
    let told = log.take().concat();
    assert!(told.starts_with("unsent: "), "{told}");
    assert_eq!(theirs.recv(&mut [0; 16]).unwrap(), 4, "the next one");
    assert!(socket.is_valid(), "and goes on");
    socket.invalidate();
}

#[test]
fn only_datagram_sockets_receive_datagrams() {
    let (stream, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let refused = Socket::receiving(stream, |_, _, _| {});
    assert!(
        matches!(refused, Err(AdoptError::NotDatagrams(_))),
        "{refused:?}"
    );
    let taken = Socket::binding(anywhere(), |_, _, _| {}).unwrap();
    let refused = Socket::binding(address_of(&taken), |_, _, _| {});
    assert!(refused.is_err(), "an address is never shared");
}

#[test]
fn a_socket_at_the_ipv6_wildcard_serves_both_families_unless_it_wants_one() {
    let _watchdog = Watchdog::new();
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("there is no IPv6 here");
        return;
    }
    let wildcard = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    for (options, both) in [
        (SocketOptions::new(), true),
        (SocketOptions::new().only_v6(), false),
    ] {
        let log = Log::new();
        let accepted = log.clone();
        let listener = Socket::listening_with(options.clone(), wildcard, move |_, _, one| {
            accepted.add(if one.is_ok() { "accepted" } else { "failed" });
        });
        let listener = listener.unwrap();
        RunLoop::current().add(&listener, Mode::DEFAULT).unwrap();
        let port = address_of(&listener).port();
        let six = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        let four = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        assert_eq!(four.is_ok(), both, "IPv4");
        let expected = if both { 2 } else { 1 };
        assert_eq!(pass_until(&log, expected).len(), expected);
        assert_eq!(drain(six), "", "nobody kept it");
        listener.invalidate();

        let receiving = log.clone();
        let socket = Socket::binding_with(options, wildcard, move |_, _, event| {
            receiving.add(told(&event));
        });
        let socket = socket.unwrap();
        RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
        let to = (Ipv4Addr::LOCALHOST, address_of(&socket).port());
        let client = UdpSocket::bind(anywhere()).unwrap();
        client.send_to(b"four", to).unwrap();
        pass();
        let expected: &[&str] = if both { &["b\"four\""] } else { &[] };
        assert_eq!(pass_until(&log, expected.len()), expected);
        socket.invalidate();
    }
}
