//! How the holder of a remote hears that its port has gone: how often, on which thread, and without sending anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;

use messageport::{LocalPort, RemotePort, SendError};
use runloop::{AddError, Mode, Outcome, RunLoop};
use tests::{Log, Watchdog};

use crate::children::{Child, HANG, INVALIDATE};
use crate::support::{Place, Server, pass, patiently, run_until, wait_until};

/// Has a remote's end written down, with where it is told.
fn watch(remote: &RemotePort, log: &Log) {
    let told = log.clone();
    let here = std::thread::current().id();
    remote.on_invalidation(move || {
        let place = if std::thread::current().id() == here {
            "here"
        } else {
            "elsewhere"
        };
        told.add(format!("ended {place}"));
    });
}

#[test]
fn a_process_that_only_waits_in_its_loop_hears_at_once_that_the_port_was_killed() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let mut child = Child::start("server", &place, "theirs");
    let remote = place.connect("theirs");
    watch(&remote, &log);
    let run_loop = RunLoop::current();
    assert!(run_loop.add(&remote, Mode::DEFAULT).unwrap());
    assert!(!run_loop.add(&remote.clone(), Mode::DEFAULT).unwrap());
    pass();
    assert_eq!(log.take(), [""; 0], "the port is there");
    let main = run_loop.handle();
    let kills = std::thread::spawn(move || {
        wait_until(|| main.is_waiting() == Ok(true));
        child.kill();
    });
    // It ends because nothing is left in the mode.
    assert_eq!(run_loop.run().unwrap(), Outcome::Finished);
    log.add("the run is over");
    kills.join().unwrap();
    assert!(!remote.is_valid());
    assert_eq!(log.take(), ["ended here", "the run is over"], "once");
    let added = run_loop.add(&remote, Mode::DEFAULT);
    assert!(matches!(added, Err(AddError::Invalid)), "{added:?}");
}

#[test]
fn a_port_of_the_same_process_that_ends_is_heard_of_no_less() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    for ends in [LocalPort::invalidate as fn(&LocalPort), |_| {}] {
        let port = place.served("ours", |_| ());
        let (looped, idle) = (place.connect("ours"), place.connect("ours"));
        watch(&looped, &log);
        watch(&idle, &log);
        let run_loop = RunLoop::current();
        run_loop.add(&looped, Mode::DEFAULT).unwrap();
        // Served, and not merely on its way.
        looped
            .request_with(1, b"", patiently().in_mode(Mode::DEFAULT))
            .unwrap();
        assert!(looped.is_valid() && idle.is_valid());
        ends(&port);
        drop(port);
        assert_eq!(log.take(), [""; 0], "nobody has looked");
        assert!(!idle.is_valid(), "A78");
        assert_eq!(log.take(), ["ended here"], "inside the call that noticed");
        run_until(|| log.count() == 1);
        assert_eq!(log.take(), ["ended here"], "in the loop");
        assert!(!looped.is_valid() && !run_loop.contains(&looped, Mode::DEFAULT));
    }
}

#[test]
fn a_remote_in_no_loop_notices_without_sending_and_tells_of_it_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let mut child = Child::start("server", &place, "theirs");
    let remote = place.connect("theirs");
    watch(&remote, &log);
    assert!(remote.is_valid());
    child.kill();
    assert_eq!(log.take(), [""; 0]);
    assert!(!remote.is_valid(), "A77");
    assert_eq!(log.take(), ["ended here"]);
    let sent = remote.send(1, b"");
    assert!(matches!(sent, Err(SendError::Invalid)), "{sent:?}");
    remote.invalidate();
    drop(remote);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_call_that_fails_because_the_port_died_tells_of_it_before_it_returns() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let mut child = Child::start("server", &place, "theirs");
    let remote = place.connect("theirs");
    watch(&remote, &log);
    let asks = remote.clone();
    let told = log.clone();
    let thread = std::thread::spawn(move || {
        let failed = asks.request_with(HANG, b"", patiently()).unwrap_err();
        told.add(format!("{failed:?}"));
    });
    assert_eq!(child.hear(), "in the handler");
    child.kill();
    thread.join().unwrap();
    assert_eq!(log.take(), ["ended elsewhere", "BecameInvalid"]);

    // The port ends, and the reply that was being made arrives: the call is none that noticed.
    let _child = Child::start("server", &place, "invalidates");
    let remote = place.connect("invalidates");
    watch(&remote, &log);
    let reply = remote.request_with(INVALIDATE, b"", patiently()).unwrap();
    assert_eq!(&reply[..], b"the last words", "A59");
    log.add("answered");
    wait_until(|| !remote.is_valid());
    let mut found = log.take();
    found.retain(|line| line == "ended here");
    assert_eq!(found.len(), 1);
}

#[test]
fn a_remote_in_a_loop_is_told_of_there_whoever_notices() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let mut child = Child::start("server", &place, "theirs");
    let remote = place.connect("theirs");
    watch(&remote, &log);
    RunLoop::current().add(&remote, Mode::DEFAULT).unwrap();
    let asks = remote.clone();
    let thread = std::thread::spawn(move || {
        let failed = asks.request_with(HANG, b"", patiently()).unwrap_err();
        assert!(!asks.is_valid());
        format!("{failed:?}")
    });
    assert_eq!(child.hear(), "in the handler");
    child.kill();
    assert_eq!(thread.join().unwrap(), "BecameInvalid");
    assert_eq!(log.take(), [""; 0], "the loop has not run");
    run_until(|| log.count() > 0);
    assert_eq!(log.take(), ["ended here"]);
}

#[test]
fn a_remote_that_leaves_its_loop_before_that_runs_is_told_of_when_it_leaves() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let mut child = Child::start("server", &place, "theirs");
    let remote = place.connect("theirs");
    watch(&remote, &log);
    let run_loop = RunLoop::current();
    run_loop.add(&remote, Mode::DEFAULT).unwrap();
    child.kill();
    assert!(!remote.is_valid());
    assert_eq!(log.take(), [""; 0], "that is for the loop to tell");
    assert!(run_loop.remove(&remote, Mode::DEFAULT));
    assert_eq!(log.take(), ["ended here"]);
}

#[test]
fn whoever_invalidates_a_remote_is_told_there_and_then_and_before_it_leaves_its_loops() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let _server = Server::echo(&place, "ours");
    let remote = place.connect("ours");
    let run_loop = RunLoop::current();
    run_loop.add(&remote, Mode::DEFAULT).unwrap();
    let (told, weak) = (log.clone(), remote.clone());
    remote.on_invalidation(move || {
        let inside = RunLoop::current().contains(&weak, Mode::DEFAULT);
        told.add(format!("valid {}, in the loop {inside}", weak.is_valid()));
    });
    remote.invalidate();
    remote.invalidate();
    assert_eq!(log.take(), ["valid false, in the loop true"]);
    assert!(!run_loop.contains(&remote, Mode::DEFAULT));
    // From another thread, it runs there, and the loop is left when it looks.
    let remote = place.connect("ours");
    watch(&remote, &log);
    run_loop.add(&remote, Mode::DEFAULT).unwrap();
    let ends = remote.clone();
    std::thread::spawn(move || ends.invalidate())
        .join()
        .unwrap();
    assert_eq!(log.take(), ["ended elsewhere"]);
    assert_eq!(run_loop.run().unwrap(), Outcome::Finished, "it is empty");
    // The last clone.
    let remote = place.connect("ours");
    watch(&remote, &log);
    drop(remote.clone());
    assert_eq!(log.take(), [""; 0], "there is one left");
    drop(remote);
    assert_eq!(log.take(), ["ended here"], "A79");
}

#[test]
fn a_callback_takes_the_place_of_the_former_one_and_on_an_ended_remote_it_is_called_at_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let port = place.port("ours", |_| ());
    let remote = place.connect("ours");
    let counted = Arc::new(());
    for number in 1..=2 {
        let (told, counted) = (log.clone(), Arc::clone(&counted));
        remote.on_invalidation(move || {
            told.add(format!("{number} of {}", Arc::strong_count(&counted)));
        });
    }
    remote.invalidate();
    assert_eq!(log.take(), ["2 of 2"], "the former one is dropped uncalled");
    watch(&remote, &log);
    watch(&remote, &log);
    assert_eq!(log.take(), ["ended here", "ended here"], "A74");
    // Also if nobody has noticed yet.
    let remote = place.connect("ours");
    port.invalidate();
    watch(&remote, &log);
    assert_eq!(log.take(), ["ended here"]);
}

#[test]
fn of_all_that_can_end_a_remote_at_once_one_tells_of_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for round in 0..200_u32 {
        let port = place.port("raced", |_| ());
        let remote = place.connect("raced");
        let told = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&told);
        let (out, called) = channel();
        remote.on_invalidation(move || {
            count.fetch_add(1, Ordering::SeqCst);
            out.send(()).unwrap();
        });
        let run_loop = RunLoop::current();
        if round % 2 == 0 {
            run_loop.add(&remote, Mode::DEFAULT).unwrap();
        }
        let (ends, sends, looks) = (remote.clone(), remote.clone(), remote.clone());
        let threads = [
            std::thread::spawn(move || port.invalidate()),
            std::thread::spawn(move || ends.invalidate()),
            std::thread::spawn(move || while sends.send(1, b"").is_ok() {}),
            std::thread::spawn(move || while looks.is_valid() {}),
        ];
        drop(remote);
        run_until(|| threads.iter().all(std::thread::JoinHandle::is_finished));
        for thread in threads {
            thread.join().unwrap();
        }
        run_until(|| told.load(Ordering::SeqCst) > 0);
        called.recv().unwrap();
        assert!(called.recv().is_err(), "the callback is gone");
        assert_eq!(told.load(Ordering::SeqCst), 1, "round {round}");
    }
}

#[test]
fn a_callback_that_panics_keeps_the_remote_from_nothing() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::echo(&place, "ours");
    let remote = place.connect("ours");
    let run_loop = RunLoop::current();
    run_loop.add(&remote, Mode::DEFAULT).unwrap();
    remote.on_invalidation(|| panic!("as the test wants it"));
    let ends = std::panic::AssertUnwindSafe(|| remote.invalidate());
    assert!(std::panic::catch_unwind(ends).is_err(), "it is heard of");
    assert!(!run_loop.contains(&remote, Mode::DEFAULT) && !remote.is_valid());
}
