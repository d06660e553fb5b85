//! Runs inside runs: each has its mode, its limit and its stop.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use runloop::{Activity, Limit, Mode, Observer, Outcome, ReturnAfter, RunLoop, Signalled};
use tests::{Log, Watchdog};

use crate::support::{Probe, pass, ready_pair, run, run_one, serve, trace, until};

#[test]
fn the_current_mode_is_the_innermost_and_comes_back() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inner = Mode::new("nested.inner");
    let run_loop = RunLoop::current();
    let note = |log: &Log, run_loop: &RunLoop| log.add(format!("{:?}", run_loop.current_mode()));
    let (deep, outer) = (log.clone(), log.clone());
    run_loop
        .perform(inner, move |run_loop| note(&deep, run_loop))
        .unwrap();
    run_loop
        .perform(Mode::DEFAULT, move |run_loop| {
            note(&outer, run_loop);
            assert_eq!(run(inner), Outcome::Finished, "its closure has run");
            note(&outer, run_loop);
        })
        .unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    note(&log, &run_loop);
    let expected = [
        "Some(Mode(\"default\"))",
        "Some(Mode(\"nested.inner\"))",
        "Some(Mode(\"default\"))",
        "None",
    ];
    assert_eq!(log.take(), expected, "restored at each level");
}

#[test]
fn a_nested_run_of_the_same_mode_serves_what_the_outer_one_would() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let other = Probe::new("other", &log).source();
    run_loop.add(&other, Mode::DEFAULT).unwrap();
    let source = Probe::new("a", &log)
        .performing(|_, _| assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "other"))
        .source();
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    log.take();
    source.handle().signal();
    other.handle().signal();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "one outer pass");
    assert_eq!(
        log.take(),
        ["a signalled", "other signalled"],
        "each of them once: the nested run has taken the second signal"
    );
}

#[test]
fn a_stop_ends_the_innermost_run_only() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inner = Mode::new("nested.stop");
    let run_loop = RunLoop::current();
    let stopper = Signalled::new(RunLoop::stop);
    run_loop.add(&stopper, inner).unwrap();
    let source = Signalled::new({
        let (log, stopper) = (log.clone(), stopper.clone());
        move |_| {
            stopper.signal();
            log.add(format!("inner {:?}", run(inner)));
        }
    });
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.signal();
    log.add(format!("outer {:?}", pass(Mode::DEFAULT)));
    assert_eq!(
        log.take(),
        ["inner Stopped", "outer TimedOut"],
        "the outer run went on"
    );
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "nothing was kept");
}

#[test]
fn a_stop_from_another_thread_ends_the_innermost_run() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inner = Mode::new("nested.stop-from-afar");
    let run_loop = RunLoop::current();
    run_loop.add(&Signalled::new(|_| {}), inner).unwrap();
    let handle = run_loop.handle();
    let helper = std::thread::spawn(move || {
        until(|| handle.is_waiting().unwrap());
        handle.stop().unwrap();
    });
    let outer = log.clone();
    run_loop
        .perform(Mode::DEFAULT, move |_| {
            outer.add(format!("inner {:?}", run(inner)));
        })
        .unwrap();
    log.add(format!("outer {:?}", run(Mode::DEFAULT)));
    helper.join().unwrap();
    assert_eq!(
        log.take(),
        ["inner Stopped", "outer Finished"],
        "one stop, one run"
    );
}

#[test]
fn a_limit_that_passes_inside_a_nested_run_is_noticed_when_that_returns() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let inner = Mode::new("nested.limit");
    run_loop.add(&Signalled::new(|_| {}), inner).unwrap();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    let limit = Duration::from_millis(20);
    run_loop
        .perform(Mode::DEFAULT, move |run_loop| {
            let outcome = run_loop.run_in_mode(inner, limit * 2, ReturnAfter::Limit);
            assert_eq!(outcome.unwrap(), Outcome::TimedOut, "its own limit");
        })
        .unwrap();
    let begun = Instant::now();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "its own");
    assert!(begun.elapsed() >= limit * 2, "after the nested run");
}

#[test]
fn a_shorter_limit_inside_does_not_end_the_run_around_it() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let inner = Mode::new("nested.short");
    run_loop.add(&Signalled::new(|_| {}), inner).unwrap();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    run_loop
        .perform(Mode::DEFAULT, move |run_loop| {
            let short = Duration::from_millis(1);
            let outcome = run_loop.run_in_mode(inner, short, ReturnAfter::Limit);
            assert_eq!(outcome.unwrap(), Outcome::TimedOut, "its own limit");
        })
        .unwrap();
    let (begun, limit) = (Instant::now(), Duration::from_millis(30));
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "at its end");
    assert!(begun.elapsed() >= limit, "not before");
}

#[test]
fn entry_and_exit_are_told_for_each_run() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let (outer, inner) = (Mode::DEFAULT, Mode::new("nested.entry"));
    for mode in [outer, inner] {
        let log = log.clone();
        let both = Activity::ENTRY | Activity::EXIT;
        let observer = Observer::new(both, 0, move |run_loop, activity| {
            let running = run_loop.current_mode().unwrap();
            log.add(format!("{} {running}", crate::support::moment(activity)));
        });
        run_loop.add_observer(&observer, mode).unwrap();
    }
    run_loop.perform(inner, |_| {}).unwrap();
    run_loop
        .perform(outer, move |_| {
            assert_eq!(run(inner), Outcome::Finished, "after its closure");
        })
        .unwrap();
    assert_eq!(run(outer), Outcome::Finished, "nothing is left");
    let expected = [
        "Entry default",
        "Entry nested.entry",
        "Exit nested.entry",
        "Exit default",
    ];
    assert_eq!(log.take(), expected, "and each sees its own mode");
}

#[test]
fn a_signal_for_the_outer_mode_survives_a_nested_run_in_another() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let inner = Mode::new("nested.elsewhere");
    let outer_source = Probe::new("outer", &log).source();
    run_loop.add(&outer_source, Mode::DEFAULT).unwrap();
    let handle = outer_source.handle().clone();
    let inner_source = Probe::new("inner", &log)
        .performing(move |cx, _| {
            handle.signal();
            cx.run_loop().stop();
        })
        .source();
    run_loop.add(&inner_source, inner).unwrap();
    log.take();
    inner_source.handle().signal();
    let inside = log.clone();
    run_loop
        .perform(Mode::DEFAULT, move |_| {
            inside.add(format!("{:?}", run(inner)));
        })
        .unwrap();
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "the signal");
    let expected = ["inner signalled", "Stopped", "outer signalled"];
    assert_eq!(log.take(), expected, "kept while another mode ran");
}

#[test]
fn the_other_signals_of_a_pass_are_served_after_a_nested_run_in_another_mode() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let inner = Mode::new("nested.between");
    run_loop.add(&Signalled::new(|_| {}), inner).unwrap();
    let first = Probe::new("first", &log).performing(move |_, _| serve(inner));
    for probe in [first, Probe::new("second", &log)] {
        let source = probe.source();
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        source.handle().signal();
    }
    log.take();
    serve(Mode::DEFAULT);
    assert_eq!(
        log.take(),
        ["first signalled", "second signalled"],
        "one pass"
    );
}

/// L18: the nested run sees the signal, and cannot serve it.
#[test]
fn a_signal_is_not_slept_over_when_an_observer_of_the_wait_runs_another_mode() {
    let _watchdog = Watchdog::with_limit(Duration::from_secs(20));
    let run_loop = RunLoop::current();
    let inner = Mode::new("nested.before-the-wait");
    run_loop.add(&Signalled::new(|_| {}), inner).unwrap();
    let source = Signalled::new(RunLoop::stop);
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    crate::support::at_wait(0, Mode::DEFAULT, move |_| {
        source.signal();
        serve(inner);
    });
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the source");
}

#[test]
fn a_nested_run_in_another_mode_leaves_the_ready_descriptors_of_the_outer_one() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let inner = Mode::new("nested.descriptors");
    let (ours, _theirs) = ready_pair();
    let reader = Probe::new("reader", &log).watching(ours).source();
    run_loop.add(&reader, Mode::DEFAULT).unwrap();
    run_loop
        .add(&Probe::new("idle", &log).source(), inner)
        .unwrap();
    log.take();
    let inside = log.clone();
    run_loop
        .perform(Mode::DEFAULT, move |_| {
            inside.add(format!("{:?}", pass(inner)));
        })
        .unwrap();
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "the reader");
    assert_eq!(
        log.take(),
        ["TimedOut", "reader ready 0"],
        "in its own mode"
    );
}

#[test]
fn runs_can_be_nested_a_hundred_deep() {
    fn deeper(run_loop: &RunLoop, left: Rc<Cell<u32>>) {
        if left.get() == 0 {
            return;
        }
        left.set(left.get() - 1);
        run_loop
            .perform(Mode::DEFAULT, move |run_loop| deeper(run_loop, left))
            .unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    }
    let _watchdog = Watchdog::new();
    let left = Rc::new(Cell::new(100));
    let run_loop = RunLoop::current();
    deeper(&run_loop, Rc::clone(&left));
    assert_eq!(left.get(), 0, "all of them ran");
    assert_eq!(run_loop.current_mode(), None, "and all have returned");
}

#[test]
fn an_observer_trace_of_a_nested_run_lies_inside_the_pass_that_made_it() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let (inside, marks) = (Mode::new("nested.trace"), log.clone());
    run_loop.add(&Signalled::new(|_| {}), inside).unwrap();
    trace(&log, inside);
    run_loop
        .perform(Mode::DEFAULT, move |_| {
            marks.add("before");
            assert_eq!(pass(inside), Outcome::TimedOut, "one pass");
            marks.add("after");
        })
        .unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    let expected = [
        "before",
        "Entry",
        "BeforeTimers",
        "BeforeSources",
        "Exit",
        "after",
    ];
    assert_eq!(log.take(), expected, "the inner run only");
}
