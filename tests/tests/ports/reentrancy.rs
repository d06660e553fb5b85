//! Handlers that run the loop, ask others, ask themselves, or drop what is calling them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use messageport::{LocalPort, Message, Reply};
use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop};
use tests::{Log, Watchdog};

use crate::children::Child;
use crate::support::{Place, patiently, run_until, wait_until};

/// Serves the default mode from inside a handler until something holds.
fn serve_inside(holds: impl Fn() -> bool) {
    while !holds() {
        let limit = Limit::Never;
        let run_loop = RunLoop::current();
        let outcome = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::FirstSource);
        assert_eq!(outcome.unwrap(), Outcome::HandledSource);
    }
}

#[test]
pub(crate) fn a_handler_that_runs_the_loop_is_given_the_next_message_of_the_same_client() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let (told, done) = (log.clone(), Rc::new(Cell::new(false)));
    let seen = Rc::clone(&done);
    let port = place.port("nested", move |message| {
        told.add(format!("{} begins", message.id()));
        match message.id() {
            1 => serve_inside(|| seen.get()),
            _ => seen.set(true),
        }
        told.add(format!("{} ends", message.id()));
    });
    let remote = place.connect("nested");
    remote.send(1, b"").unwrap();
    remote.send(2, b"").unwrap();
    RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
    run_until(|| log.count() == 4);
    assert_eq!(log.take(), ["1 begins", "2 begins", "2 ends", "1 ends"]);
}

#[test]
fn a_handler_that_runs_the_loop_is_given_the_messages_of_other_clients() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let (told, depth) = (log.clone(), Rc::new(Cell::new(0)));
    let deepest = Rc::clone(&depth);
    let port = place.port("nested", move |message| {
        told.add(format!("{}", message.id()));
        let own = depth.get() + 1;
        depth.set(own);
        // Each waits for the next, the last for nothing.
        if message.id() < 4 {
            serve_inside(|| depth.get() > own);
        }
    });
    let remotes = [(); 4].map(|()| place.connect("nested"));
    for (id, remote) in (1..).zip(&remotes) {
        remote.send(id, b"").unwrap();
    }
    RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
    run_until(|| deepest.get() == 4);
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["1", "2", "3", "4"]);
}

#[test]
fn a_handler_may_ask_its_own_port() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let remote = Rc::new(RefCell::new(None));
    let asked = Rc::clone(&remote);
    let port = place.served("own", move |message: Message| {
        let depth = message.id();
        if depth == 0 {
            return Reply::from("bottom");
        }
        let remote: messageport::RemotePort = asked.borrow().clone().unwrap();
        let options = patiently().in_mode(Mode::DEFAULT);
        remote.request_with(depth - 1, b"", options).unwrap().into()
    });
    *remote.borrow_mut() = Some(place.connect("own"));
    let outside = place.connect("own");
    let options = patiently().in_mode(Mode::DEFAULT);
    let reply = outside.request_with(20, b"", options).unwrap();
    assert_eq!(&reply[..], b"bottom");
    remote.borrow_mut().take();
    drop(port);
}

#[test]
fn a_handler_may_drop_its_own_port_and_its_reply_still_arrives() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let slot: Rc<RefCell<Option<LocalPort>>> = Rc::default();
    let inside = Rc::clone(&slot);
    let port = place.served("dropped", move |_| {
        drop(inside.borrow_mut().take());
        "the last words"
    });
    *slot.borrow_mut() = Some(port);
    let remote = place.connect("dropped");
    let options = patiently().in_mode(Mode::DEFAULT);
    let reply = remote.request_with(1, b"", options).unwrap();
    assert_eq!(&reply[..], b"the last words");
    assert!(!remote.is_valid(), "nobody holds the port any more");
}

#[test]
fn a_client_that_dies_while_its_handler_runs_the_loop_leaves_nothing_behind() {
    let _watchdog = Watchdog::new();
    tests::in_own_process!({
        let place = Place::new();
        let passes = Rc::new(Cell::new(0));
        let (counted, ends) = (Rc::clone(&passes), Rc::new(Cell::new(false)));
        let end = Rc::clone(&ends);
        let port = place.port("widowed", move |message| {
            if message.id() == 1 {
                // Long enough to notice the death in here, and to spin if the dead one is looked at again and again.
                let before = RunLoop::current().statistics().passes;
                let limit = std::time::Instant::now() + std::time::Duration::from_millis(100);
                let run_loop = RunLoop::current();
                let outcome = run_loop.wait_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
                assert_eq!(outcome.unwrap(), Outcome::TimedOut);
                counted.set(RunLoop::current().statistics().passes - before);
                end.set(true);
            }
        });
        let before = tests::open_descriptors();
        Child::start("sender", &place, "widowed").wait();
        RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
        run_until(|| ends.get());
        crate::support::pass();
        RunLoop::current().remove(&port, Mode::DEFAULT);
        assert!(
            passes.get() < 50,
            "{} passes in a tenth of a second",
            passes.get()
        );
        wait_until(|| sockets(&tests::open_descriptors()) <= sockets(&before));
    });
}

/// How many sockets are open: others may be those of the loop.
fn sockets(open: &std::collections::BTreeMap<String, String>) -> usize {
    open.values()
        .filter(|target| target.starts_with("socket:"))
        .count()
}
