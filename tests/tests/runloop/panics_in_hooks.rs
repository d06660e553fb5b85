//! Panics in the notifications of a source: attach, schedule, cancel, detach, prepare, invalidated, and its destructor.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use runloop::{
    Cx, Mode, OnPanic, Outcome, Prepared, Ready, RunLoop, Source, SourceOptions, SourceRef, Stage,
    Why,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, past, ready_pair, run, serve};

/// A probe that panics in one of its notifications.
fn bomb(log: &Log, when: &'static str) -> Probe {
    Probe::new("p", log).hooking(move |_, what| {
        assert_ne!(what, when, "the test's panic");
    })
}

fn panics(act: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(act)).is_err(), "it panics");
}

/// The loop is as it was: nothing runs, nothing is in the mode, and a new source works.
fn usable() {
    let run_loop = RunLoop::current();
    assert_eq!(run_loop.current_mode(), None, "nothing runs");
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    let source = runloop::Signalled::new(RunLoop::stop);
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.signal();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "it works");
    source.invalidate();
}

#[test]
fn a_panic_in_attach_undoes_the_add_and_invalidates_the_source() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let (ours, _theirs) = ready_pair();
    let source = Probe::new("p", &log)
        .watching(ours)
        .due(past())
        .attaching(|_| panic!("the test's panic"))
        .source();
    panics(|| {
        run_loop.add(&source, Mode::COMMON).unwrap();
    });
    assert!(!source.handle().is_valid(), "it panicked");
    for mode in [Mode::DEFAULT, Mode::COMMON] {
        assert!(!run_loop.contains(&source, mode), "{mode}");
    }
    let expected = ["p attach", "p invalidated Panicked"];
    assert_eq!(log.take(), expected, "never said to be in a mode");
    usable();
}

#[test]
fn a_kept_source_that_panics_in_attach_can_be_added_again() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let first = std::cell::Cell::new(true);
    let source = Probe::new("p", &log)
        .attaching(move |_| {
            assert!(!first.replace(false), "the test's panic");
            Ok(())
        })
        .with(SourceOptions::new().on_panic(OnPanic::Keep));
    panics(|| {
        run_loop.add(&source, Mode::DEFAULT).unwrap();
    });
    assert!(source.handle().is_valid(), "kept");
    assert!(!run_loop.contains(&source, Mode::DEFAULT), "not in it");
    assert!(run_loop.add(&source, Mode::DEFAULT).unwrap(), "now it is");
    source.handle().signal();
    serve(Mode::DEFAULT);
    assert_eq!(log.take().last().unwrap(), "p signalled", "and works");
}

#[test]
fn a_panic_in_schedule_invalidates_the_source() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let source = bomb(&log, "schedule").source();
    panics(|| {
        run_loop.add(&source, Mode::DEFAULT).unwrap();
    });
    let expected = [
        "p attach",
        "p schedule default",
        "p cancel default",
        "p detach",
        "p invalidated Panicked",
    ];
    assert_eq!(log.take(), expected, "told of its way out");
    usable();
}

#[test]
fn a_panic_in_cancel_or_detach_does_not_keep_the_source_in() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    for when in ["cancel", "detach"] {
        let source = bomb(&log, when).source();
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        log.take();
        panics(|| {
            run_loop.remove(&source, Mode::DEFAULT);
        });
        assert!(!run_loop.contains(&source, Mode::DEFAULT), "{when}");
        assert!(!source.handle().is_valid(), "{when}: it panicked");
        let expected = ["p cancel default", "p detach", "p invalidated Panicked"];
        assert_eq!(log.take(), expected, "{when}: the rest is done");
        usable();
    }
}

#[test]
fn a_panic_in_any_hook_of_an_invalidation_does_not_keep_the_rest_from_happening() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let other = Mode::new("panics.hooks");
    for when in ["cancel", "detach", "invalidated"] {
        let source = bomb(&log, when).source();
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        run_loop.add(&source, other).unwrap();
        log.take();
        panics(|| source.invalidate());
        let expected = [
            "p cancel default",
            "p cancel panics.hooks",
            "p detach",
            "p invalidated Asked",
        ];
        assert_eq!(log.take(), expected, "{when}");
        usable();
    }
}

#[test]
fn a_panicking_destructor_leaves_the_loop_usable() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let handle = run_loop.adopt(&bomb(&log, "dropped").source());
    run_loop.add(&handle, Mode::DEFAULT).unwrap();
    panics(|| handle.invalidate());
    assert_eq!(log.take().last().unwrap(), "p dropped", "it is gone");
    usable();
}

#[test]
fn a_panic_in_prepare_invalidates_the_source() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for when in [Stage::Look, Stage::Announce, Stage::Woken] {
        let handle = Rc::new(std::cell::RefCell::new(None));
        let waker = Rc::clone(&handle);
        let source = Probe::new("p", &log)
            .attaching(|cx| {
                cx.look_before_sleep();
                Ok(())
            })
            .preparing(move |_, stage| {
                assert_ne!(stage, when, "the test's panic");
                if stage == Stage::Announce {
                    // Something for the sleep to end for.
                    let handle: &runloop::Handle = &waker.borrow().clone().unwrap();
                    let handle = handle.clone();
                    thread::spawn(move || {
                        crate::support::until(|| handle.is_waiting().unwrap_or(true));
                        handle.wake_up().unwrap();
                    });
                }
                Prepared::Idle
            })
            .source();
        let run_loop = RunLoop::current();
        handle.replace(Some(run_loop.handle()));
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        panics(|| {
            let _outcome = run(Mode::DEFAULT);
        });
        assert!(!source.handle().is_valid(), "{when:?}: it panicked");
        let last = log.take().pop();
        assert_eq!(last.unwrap(), "p invalidated Panicked", "{when:?}");
        assert!(!run_loop.is_waiting(), "{when:?}: nobody sleeps");
        usable();
    }
}

#[test]
fn a_kept_source_that_panics_in_any_notification_goes_on() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    for when in ["schedule", "cancel", "detach"] {
        let log = Log::new();
        let options = SourceOptions::new().on_panic(OnPanic::Keep);
        let source = bomb(&log, when).with(options);
        let added = catch_unwind(AssertUnwindSafe(|| run_loop.add(&source, Mode::DEFAULT)));
        assert_eq!(added.is_err(), when == "schedule", "{when}");
        let removed = catch_unwind(AssertUnwindSafe(|| run_loop.remove(&source, Mode::DEFAULT)));
        assert_eq!(removed.is_err(), when != "schedule", "{when}");
        assert!(!run_loop.contains(&source, Mode::DEFAULT), "{when}: out");
        assert!(source.handle().is_valid(), "{when}: kept");
        catch_unwind(AssertUnwindSafe(|| run_loop.add(&source, Mode::DEFAULT))).ok();
        source.handle().signal();
        log.take();
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["p signalled"], "{when}: it works");
        catch_unwind(AssertUnwindSafe(|| source.invalidate())).ok();
        usable();
    }
}

#[test]
fn a_kept_source_that_panics_in_prepare_goes_on() {
    let _watchdog = Watchdog::new();
    let (run_loop, log) = (RunLoop::current(), Log::new());
    let first = std::cell::Cell::new(true);
    let source = Probe::new("p", &log)
        .attaching(|cx| {
            cx.look_before_sleep();
            Ok(())
        })
        .preparing(move |_, _| {
            assert!(!first.replace(false), "the test's panic");
            Prepared::Ready
        })
        .with(SourceOptions::new().on_panic(OnPanic::Keep));
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    panics(|| serve(Mode::DEFAULT));
    assert!(source.handle().is_valid(), "kept");
    log.take();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p signalled"], "asked again");
    source.invalidate();
    usable();
}

/// A source that may cross threads and panics when it is attached.
struct Fragile(Arc<AtomicBool>);

impl Source for Fragile {
    fn attach<'s>(&'s self, _: &mut Cx<'s, '_>) -> std::io::Result<()> {
        panic!("the test's panic");
    }

    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {}

    fn invalidated(&self, why: Why) {
        self.0.store(why == Why::Panicked, Ordering::SeqCst);
    }
}

#[test]
fn a_source_sent_by_another_thread_that_panics_in_attach_takes_no_message_with_it() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    run_loop
        .add(&runloop::Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    run_loop.set_closure_limit(2);
    let told = Arc::new(AtomicBool::new(false));
    let (handle, inside, fragile) = (run_loop.handle(), log.clone(), Arc::clone(&told));
    thread::spawn(move || {
        let source = SourceRef::new(Fragile(fragile));
        handle.add(&source, Mode::DEFAULT).unwrap();
        handle
            .perform(Mode::DEFAULT, move |run_loop| {
                inside.add("closure");
                run_loop.stop();
            })
            .unwrap();
    })
    .join()
    .unwrap();
    panics(|| {
        let _outcome = run(Mode::DEFAULT);
    });
    assert!(told.load(Ordering::SeqCst), "it was told why");
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the closure");
    assert_eq!(log.take(), ["closure"], "which came after it");
}

#[test]
fn a_panic_that_comes_out_of_a_perform_takes_no_room_with_it() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    run_loop.set_closure_limit(2);
    let source = SourceRef::new(Fragile(Arc::default()));
    run_loop.handle().add(&source, Mode::DEFAULT).unwrap();
    // The loop takes in what came before, so that the order is kept.
    panics(|| run_loop.perform(Mode::DEFAULT, |_| {}).unwrap());
    for _ in 0..2 {
        run_loop.perform(Mode::DEFAULT, |_| {}).unwrap();
    }
    usable();
}

#[test]
fn a_panic_in_cancel_does_not_keep_the_other_loops_from_being_told() {
    struct Grumbler(thread::ThreadId);
    impl Source for Grumbler {
        fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {}
        fn cancel(&self, _: &RunLoop, _: Mode) {
            assert_ne!(thread::current().id(), self.0, "the test's panic");
        }
    }
    let _watchdog = Watchdog::new();
    let grumbler = Grumbler(thread::current().id());
    let source = SourceRef::with(SourceOptions::new().reentrant(), grumbler);
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    let (theirs, ready) = (source.clone(), Arc::new(std::sync::Barrier::new(2)));
    let added = Arc::clone(&ready);
    let other = thread::spawn(move || {
        RunLoop::current().add(&theirs, Mode::DEFAULT).unwrap();
        added.wait();
        run(Mode::DEFAULT)
    });
    ready.wait();
    panics(|| source.invalidate());
    assert_eq!(other.join().unwrap(), Outcome::Finished, "it was told");
}

#[test]
fn a_source_sent_by_another_thread_that_fails_to_attach_is_told_so() {
    struct Failing(Log);
    impl Source for Failing {
        fn attach<'s>(&'s self, _: &mut Cx<'s, '_>) -> std::io::Result<()> {
            Err(std::io::Error::other("not here"))
        }
        fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {}
        fn invalidated(&self, why: Why) {
            self.0.add(format!("{why:?}"));
        }
    }
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let source = SourceRef::new(Failing(log.clone()));
    run_loop.handle().add(&source, Mode::DEFAULT).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is there");
    assert!(!source.handle().is_valid(), "it was invalidated");
    assert_eq!(log.take(), ["Failed"], "once, with the reason");
}
