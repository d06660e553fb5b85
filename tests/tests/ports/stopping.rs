//! A stop during a wait: the request goes on, and the run around it ends afterwards.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use messageport::RemotePort;
use runloop::{Activity, Limit, Mode, Observer, Outcome, ReturnAfter, RunLoop};
use tests::{Log, Watchdog};
use timer_source::Timer;

use crate::support::{FAR, Place, Server, patiently, wait_until, within};

/// A server that answers when it is told to.
fn told(place: &Place) -> (Server, RemotePort, Sender<()>) {
    let (go, wait): (Sender<()>, Receiver<()>) = channel();
    let server = Server::start(place, "told", move |_| wait.recv().unwrap());
    let remote = place.connect("told");
    (server, remote, go)
}

/// Runs the default mode, whose first act is a request in a mode; what keeps it going is far away.
fn request_in_a_run(remote: &RemotePort, mode: Mode, log: &Log) -> Outcome {
    let run_loop = RunLoop::current();
    let (remote, told) = (remote.clone(), log.clone());
    let options = patiently().in_mode(mode);
    let asks = Timer::once(Duration::ZERO, move |_, _| {
        let answered = remote.request_with(1, b"", options);
        told.add(format!("answered {}", answered.is_ok()));
    });
    run_loop.add(&asks, Mode::DEFAULT).unwrap();
    let keeps = Timer::once(FAR, |_, _| {});
    run_loop.add(&keeps, Mode::DEFAULT).unwrap();
    let outcome = run_loop
        .run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit)
        .unwrap();
    keeps.invalidate();
    outcome
}

#[test]
fn a_stop_in_a_callback_leaves_the_request_waiting_and_ends_the_run_around_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (_server, remote, go) = told(&place);
    let (log, mode) = (Log::new(), Mode::new("ports.stopping"));
    let run_loop = RunLoop::current();
    let told = log.clone();
    let stops = Timer::once(Duration::ZERO, move |run_loop, _| {
        told.add("stopped");
        run_loop.stop();
    });
    run_loop.add(&stops, mode).unwrap();
    let told = log.clone();
    let answers = Timer::once(Duration::from_millis(20), move |_, _| {
        told.add("told to answer");
        go.send(()).unwrap();
    });
    run_loop.add(&answers, mode).unwrap();
    assert_eq!(request_in_a_run(&remote, mode, &log), Outcome::Stopped);
    assert_eq!(log.take(), ["stopped", "told to answer", "answered true"]);
}

#[test]
fn a_stop_of_another_thread_leaves_the_request_waiting_and_ends_the_run_around_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (_server, remote, go) = told(&place);
    let log = Log::new();
    let (main, told) = (RunLoop::current().handle(), log.clone());
    let other = std::thread::spawn(move || {
        wait_until(|| main.is_waiting() == Ok(true));
        told.add("stopped");
        main.stop().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        told.add("told to answer");
        go.send(()).unwrap();
    });
    let mode = Mode::new("messageport.test.private");
    assert_eq!(request_in_a_run(&remote, mode, &log), Outcome::Stopped);
    other.join().unwrap();
    assert_eq!(log.take(), ["stopped", "told to answer", "answered true"]);
}

#[test]
fn a_stop_with_no_run_around_the_request_ends_the_next_one() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (_server, remote, go) = told(&place);
    let run_loop = RunLoop::current();
    run_loop.stop();
    go.send(()).unwrap();
    remote.request_with(1, b"", patiently()).unwrap();
    let never = Timer::once(FAR, |_, _| {});
    run_loop.add(&never, Mode::DEFAULT).unwrap();
    assert_eq!(run_loop.run().unwrap(), Outcome::Stopped);
}

#[test]
fn a_stop_at_the_moment_of_the_reply_ends_the_run_around_it_as_well() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (_server, remote, go) = told(&place);
    let (log, mode) = (Log::new(), Mode::new("ports.moment"));
    let run_loop = RunLoop::current();
    // In the first pass the reply is waited for; it is found at the beginning of the second, in which this stops the run.
    let passes = Rc::new(Cell::new(0));
    let observer = Observer::new(Activity::BEFORE_TIMERS, 0, move |run_loop, _| {
        passes.set(passes.get() + 1);
        if passes.get() == 1 {
            go.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        } else {
            run_loop.stop();
        }
    });
    run_loop.add_observer(&observer, mode).unwrap();
    assert_eq!(request_in_a_run(&remote, mode, &log), Outcome::Stopped);
    assert_eq!(log.take(), ["answered true"]);
}

#[test]
fn a_request_that_was_answered_leaves_no_deadline_that_wakes_the_loop_again_and_again() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::echo(&place, "quick");
    let remote = place.connect("quick");
    let run_loop = RunLoop::current();
    let keeps = Timer::once(FAR, |_, _| {});
    run_loop.add(&keeps, Mode::DEFAULT).unwrap();
    let soon = Duration::from_millis(100);
    for _ in 0..10 {
        let reply = remote.request_with(1, b"x", within(soon, soon));
        assert_eq!(&reply.unwrap()[..], b"x");
    }
    let before = run_loop.statistics().waits;
    let outcome = run_loop.wait_in_mode(Mode::DEFAULT, 3 * soon, ReturnAfter::Limit);
    let _timed_out = outcome.unwrap();
    let waits = run_loop.statistics().waits - before;
    // The one that the limit ends, a look after it, and one for what the requests have left.
    assert!(waits <= 3, "{waits} waits");
    keeps.invalidate();
}
