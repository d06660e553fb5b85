//! Who has a name, who is refused it, and when it is free again.

use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};

use messageport::{ClaimError, CreateError, LocalPort, NotCreated, RemotePort};
use runloop::{Mode, RunLoop};
use tests::Watchdog;

use crate::children::{Child, ECHO};
use crate::support::{Place, Server};

/// The process that a refusal names, if it is one because of the name.
fn owner<H>(refused: &NotCreated<H>) -> Option<u32> {
    match &refused.error {
        CreateError::Claim(ClaimError::NameInUse { pid, .. }) => *pid,
        other => panic!("{other}"),
    }
}

#[test]
fn a_name_of_another_process_is_refused_with_its_pid_and_the_handler_comes_back() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let child = Child::start("owner", &place, "taken");
    let marked = String::from("the handler's own");
    let refused = LocalPort::create_in(&place.directory, "taken", move |_| marked.clone());
    let refused = refused.unwrap_err();
    assert_eq!(owner(&refused), Some(child.pid()));
    // The handler is whole, and can be used for another name.
    let port = LocalPort::create_in(&place.directory, "free", refused.handler).unwrap();
    assert!(port.is_valid(), "the other name was free");
}

#[test]
fn a_name_of_this_process_is_refused_with_our_pid_and_the_handler_comes_back() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let port = place.port("taken", |_| ());
    let refused = LocalPort::create_in(&place.directory, "taken", |_| "second").unwrap_err();
    assert_eq!(owner(&refused), Some(std::process::id()));
    let message = refused.error.to_string();
    assert!(message.contains("this process"), "{message}");
    drop(port);
    let port = LocalPort::create_in(&place.directory, "taken", refused.handler).unwrap();
    assert_eq!(port.name().unwrap().as_str(), "taken");
}

#[test]
fn of_sixteen_threads_that_want_one_name_exactly_one_gets_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let start = Arc::new(Barrier::new(16));
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let (directory, start) = (place.directory.clone(), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                let result = LocalPort::create_in(&directory, "wanted", |_| ());
                // A port goes with its thread, and would leave the name to the next one.
                start.wait();
                result.map_err(|refused| owner(&refused))
            })
        })
        .collect();
    let results: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    let refused = results.iter().filter_map(|result| result.as_ref().err());
    let refused: Vec<_> = refused.copied().collect();
    assert_eq!(
        refused,
        [Some(std::process::id()); 15],
        "all but one, by this process"
    );
}

#[test]
fn a_name_is_free_at_once_when_its_port_is_dropped_or_invalidated() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for _ in 0..3 {
        drop(place.served("again", |_| ()));
        let port = place.served("again", |_| ());
        let clone = port.clone();
        drop(port);
        assert!(
            LocalPort::create_in(&place.directory, "again", |_| ()).is_err(),
            "a clone keeps the port"
        );
        clone.invalidate();
        let next = place.served("again", |_| ());
        clone.invalidate();
        drop(clone);
        assert!(
            next.is_valid(),
            "the former port's end is not the new one's"
        );
        place.connect("again").send(1, b"").unwrap();
    }
}

#[test]
fn the_name_of_a_killed_process_is_free_at_once_and_the_new_port_is_found() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for _ in 0..5 {
        let mut child = Child::start("server", &place, "heir");
        let remote = place.connect("heir");
        assert_eq!(&remote.request(ECHO, b"alive").unwrap()[..], b"alive");
        child.kill();
        assert!(
            RemotePort::connect_in(&place.directory, "heir")
                .unwrap_err()
                .is_not_found(),
            "nobody has the name"
        );
        let server = Server::start(&place, "heir", |_| "the new one");
        assert_eq!(
            &place.connect("heir").request(ECHO, b"").unwrap()[..],
            b"the new one"
        );
        assert!(
            !remote.is_valid(),
            "an old link does not lead to the new port"
        );
        drop(server);
    }
}

#[test]
fn a_name_that_nobody_has_is_not_found_and_the_message_says_where() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let missing = RemotePort::connect_in(&place.directory, "nobody").unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
    let message = missing.to_string();
    assert!(message.contains("nobody"), "{message}");
    assert!(
        message.contains(place.path().to_str().unwrap()),
        "{message}"
    );
}

#[test]
fn what_cannot_be_a_name_is_an_error_on_both_sides_and_never_another_name() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let long = "x".repeat(256);
    for name in ["", "with\0nul", "line\nbreak", &long] {
        let refused = LocalPort::create_in(&place.directory, name, |_| ()).unwrap_err();
        assert!(
            matches!(refused.error, CreateError::Name(_)),
            "{name:?}: {}",
            refused.error
        );
        let missing = RemotePort::connect_in(&place.directory, name).unwrap_err();
        assert!(!missing.is_not_found(), "{name:?}: {missing}");
    }
    for name in ["x".repeat(255).as_str(), "a/../b", ".", "ä ö %2f", "a%b/c"] {
        let port = place.served(name, |_| ());
        place.connect(name).send(1, b"").unwrap();
        assert_eq!(port.name().unwrap().as_str(), name);
    }
}

#[test]
fn a_port_whose_thread_has_ended_is_gone() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let directory = place.directory.clone();
    let (out, back) = channel();
    let (go, wait) = channel::<()>();
    let thread = std::thread::spawn(move || {
        let port = LocalPort::create_in(&directory, "short-lived", |_| ()).unwrap();
        RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
        out.send(port).unwrap();
        wait.recv().unwrap();
    });
    let port = back.recv().unwrap();
    let remote = place.connect("short-lived");
    assert!(remote.is_valid(), "it lives");
    go.send(()).unwrap();
    thread.join().unwrap();
    assert!(!port.is_valid(), "although somebody holds it");
    assert!(!remote.is_valid(), "nobody will ever serve it");
    assert!(
        RemotePort::connect_in(&place.directory, "short-lived")
            .unwrap_err()
            .is_not_found(),
        "the name is free"
    );
}
