//! Deadlines: never early, in order, in every mode of their source, and cheap in any number.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop, SourceHandle, SourceRef};
use tests::{Log, Watchdog};

use crate::support::{Probe, far, past, run, serve};

fn added(log: &Log, probe: Probe) -> SourceRef<Probe> {
    let source = probe.source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    source
}

#[test]
fn a_deadline_is_never_early() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let at = Rc::new(Cell::new(Instant::now()));
    let (wanted, left) = (Rc::clone(&at), Cell::new(50));
    let probe = Probe::new("p", &log).performing(move |cx, ready| {
        let now = Instant::now();
        assert_eq!(ready.deadline, Some(wanted.get()), "the one that was set");
        assert!(now >= wanted.get(), "early by {:?}", wanted.get() - now);
        left.set(left.get() - 1);
        if left.get() == 0 {
            return cx.run_loop().stop();
        }
        wanted.set(now + Duration::from_micros(left.get() * 20));
        cx.set_deadline(Some(wanted.get()));
    });
    at.set(Instant::now() + Duration::from_millis(2));
    added(&log, probe.due(at.get()));
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "after fifty");
}

#[test]
fn due_deadlines_are_served_the_earliest_first_and_equal_ones_as_they_were_set() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (early, late) = (past(), past());
    let late = late.max(early + Duration::from_nanos(1));
    for (name, at) in [("c", late), ("a", early), ("d", late), ("b", early)] {
        added(&log, Probe::new(name, &log).due(at));
    }
    while Instant::now() <= late {
        std::hint::spin_loop();
    }
    serve(Mode::DEFAULT);
    let expected = ["a deadline", "b deadline", "c deadline", "d deadline"];
    assert_eq!(log.take(), expected, "whatever their orders are");
}

#[test]
fn a_deadline_is_served_once_in_whichever_mode_of_its_source_runs() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let other = Mode::new("deadlines.other");
    let source = added(&log, Probe::new("p", &log).due(past()));
    run_loop.add(&source, other).unwrap();
    log.take();
    serve(other);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p deadline"], "in one of them");
    source.handle().set_deadline(Some(far()));
    for mode in [Mode::DEFAULT, other] {
        assert!(run_loop.next_deadline(mode).is_some(), "set in {mode}");
    }
    source.handle().set_deadline(None);
    for mode in [Mode::DEFAULT, other] {
        assert_eq!(run_loop.next_deadline(mode), None, "cleared in {mode}");
    }
}

#[test]
fn a_deadline_set_before_the_source_is_in_a_mode_comes_along() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let handle = run_loop.adopt(&Probe::new("p", &log).source());
    handle.set_deadline(Some(past()));
    run_loop.add(&handle, Mode::DEFAULT).unwrap();
    log.take();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p deadline"], "it was kept");
}

#[test]
fn a_source_that_leaves_its_last_mode_forgets_its_deadline() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let source = added(&log, Probe::new("p", &log));
    source.handle().set_deadline(Some(past()));
    run_loop.remove(&source, Mode::DEFAULT);
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    log.take();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), [""; 0], "its attach may set another");
}

/// The alarm goes off at the old date, finds nothing due, and observers do not hear of it.
#[test]
fn a_deadline_that_moves_later_while_the_loop_sleeps_is_served_at_its_new_date() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let probe = Probe::new("p", &log).performing(|cx, _| cx.run_loop().stop());
    let begin = Instant::now();
    // Far enough apart for a busy machine: the helper has to come before the first date.
    let (first, later) = (
        begin + Duration::from_millis(300),
        begin + Duration::from_millis(450),
    );
    let source = added(&log, probe.due(first));
    crate::support::trace(&log, Mode::DEFAULT);
    let (handle, waker) = (source.handle().clone(), run_loop.handle());
    let helper = std::thread::spawn(move || {
        crate::support::until(|| waker.is_waiting().unwrap());
        handle.set_deadline(Some(later));
    });
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the deadline");
    assert!(Instant::now() >= later, "not early");
    helper.join().unwrap();
    let waits = log.take().iter().filter(|l| *l == "BeforeWaiting").count();
    assert_eq!(waits, 2, "until the helper came, and from then on");
    assert_eq!(run_loop.next_deadline(Mode::DEFAULT), None, "served");
}

#[test]
fn a_deadline_earlier_than_the_one_the_loop_sleeps_for_is_served_in_time() {
    let _watchdog = Watchdog::with_limit(Duration::from_secs(30));
    let log = Log::new();
    let run_loop = RunLoop::current();
    let probe = Probe::new("p", &log).performing(|cx, _| cx.run_loop().stop());
    let source = added(&log, probe.due(far()));
    let (handle, waker) = (source.handle().clone(), run_loop.handle());
    let helper = std::thread::spawn(move || {
        crate::support::until(|| waker.is_waiting().unwrap());
        handle.set_deadline(Some(Instant::now() + Duration::from_millis(2)));
    });
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the earlier one");
    helper.join().unwrap();
    source.handle().set_deadline(Some(far()));
    let limit = Duration::from_millis(2);
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "so is a limit");
}

#[test]
fn a_deadline_far_away_is_as_good_as_none() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let source = added(&log, Probe::new("p", &log));
    let century = Duration::from_secs(100 * 365 * 86_400);
    source
        .handle()
        .set_deadline(Instant::now().checked_add(century));
    let limit = Duration::from_millis(2);
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "it slept");
    assert_eq!(log.take(), [""; 0], "and was not performed");
}

#[test]
fn a_zero_delay_deadline_that_sets_itself_again_starves_nobody() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let over = past();
    let probe = Probe::new("hungry", &Log::new()).due(over);
    let hungry = probe.performing(move |cx, _| cx.set_deadline(Some(over)));
    added(&log, hungry);
    let (ours, _theirs) = crate::support::ready_pair();
    let reader = Probe::new("reader", &log).watching(ours);
    added(&log, reader.performing(|cx, _| cx.run_loop().stop()));
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the reader");
    assert_eq!(log.take(), ["reader ready 0"], "it had its turn");
}

/// L14: an alarm that is set in whole milliseconds goes off early, again and again until the deadline has come.
#[test]
fn a_deadline_between_two_milliseconds_takes_one_sleep() {
    const TIMES: u64 = 20;
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let probe = Probe::new("p", &log).performing(|cx, _| cx.run_loop().stop());
    let source = added(&log, probe);
    let before = run_loop.statistics().waits;
    for time in 0..TIMES {
        let between = Duration::from_micros(1_300 + 70 * time);
        source.handle().set_deadline(Some(Instant::now() + between));
        assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the deadline");
    }
    let waits = run_loop.statistics().waits - before;
    assert!(waits <= TIMES, "{waits} waits for {TIMES} deadlines");
}

#[test]
fn a_long_callback_does_not_make_the_limit_of_a_run_early() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    added(&log, Probe::new("p", &log).due(far()));
    for millis in [1, 3, 7] {
        let limit = Duration::from_millis(millis);
        let begun = Instant::now();
        let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
        assert_eq!(outcome.unwrap(), Outcome::TimedOut, "nothing came");
        assert!(begun.elapsed() >= limit, "not early");
    }
    let outcome = RunLoop::current().run_in_mode(
        Mode::DEFAULT,
        Limit::At(Instant::now()),
        ReturnAfter::Limit,
    );
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "over already");
}

/// The cost of moving and clearing deadlines must not grow with their number as a search would: the larger table has
/// thirty-two times as many.
#[test]
fn moving_and_clearing_a_deadline_is_no_search() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let begin = far();
    let handles: Vec<SourceHandle> = (0..200_000)
        .map(|_| {
            let handle = run_loop.adopt(&Probe::new("p", &log).source());
            run_loop.add(&handle, Mode::DEFAULT).unwrap();
            handle
        })
        .collect();
    for (n, handle) in (0..).zip(&handles) {
        handle.set_deadline(Some(begin + Duration::from_nanos(n * 7_919 % 100_003)));
    }
    // Were each of these a search, the watchdog would end it.
    for handle in handles.iter().rev() {
        handle.set_deadline(Some(begin));
    }
    for handle in &handles {
        handle.set_deadline(None);
    }
    assert_eq!(
        run_loop.next_deadline(Mode::DEFAULT),
        None,
        "all are cleared"
    );
    handles.iter().for_each(SourceHandle::invalidate);
}
