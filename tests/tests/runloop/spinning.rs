//! Spinning instead of sleeping, and the memory of two threads that know of each other by it alone.
//!
//! The ring here is a toy of what a message port has: a counter in memory, and a bell that is rung only when the sleeper has
//! said that it sleeps.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use std::thread;
use std::time::{Duration, Instant};

use runloop::{
    Cx, Mode, Outcome, Prepared, Ready, ReturnAfter, RunLoop, Source, SourceHandle, SourceRef,
    Stage,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, hot, ready_pair, run, run_one, until};

fn added(log: &Log, probe: Probe) -> SourceRef<Probe> {
    let source = probe.source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    source
}

#[test]
fn a_spin_lasts_as_long_as_was_asked_for() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let spin = Duration::from_micros(200);
    let (asked, times) = (
        Cell::new(None::<Instant>),
        Rc::new(RefCell::new(Vec::new())),
    );
    let noted = Rc::clone(&times);
    let probe = hot(&log, move |cx, stage| match (stage, asked.get()) {
        (Stage::Look, None) => {
            // The look at the beginning of the pass, whose spin is not heeded; the next is before the sleep.
            asked.set(Some(Instant::now()));
            Prepared::Idle
        }
        (Stage::Look, Some(_)) if noted.borrow().is_empty() => {
            noted.borrow_mut().push(Instant::now());
            Prepared::Spin(spin)
        }
        (Stage::Announce, _) => {
            noted.borrow_mut().push(Instant::now());
            cx.run_loop().stop();
            Prepared::Idle
        }
        _ => Prepared::Idle,
    });
    added(&log, probe);
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "when it was to sleep");
    let times = times.borrow();
    assert!(times[1] - times[0] >= spin, "{:?}", times[1] - times[0]);
}

#[test]
fn a_source_that_always_wants_to_spin_cannot_keep_the_loop_from_the_kernel() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let for_ever = |_: &mut Cx<'_, '_>, stage| match stage {
        Stage::Look => Prepared::Spin(Duration::from_secs(3_600)),
        _ => Prepared::Idle,
    };
    added(&log, hot(&log, for_ever));
    let (ours, _theirs) = ready_pair();
    let reader = Probe::new("reader", &log).watching(ours);
    added(&log, reader);
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "the reader");
    let lines = log.take();
    assert_eq!(lines[..2], ["Look", "Announce"], "it slept after all");
    assert!(lines.contains(&"reader ready 0".to_owned()), "{lines:?}");
}

#[test]
fn a_spin_ends_with_the_next_deadline() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let for_ever = |_: &mut Cx<'_, '_>, stage| match stage {
        Stage::Look => Prepared::Spin(Duration::from_secs(3_600)),
        _ => Prepared::Idle,
    };
    added(&log, hot(&log, for_ever));
    let timer = Probe::new("timer", &log).performing(|cx, _| cx.run_loop().stop());
    let timer = added(&log, timer);
    let soon = Instant::now() + Duration::from_micros(50);
    timer.handle().set_deadline(Some(soon));
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the deadline");
    let expected = ["Look", "timer deadline", "Announce"];
    assert_eq!(log.take(), expected, "the announcement is that of the end");
}

#[test]
fn a_spin_ends_when_another_thread_brings_something() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let spinning = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&spinning);
    let probe = hot(&log, move |_, stage| match stage {
        Stage::Look => {
            seen.store(true, Ordering::SeqCst);
            Prepared::Spin(Duration::from_secs(3_600))
        }
        _ => Prepared::Idle,
    });
    let source = added(&log, probe);
    let (handle, over) = (run_loop.handle(), Arc::new(AtomicBool::new(false)));
    let (begun, ended, inside) = (Arc::clone(&spinning), Arc::clone(&over), log.clone());
    let helper = thread::spawn(move || {
        while !ended.load(Ordering::SeqCst) {
            if begun.swap(false, Ordering::SeqCst) {
                let log = inside.clone();
                let stop = handle.perform(Mode::DEFAULT, move |run_loop| {
                    log.add("stop");
                    run_loop.stop();
                });
                stop.unwrap();
            }
        }
    });
    // The helper is not always fast enough to come before the end of the longest spin, but it is now and then.
    let found = (0..10_000).any(|_| {
        run_loop.look_before_sleep(&source);
        assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the helper");
        log.take() == ["Look", "stop", "Announce"]
    });
    over.store(true, Ordering::SeqCst);
    helper.join().unwrap();
    assert!(found, "not once");
}

#[test]
fn a_loop_that_may_not_spin_sleeps_at_once() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let looks = Rc::new(Cell::new(0));
    let counted = Rc::clone(&looks);
    let probe = hot(&log, move |_, stage| {
        if stage == Stage::Look {
            counted.set(counted.get() + 1);
        }
        Prepared::Spin(Duration::from_secs(3_600))
    });
    added(&log, probe);
    let run_loop = RunLoop::current();
    run_loop.set_spinning(false);
    let limit = Duration::from_millis(1);
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "nothing came");
    assert_eq!(looks.get(), 2, "once in the pass and once before the wait");
    assert_eq!(log.take(), ["Look", "Announce", "Woken"], "it slept");
}

/// The toy ring: what is there, and whether the reader wants to hear the bell.
#[derive(Default)]
struct Ring {
    waiting: AtomicU32,
    asleep: AtomicBool,
}

/// The reader's end of a toy ring.
struct Reader {
    ring: Arc<Ring>,
    taken: Arc<AtomicU32>,
    spin: Duration,
}

impl Source for Reader {
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        let taken = self.ring.waiting.swap(0, Ordering::AcqRel);
        self.taken.fetch_add(taken, Ordering::Release);
        cx.look_before_sleep();
    }

    fn prepare<'s>(&'s self, _: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        if stage == Stage::Announce {
            self.ring.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
        if self.ring.waiting.load(Ordering::Acquire) > 0 {
            Prepared::Ready
        } else if stage == Stage::Look && !self.spin.is_zero() {
            Prepared::Spin(self.spin)
        } else {
            Prepared::Idle
        }
    }
}

/// Puts one thing into the ring, and rings only if the reader sleeps.
fn put(ring: &Ring, bell: &SourceHandle) {
    ring.waiting.fetch_add(1, Ordering::Release);
    fence(Ordering::SeqCst);
    if ring.asleep.load(Ordering::Relaxed) && ring.asleep.swap(false, Ordering::AcqRel) {
        bell.signal();
    }
}

#[test]
fn nothing_put_into_memory_is_slept_over() {
    const ITEMS: u32 = 20_000;
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    for spin in [Duration::ZERO, Duration::from_micros(5)] {
        let (ring, taken) = (Arc::<Ring>::default(), Arc::<AtomicU32>::default());
        let reader = Reader {
            ring: Arc::clone(&ring),
            taken: Arc::clone(&taken),
            spin,
        };
        let source = SourceRef::new(reader);
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        run_loop.look_before_sleep(&source);
        let (bell, handle) = (source.handle().clone(), run_loop.handle());
        let writer = thread::spawn(move || {
            for item in 0..ITEMS {
                put(&ring, &bell);
                // Most of the time the next comes only when this one was taken, so that the reader falls asleep.
                if item % 8 != 0 {
                    until(|| taken.load(Ordering::Acquire) == item + 1);
                }
            }
            until(|| taken.load(Ordering::Acquire) == ITEMS);
            handle.stop().unwrap();
        });
        assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "all were taken");
        writer.join().unwrap();
        source.invalidate();
    }
}

/// How often a loop, which another thread has sent a closure, gives its processor away before it sleeps.
fn yields_after_a_visit(spinning: bool) -> u64 {
    thread::spawn(move || {
        let run_loop = RunLoop::current();
        run_loop.set_spinning(spinning);
        let handle = run_loop.handle();
        let visit = thread::spawn(move || handle.perform(Mode::DEFAULT, |_| ()).is_ok());
        assert!(visit.join().unwrap(), "it is sent");
        let soon = Duration::from_millis(1);
        for _ in 0..2 {
            let ended = run_loop.wait_in_mode(Mode::DEFAULT, soon, ReturnAfter::Limit);
            assert_eq!(ended.unwrap(), Outcome::TimedOut, "it has slept");
        }
        run_loop.statistics().yields
    })
    .join()
    .unwrap()
}

#[test]
fn a_loop_stands_aside_once_for_a_visit_and_never_where_it_may_not_spin() {
    let _watchdog = Watchdog::new();
    assert_eq!(
        yields_after_a_visit(true),
        1,
        "before the first sleep alone"
    );
    assert_eq!(yields_after_a_visit(false), 0, "it sleeps at once");
}
