//! The order in which a port ends, and who is told of it, how often and where.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;

use messageport::{LocalPort, PortOptions, SendError};
use runloop::{Mode, RunLoop};
use tests::{Log, Watchdog};

use crate::support::{Place, Server, patiently, wait_until};

#[test]
fn a_port_is_invalid_and_its_name_free_when_the_callback_runs_and_leaves_its_loop_afterwards() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let port = place.served("ending", |_| ());
    let told = log.clone();
    let (seen, directory) = (port.clone(), place.directory.clone());
    let (out, kept) = channel();
    // What it looks at belongs to this thread, on which it is called.
    port.on_invalidation(move || {
        told.add(format!("valid {}", seen.is_valid()));
        told.add(format!(
            "in the loop {}",
            RunLoop::current().contains(&seen, Mode::DEFAULT)
        ));
        let next = LocalPort::create_in(&directory, "ending", |_| ());
        told.add(format!("created {}", next.is_ok()));
        // A callback that ends what is ending changes nothing.
        seen.invalidate();
        out.send(next.unwrap()).unwrap();
    });
    port.invalidate();
    port.invalidate();
    assert_eq!(
        log.take(),
        ["valid false", "in the loop true", "created true"],
        "once"
    );
    assert!(
        !RunLoop::current().contains(&port, Mode::DEFAULT),
        "it has left"
    );
    assert_eq!(
        port.name().unwrap().as_str(),
        "ending",
        "the name can still be read"
    );
    let next = kept.recv().unwrap();
    assert!(
        next.is_valid(),
        "the new port is none of the old one's business"
    );
    place.connect("ending").send(1, b"").unwrap();
}

/// Writes a line when it is dropped.
struct Holds(Log, Box<dyn Fn() -> String>);

impl Drop for Holds {
    fn drop(&mut self) {
        self.0.add(self.1());
    }
}

#[test]
fn a_port_ends_in_one_order_its_flag_its_name_its_callback_its_handler_its_source() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    for shared in [false, true] {
        let slot = Arc::new(std::sync::Mutex::new(None::<LocalPort>));
        let looks = {
            let (slot, directory) = (Arc::clone(&slot), place.directory.clone());
            move || {
                let port = slot.lock().unwrap().clone().unwrap();
                let free = directory.names().unwrap().is_empty();
                let inside = RunLoop::current().contains(&port, Mode::DEFAULT);
                let valid = port.is_valid();
                format!("valid {valid}, name free {free}, in the loop {inside}")
            }
        };
        let seen = looks.clone();
        let told = log.clone();
        let options = PortOptions::new()
            .in_directory(&place.directory)
            .name("ends");
        let port = if shared {
            // What it says is looked at by the last to hold it, on whatever thread; here it is this one.
            let held = std::sync::Mutex::new(Says(log.clone()));
            options
                .create_shared(move |_| held.lock().unwrap().0.add("called"))
                .map_err(|refused| refused.error)
        } else {
            let held = Holds(
                log.clone(),
                Box::new(move || format!("handler: {}", seen())),
            );
            options
                .create(move |_| held.0.add("called"))
                .map_err(|refused| refused.error)
        };
        let port = port.unwrap();
        *slot.lock().unwrap() = Some(port.clone());
        RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
        port.on_invalidation(move || told.add(format!("callback: {}", looks())));
        port.invalidate();
        assert!(!RunLoop::current().contains(&port, Mode::DEFAULT));
        let state = "valid false, name free true, in the loop true";
        let handler = if shared {
            "handler".to_owned()
        } else {
            format!("handler: {state}")
        };
        assert_eq!(
            log.take(),
            [format!("callback: {state}"), handler],
            "A71, A72"
        );
        slot.lock().unwrap().take();
    }
}

/// Writes that the handler is gone.
struct Says(Log);

impl Drop for Says {
    fn drop(&mut self) {
        self.0.add("handler");
    }
}

#[test]
fn a_port_whose_handler_panics_or_whose_thread_ends_is_told_of_on_that_thread_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for panics in [true, false] {
        let (out, called) = channel();
        let directory = place.directory.clone();
        let (ready, started) = channel();
        let thread = std::thread::spawn(move || {
            let port = LocalPort::create_in(&directory, "ends", move |_| {
                assert!(!panics, "as the test wants it");
                RunLoop::current().stop();
            });
            let port = port.unwrap();
            port.on_invalidation(move || out.send(std::thread::current().id()).unwrap());
            let run_loop = RunLoop::current();
            run_loop.add(&port, Mode::DEFAULT).unwrap();
            ready.send(port).unwrap();
            run_loop.run().map(drop).unwrap();
        });
        let port = started.recv().unwrap();
        let id = thread.thread().id();
        place.connect("ends").send(1, b"").unwrap();
        assert_eq!(thread.join().is_err(), panics);
        assert_eq!(called.recv().unwrap(), id);
        assert!(called.recv().is_err(), "once");
        assert!(!port.is_valid());
        assert_eq!(place.directory.names().unwrap(), []);
    }
}

#[test]
fn the_callback_runs_once_on_the_thread_that_ends_the_port_or_drops_it_last() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for ends in [LocalPort::invalidate as fn(&LocalPort), |_| {}] {
        let server = Server::echo(&place, "elsewhere");
        let port = place.port("watched", |_| ());
        let (out, called) = channel();
        port.on_invalidation(move || out.send(std::thread::current().id()).unwrap());
        let thread = std::thread::spawn(move || {
            ends(&port);
            drop(port);
            std::thread::current().id()
        });
        let id = thread.join().unwrap();
        assert_eq!(called.recv().unwrap(), id);
        assert!(called.recv().is_err(), "and never again");
        drop(server);
    }
}

#[test]
fn a_callback_set_on_an_invalid_port_is_called_at_once_and_here() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let port = place.served("gone", |_| ());
    port.invalidate();
    for _ in 0..2 {
        let (out, called) = channel();
        port.on_invalidation(move || out.send(std::thread::current().id()).unwrap());
        assert_eq!(called.try_recv(), Ok(std::thread::current().id()));
    }
}

#[test]
fn a_callback_takes_the_place_of_the_former_one_which_is_dropped_uncalled() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let port = place.port("twice", |_| ());
    let counted = Arc::new(());
    for number in 1..=2 {
        let (told, counted) = (log.clone(), Arc::clone(&counted));
        port.on_invalidation(move || {
            told.add(format!("{number} of {}", Arc::strong_count(&counted)))
        });
    }
    drop(port);
    assert_eq!(log.take(), ["2 of 2"]);
    assert_eq!(Arc::strong_count(&counted), 1, "both are gone");
}

#[test]
fn the_handler_and_what_it_holds_are_dropped_when_the_port_ends() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let held = Arc::new(AtomicU32::new(0));
    let kept = Arc::clone(&held);
    let port = place.served("holding", move |_| {
        kept.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(Arc::strong_count(&held), 2);
    port.invalidate();
    assert_eq!(Arc::strong_count(&held), 1, "at once, on its own thread");

    // A port that its own handler refers to goes all the same.
    let slot = Arc::new(std::sync::Mutex::new(None::<LocalPort>));
    let kept = Arc::clone(&slot);
    let port = place.served("circle", move |_| {
        assert!(kept.lock().unwrap().is_some(), "the port holds itself")
    });
    *slot.lock().unwrap() = Some(port.clone());
    port.invalidate();
    assert_eq!(Arc::strong_count(&slot), 1);

    // From another thread, the thread of the loop lets go of it when it looks.
    let kept = Arc::clone(&held);
    let server = Server::start(&place, "elsewhere", move |_| {
        kept.fetch_add(1, Ordering::Relaxed);
    });
    server.port.invalidate();
    wait_until(|| Arc::strong_count(&held) == 1);
}

#[test]
fn a_callback_that_panics_keeps_nothing_from_ending() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let port = place.served("panics", |_| ());
    let remote = place.connect("panics");
    let options = patiently().in_mode(Mode::DEFAULT);
    remote.request_with(1, b"", options).unwrap();
    port.on_invalidation(|| panic!("as the test wants it"));
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| port.invalidate()));
    assert!(unwound.is_err(), "the caller hears of it");
    assert!(
        !RunLoop::current().contains(&port, Mode::DEFAULT),
        "it has left the loop"
    );
    let refused = remote.request_with(1, b"", options);
    let gone = matches!(refused, Err(SendError::BecameInvalid | SendError::Invalid));
    assert!(gone, "the client has been told: {refused:?}");
}
