//! Panics in callbacks: the loop stays usable, the one that panicked is invalidated or kept, and nobody else loses anything.

use std::cell::Cell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use runloop::{
    Activity, Mode, Observer, OnPanic, Outcome, RunLoop, Signalled, SourceOptions, SourceRef,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, pair, pass, past, ready_pair, run, serve, trace};

/// Runs the default mode and expects a panic to come out of it.
fn expect_panic(mode: Mode) {
    let panicked = catch_unwind(AssertUnwindSafe(|| run(mode)));
    let message = panicked.expect_err("a panic unwinds out of the run");
    assert_eq!(
        message.downcast_ref::<&str>(),
        Some(&"the test's panic"),
        "the one that was thrown"
    );
    assert_eq!(RunLoop::current().current_mode(), None, "nothing runs");
}

/// A probe in the default mode that panics whenever it is performed.
fn bomb(log: &Log, probe: Probe, options: SourceOptions) -> SourceRef<Probe> {
    let source = probe
        .performing(|_, _| panic!("the test's panic"))
        .with(options);
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    source
}

#[test]
fn a_panicking_source_is_invalidated_and_told_why() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let source = bomb(&log, Probe::new("p", &log), SourceOptions::new());
    source.handle().signal();
    expect_panic(Mode::DEFAULT);
    assert!(!source.handle().is_valid(), "it panicked");
    assert!(
        !RunLoop::current().contains(&source, Mode::DEFAULT),
        "it is out"
    );
    let expected = [
        "p signalled",
        "p cancel default",
        "p detach",
        "p invalidated Panicked",
    ];
    assert_eq!(log.take(), expected, "in this order");
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "the loop goes on");
}

#[test]
fn a_source_that_is_to_be_kept_is_performed_again() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let options = SourceOptions::new().on_panic(OnPanic::Keep);
    let (ours, theirs) = ready_pair();
    let source = bomb(&log, Probe::new("p", &log).watching(ours), options);
    expect_panic(Mode::DEFAULT);
    source.handle().signal();
    expect_panic(Mode::DEFAULT);
    source.handle().set_deadline(Some(past()));
    expect_panic(Mode::DEFAULT);
    (&theirs).write_all(b"x").unwrap();
    expect_panic(Mode::DEFAULT);
    let expected = ["p ready 0", "p signalled", "p deadline", "p ready 0"];
    assert_eq!(log.take(), expected, "each time");
    assert!(source.handle().is_valid(), "still");
}

#[test]
fn the_other_signals_of_a_pass_survive_a_panic() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let first = bomb(&log, Probe::new("bomb", &log), SourceOptions::new());
    let others = ["a", "b"].map(|name| {
        let source = Probe::new(name, &log).source();
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        source
    });
    log.take();
    first.handle().signal();
    others.iter().for_each(|source| source.handle().signal());
    expect_panic(Mode::DEFAULT);
    log.take();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["a signalled", "b signalled"], "none is lost");
}

#[test]
fn the_other_deadlines_of_a_batch_survive_a_panic() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    bomb(
        &log,
        Probe::new("bomb", &log).due(past()),
        SourceOptions::new(),
    );
    let others = ["a", "b"].map(|name| {
        let source = Probe::new(name, &log).due(past()).source();
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        source
    });
    expect_panic(Mode::DEFAULT);
    log.take();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["a deadline", "b deadline"], "none is lost");
    drop(others);
}

#[test]
fn the_other_descriptors_of_a_batch_survive_a_panic() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = ready_pair();
    let first = Probe::new("bomb", &log).watching(ours);
    bomb(&log, first, SourceOptions::new().order(-1));
    let others = ["a", "b"].map(|name| {
        let (ours, theirs) = ready_pair();
        let source = Probe::new(name, &log).watching(ours).source();
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        theirs
    });
    expect_panic(Mode::DEFAULT);
    log.take();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["a ready 0", "b ready 0"], "none is lost");
    drop((theirs, others));
}

#[test]
fn the_other_closures_survive_a_panic() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    run_loop.set_closure_limit(2);
    run_loop
        .perform(Mode::DEFAULT, |_| panic!("the test's panic"))
        .unwrap();
    let inside = log.clone();
    run_loop
        .perform(Mode::DEFAULT, move |_| inside.add("second"))
        .unwrap();
    expect_panic(Mode::DEFAULT);
    run_loop.perform(Mode::DEFAULT, |_| {}).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(log.take(), ["second"], "it ran, and there was room");
}

#[test]
fn a_panicking_observer_is_invalidated_and_the_others_are_not() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    trace(&log, Mode::DEFAULT);
    let held = Rc::new(());
    let captured = Rc::clone(&held);
    let observer = Observer::new(Activity::BEFORE_SOURCES, 1, move |_, _| {
        let _captured = &captured;
        panic!("the test's panic");
    });
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    expect_panic(Mode::DEFAULT);
    assert!(!observer.is_valid(), "it panicked");
    assert_eq!(Rc::strong_count(&held), 1, "its closure is gone");
    log.take();
    serve(Mode::DEFAULT);
    let expected = ["Entry", "BeforeTimers", "BeforeSources", "Exit"];
    assert_eq!(log.take(), expected, "the other one sees everything");
    assert!(
        !run_loop.contains_observer(&observer, Mode::DEFAULT),
        "and it is out"
    );
}

#[test]
fn an_observer_called_while_the_thread_unwinds_has_not_panicked() {
    let _watchdog = Watchdog::new();
    struct Runner;
    impl Drop for Runner {
        fn drop(&mut self) {
            serve(Mode::DEFAULT);
        }
    }
    let run_loop = RunLoop::current();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    let observer = Observer::new(Activity::ENTRY, 0, move |_, _| {
        counted.set(counted.get() + 1);
    });
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    let panicked = catch_unwind(|| {
        let _runner = Runner;
        panic!("the test's panic");
    });
    assert!(panicked.is_err(), "it panicked");
    assert_eq!(calls.get(), 1, "the destructor ran the loop");
    assert!(observer.is_valid(), "the panic was somebody else's");
}

#[test]
fn a_panic_inside_nested_runs_leaves_every_one_of_them() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inner = Mode::new("panics.inner");
    let run_loop = RunLoop::current();
    let nested = log.clone();
    run_loop
        .perform(inner, |_| panic!("the test's panic"))
        .unwrap();
    run_loop
        .perform(Mode::DEFAULT, move |run_loop| {
            let panicked = catch_unwind(AssertUnwindSafe(|| run(inner)));
            nested.add(format!("caught {}", panicked.is_err()));
            nested.add(format!("{:?}", run_loop.current_mode()));
            run_loop
                .perform(inner, |_| panic!("the test's panic"))
                .unwrap();
            let _outcome = run(inner);
        })
        .unwrap();
    expect_panic(Mode::DEFAULT);
    assert_eq!(
        log.take(),
        ["caught true", "Some(Mode(\"default\"))"],
        "the outer run was restored"
    );
}

/// A source that panics while a nested run was inside it, and what had been parked for it meanwhile.
#[test]
fn what_was_parked_for_a_kept_source_comes_back_after_its_panic() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = pair();
    let peer = theirs.try_clone().unwrap();
    let source = Probe::new("p", &log)
        .watching(ours)
        .performing(move |cx, ready| {
            if ready.signalled {
                (&peer).write_all(b"x").unwrap();
                cx.set_deadline(Some(past()));
                serve(Mode::DEFAULT);
                panic!("the test's panic");
            }
        })
        .with(SourceOptions::new().on_panic(OnPanic::Keep));
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    source.handle().signal();
    expect_panic(Mode::DEFAULT);
    assert_eq!(log.take(), ["p signalled"], "nothing inside");
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p deadline", "p ready 0"], "both are back");
    drop(theirs);
}

#[test]
fn a_stop_given_before_the_panic_is_kept() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let idle = Signalled::new(|_| {});
    run_loop.add(&idle, Mode::DEFAULT).unwrap();
    run_loop
        .perform(Mode::DEFAULT, |run_loop| {
            run_loop.stop();
            panic!("the test's panic");
        })
        .unwrap();
    expect_panic(Mode::DEFAULT);
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by that stop");
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "once");
}

#[test]
fn a_destructor_that_uses_the_loop_may_run_at_every_end_of_a_source() {
    let _watchdog = Watchdog::new();
    struct Meddler(Log);
    impl Drop for Meddler {
        fn drop(&mut self) {
            let run_loop = RunLoop::current();
            let source = Signalled::new(|_| {});
            run_loop.add(&source, Mode::DEFAULT).unwrap();
            source.signal();
            let ended = pass(Mode::DEFAULT);
            source.invalidate();
            self.0.add(format!("{ended:?}"));
        }
    }
    let log = Log::new();
    let run_loop = RunLoop::current();

    let meddler = Meddler(log.clone());
    let invalidated = Signalled::new(move |_| drop(meddler.0.clone()));
    run_loop.add(&invalidated, Mode::DEFAULT).unwrap();
    invalidated.invalidate();
    assert_eq!(log.take(), ["TimedOut"], "invalidated");

    let meddler = Meddler(log.clone());
    let panicking = Signalled::new(move |_| {
        let _meddler = &meddler;
        panic!("the test's panic");
    });
    run_loop.add(&panicking, Mode::DEFAULT).unwrap();
    panicking.signal();
    expect_panic(Mode::DEFAULT);
    assert_eq!(log.take(), ["TimedOut"], "panicked");

    let meddler = Meddler(log.clone());
    let observer = Observer::once(Activity::ENTRY, 0, move |_, _| drop(meddler.0.clone()));
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    run_loop.perform(Mode::DEFAULT, |_| {}).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(log.take(), ["TimedOut"], "an observer called once");

    let meddler = Meddler(log.clone());
    let dropped = run_loop.adopt(&SourceRef::new(Owner(meddler)));
    drop(dropped);
    assert_eq!(log.take(), ["TimedOut"], "its last handle dropped");

    struct Owner(#[expect(dead_code, reason = "held for its destructor")] Meddler);
    impl runloop::Source for Owner {
        fn perform<'s>(&'s self, _: &mut runloop::Cx<'s, '_>, _: runloop::Ready<'_>) {}
    }
}
