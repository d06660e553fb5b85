//! Time that a test moves.

use crate::support::{Probe, at_wait, pair, pass, ready_pair, run, trace};
use runloop::{Handle, Limit, ManualClock, Mode, Outcome, ReturnAfter, RunLoop, Signalled};
use std::io::Write;
use std::time::{Duration, Instant};
use tests::{Log, Watchdog};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_loop_that_would_sleep_jumps_to_the_next_deadline() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let run_loop = RunLoop::current();
    let inside = log.clone();
    let probe = Probe::new("a", &log)
        .due(begun + HOUR)
        .performing(move |cx, _| {
            inside.add(format!("{:?} later", RunLoop::now() - begun));
            cx.run_loop().stop();
        });
    run_loop.add(&probe.source(), Mode::DEFAULT).unwrap();
    log.take();
    let _trace = trace(&log, Mode::DEFAULT);
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped);
    let expected = [
        "Entry",
        "BeforeTimers",
        "BeforeSources",
        "BeforeWaiting",
        "AfterWaiting",
        "a deadline",
        "3600s later",
        "Exit",
    ];
    assert_eq!(log.take(), expected, "one sleep, which took no time");
    assert_eq!(clock.now(), begun + HOUR, "to the nanosecond");
}

#[test]
fn a_loop_that_would_sleep_jumps_to_its_limit() {
    let _watchdog = Watchdog::new();
    let (clock, log) = (ManualClock::new(), Log::new());
    let begun = clock.now();
    let run_loop = RunLoop::current();
    let late = Probe::new("late", &log).due(begun + 2 * HOUR).source();
    run_loop.add(&late, Mode::DEFAULT).unwrap();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, HOUR, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut);
    assert_eq!(clock.now(), begun + HOUR, "and not on to the deadline");
}

#[test]
fn what_is_ready_comes_before_the_jump() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let (ours, _theirs) = ready_pair();
    let inside = log.clone();
    let probe = Probe::new("a", &log)
        .watching(ours)
        .due(begun + HOUR)
        .performing(move |_, _| inside.add(format!("{:?}", RunLoop::now() - begun)));
    let run_loop = RunLoop::current();
    run_loop.add(&probe.source(), Mode::DEFAULT).unwrap();
    log.take();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, 2 * HOUR, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut);
    let expected = ["a ready 0", "0ns", "a deadline", "3600s"];
    assert_eq!(log.take(), expected, "in their order");
}

#[test]
fn a_pass_that_only_looks_does_not_move_time() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let source = Probe::new("a", &log).due(begun + HOUR).source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut);
    clock.advance(HOUR - Duration::from_nanos(1));
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut);
    assert_eq!(log.count(), 0, "a nanosecond too early");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(log.count(), 0, "moving calls nobody");
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut);
    assert_eq!(log.take(), ["a deadline"], "it is due");
}

#[test]
fn without_a_deadline_or_a_limit_the_loop_sleeps_until_it_is_woken() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let begun = clock.now();
    let run_loop = RunLoop::current();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    let handle = run_loop.handle();
    let waker = std::thread::spawn(move || {
        sleeping(&handle);
        handle.stop()
    });
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped);
    waker.join().unwrap().unwrap();
    assert_eq!(clock.now(), begun, "time stood still");
}

#[test]
fn time_can_be_moved_while_the_loop_is_about_to_wait() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let source = Probe::new("a", &log).due(begun + HOUR).source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    let mover = clock.clone();
    at_wait(0, Mode::DEFAULT, move |_| mover.advance(3 * HOUR));
    let run_loop = RunLoop::current();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, 2 * HOUR, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut);
    assert_eq!(log.take(), ["a deadline"], "late, but not lost");
    assert_eq!(clock.now(), begun + 3 * HOUR, "nobody moved it back");
}

#[test]
fn time_does_not_go_backwards_and_has_no_end() {
    let clock = ManualClock::new();
    let begun = clock.now();
    clock.advance(HOUR);
    clock.advance_to(begun);
    assert_eq!(clock.now(), begun + HOUR, "it has been there");
    clock.advance_to(begun + 2 * HOUR);
    assert_eq!(RunLoop::now(), begun + 2 * HOUR, "for the loop too");
    clock.advance(Duration::MAX);
    let end = clock.now();
    clock.advance(HOUR);
    assert_eq!(clock.now(), end, "the last moment there is");
}

#[test]
fn the_last_clock_to_go_lets_time_go_on() {
    let clock = ManualClock::new();
    let (second, third) = (clock.clone(), ManualClock::new());
    clock.advance(HOUR);
    assert_eq!(third.now(), second.now(), "they are one");
    drop((clock, third));
    let stands = second.now();
    assert!(stands > Instant::now(), "ahead of the others");
    assert_eq!(RunLoop::now(), stands, "it still stands");
    drop(second);
    assert!(RunLoop::now() < stands, "the system's time again");
}

#[test]
fn the_clock_of_one_thread_is_no_other_threads_business() {
    let clock = ManualClock::new();
    clock.advance(HOUR);
    let elsewhere = std::thread::spawn(RunLoop::now).join().unwrap();
    assert!(elsewhere < clock.now(), "the system's time");
}

#[test]
fn a_loop_with_such_a_clock_still_serves_its_descriptors_and_its_inbox() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let (ours, mut theirs) = pair();
    let run_loop = RunLoop::current();
    let probe = Probe::new("a", &log)
        .watching(ours)
        .performing(|cx, _| cx.run_loop().stop());
    run_loop.add(&probe.source(), Mode::DEFAULT).unwrap();
    log.take();
    let (handle, inside) = (run_loop.handle(), log.clone());
    let sender = std::thread::spawn(move || {
        sleeping(&handle);
        let note = move |_: &RunLoop| inside.add("closure");
        assert!(handle.perform(Mode::DEFAULT, note).is_ok(), "it is there");
        theirs.write_all(b"x").unwrap();
        theirs
    });
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::Stopped);
    drop(sender.join().unwrap());
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["a ready 0", "closure"], "both have come");
    assert_eq!(clock.now(), begun, "time stood still");
}

/// Waits until the loop sleeps.
fn sleeping(handle: &Handle) {
    while handle.is_waiting() != Ok(true) {
        std::thread::yield_now();
    }
}
