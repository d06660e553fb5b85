//! Waking: a sleeping loop looks again for whatever another thread does, and no wake-up is lost.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use runloop::{
    Cx, Descriptor, Handle, Interest, Mode, Outcome, Ready, ReturnAfter, RunLoop, Signalled,
    Source, SourceHandle, SourceRef,
};
use tests::Watchdog;

use crate::support::{past, ready_pair, run, until};

/// Runs a loop on another thread until it sleeps, does something to it from here, and expects the run to end so.
fn wake_by(
    prepare: impl FnOnce(&RunLoop) -> SourceHandle + Send + 'static,
    act: impl FnOnce(&Handle, &SourceHandle),
    expected: Outcome,
) {
    let _watchdog = Watchdog::new();
    let (sent, received) = mpsc::channel();
    let sleeper = thread::spawn(move || {
        let run_loop = RunLoop::current();
        let source = prepare(&run_loop);
        sent.send((run_loop.handle(), source)).unwrap();
        run(Mode::DEFAULT)
    });
    let (handle, source) = received.recv().unwrap();
    until(|| handle.is_waiting().unwrap());
    act(&handle, &source);
    assert_eq!(sleeper.join().unwrap(), expected, "the sleeper looked");
}

/// A source that stops the loop whatever it is performed for.
struct Stopper;

impl Source for Stopper {
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        cx.run_loop().stop();
    }
}

fn stopper(run_loop: &RunLoop) -> SourceHandle {
    let source = SourceRef::new(Stopper);
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.handle().clone()
}

#[test]
fn a_signal_wakes() {
    wake_by(stopper, |_, source| source.signal(), Outcome::Stopped);
}

#[test]
fn a_deadline_set_from_afar_wakes() {
    let act = |_: &Handle, source: &SourceHandle| source.set_deadline(Some(past()));
    wake_by(stopper, act, Outcome::Stopped);
}

#[test]
fn a_deadline_set_from_afar_arms_the_sleeper() {
    let act = |_: &Handle, source: &SourceHandle| {
        source.set_deadline(Some(past() + Duration::from_millis(5)));
    };
    wake_by(stopper, act, Outcome::Stopped);
}

#[test]
fn an_interest_set_from_afar_wakes() {
    let prepare = |run_loop: &RunLoop| {
        let (ours, theirs) = ready_pair();
        let theirs = Cell::new(Some(theirs));
        let reader = Descriptor::new(ours, Interest::empty(), move |run_loop, _, _| {
            drop(theirs.take());
            run_loop.stop();
        });
        run_loop.add(&reader, Mode::DEFAULT).unwrap();
        reader.handle().clone()
    };
    let act = |_: &Handle, source: &SourceHandle| {
        source.set_interest(runloop::Token(0), Interest::READABLE);
    };
    wake_by(prepare, act, Outcome::Stopped);
}

#[test]
fn an_invalidation_wakes_and_an_emptied_mode_ends_its_run() {
    let act = |_: &Handle, source: &SourceHandle| source.invalidate();
    wake_by(stopper, act, Outcome::Finished);
}

#[test]
fn a_closure_wakes() {
    let act = |handle: &Handle, _: &SourceHandle| {
        handle.perform(Mode::DEFAULT, RunLoop::stop).unwrap();
    };
    wake_by(stopper, act, Outcome::Stopped);
}

#[test]
fn a_source_added_from_afar_wakes_and_is_served_at_once() {
    let act = |handle: &Handle, _: &SourceHandle| {
        let source = SourceRef::new(Stopper);
        handle.add(&source, Mode::DEFAULT).unwrap();
        source.handle().signal();
    };
    wake_by(stopper, act, Outcome::Stopped);
}

#[test]
fn a_source_removed_from_afar_by_a_closure_ends_the_run() {
    let act = |handle: &Handle, source: &SourceHandle| {
        let source = source.clone();
        let removal = handle.perform(Mode::new("waking.other"), |_| unreachable!("never run"));
        removal.unwrap();
        handle
            .perform(Mode::DEFAULT, move |run_loop| {
                assert!(run_loop.remove(&source, Mode::DEFAULT), "it was there");
            })
            .unwrap();
    };
    wake_by(stopper, act, Outcome::Finished);
}

#[test]
fn a_dropped_connection_wakes() {
    let _watchdog = Watchdog::new();
    let (ours, theirs) = crate::support::pair();
    let run_loop = RunLoop::current();
    let reader = Descriptor::new(ours, Interest::READABLE, |run_loop, _, readiness| {
        assert!(readiness.is_readable(), "{readiness:?}");
        run_loop.stop();
    });
    run_loop.add(&reader, Mode::DEFAULT).unwrap();
    let handle = run_loop.handle();
    let helper = thread::spawn(move || {
        until(|| handle.is_waiting().unwrap());
        drop(theirs);
    });
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the hang-up");
    helper.join().unwrap();
}

#[test]
fn a_loop_is_waiting_only_while_it_sleeps() {
    let act = |handle: &Handle, source: &SourceHandle| {
        assert_eq!(handle.is_waiting(), Ok(true), "asleep");
        source.signal();
    };
    wake_by(stopper, act, Outcome::Stopped);
    let run_loop = RunLoop::current();
    assert!(!run_loop.is_waiting(), "seen from its own thread");
    assert_eq!(run_loop.handle().is_waiting(), Ok(false), "nothing runs");
}

/// B73, L24: each thread waits for its own signal to be answered before it gives the next, so that the loop falls asleep
/// between any two, and one lost wake-up hangs the test.
#[test]
fn no_signal_of_many_threads_is_lost() {
    const THREADS: u32 = 4;
    const SIGNALS: u32 = 4_000;
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let left = Rc::new(Cell::new(THREADS));
    let mut helpers = Vec::new();
    for number in 0..THREADS {
        let answered = Arc::new(AtomicU32::new(0));
        let (answer, left) = (Arc::clone(&answered), Rc::clone(&left));
        let source = Signalled::new(move |run_loop| {
            if answer.fetch_add(1, Ordering::SeqCst) + 1 == SIGNALS {
                left.set(left.get() - 1);
                if left.get() == 0 {
                    run_loop.stop();
                }
            }
        });
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        let handle = run_loop.handle();
        helpers.push(thread::spawn(move || {
            for signal in 0..SIGNALS {
                source.signal();
                if number == 0 {
                    handle.wake_up().unwrap();
                }
                until(|| answered.load(Ordering::SeqCst) > signal);
            }
        }));
    }
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "all were answered");
    for helper in helpers {
        helper.join().unwrap();
    }
}

#[test]
fn no_closure_of_many_threads_is_lost_and_each_thread_keeps_its_order() {
    const THREADS: usize = 4;
    const CLOSURES: u32 = 5_000;
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    let next = Arc::new([const { AtomicU32::new(0) }; THREADS]);
    let helpers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (handle, next) = (run_loop.handle(), Arc::clone(&next));
            thread::spawn(move || {
                for number in 0..CLOSURES {
                    let next = Arc::clone(&next);
                    let mut closure = move |run_loop: &RunLoop| {
                        let before = next[thread].fetch_add(1, Ordering::SeqCst);
                        assert_eq!(before, number, "in the order of thread {thread}");
                        if next.iter().all(|n| n.load(Ordering::SeqCst) == CLOSURES) {
                            run_loop.stop();
                        }
                    };
                    while let Err(full) = handle.perform(Mode::DEFAULT, closure) {
                        closure = full.into_inner();
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "all of them ran");
    for helper in helpers {
        helper.join().unwrap();
    }
}

/// L24, with everything that can wake: deadlines that move earlier, descriptors, signals and closures, against a loop
/// that falls asleep after each.
#[test]
fn no_wake_up_of_any_kind_is_lost() {
    const ROUNDS: u32 = 2_000;
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let seen = Arc::new(AtomicU32::new(0));
    let (stopped, (ours, mut theirs)) = (Arc::new(AtomicBool::new(false)), crate::support::pair());
    let count = |seen: &Arc<AtomicU32>| {
        let seen = Arc::clone(seen);
        move || {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    };
    struct Due(Box<dyn Fn()>);
    impl Source for Due {
        fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {
            (self.0)();
        }
    }
    let due = run_loop.adopt(&SourceRef::new(Due(Box::new(count(&seen)))));
    run_loop.add(&due, Mode::DEFAULT).unwrap();
    let counted = count(&seen);
    let reader = Descriptor::new(ours, Interest::READABLE, move |_, stream, _| {
        crate::support::drain(stream);
        counted();
    });
    run_loop.add(&reader, Mode::DEFAULT).unwrap();
    let counted = count(&seen);
    let signalled = Signalled::new(move |_| counted());
    run_loop.add(&signalled, Mode::DEFAULT).unwrap();
    let (handle, over) = (run_loop.handle(), Arc::clone(&stopped));
    let helper = thread::spawn(move || {
        for round in 0..ROUNDS {
            match round % 4 {
                0 => signalled.signal(),
                1 => due.set_deadline(Some(past())),
                2 => theirs.write_all(b"x").unwrap(),
                _ => {
                    let seen = Arc::clone(&seen);
                    let sent = handle.perform(Mode::DEFAULT, move |_| {
                        seen.fetch_add(1, Ordering::SeqCst);
                    });
                    sent.unwrap();
                }
            }
            until(|| seen.load(Ordering::SeqCst) > round);
        }
        over.store(true, Ordering::SeqCst);
        handle.stop().unwrap();
    });
    let limit = Duration::from_secs(60);
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::Stopped, "no round hung");
    assert!(stopped.load(Ordering::SeqCst), "all rounds were made");
    helper.join().unwrap();
}
