//! Threads: what their end does to a loop, and what others may do to its sources (B80, B81, L8, L27).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use runloop::{
    Activity, AddError, Cx, Limit, Mode, Observer, Outcome, PerformError, Prepared, Ready,
    ReturnAfter, RunLoop, Signalled, Source, SourceHandle, SourceRef, Stage, Unreachable, Why,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, far, pair, pass, run, until};

/// A source that may cross threads; it counts what happens to it.
#[derive(Default)]
struct Traveller {
    performed: AtomicU32,
    log: Log,
    slow: AtomicBool,
}

impl Source for Traveller {
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        self.performed.fetch_add(1, Ordering::SeqCst);
        if self.slow.load(Ordering::SeqCst) {
            thread::yield_now();
            self.performed.fetch_add(1, Ordering::SeqCst);
        }
        cx.signal();
    }

    fn cancel(&self, _: &RunLoop, mode: Mode) {
        self.log.add(format!("cancel {mode}"));
    }

    fn detach(&self, _: &RunLoop) {
        self.log.add("detach");
    }

    fn invalidated(&self, why: Why) {
        self.log.add(format!("invalidated {why:?}"));
    }
}

#[test]
fn every_source_takes_leave_on_the_thread_as_it_ends() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inside = log.clone();
    let handles = thread::spawn(move || {
        let run_loop = RunLoop::current();
        let me = thread::current().id();
        let other = Mode::new("threads.other");
        ["a", "b"].map(|name| {
            let (ours, theirs) = pair();
            let seen = inside.clone();
            let source = Probe::new(name, &inside)
                .watching(ours)
                .due(far())
                .hooking(move |run_loop, what| {
                    if what == "schedule" {
                        return;
                    }
                    let here = thread::current().id() == me;
                    let refused = run_loop.run();
                    seen.add(format!("{what} here {here}, {refused:?}"));
                    let _theirs = &theirs;
                })
                .source();
            run_loop.add(&source, Mode::DEFAULT).unwrap();
            run_loop.add(&source, other).unwrap();
            inside.take();
            source.handle().clone()
        })
    });
    let handles = handles.join().unwrap();
    let lines = log.take();
    for name in ["a", "b"] {
        let told: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with(name))
            .map(|line| line.split_at(2).1)
            .collect();
        let expected = [
            "cancel default",
            "cancel threads.other",
            "detach",
            "dropped",
        ];
        assert_eq!(told, expected, "{lines:?}");
    }
    for what in ["cancel", "detach", "dropped"] {
        let line = format!("{what} here true, Err(Unreachable(Closed))");
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    for handle in handles {
        assert!(handle.is_valid(), "its loop has ended, not the source");
        handle.signal();
        handle.set_deadline(Some(far()));
        handle.invalidate_and_wait();
    }
}

#[test]
fn a_handle_answers_closed_once_the_thread_is_gone() {
    let _watchdog = Watchdog::new();
    let handle = thread::spawn(|| RunLoop::current().handle())
        .join()
        .unwrap();
    assert_eq!(handle.stop(), Err(Unreachable::Closed), "stop");
    assert_eq!(handle.wake_up(), Err(Unreachable::Closed), "wake_up");
    assert_eq!(handle.is_waiting(), Err(Unreachable::Closed), "is_waiting");
    let held = Arc::new(());
    let captured = Arc::clone(&held);
    let refused = handle.perform(Mode::DEFAULT, move |_| drop(captured));
    let Err(PerformError::Unreachable(closure, Unreachable::Closed)) = refused else {
        panic!("{refused:?}");
    };
    drop(closure);
    assert_eq!(Arc::strong_count(&held), 1, "the closure came back");
    let source = SourceRef::new(Traveller::default());
    let refused = handle.add(&source, Mode::DEFAULT);
    assert!(
        matches!(refused, Err(PerformError::Unreachable(_, _))),
        "{refused:?}"
    );
    assert!(source.handle().is_valid(), "it can be added elsewhere");
}

#[test]
fn a_source_whose_loop_has_ended_can_join_another() {
    let _watchdog = Watchdog::new();
    let source = SourceRef::new(Traveller::default());
    let first = source.clone();
    thread::spawn(move || {
        RunLoop::current().add(&first, Mode::DEFAULT).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(source.log.take(), ["cancel default", "detach"], "it left");
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    source.handle().signal();
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "one pass");
    assert_eq!(source.performed.load(Ordering::SeqCst), 1, "performed here");
}

#[test]
fn a_source_in_a_living_loop_cannot_join_another() {
    let _watchdog = Watchdog::new();
    let source = SourceRef::new(Traveller::default());
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    let second = source.clone();
    let refused = thread::spawn(move || {
        let refused = RunLoop::current().add(&second, Mode::DEFAULT);
        matches!(refused, Err(AddError::OtherLoop))
    });
    assert!(refused.join().unwrap(), "it is exclusive");
}

#[test]
fn observers_are_dropped_but_stay_what_they_are() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    struct Noted(Log);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.add("dropped");
        }
    }
    let noted = Noted(log.clone());
    thread::spawn(move || {
        let observer = Observer::new(Activity::all(), 0, move |_, _| drop(noted.0.take()));
        let run_loop = RunLoop::current();
        run_loop.add_observer(&observer, Mode::COMMON).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(log.take(), ["dropped"], "with its closure");
}

#[test]
fn a_source_invalidated_as_its_thread_ends_is_still_told_so_once() {
    let _watchdog = Watchdog::new();
    let source = SourceRef::new(Traveller::default());
    let (theirs, (sent, received)) = (source.clone(), mpsc::channel());
    let (go, may_go) = mpsc::channel::<()>();
    let owner = thread::spawn(move || {
        RunLoop::current().add(&theirs, Mode::DEFAULT).unwrap();
        sent.send(()).unwrap();
        // The loop never looks again: the thread ends without a run.
        may_go.recv().unwrap();
    });
    received.recv().unwrap();
    source.invalidate();
    assert_eq!(source.log.take(), [""; 0], "its loop is to tell it");
    go.send(()).unwrap();
    owner.join().unwrap();
    let expected = ["cancel default", "detach", "invalidated Asked"];
    assert_eq!(source.log.take(), expected, "as it ended");
    source.invalidate();
    assert_eq!(source.log.take(), [""; 0], "once");
}

#[test]
fn a_source_invalidated_by_the_leave_of_another_is_told_so() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inside = log.clone();
    thread::spawn(move || {
        let run_loop = RunLoop::current();
        let victims: Rc<RefCell<Vec<SourceHandle>>> = Rc::default();
        for name in ["a", "b"] {
            let doomed = Rc::clone(&victims);
            let source = Probe::new(name, &inside).hooking(move |_, what| {
                if what == "cancel" {
                    doomed.take().iter().for_each(SourceHandle::invalidate);
                }
            });
            let source = source.source();
            run_loop.add(&source, Mode::DEFAULT).unwrap();
            victims.borrow_mut().push(source.handle().clone());
        }
    })
    .join()
    .unwrap();
    let lines = log.take();
    for line in ["a invalidated Asked", "b invalidated Asked"] {
        let times = lines.iter().filter(|l| *l == line).count();
        assert_eq!(times, 1, "{line} in {lines:?}");
    }
}

#[test]
fn a_panic_in_a_hook_or_a_destructor_as_a_thread_ends_goes_no_further() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        for where_to in ["cancel", "detach", "dropped"] {
            let inside = log.clone();
            let ended = thread::spawn(move || {
                let run_loop = RunLoop::current();
                for name in ["a", "b"] {
                    let source = Probe::new(name, &inside).hooking(move |_, what| {
                        assert_ne!(what, where_to, "the test's panic");
                    });
                    run_loop.add(&source.source(), Mode::DEFAULT).unwrap();
                }
                inside.take();
            });
            ended.join().unwrap();
            let lines = log.take();
            assert_eq!(lines.len(), 6, "{where_to}: each was told: {lines:?}");
        }
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("the test's panic");
            }
        }
        let ended = thread::spawn(|| {
            let (run_loop, bombs) = (RunLoop::current(), [Bomb, Bomb]);
            let [first, second] = bombs;
            let observer = Observer::new(Activity::all(), 0, move |_, _| {
                let _first = &first;
            });
            run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
            run_loop
                .perform(Mode::DEFAULT, move |_| drop(second))
                .unwrap();
        });
        ended.join().unwrap();
    });
}

#[test]
fn the_loop_asked_for_while_a_thread_ends_is_closed_and_harmless() {
    let _watchdog = Watchdog::new();
    struct Late(Cell<Option<(Log, RunLoop)>>);
    impl Drop for Late {
        fn drop(&mut self) {
            let (log, kept) = self.0.take().unwrap();
            for run_loop in [RunLoop::current(), kept] {
                let source = Signalled::new(|_| {});
                source.signal();
                let added = run_loop.add(&source, Mode::DEFAULT);
                let observer = Observer::new(Activity::all(), 0, |_, _| {});
                let observed = run_loop.add_observer(&observer, Mode::DEFAULT);
                let performed = run_loop.perform(Mode::DEFAULT, |_| {});
                run_loop.stop();
                run_loop.wake_up();
                observer.invalidate();
                log.add(format!("{:?}", run_loop.run()));
                log.add(format!("{added:?} {observed:?} {performed:?}"));
            }
        }
    }
    thread_local! {
        static BEFORE: Late = const { Late(Cell::new(None)) };
        static AFTER: Late = const { Late(Cell::new(None)) };
    }
    let log = Log::new();
    let inside = log.clone();
    // One is touched before the loop and one after it, so that one destructor runs while the loop is still there.
    thread::spawn(move || {
        BEFORE.with(|_| {});
        let run_loop = RunLoop::current();
        for late in [&BEFORE, &AFTER] {
            late.with(|late| late.0.set(Some((inside.clone(), run_loop.clone()))));
        }
    })
    .join()
    .unwrap();
    let lines = log.take();
    assert_eq!(lines.len(), 8, "both were dropped: {lines:?}");
    let closed = lines.iter().filter(|line| line.contains("Closed"));
    assert!(closed.count() >= 4, "{lines:?}");
}

#[test]
fn a_new_thread_has_a_loop_of_its_own() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    assert_eq!(run_loop.handle(), RunLoop::current().handle(), "one each");
    for _ in 0..10 {
        let handle = thread::spawn(|| {
            assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "it is empty");
            RunLoop::current().handle()
        });
        assert_ne!(handle.join().unwrap(), run_loop.handle(), "not ours");
    }
}

/// L8: once `invalidate_and_wait` has returned no callback runs, and none begins.
#[test]
fn invalidating_and_waiting_leaves_no_callback_running() {
    let _watchdog = Watchdog::new();
    for round in 0..200 {
        let source = SourceRef::new(Traveller::default());
        source.slow.store(true, Ordering::SeqCst);
        let (theirs, (sent, received)) = (source.clone(), mpsc::channel());
        let owner = thread::spawn(move || {
            let run_loop = RunLoop::current();
            run_loop.add(&theirs, Mode::DEFAULT).unwrap();
            theirs.handle().signal();
            sent.send(()).unwrap();
            run(Mode::DEFAULT)
        });
        received.recv().unwrap();
        until(|| source.performed.load(Ordering::SeqCst) > 2);
        source.handle().invalidate_and_wait();
        let seen = source.performed.load(Ordering::SeqCst);
        assert_eq!(seen % 2, 0, "round {round}: none is in progress");
        assert_eq!(owner.join().unwrap(), Outcome::Finished, "it is empty");
        let after = source.performed.load(Ordering::SeqCst);
        assert_eq!(after, seen, "round {round}: none has begun");
        assert_eq!(source.log.take().last().unwrap(), "invalidated Asked");
    }
}

#[test]
fn a_callback_that_invalidates_its_own_source_does_not_wait_for_itself() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for stage in [None, Some(Stage::Look), Some(Stage::Announce)] {
        let slot: Rc<RefCell<Option<SourceHandle>>> = Rc::default();
        let (known, asked) = (Rc::clone(&slot), Rc::clone(&slot));
        let source = Probe::new("p", &log)
            .performing(move |cx, _| {
                cx.look_before_sleep();
                if stage.is_none() {
                    known.borrow().as_ref().unwrap().invalidate_and_wait();
                }
            })
            .preparing(move |_, now| {
                if Some(now) == stage {
                    asked.borrow().as_ref().unwrap().invalidate_and_wait();
                }
                Prepared::Idle
            })
            .source();
        let run_loop = RunLoop::current();
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        slot.replace(Some(source.handle().clone()));
        source.handle().signal();
        let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit);
        assert_eq!(outcome.unwrap(), Outcome::Finished, "{stage:?}");
        slot.take();
    }
}
