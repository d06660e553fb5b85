//! Looking before sleep: who is asked, when, in which order, and that no work is slept over.

use std::cell::Cell;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use runloop::{
    Cx, Limit, Mode, Outcome, Prepared, ReturnAfter, RunLoop, Signalled, SourceRef, Stage,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, at_wait, far, hot, pass, past, run, run_one, serve, trace, until};

fn added(log: &Log, probe: Probe, mode: Mode) -> SourceRef<Probe> {
    let source = probe.source();
    RunLoop::current().add(&source, mode).unwrap();
    log.take();
    source
}

#[test]
fn a_hot_source_is_asked_before_the_wait_and_after_it() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    added(&log, hot(&log, |_, _| Prepared::Idle), Mode::DEFAULT);
    trace(&log, Mode::DEFAULT);
    let handle = RunLoop::current().handle();
    let helper = thread::spawn(move || {
        until(|| handle.is_waiting().unwrap());
        handle.stop().unwrap();
    });
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the helper");
    helper.join().unwrap();
    let expected = [
        "Entry",
        "Look",
        "BeforeTimers",
        "BeforeSources",
        "BeforeWaiting",
        "Announce",
        "Woken",
        "AfterWaiting",
        "Exit",
    ];
    assert_eq!(log.take(), expected, "before any callback of the pass");
}

#[test]
fn a_source_that_has_announced_is_cold_until_it_asks_again() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let source = added(&log, hot(&log, |_, _| Prepared::Idle), Mode::DEFAULT);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["Look", "Announce"], "before the run returns");
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), [""; 0], "it is cold");
    RunLoop::current().look_before_sleep(&source);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["Look", "Announce"], "hot again");
}

#[test]
fn a_source_whose_announcement_finds_work_stays_hot_and_is_performed() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let left = Cell::new(2);
    let probe = hot(&log, move |_, stage| {
        if stage == Stage::Announce && left.get() > 0 {
            left.set(left.get() - 1);
            return Prepared::Ready;
        }
        Prepared::Idle
    });
    added(&log, probe, Mode::DEFAULT);
    at_wait(2, Mode::DEFAULT, RunLoop::stop);
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "at the third wait");
    let round = ["Look", "p signalled", "Announce"];
    let expected = [&["Look", "Announce"][..], &round, &round].concat();
    assert_eq!(log.take(), expected, "it did not sleep over it");
}

#[test]
fn a_look_that_finds_work_is_as_good_as_a_signal() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let ready = Cell::new(true);
    let probe = hot(&log, move |_, _| {
        if ready.replace(false) {
            Prepared::Ready
        } else {
            Prepared::Idle
        }
    });
    added(&log, probe, Mode::DEFAULT);
    trace(&log, Mode::DEFAULT);
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "found");
    let expected = [
        "Entry",
        "Look",
        "BeforeTimers",
        "BeforeSources",
        "p signalled",
        "Exit",
        "Announce",
    ];
    assert_eq!(log.take(), expected, "without a wait");
}

#[test]
fn work_found_between_the_first_look_and_the_wait_skips_the_sleep() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let waiting = Rc::new(Cell::new(false));
    let now = Rc::clone(&waiting);
    let probe = hot(&log, move |_, stage| {
        if stage == Stage::Look && now.replace(false) {
            return Prepared::Ready;
        }
        Prepared::Idle
    });
    added(&log, probe, Mode::DEFAULT);
    at_wait(0, Mode::DEFAULT, move |_| waiting.set(true));
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "found");
    assert_eq!(log.take(), ["Look", "p signalled", "Announce"], "at once");
}

#[test]
fn a_nested_run_lets_the_sources_around_it_announce_before_it_begins() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inner = Mode::new("prepare.inner");
    RunLoop::current()
        .add(&Signalled::new(|_| {}), inner)
        .unwrap();
    trace(&log, inner);
    added(&log, hot(&log, |_, _| Prepared::Idle), Mode::DEFAULT);
    RunLoop::current()
        .perform(Mode::DEFAULT, move |_| serve(inner))
        .unwrap();
    serve(Mode::DEFAULT);
    let expected = [
        "Look",
        "Announce",
        "Entry",
        "BeforeTimers",
        "BeforeSources",
        "Exit",
    ];
    assert_eq!(log.take(), expected, "its mode does not run meanwhile");
}

#[test]
fn sources_of_other_modes_and_cold_ones_are_not_asked() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (calls, other) = (Rc::new(Cell::new(0)), Mode::new("prepare.other"));
    let count = || {
        let calls = Rc::clone(&calls);
        move |_: &mut Cx<'_, '_>, _: Stage| {
            calls.set(calls.get() + 1);
            Prepared::Idle
        }
    };
    let mut kept = vec![added(&log, hot(&log, count()), other)];
    for _ in 0..1_000 {
        let cold = Probe::new("cold", &log).preparing(count());
        kept.push(added(&log, cold, Mode::DEFAULT));
    }
    let stopped = added(&log, hot(&log, count()), Mode::DEFAULT);
    stopped.invalidate();
    let left = Rc::new(Cell::new(100));
    let source = Signalled::new(move |run_loop| {
        left.set(left.get() - 1);
        if left.get() == 0 {
            run_loop.stop();
        }
    });
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    for _ in 0..99 {
        source.signal();
        serve(Mode::DEFAULT);
    }
    source.signal();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "after the hundredth");
    assert_eq!(calls.get(), 0, "nobody was asked in a hundred passes");
    serve(other);
    assert!(calls.get() > 0, "in its own mode the hot one is");
    drop(kept);
}

#[test]
fn work_that_an_announcement_brings_to_others_is_not_slept_over() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let other = Signalled::new(RunLoop::stop);
    let run_loop = RunLoop::current();
    run_loop.add(&other, Mode::DEFAULT).unwrap();
    let probe = hot(&log, move |_, stage| {
        if stage == Stage::Announce {
            other.signal();
        }
        Prepared::Idle
    });
    let source = added(&log, probe, Mode::DEFAULT);
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the other source");
    source.invalidate();

    let probe = hot(&log, move |cx, stage| {
        if stage == Stage::Announce {
            cx.run_loop().stop();
        }
        Prepared::Idle
    });
    let source = added(&log, probe, Mode::DEFAULT);
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the announcement");
    source.invalidate();
}

#[test]
fn work_that_a_waking_finds_is_performed_in_the_next_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let probe = hot(&log, |_, stage| match stage {
        Stage::Woken => Prepared::Ready,
        _ => Prepared::Idle,
    });
    added(&log, probe, Mode::DEFAULT);
    let timer = Probe::new("timer", &log).due(past());
    added(&log, timer, Mode::DEFAULT);
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "the found");
    let expected = ["Look", "Announce", "Woken", "timer deadline", "p signalled"];
    assert_eq!(log.take(), expected, "one after the other");
    drop(run_loop);
}

/// An exclusive source that runs the loop inside its own perform is not asked there: its work could not be served, and a
/// loop that goes on finding it would never sleep.
#[test]
fn a_source_being_performed_is_not_asked_and_its_work_is_no_reason_to_spin() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inside = Rc::new(Cell::new(0));
    let looks = Rc::clone(&inside);
    let nesting = Rc::new(Cell::new(false));
    let (now, then) = (Rc::clone(&nesting), Rc::clone(&nesting));
    let notes = log.clone();
    let probe = hot(&log, move |_, stage| {
        if now.get() {
            looks.set(looks.get() + 1);
        }
        match stage {
            Stage::Look if now.get() => Prepared::Ready,
            _ => Prepared::Idle,
        }
    });
    let probe = probe.performing(move |cx, _| {
        cx.look_before_sleep();
        then.set(true);
        let limit = Duration::from_millis(5);
        let run_loop = cx.run_loop();
        let outcome = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
        notes.add(format!("{:?}", outcome.unwrap()));
        then.set(false);
    });
    let source = added(&log, probe, Mode::DEFAULT);
    source.handle().signal();
    serve(Mode::DEFAULT);
    assert_eq!(inside.get(), 0, "not asked while it is performed");
    let expected = ["Look", "p signalled", "TimedOut", "Announce"];
    assert_eq!(log.take(), expected, "the nested run slept");
}

#[test]
fn a_deadline_far_away_and_a_limit_do_not_disturb_the_asking() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let probe = hot(&log, |_, _| Prepared::Idle).due(far());
    let source = Probe::source(probe);
    let run_loop = RunLoop::current();
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    log.take();
    let outcome = run_loop.run_in_mode(
        Mode::DEFAULT,
        Limit::At(Instant::now()),
        ReturnAfter::FirstSource,
    );
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "over already");
    let lines = log.take();
    assert_eq!(lines[..2], ["Look", "Announce"], "{lines:?}");
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "cold");
}

#[test]
fn a_source_that_is_invalidated_while_it_is_asked_is_told_so_when_that_has_returned() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inner = log.clone();
    let probe = Probe::new("a", &log)
        .attaching(|cx| {
            cx.look_before_sleep();
            Ok(())
        })
        .preparing(move |cx, _| {
            cx.handle().unwrap().invalidate();
            serve(Mode::DEFAULT);
            inner.add("asked");
            Prepared::Ready
        });
    added(&log, probe, Mode::DEFAULT);
    serve(Mode::DEFAULT);
    let expected = [
        "a cancel default",
        "a detach",
        "asked",
        "a invalidated Asked",
        "a dropped",
    ];
    assert_eq!(log.take(), expected, "the last callback is the last");
}
