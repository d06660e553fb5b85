//! The end of a port is seen by who asks, without sending anything.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messageport::SendError;
use runloop::{Mode, Outcome, RunLoop};
use tests::{Log, Watchdog};

use crate::children::{Child, ECHO};
use crate::support::{Place, Server, pass, patiently, run_until, wait_until};
use tests::raw::{Client, WHOLE, record, send};

#[test]
fn a_remote_sees_that_the_process_of_its_port_is_gone() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for role in ["owner", "server"] {
        let mut child = Child::start(role, &place, "dying");
        let remote = place.connect("dying");
        assert!(remote.is_valid(), "{role} lives");
        child.kill();
        assert!(!remote.is_valid(), "{role} is gone");
        assert!(!remote.is_valid(), "and stays so");
    }
}

#[test]
fn a_remote_sees_that_another_process_has_ended_its_port() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut child = Child::start("owner", &place, "ended");
    let remote = place.connect("ended");
    child.tell("invalidate");
    assert_eq!(child.hear(), "invalid");
    assert!(!remote.is_valid(), "its process lives on");
    let refused = remote.send(1, b"");
    assert!(matches!(refused, Err(SendError::Invalid)), "{refused:?}");
}

#[test]
fn a_remote_sees_that_a_port_of_its_own_process_is_gone() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    // Never in a loop, so that nobody has accepted the link.
    let port = place.port("own", |_| ());
    let remote = place.connect("own");
    assert!(remote.is_valid(), "it lives");
    drop(port);
    assert!(!remote.is_valid(), "dropped before anybody looked");

    // Served by this thread.
    let port = place.served("own", |_| ());
    let remote = place.connect("own");
    let options = patiently().in_mode(Mode::DEFAULT);
    assert!(
        remote.request_with(2, b"", options).unwrap().is_empty(),
        "it is accepted"
    );
    port.invalidate();
    assert!(!remote.is_valid(), "invalidated here");

    // Served by another thread.
    let server = Server::echo(&place, "own");
    let remote = place.connect("own");
    assert_eq!(&remote.request(ECHO, b"x").unwrap()[..], b"x");
    let other = server.port.clone();
    let ender = std::thread::spawn(move || other.invalidate());
    ender.join().unwrap();
    assert!(!remote.is_valid(), "invalidated there");
    drop(server);
}

#[test]
fn a_port_dropped_by_its_last_owner_ends_the_links_of_other_threads() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let port = place.served("shared", |_| ());
    let clone = port.clone();
    let remote = place.connect("shared");
    let watcher = std::thread::spawn(move || {
        wait_until(|| !remote.is_valid());
        remote.send(1, b"").unwrap_err()
    });
    drop(port);
    assert!(clone.is_valid(), "a clone keeps it");
    drop(clone);
    let error = watcher.join().unwrap();
    assert!(matches!(error, SendError::Invalid), "{error}");
    let outcome = RunLoop::current().run().unwrap();
    assert_eq!(outcome, Outcome::Finished, "nothing is left in its loop");
}

#[test]
fn a_remote_that_is_ended_takes_no_other_link_with_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::echo(&place, "links");
    let (one, other) = (place.connect("links"), place.connect("links"));
    let clone = one.clone();
    clone.invalidate();
    assert!(!one.is_valid(), "a clone is the same link");
    assert_eq!(&other.request(ECHO, b"x").unwrap()[..], b"x");
}

#[test]
fn no_signal_comes_from_a_peer_that_is_gone() {
    let _watchdog = Watchdog::new();
    let came = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::clone(&came)).unwrap();
    let place = Place::new();
    let client: Rc<RefCell<Option<Client>>> = Rc::default();
    let (leaves, log) = (Rc::clone(&client), Log::new());
    let told = log.clone();
    let _port = place.served("void", move |_| {
        // It sleeps, so that it would be rung for the reply, and is gone before.
        let gone = leaves.borrow_mut().take();
        gone.iter()
            .for_each(|client| client.write(512 + 256, &1_u32.to_le_bytes()));
        drop(gone);
        told.add("served");
    });
    let asks = Client::connect(&place.directory, "void").lie(12, &[0]);
    send(&asks.socket, &asks.hello(), &[asks.memory.as_fd()]);
    asks.write(4_096, &record(2, WHOLE, 1, 0, 0));
    asks.write(0, &32_u64.to_le_bytes());
    *client.borrow_mut() = Some(asks);
    run_until(|| log.count() == 1);
    // One that is refused, and has gone before.
    let stranger = Client::connect(&place.directory, "void");
    send(&stranger.socket, b"nonsense", &[]);
    drop(stranger);
    pass();
    assert!(!came.load(Ordering::SeqCst), "no SIGPIPE");
}
