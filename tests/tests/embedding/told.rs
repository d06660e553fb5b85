//! What makes the descriptor of an embedded mode readable, from this thread and from others, and what does not.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use runloop::{
    Descriptor, Embedding, Interest, Limit, Mode, Outcome, ReturnAfter, RunError, RunLoop,
    Signalled, SourceOptions,
};
use tests::{Log, Watchdog};

use crate::support::{Due, is_readable, until};

/// The mode of a test, embedded, with one source that never has anything to do.
fn embedded(name: &str) -> (RunLoop, Mode, Embedding) {
    let (run_loop, mode) = (RunLoop::current(), Mode::new(name));
    run_loop.add(&Signalled::new(|_| {}), mode).unwrap();
    let embedding = run_loop.readiness(mode).unwrap();
    expect(&embedding, false);
    (run_loop, mode, embedding)
}

#[track_caller]
fn expect(embedding: &Embedding, ready: bool) {
    assert_eq!(embedding.is_ready().unwrap(), ready, "readable");
    assert_eq!(is_readable(embedding), ready, "the same, seen from outside");
}

/// Something is to do now; one run serves it, and then nothing is to do.
#[track_caller]
fn is_served_once(embedding: &Embedding) {
    expect(embedding, true);
    assert_eq!(embedding.serve().unwrap(), Outcome::TimedOut, "one pass");
    expect(embedding, false);
}

/// A source in a mode that writes down when it is performed.
fn noting(log: &Log, mode: Mode) -> Signalled {
    let log = log.clone();
    let source = Signalled::new(move |_| log.add("signal"));
    RunLoop::current().add(&source, mode).unwrap();
    source
}

#[test]
fn a_signal_from_this_thread_and_from_another() {
    let _watchdog = Watchdog::new();
    let (_, mode, embedding) = embedded("told.signal");
    let log = Log::new();
    let source = noting(&log, mode);
    source.signal();
    is_served_once(&embedding);
    let handle = source.handle().clone();
    thread::spawn(move || handle.signal()).join().unwrap();
    is_served_once(&embedding);
    assert_eq!(log.take(), ["signal", "signal"], "both");
}

#[test]
fn a_closure_from_this_thread_and_from_another_for_one_mode_and_for_the_common_ones() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, embedding) = embedded("told.closure");
    run_loop.add_common_mode(mode).unwrap();
    let log = Log::new();
    for to in [mode, Mode::COMMON] {
        let inside = log.clone();
        run_loop.perform(to, move |_| inside.add("here")).unwrap();
        is_served_once(&embedding);
        let (inside, handle) = (log.clone(), run_loop.handle());
        let there = thread::spawn(move || handle.perform(to, move |_| inside.add("there")));
        there.join().unwrap().unwrap();
        is_served_once(&embedding);
        assert_eq!(log.take(), ["here", "there"], "{to}");
    }
    run_loop.perform(Mode::new("told.other"), |_| {}).unwrap();
    expect(&embedding, false);
}

#[test]
fn a_deadline_when_it_comes_and_not_before() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, embedding) = embedded("told.deadline");
    let log = Log::new();
    let due = Due::adopted(&run_loop, &log);
    run_loop.add(&due, mode).unwrap();
    let at = Instant::now() + Duration::from_millis(30);
    due.set_deadline(Some(at));
    until(|| embedding.is_ready().unwrap());
    assert!(Instant::now() >= at, "not before");
    is_served_once(&embedding);
    assert_eq!(log.take(), ["deadline"], "served");
    let handle = due.clone();
    let at = Instant::now() + Duration::from_millis(10);
    let set = thread::spawn(move || handle.set_deadline(Some(at)));
    set.join().unwrap();
    expect(&embedding, true);
    until(|| {
        let ready = embedding.is_ready().unwrap();
        ready && embedding.serve().is_ok() && log.count() > 0
    });
    assert!(Instant::now() >= at, "not before");
    assert_eq!(log.take(), ["deadline"], "served");
}

#[test]
fn a_deadline_that_was_there_before_the_embedding_or_the_mode() {
    let _watchdog = Watchdog::new();
    let (run_loop, log, mode) = (RunLoop::current(), Log::new(), Mode::new("told.before"));
    let due = Due::adopted(&run_loop, &log);
    run_loop.add(&due, mode).unwrap();
    due.set_deadline(Some(Instant::now()));
    let embedding = run_loop.readiness(mode).unwrap();
    until(|| embedding.is_ready().unwrap());
    is_served_once(&embedding);
    assert_eq!(log.take(), ["deadline"], "served");
    // The source comes into the embedded mode with a deadline that it has already.
    let other = Mode::new("told.before.other");
    let late = Due::adopted(&run_loop, &log);
    run_loop.add(&late, other).unwrap();
    late.set_deadline(Some(Instant::now()));
    expect(&embedding, false);
    run_loop.add(&late, mode).unwrap();
    until(|| embedding.is_ready().unwrap());
    is_served_once(&embedding);
    assert_eq!(log.take(), ["deadline"], "served");
}

#[test]
fn a_deadline_that_moves_away_is_one_vain_wake_up_at_most() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, embedding) = embedded("told.moved");
    let log = Log::new();
    let due = Due::adopted(&run_loop, &log);
    run_loop.add(&due, mode).unwrap();
    due.set_deadline(Some(Instant::now() + Duration::from_millis(5)));
    due.set_deadline(Some(Instant::now() + Duration::from_secs(3_600)));
    until(|| embedding.is_ready().unwrap());
    is_served_once(&embedding);
    thread::sleep(Duration::from_millis(20));
    expect(&embedding, false);
    assert_eq!(log.take(), [""; 0], "nothing was due");
}

#[test]
fn a_source_that_comes_with_something_to_do() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, embedding) = embedded("told.added");
    let log = Log::new();
    let inside = log.clone();
    let signalled = Signalled::new(move |_| inside.add("signal"));
    signalled.signal();
    run_loop.add(&signalled, mode).unwrap();
    is_served_once(&embedding);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(theirs);
    let inside = log.clone();
    let reader = Rc::new(Cell::new(None));
    let itself = Rc::clone(&reader);
    let descriptor = Descriptor::new(ours, Interest::READABLE, move |_, _, _| {
        inside.add("descriptor");
        drop(itself.take().inspect(Descriptor::invalidate));
    });
    run_loop.add(&descriptor, mode).unwrap();
    reader.set(Some(descriptor));
    is_served_once(&embedding);
    assert_eq!(log.take(), ["signal", "descriptor"], "each at once");
}

#[test]
fn a_signal_that_waited_in_other_modes_when_its_source_comes_with_the_common_set() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, embedding) = embedded("told.common");
    let source = Signalled::new(|_| {});
    run_loop.add(&source, Mode::COMMON).unwrap();
    source.signal();
    assert!(!embedding.is_ready().unwrap(), "it is elsewhere");
    run_loop.add_common_mode(mode).unwrap();
    is_served_once(&embedding);
    assert_eq!(source.handle().performs(), 1, "served");
}

#[test]
fn a_stop_and_a_wake_up_of_this_thread_and_of_another() {
    let _watchdog = Watchdog::new();
    let (run_loop, _, embedding) = embedded("told.orders");
    let handle = run_loop.handle();
    for there in [false, true] {
        let (stop, wake_up) = (handle.clone(), handle.clone());
        if there {
            let stop = thread::spawn(move || stop.stop());
            stop.join().unwrap().unwrap();
        } else {
            run_loop.stop();
        }
        expect(&embedding, true);
        assert_eq!(embedding.serve().unwrap(), Outcome::Stopped, "once");
        // A stopped run has not looked.
        let _timed_out = embedding.serve().unwrap();
        expect(&embedding, false);
        if there {
            let wake_up = thread::spawn(move || wake_up.wake_up());
            wake_up.join().unwrap().unwrap();
        } else {
            run_loop.wake_up();
        }
        is_served_once(&embedding);
    }
}

#[test]
fn what_a_run_leaves_for_the_next_one() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, embedding) = embedded("told.left");
    let log = Log::new();
    let (first, second) = (noting(&log, mode), noting(&log, mode));
    first.signal();
    second.signal();
    expect(&embedding, true);
    let one = run_loop.run_in_mode(mode, Limit::Now, ReturnAfter::FirstSource);
    assert_eq!(one.unwrap(), Outcome::HandledSource, "the first");
    is_served_once(&embedding);
    assert_eq!(log.take(), ["signal", "signal"], "one after the other");
    // A source that always signals itself always has something to do.
    let again = Rc::new(Cell::new(5));
    let left = Rc::clone(&again);
    let busy = Rc::new(Cell::new(None::<Signalled>));
    let itself = Rc::clone(&busy);
    let source = Signalled::new(move |_| {
        left.set(left.get() - 1);
        if left.get() > 0 {
            let source = itself.take().unwrap();
            source.signal();
            itself.set(Some(source));
        }
    });
    run_loop.add(&source, mode).unwrap();
    source.signal();
    busy.set(Some(source));
    while embedding.is_ready().unwrap() {
        let _timed_out = embedding.serve().unwrap();
    }
    assert_eq!(again.get(), 0, "readable as long as there was something");
}

#[test]
fn what_was_taken_in_by_a_run_of_another_mode() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, embedding) = embedded("told.foreign");
    let (log, other) = (Log::new(), Mode::new("told.foreign.other"));
    run_loop.add(&Signalled::new(|_| {}), other).unwrap();
    let source = noting(&log, mode).handle().clone();
    let handle = run_loop.handle();
    let act = move |run_loop: &RunLoop| {
        thread::spawn(move || source.signal()).join().unwrap();
        assert!(!run_loop.is_waiting(), "a run is in progress");
    };
    run_loop.perform(other, act).unwrap();
    assert_eq!(handle.is_waiting(), Ok(true), "none is");
    let ran = run_loop.run_in_mode(other, Limit::Now, ReturnAfter::Limit);
    assert_eq!(ran.unwrap(), Outcome::TimedOut, "another mode");
    assert_eq!(log.take(), [""; 0], "not in that mode");
    is_served_once(&embedding);
    assert_eq!(log.take(), ["signal"], "taken in there, served here");
}

#[test]
fn one_embedded_mode_is_not_readable_for_the_work_of_another() {
    let _watchdog = Watchdog::new();
    let (run_loop, _, embedding) = embedded("told.quiet");
    let (busy, log) = (Mode::new("told.busy"), Log::new());
    let source = noting(&log, busy);
    let due = Due::adopted(&run_loop, &log);
    run_loop.add(&due, busy).unwrap();
    let other = run_loop.readiness(busy).unwrap();
    source.signal();
    due.set_deadline(Some(Instant::now()));
    expect(&other, true);
    expect(&embedding, false);
    for _ in 0..3 {
        // Whoever serves this one only does not hear of the other each time.
        let _timed_out = embedding.serve().unwrap();
        thread::sleep(Duration::from_millis(1));
        expect(&embedding, false);
    }
    is_served_once(&other);
    assert_eq!(log.take(), ["signal", "deadline"], "it was there all along");
}

#[test]
fn an_empty_mode_and_one_with_passive_sources_only() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode) = (RunLoop::current(), Mode::new("told.empty"));
    let embedding = run_loop.readiness(mode).unwrap();
    expect(&embedding, false);
    let source = noting(&Log::new(), mode);
    source.signal();
    source.invalidate();
    is_served_once(&embedding);
    let (log, (ours, theirs)) = (Log::new(), std::os::unix::net::UnixStream::pair().unwrap());
    drop(theirs);
    let inside = log.clone();
    let options = SourceOptions::new().passive();
    let reader = Rc::new(Cell::new(None));
    let itself = Rc::clone(&reader);
    let passive = Descriptor::with(options, ours, Interest::READABLE, move |_, _, _| {
        inside.add("descriptor");
        drop(itself.take().inspect(Descriptor::invalidate));
    });
    run_loop.add(&passive, mode).unwrap();
    reader.set(Some(passive));
    is_served_once(&embedding);
    assert_eq!(log.take(), ["descriptor"], "although the mode is empty");
}

#[test]
fn after_a_panic_the_mode_is_looked_at_and_goes_on() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, embedding) = embedded("told.panic");
    let log = Log::new();
    let source = noting(&log, mode);
    let handle = source.handle().clone();
    let bad = move |_: &RunLoop| {
        // Sent while the loop is awake, and taken in by nobody before the panic.
        thread::spawn(move || handle.signal()).join().unwrap();
        panic!("on purpose");
    };
    run_loop.perform(mode, bad).unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| embedding.serve()));
    assert!(caught.is_err(), "the panic went through");
    assert!(run_loop.is_waiting(), "it lies down all the same");
    is_served_once(&embedding);
    assert_eq!(log.take(), ["signal"], "nothing was lost");
    source.signal();
    is_served_once(&embedding);
}

#[test]
fn the_loop_is_asleep_as_long_as_an_embedding_exists() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, embedding) = embedded("told.asleep");
    let second = run_loop.readiness(mode).unwrap();
    assert_eq!(embedding.mode(), mode, "the same");
    drop(embedding);
    assert!(run_loop.is_waiting(), "there is another");
    let log = Log::new();
    let source = noting(&log, mode);
    source.signal();
    is_served_once(&second);
    drop(second);
    assert!(!run_loop.is_waiting(), "nobody is told any more");
    source.signal();
    let embedding = run_loop.readiness(mode).unwrap();
    is_served_once(&embedding);
    assert_eq!(log.take(), ["signal", "signal"], "both");
}

#[test]
fn the_common_set_has_no_descriptor() {
    let refused = RunLoop::current().readiness(Mode::COMMON);
    assert!(matches!(refused, Err(RunError::CommonMode)), "{refused:?}");
}

#[test]
fn an_embedding_may_be_made_and_dropped_inside_a_run() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode) = (RunLoop::current(), Mode::new("told.inside"));
    let (made, log) = (Rc::new(Cell::new(None)), Log::new());
    let keep = Rc::clone(&made);
    let source = noting(&log, mode);
    let inner = source.clone();
    let make = move |run_loop: &RunLoop| {
        keep.set(Some(run_loop.readiness(mode).unwrap()));
        assert!(!run_loop.is_waiting(), "a run is in progress");
        inner.signal();
    };
    run_loop.perform(mode, make).unwrap();
    let one = run_loop.run_in_mode(mode, Limit::Now, ReturnAfter::Limit);
    assert_eq!(one.unwrap(), Outcome::TimedOut, "one pass");
    assert!(run_loop.is_waiting(), "from the end of the run on");
    assert_eq!(log.take(), ["signal"], "served by that run");
    let embedding = made.take().unwrap();
    source.signal();
    expect(&embedding, true);
    let drop_it = Rc::new(Cell::new(Some(run_loop.readiness(mode).unwrap())));
    run_loop
        .perform(mode, move |_| drop(drop_it.take()))
        .unwrap();
    drop(embedding);
    let one = run_loop.run_in_mode(mode, Limit::Now, ReturnAfter::Limit);
    assert_eq!(one.unwrap(), Outcome::TimedOut, "one pass");
    assert!(!run_loop.is_waiting(), "the last is gone");
}
