//! What a run ends with, and when: empty modes, limits, and which result wins where several hold.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use runloop::{
    Activity, Limit, Mode, Observer, Outcome, ReturnAfter, RunError, RunLoop, Signalled,
    SourceOptions,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, at_wait, far, pass, past, run, run_one, trace};

#[test]
fn an_empty_mode_finishes_at_once_and_no_observer_hears_of_it() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mode = Mode::new("results.empty");
    trace(&log, mode);
    assert_eq!(run(mode), Outcome::Finished, "nothing to wait for");
    let never = Mode::new("results.never-mentioned");
    assert_eq!(run(never), Outcome::Finished, "a mode nobody has made");
    assert_eq!(log.take(), [""; 0], "neither entry nor exit");
    assert_eq!(RunLoop::current().current_mode(), None, "nothing runs");
}

#[test]
fn a_source_that_is_never_signalled_keeps_its_mode_alive() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    let begun = Instant::now();
    let limit = Duration::from_millis(20);
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "it waited");
    assert!(begun.elapsed() >= limit, "for all of the time");
}

#[test]
fn a_passive_source_does_not_keep_its_mode_alive() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let background = Signalled::with(SourceOptions::new().passive(), |_| {});
    run_loop.add(&background, Mode::DEFAULT).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nobody waits for it");
}

#[test]
fn a_deadline_far_away_keeps_its_mode_alive() {
    let _watchdog = Watchdog::new();
    let source = Probe::new("a", &Log::new()).due(far()).source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "not finished");
}

#[test]
fn a_closure_for_the_common_set_keeps_common_modes_alive_and_no_others() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let mode = Mode::new("results.common-closure");
    let ran = Rc::new(Cell::new(false));
    let inside = Rc::clone(&ran);
    run_loop
        .perform(Mode::COMMON, move |_| inside.set(true))
        .unwrap();
    assert_eq!(run(mode), Outcome::Finished, "not a common mode yet");
    assert!(!ran.get(), "so the closure waits");
    run_loop.add_common_mode(mode).unwrap();
    assert_eq!(run(mode), Outcome::Finished, "after the closure");
    assert!(ran.get(), "it ran");
}

#[test]
fn the_common_set_cannot_be_run_and_a_stop_survives_the_attempt() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    run_loop.stop();
    let outcome = run_loop.run_in_mode(Mode::COMMON, Limit::Never, ReturnAfter::Limit);
    assert!(matches!(outcome, Err(RunError::CommonMode)), "{outcome:?}");
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "the stop was kept");
}

#[test]
fn a_stop_by_an_entry_observer_skips_the_body() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let source = Probe::new("a", &log).source();
    let run_loop = RunLoop::current();
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.handle().signal();
    log.take();
    trace(&log, Mode::DEFAULT);
    let stopper = Observer::new(Activity::ENTRY, -1, |run_loop, _| run_loop.stop());
    run_loop.add_observer(&stopper, Mode::DEFAULT).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "at the entry");
    assert_eq!(log.take(), ["Entry", "Exit"], "nothing in between");
    assert!(source.handle().is_signalled(), "the signal waits");
}

#[test]
fn a_limit_in_the_past_ends_after_one_pass_and_one_too_far_away_is_none() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    run_loop
        .add(&Probe::new("a", &log).source(), Mode::DEFAULT)
        .unwrap();
    trace(&log, Mode::DEFAULT);
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, past(), ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "over before it began");
    let passes = log.take().iter().filter(|l| *l == "BeforeTimers").count();
    assert_eq!(passes, 1, "one pass");

    at_wait(0, Mode::DEFAULT, RunLoop::stop);
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Duration::MAX, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::Stopped, "never times out");
}

#[test]
fn a_performed_source_wins_over_a_limit_and_over_a_stop_which_is_kept() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let source = Signalled::new(RunLoop::stop);
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.signal();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::FirstSource);
    assert_eq!(outcome.unwrap(), Outcome::HandledSource, "it wins");
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "the stop was kept");
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "for one run");
}

#[test]
fn a_limit_wins_over_a_stop_which_is_kept() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let source = Signalled::new(RunLoop::stop);
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.signal();
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "the limit wins");
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "the stop was kept");
}

#[test]
fn a_stop_wins_over_an_empty_mode() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    run_loop.perform(Mode::DEFAULT, RunLoop::stop).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "and nothing is left");
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "the stop is spent");
}

#[test]
fn deadlines_and_closures_are_no_handled_source() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let source = Probe::new("a", &log)
        .due(past())
        .performing(|cx, _| {
            let run_loop = cx.run_loop();
            run_loop.perform(Mode::DEFAULT, RunLoop::stop).unwrap();
        })
        .source();
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::FirstSource);
    assert_eq!(outcome.unwrap(), Outcome::Stopped, "by the closure");
    let lines = log.take();
    assert_eq!(lines.last().unwrap(), "a deadline", "it was performed");
}

#[test]
fn a_zero_limit_serves_every_signal_and_every_due_deadline() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    for name in ["a", "b", "c"] {
        let source = Probe::new(name, &log).due(past()).source();
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        source.handle().signal();
    }
    log.take();
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "one pass");
    let expected = [
        "a signalled",
        "b signalled",
        "c signalled",
        "a deadline",
        "b deadline",
        "c deadline",
    ];
    assert_eq!(log.take(), expected, "all of them");
}

#[test]
fn a_run_that_returns_after_one_source_leaves_the_others_signalled() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let sources = [("c", 3), ("a", 1), ("b", 2)].map(|(name, order)| {
        let source = Probe::new(name, &log).with(SourceOptions::new().order(order));
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        source.handle().signal();
        source
    });
    log.take();
    for (expected, left) in [("a signalled", 2), ("b signalled", 1), ("c signalled", 0)] {
        assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "one each");
        assert_eq!(log.take(), [expected], "the lowest order first");
        let waiting = sources.iter().filter(|s| s.handle().is_signalled());
        assert_eq!(waiting.count(), left, "the others wait");
    }
}

#[test]
fn a_mode_whose_only_closure_has_run_finishes_instead_of_sleeping() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    run_loop.perform(Mode::DEFAULT, |_| {}).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
}

#[test]
fn a_mode_emptied_just_before_the_wait_finishes_instead_of_sleeping() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let source = Probe::new("a", &Log::new()).due(far()).source();
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    at_wait(0, Mode::DEFAULT, move |run_loop| {
        assert!(run_loop.remove(&source, Mode::DEFAULT), "the last one");
    });
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "found to be empty");
}

#[test]
fn a_run_that_stays_in_an_empty_mode_sleeps_until_something_is_added() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let handle = run_loop.handle();
    let helper = std::thread::spawn(move || {
        crate::support::until(|| handle.is_waiting().unwrap());
        let sent = handle.perform(Mode::DEFAULT, |run_loop| {
            let source = Signalled::new(RunLoop::stop);
            run_loop.add(&source, Mode::DEFAULT).unwrap();
            source.signal();
        });
        sent.unwrap();
    });
    let outcome = run_loop.wait_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::Stopped, "by what was added");
    helper.join().unwrap();
}

#[test]
fn the_modes_of_a_loop_are_those_that_something_was_added_to() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    assert_eq!(run_loop.modes(), [Mode::DEFAULT], "from the beginning");
    let [a, b] = ["results.a", "results.b"].map(Mode::new);
    run_loop.perform(a, |_| {}).unwrap();
    run_loop.perform(Mode::COMMON, |_| {}).unwrap();
    run_loop.add(&Signalled::new(|_| {}), b).unwrap();
    let mut modes = run_loop.modes();
    modes.sort();
    let mut expected = vec![Mode::DEFAULT, a, b];
    expected.sort();
    assert_eq!(modes, expected, "never the common set");
}

#[test]
fn the_next_deadline_of_a_mode_is_the_earliest() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let mode = Mode::new("results.deadlines");
    assert_eq!(run_loop.next_deadline(mode), None, "nothing in it");
    let (near, later) = (past(), far());
    for at in [later, near] {
        let source = Probe::new("a", &Log::new()).due(at).source();
        run_loop.add(&source, mode).unwrap();
    }
    assert_eq!(run_loop.next_deadline(mode), Some(near), "due already");
    assert_eq!(pass(mode), Outcome::TimedOut, "serves it");
    assert_eq!(run_loop.next_deadline(mode), Some(later), "the other one");
    assert_eq!(run_loop.next_deadline(Mode::DEFAULT), None, "per mode");
}
