//! Small print of calls: every number, no time at all, names that differ by one letter, loops left and entered again.

use std::sync::mpsc::channel;
use std::time::Duration;

use messageport::{LocalPort, Message, SerialQueue};
use runloop::{AddError, Mode, RunLoop};
use tests::{Log, Watchdog};

use crate::support::{Place, Server, pass, patiently};

#[test]
fn every_number_arrives_as_it_was_sent() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::start(&place, "numbers", |message: Message| {
        message.id().to_string()
    });
    let remote = place.connect("numbers");
    for id in [i32::MIN, -1, 0, 1, 77, i32::MAX] {
        let reply = remote.request_with(id, b"", patiently()).unwrap();
        assert_eq!(String::from_utf8_lossy(&reply), id.to_string());
    }
}

#[test]
fn with_no_time_for_the_reply_there_is_one_look_which_may_find_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _port = place.served("own", |message: Message| message.into_payload());
    let remote = place.connect("own");
    let once = patiently()
        .in_mode(Mode::DEFAULT)
        .reply_timeout(Duration::ZERO);
    // The link is made by a pass of its own.
    pass();
    let reply = remote.request_with(1, b"at once", once).unwrap();
    assert_eq!(&reply[..], b"at once");
}

#[test]
fn names_are_the_same_if_their_bytes_are() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    // The last two look alike: one letter, and a letter with an accent behind it.
    let names = [
        "org.example.a",
        "org.example.A",
        "org.example.\u{e9}",
        "org.example.e\u{301}",
    ];
    let _ports: Vec<_> = names.map(|name| place.served(name, move |_| name)).into();
    for name in names {
        let reply = place
            .connect(name)
            .request_with(1, b"", patiently().in_mode(Mode::DEFAULT));
        assert_eq!(&reply.unwrap()[..], name.as_bytes());
    }
}

#[test]
fn a_port_that_leaves_its_loop_and_comes_back_is_served_again_and_lost_nothing() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.served("back", move |message: Message| {
        told.add(message.id().to_string())
    });
    let (remote, run_loop) = (place.connect("back"), RunLoop::current());
    remote.send(1, b"").unwrap();
    pass();
    assert!(run_loop.remove(&port, Mode::DEFAULT));
    remote.send(2, b"").unwrap();
    pass();
    assert_eq!(log.take(), ["1"], "it is in no loop");
    assert!(run_loop.add(&port, Mode::DEFAULT).unwrap());
    remote.send(3, b"").unwrap();
    while log.count() < 2 {
        pass();
    }
    assert_eq!(log.take(), ["2", "3"]);
}

#[test]
fn no_loop_takes_a_port_or_a_remote_that_is_invalid() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (port, run_loop) = (place.port("gone", |_| ()), RunLoop::current());
    let remote = place.connect("gone");
    port.invalidate();
    port.invalidate();
    let refused = run_loop.add(&port, Mode::DEFAULT);
    assert!(matches!(refused, Err(AddError::Invalid)), "{refused:?}");
    remote.invalidate();
    let refused = run_loop.add(&remote, Mode::DEFAULT);
    assert!(matches!(refused, Err(AddError::Invalid)), "{refused:?}");
}

#[test]
fn a_port_on_a_queue_takes_another_name_and_keeps_its_links() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (out, arrived) = channel();
    let handler = move |message: Message| out.send(message.id()).unwrap();
    let options = messageport::PortOptions::new().in_directory(&place.directory);
    let port: LocalPort = options.name("before").create_shared(handler).unwrap();
    port.set_dispatch_queue(SerialQueue::new("renamed").unwrap())
        .unwrap();
    let old = place.connect("before");
    port.rename("after").unwrap();
    old.send(1, b"").unwrap();
    assert_eq!(arrived.recv(), Ok(1));
    place.connect("after").send(2, b"").unwrap();
    assert_eq!(arrived.recv(), Ok(2));
}
