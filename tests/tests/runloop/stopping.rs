//! Stopping: which run a stop ends, and that none is lost.

use std::sync::mpsc;
use std::thread;

use runloop::{Activity, Limit, Mode, Observer, Outcome, ReturnAfter, RunLoop, Signalled};
use tests::Watchdog;

use crate::support::{Probe, at_wait, pass, past, run, until};

/// Something to wait for.
fn idle(mode: Mode) {
    RunLoop::current()
        .add(&Signalled::new(|_| {}), mode)
        .unwrap();
}

#[test]
fn a_stop_before_the_run_ends_it_at_once() {
    let _watchdog = Watchdog::new();
    idle(Mode::DEFAULT);
    let run_loop = RunLoop::current();
    run_loop.stop();
    run_loop.stop();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "kept");
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "two stops are one");
}

#[test]
fn a_stop_from_another_thread_before_the_run_ends_it_at_once() {
    let _watchdog = Watchdog::new();
    idle(Mode::DEFAULT);
    let handle = RunLoop::current().handle();
    thread::spawn(move || handle.stop())
        .join()
        .unwrap()
        .unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "kept");
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "once");
}

#[test]
fn a_stop_ends_a_run_of_an_empty_mode_as_stopped() {
    let _watchdog = Watchdog::new();
    RunLoop::current().stop();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "not finished");
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "the stop is spent");
}

#[test]
fn a_stop_wakes_a_sleeping_loop() {
    let _watchdog = Watchdog::new();
    let (sent, handle) = mpsc::channel();
    let sleeper = thread::spawn(move || {
        idle(Mode::DEFAULT);
        sent.send(RunLoop::current().handle()).unwrap();
        run(Mode::DEFAULT)
    });
    let handle = handle.recv().unwrap();
    until(|| handle.is_waiting().unwrap());
    handle.stop().unwrap();
    assert_eq!(sleeper.join().unwrap(), Outcome::Stopped, "woken");
}

#[test]
fn a_stop_that_races_with_the_beginning_of_the_run_is_never_lost() {
    let _watchdog = Watchdog::new();
    for _ in 0..2_000 {
        let (sent, handle) = mpsc::channel();
        let runner = thread::spawn(move || {
            idle(Mode::DEFAULT);
            sent.send(RunLoop::current().handle()).unwrap();
            run(Mode::DEFAULT)
        });
        handle.recv().unwrap().stop().unwrap();
        assert_eq!(runner.join().unwrap(), Outcome::Stopped, "it ended");
    }
}

#[test]
fn a_stop_inside_the_due_phase_ends_the_run_after_the_pass() {
    let _watchdog = Watchdog::new();
    let log = tests::Log::new();
    let run_loop = RunLoop::current();
    for name in ["a", "b"] {
        let source = Probe::new(name, &log).due(past());
        let source = source.performing(|cx, _| cx.run_loop().stop()).source();
        run_loop.add(&source, Mode::DEFAULT).unwrap();
    }
    log.take();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by either");
    assert_eq!(log.take(), ["a deadline", "b deadline"], "the pass is made");
}

#[test]
fn a_stop_just_before_the_wait_is_seen_by_it() {
    let _watchdog = Watchdog::new();
    idle(Mode::DEFAULT);
    let handle = RunLoop::current().handle();
    at_wait(0, Mode::DEFAULT, move |_| handle.stop().unwrap());
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "it did not sleep");
}

#[test]
fn a_stop_by_an_exit_observer_ends_the_next_run() {
    let _watchdog = Watchdog::new();
    idle(Mode::DEFAULT);
    let run_loop = RunLoop::current();
    let observer = Observer::once(Activity::EXIT, 0, |run_loop, _| run_loop.stop());
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    assert_eq!(
        pass(Mode::DEFAULT),
        Outcome::TimedOut,
        "it had ended already"
    );
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "kept for the next");
}

#[test]
fn a_stop_outvoted_in_a_nested_run_is_kept() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let inner = Mode::new("stopping.outvoted");
    let source = Signalled::new(RunLoop::stop);
    run_loop.add(&source, inner).unwrap();
    run_loop
        .perform(Mode::DEFAULT, move |run_loop| {
            source.signal();
            let one = run_loop.run_in_mode(inner, Limit::Never, ReturnAfter::FirstSource);
            assert_eq!(one.unwrap(), Outcome::HandledSource, "it wins");
            assert_eq!(run(inner), Outcome::Stopped, "the next run takes it");
        })
        .unwrap();
    assert_eq!(
        run(Mode::DEFAULT),
        Outcome::Finished,
        "the outer one does not"
    );
}
