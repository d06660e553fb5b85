//! Forked children: everything answers an error there, and nothing that the parent has is touched (L26).

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{cell::Cell, panic::AssertUnwindSafe, panic::catch_unwind, rc::Rc};

use runloop::{
    Activity, AddError, Descriptor, ForkGuard, Interest, Mode, Observer, Outcome, PerformError,
    RunError, RunLoop, Signalled, Token, Unreachable,
};
use tests::{Child, Log, Watchdog, fork, fork_and_wait, leave, watched_descriptors};

use crate::support::{Probe, far, past, ready_pair, run, run_one, serve};

/// The number of the first of these that does not hold, counted from one, or zero.
fn first_wrong(checks: &[bool]) -> i32 {
    let wrong = checks.iter().position(|holds| !holds);
    wrong.map_or(0, |place| i32::try_from(place).unwrap() + 1)
}

#[test]
fn every_call_in_a_child_answers_an_error_and_the_parent_does_not_notice() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let run_loop = RunLoop::current();
        let handle = run_loop.handle();
        let (ours, theirs) = ready_pair();
        let reader = Probe::new("reader", &log).watching(ours).source();
        run_loop.add(&reader, Mode::DEFAULT).unwrap();
        reader.handle().set_deadline(Some(far()));
        let signalled = Signalled::new(|_| {});
        run_loop.add(&signalled, Mode::DEFAULT).unwrap();
        let observer = Observer::new(Activity::ENTRY, 0, |_, _| {});
        serve(Mode::DEFAULT);
        log.take();
        let (watched, guard) = (watched_descriptors(), ForkGuard::new());
        assert!(!guard.is_forked(), "this is the parent");

        let status = fork_and_wait(|| {
            let forked = Unreachable::Forked;
            let ran = run_loop.run();
            let added = run_loop.add(&Signalled::new(|_| {}), Mode::DEFAULT);
            let observed = run_loop.add_observer(&observer, Mode::DEFAULT);
            let common = run_loop.add_common_mode(Mode::new("forks.common"));
            let performed = run_loop.perform(Mode::DEFAULT, |_| {});
            let sent = handle.perform(Mode::DEFAULT, |_| {});
            run_loop.stop();
            run_loop.wake_up();
            signalled.signal();
            signalled.invalidate();
            reader.handle().set_deadline(Some(past()));
            reader.handle().set_interest(Token(0), Interest::empty());
            reader.invalidate();
            reader.handle().invalidate_and_wait();
            first_wrong(&[
                guard.is_forked(),
                matches!(ran, Err(RunError::Unreachable(why)) if why == forked),
                matches!(added, Err(AddError::Unreachable(why)) if why == forked),
                matches!(observed, Err(AddError::Unreachable(why)) if why == forked),
                matches!(common, Err(AddError::Unreachable(why)) if why == forked),
                matches!(performed, Err(PerformError::Unreachable(_, why)) if why == forked),
                matches!(sent, Err(PerformError::Unreachable(_, why)) if why == forked),
                handle.stop() == Err(forked),
                handle.wake_up() == Err(forked),
                handle.is_waiting() == Err(forked),
                !run_loop.remove(&reader, Mode::DEFAULT),
                RunLoop::current().run().is_err(),
                !ForkGuard::new().is_forked(),
            ])
        });
        assert_eq!(status.code(), Some(0), "the number of a wrong answer");

        assert_eq!(watched_descriptors(), watched, "the poll sets are ours");
        assert!(reader.handle().is_valid(), "what the child did is its own");
        (&theirs).write_all(b"x").unwrap();
        assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "the byte");
        assert_eq!(log.take(), ["reader ready 0"], "nothing else");
        let later = Instant::now() + Duration::from_millis(5);
        let stopper = Probe::new("stopper", &log).performing(|cx, _| cx.run_loop().stop());
        let stopper = stopper.due(later).source();
        run_loop.add(&stopper, Mode::DEFAULT).unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "the alarm goes off");
        assert!(Instant::now() >= later, "and not early");
    });
}

#[test]
fn what_a_source_asks_for_in_a_child_does_not_reach_the_poll_set() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let run_loop = RunLoop::current();
        let (ours, theirs) = ready_pair();
        let (more, others) = ready_pair();
        let more = Arc::new(more);
        let checked = log.clone();
        let source = Probe::new("p", &log)
            .watching(ours)
            .performing(move |cx, _| {
                let before = watched_descriptors();
                let status = fork_and_wait(|| {
                    let added = cx.watch_shared(Token(1), Arc::clone(&more), Interest::READABLE);
                    let changed = cx.set_interest(Token(0), Interest::WRITABLE);
                    let forgotten = cx.unwatch(Token(0));
                    let nested = cx.run_loop().run();
                    first_wrong(&[added.is_err(), changed.is_err(), forgotten, nested.is_err()])
                });
                checked.add(format!("child: {:?}", status.code()));
                checked.add(format!("same: {}", watched_descriptors() == before));
            })
            .source();
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        log.take();
        serve(Mode::DEFAULT);
        let expected = ["p ready 0", "child: Some(0)", "same: true"];
        assert_eq!(log.take(), expected, "the child has its own tables");
        (&theirs).write_all(b"x").unwrap();
        serve(Mode::DEFAULT);
        assert_eq!(log.take()[0], "p ready 0", "still watched");
        drop(others);
    });
}

#[test]
fn a_child_that_returns_into_a_run_is_shown_out() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let run_loop = RunLoop::current();
        let (ours, theirs) = ready_pair();
        let seen = log.clone();
        let reader = Descriptor::new(ours, Interest::READABLE, move |run_loop, ours, _| {
            crate::support::drain(ours);
            seen.add("read");
            run_loop.stop();
        });
        run_loop.add(&reader, Mode::DEFAULT).unwrap();
        let forked: Rc<Cell<Option<Option<Child>>>> = Rc::default();
        let inside = Rc::clone(&forked);
        run_loop
            .perform(Mode::DEFAULT, move |_| inside.set(Some(fork())))
            .unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| run_loop.run()));
        let Some(child) = forked.take().unwrap() else {
            let shown = matches!(outcome, Ok(Err(RunError::Unreachable(Unreachable::Forked))));
            leave(first_wrong(&[shown, log.take().is_empty()]));
        };
        assert_eq!(child.wait().code(), Some(0), "the number of a wrong answer");
        assert!(matches!(outcome, Ok(Ok(Outcome::Stopped))), "by the reader");
        assert_eq!(log.take(), ["read"], "the event was the parent's");
        drop(theirs);
    });
}

#[test]
fn a_thread_of_a_child_has_a_loop_of_its_own() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let run_loop = RunLoop::current();
        run_loop
            .add(&Signalled::new(|_| {}), Mode::DEFAULT)
            .unwrap();
        let status = fork_and_wait(|| {
            let ran = std::thread::spawn(|| {
                let source = Signalled::new(RunLoop::stop);
                RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
                source.signal();
                run(Mode::DEFAULT) == Outcome::Stopped
            });
            first_wrong(&[ran.join().unwrap()])
        });
        assert_eq!(status.code(), Some(0), "the number of a wrong answer");
    });
}
