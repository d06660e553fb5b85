//! What observers see of a run, to the letter (B22), and which moments are left out when there is nothing to wait for.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use runloop::{
    Cx, Limit, Mode, Outcome, Ready, ReturnAfter, RunLoop, Signalled, Source, SourceOptions,
    SourceRef,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, at_wait, pass, past, ready_pair, run, run_one, trace};

/// A mode with a source that never does anything, so that runs have something to wait for.
fn waiting_mode(log: &Log) -> Mode {
    RunLoop::current()
        .add(&Probe::new("idle", log).source(), Mode::DEFAULT)
        .unwrap();
    log.take();
    Mode::DEFAULT
}

#[test]
fn an_idle_run_waits_once_and_times_out() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mode = waiting_mode(&log);
    trace(&log, mode);
    let limit = Duration::from_millis(1);
    let outcome = RunLoop::current().run_in_mode(mode, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "nothing came");
    let expected = [
        "Entry",
        "BeforeTimers",
        "BeforeSources",
        "BeforeWaiting",
        "AfterWaiting",
        "Exit",
    ];
    assert_eq!(log.take(), expected, "one pass");
}

#[test]
fn a_zero_limit_makes_one_pass_without_waiting() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mode = waiting_mode(&log);
    trace(&log, mode);
    assert_eq!(pass(mode), Outcome::TimedOut, "nothing was there");
    let expected = ["Entry", "BeforeTimers", "BeforeSources", "Exit"];
    assert_eq!(log.take(), expected, "no wait");
}

#[test]
fn a_signalled_source_ends_a_run_that_returns_after_one_without_a_wait() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let source = Probe::new("a", &log).source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    trace(&log, Mode::DEFAULT);
    source.handle().signal();
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "performed");
    let expected = [
        "Entry",
        "BeforeTimers",
        "BeforeSources",
        "a signalled",
        "Exit",
    ];
    assert_eq!(log.take(), expected, "no wait after a perform");
}

#[test]
fn after_a_performed_source_the_next_pass_waits() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let source = Probe::new("a", &log).source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    trace(&log, Mode::DEFAULT);
    at_wait(0, Mode::DEFAULT, RunLoop::stop);
    source.handle().signal();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "at its first wait");
    let expected = [
        "Entry",
        "BeforeTimers",
        "BeforeSources",
        "a signalled",
        "BeforeTimers",
        "BeforeSources",
        "BeforeWaiting",
        "AfterWaiting",
        "Exit",
    ];
    assert_eq!(log.take(), expected, "two passes");
}

#[test]
fn a_ready_descriptor_is_performed_after_the_wait() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, _theirs) = ready_pair();
    let source = Probe::new("a", &log).watching(ours).source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    trace(&log, Mode::DEFAULT);
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "performed");
    let expected = [
        "Entry",
        "BeforeTimers",
        "BeforeSources",
        "BeforeWaiting",
        "AfterWaiting",
        "a ready 0",
        "Exit",
    ];
    assert_eq!(log.take(), expected, "found by the wait");
}

#[test]
fn a_due_deadline_is_performed_after_the_wait() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let source = Probe::new("a", &log)
        .due(past())
        .performing(|cx, _| cx.run_loop().stop())
        .source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    trace(&log, Mode::DEFAULT);
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the deadline");
    let expected = [
        "Entry",
        "BeforeTimers",
        "BeforeSources",
        "BeforeWaiting",
        "AfterWaiting",
        "a deadline",
        "Exit",
    ];
    assert_eq!(log.take(), expected, "after the wait");
}

#[test]
fn a_wake_up_makes_one_more_pass_and_ends_nothing() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mode = waiting_mode(&log);
    trace(&log, mode);
    at_wait(0, mode, RunLoop::wake_up);
    at_wait(1, mode, RunLoop::stop);
    assert_eq!(run_one(mode), Outcome::Stopped, "not by the wake-up");
    let pass = [
        "BeforeTimers",
        "BeforeSources",
        "BeforeWaiting",
        "AfterWaiting",
    ];
    let expected = [&["Entry"][..], &pass, &pass, &["Exit"]].concat();
    assert_eq!(log.take(), expected, "two passes");
}

#[test]
fn a_wake_up_before_the_run_is_answered_by_its_first_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mode = waiting_mode(&log);
    RunLoop::current().wake_up();
    trace(&log, mode);
    let limit = Duration::from_millis(1);
    let outcome = RunLoop::current().run_in_mode(mode, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "it waited");
    let passes = log.take().iter().filter(|l| *l == "BeforeTimers").count();
    assert_eq!(passes, 1, "no pass for the old wake-up");
}

#[test]
fn closures_run_before_signalled_sources_and_again_after_them() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inner = log.clone();
    let source = Signalled::new(move |run_loop| {
        inner.add("performed");
        let log = inner.clone();
        run_loop
            .perform(Mode::DEFAULT, move |_| log.add("closure from the source"))
            .unwrap();
    });
    let run_loop = RunLoop::current();
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    let first = log.clone();
    run_loop
        .perform(Mode::DEFAULT, move |_| first.add("closure"))
        .unwrap();
    source.signal();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::FirstSource);
    assert_eq!(outcome.unwrap(), Outcome::HandledSource, "one pass");
    let expected = ["closure", "performed", "closure from the source"];
    assert_eq!(log.take(), expected, "the order of one pass");
}

/// B23: that the last of several sources had been served elsewhere does not undo that the first was served here.
#[test]
fn a_pass_that_performed_any_source_does_not_wait() {
    struct Elsewhere;
    impl Source for Elsewhere {
        fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {}
    }
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let options = SourceOptions::new().reentrant().order(1);
    let shared = SourceRef::with(options, Elsewhere);
    let theirs = shared.clone();
    let ((added, is_added), (go, may_go), (done, is_done)) = (channel(), channel(), channel());
    let helper = thread::spawn(move || {
        RunLoop::current().add(&theirs, Mode::DEFAULT).unwrap();
        added.send(()).unwrap();
        may_go.recv().unwrap();
        let outcome = pass(Mode::DEFAULT);
        done.send(()).unwrap();
        outcome
    });
    is_added.recv().unwrap();
    let first = Probe::new("first", &log).performing(move |_, _| {
        go.send(()).unwrap();
        is_done.recv().unwrap();
    });
    let first = first.source();
    let run_loop = RunLoop::current();
    run_loop.add(&first, Mode::DEFAULT).unwrap();
    run_loop.add(&shared, Mode::DEFAULT).unwrap();
    log.take();
    trace(&log, Mode::DEFAULT);
    at_wait(0, Mode::DEFAULT, RunLoop::stop);
    first.handle().signal();
    shared.handle().signal();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "at the first wait");
    let lines = log.take();
    assert_eq!(lines[3], "first signalled", "{lines:?}");
    assert_eq!(lines[4], "BeforeTimers", "another pass: {lines:?}");
    assert_eq!(helper.join().unwrap(), Outcome::TimedOut, "one pass there");
}
