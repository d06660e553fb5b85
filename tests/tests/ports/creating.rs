//! Making ports: without a name, with one that is taken, finding those that are there, and their place among sources.

use std::collections::HashSet;
use std::sync::Arc;

use messageport::{
    ClaimError, CreateError, LocalPort, Message, NotCreated, PortOptions, RemotePort,
};
use runloop::{Mode, RunLoop};
use tests::{Log, Watchdog};

use crate::children::Child;
use crate::support::{Place, pass, run_until};

fn options(place: &Place) -> PortOptions {
    PortOptions::new().in_directory(&place.directory)
}

#[test]
fn a_port_without_a_name_is_reached_by_nobody_until_it_is_named_in_whatever_mode_it_is_already() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = options(&place).create(move |message: Message| told.add(message.id().to_string()));
    let port = port.unwrap();
    assert!(port.is_valid() && port.name().is_none(), "A10");
    assert_eq!(place.directory.names().unwrap(), [], "nobody sees it");
    let run_loop = RunLoop::current();
    assert!(run_loop.add(&port, Mode::DEFAULT).unwrap());
    pass();
    port.rename("late").unwrap();
    assert_eq!(
        LocalPort::find_in(&place.directory, "late"),
        Some(port.clone())
    );
    place.connect("late").send(7, b"").unwrap();
    run_until(|| log.count() == 1);
    assert_eq!(log.take(), ["7"], "A11");
    port.rename("later").unwrap();
    place.connect("later").send(8, b"").unwrap();
    run_until(|| log.count() == 1);
    port.invalidate();
    assert_eq!(port.name().unwrap().as_str(), "later", "A75");
    assert_eq!(place.directory.names().unwrap(), []);
}

#[test]
fn a_port_that_never_had_a_name_ends_like_any_other() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let port = options(&place).create(|_| ()).unwrap();
    let told = log.clone();
    port.on_invalidation(move || told.add("ended"));
    drop(port);
    assert_eq!(log.take(), ["ended"]);
}

#[test]
fn a_name_that_cannot_be_one_or_is_taken_gives_the_handler_back() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let child = Child::start("owner", &place, "theirs");
    let ours = place.port("ours", |_| ());
    let held = Arc::new(());
    for (name, owner) in [("theirs", child.pid()), ("ours", std::process::id())] {
        let kept = Arc::clone(&held);
        let made = LocalPort::create_in(&place.directory, name, move |_| drop(kept.clone()));
        let NotCreated { error, handler } = made.unwrap_err();
        match error {
            CreateError::Claim(ClaimError::NameInUse { pid, directory, .. }) => {
                assert_eq!(pid, Some(owner), "{name}");
                assert_eq!(directory, place.path());
            }
            other => panic!("{other}"),
        }
        assert_eq!(Arc::strong_count(&held), 2, "nothing was dropped (A13)");
        // It is as good as new.
        assert!(options(&place).name("free").create(handler).is_ok());
        assert_eq!(Arc::strong_count(&held), 1);
    }
    let long = "n".repeat(256);
    for name in ["", "with\0zero", &long] {
        let refused = options(&place).name(name).create_shared(|_| ());
        let refused = refused.unwrap_err();
        assert!(matches!(refused.error, CreateError::Name(_)), "A20, A21");
    }
    assert!(ours.is_valid());
}

#[test]
fn a_port_of_this_process_is_found_by_the_name_it_has_now_and_no_longer_than_it_is_valid() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let child = Child::start("owner", &place, "theirs");
    let find = |name: &str| LocalPort::find_in(&place.directory, name);
    let port = place.port("ours", |_| ());
    assert_eq!(find("ours"), Some(port.clone()), "the very same (A12)");
    assert_eq!(find("theirs"), None, "it is of another process");
    assert_eq!((find("nobody's"), find("")), (None, None));
    port.rename("renamed").unwrap();
    assert_eq!((find("ours"), find("renamed")), (None, Some(port.clone())));
    let other = place.port("ours", |_| ());
    assert_eq!(find("ours"), Some(other.clone()));
    assert_ne!(find("ours"), Some(port.clone()));
    port.invalidate();
    assert_eq!(find("renamed"), None);
    // A name that is free again is had at once (A14).
    let next = place.port("renamed", |_| ());
    assert_eq!(find("renamed"), Some(next));
    drop(other);
    assert_eq!(find("ours"), None, "what is found keeps nothing alive");
    drop(child);
}

#[test]
fn of_sixteen_threads_that_want_one_name_one_gets_it_and_keeps_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for round in 0..50 {
        let name = format!("wanted {round}");
        let start = Arc::new(std::sync::Barrier::new(16));
        let threads: Vec<_> = (0..16)
            .map(|_| {
                let (start, name) = (Arc::clone(&start), name.clone());
                let directory = place.directory.clone();
                std::thread::spawn(move || {
                    start.wait();
                    let options = PortOptions::new().in_directory(&directory).name(&name);
                    options
                        .create_shared(|_| ())
                        .map_err(|refused| refused.error)
                })
            })
            .collect();
        let made: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        let mut winners = Vec::new();
        for made in made {
            match made {
                Ok(port) => winners.push(port),
                Err(CreateError::Claim(ClaimError::NameInUse { pid, .. })) => {
                    assert_eq!(pid, Some(std::process::id()));
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners.len(), 1, "A16");
        let found = LocalPort::find_in(&place.directory, &name);
        assert_eq!(found.as_ref(), winners.first());
        assert!(RemotePort::connect_in(&place.directory, &name).is_ok());
    }
}

#[test]
fn of_two_ports_with_mail_the_one_of_lower_order_is_served_first() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let mut ports = Vec::new();
    for (name, order) in [("second", 2), ("first", -1), ("between", 0)] {
        let told = log.clone();
        let made = options(&place).name(name).order(order);
        let port = made.create(move |_| told.add(name)).unwrap();
        run_loop.add(&port, Mode::DEFAULT).unwrap();
        ports.push(port);
    }
    // Once connected to each; what counts is what comes together.
    let remotes = ["second", "first", "between"].map(|name| place.connect(name));
    for remote in &remotes {
        remote.send(1, b"").unwrap();
    }
    run_until(|| log.count() == 3);
    assert_eq!(log.take(), ["first", "between", "second"]);
}

#[test]
#[expect(
    clippy::mutable_key_type,
    reason = "a port is hashed by which one it is, and that never changes"
)]
fn a_port_has_one_source_and_is_equal_to_itself_alone() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let run_loop = RunLoop::current();
    let port = place.port("one", |_| ());
    let other = place.port("another", |_| ());
    assert!(run_loop.add(&port, Mode::DEFAULT).unwrap());
    assert!(!run_loop.add(&port.clone(), Mode::DEFAULT).unwrap(), "A40");
    let set: HashSet<LocalPort> = [port.clone(), port.clone(), other.clone()].into();
    assert_eq!(set.len(), 2, "A123");
    let (one, two) = (place.connect("one"), place.connect("one"));
    let set: HashSet<RemotePort> = [one.clone(), one.clone(), two.clone()].into();
    assert_eq!(set.len(), 2, "each connection is a link of its own (A31)");
    two.invalidate();
    assert!(one.is_valid(), "which nobody else can end (E7)");
}
