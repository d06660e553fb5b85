//! Races between threads over one source: whichever way they end, it is left in one piece, and told of its end once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use runloop::{Cx, Mode, Outcome, Ready, RunLoop, Source, SourceOptions, SourceRef, Why};
use tests::Watchdog;

use crate::support::{pass, run};

/// A source for several threads that counts its ends, and never has enough.
#[derive(Default)]
struct Shared {
    performed: AtomicU32,
    scheduled: AtomicU32,
    cancelled: AtomicU32,
    ended: AtomicU32,
}

impl Source for Shared {
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        self.performed.fetch_add(1, Ordering::SeqCst);
        cx.signal();
    }
    fn schedule(&self, _: &RunLoop, _: Mode) {
        self.scheduled.fetch_add(1, Ordering::SeqCst);
    }
    fn cancel(&self, _: &RunLoop, _: Mode) {
        self.cancelled.fetch_add(1, Ordering::SeqCst);
    }
    fn invalidated(&self, _: Why) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// Does two things at the same moment, the first of them here.
fn at_once(here: impl FnOnce(), there: impl FnOnce() + Send + 'static) {
    let start = Arc::new(Barrier::new(2));
    let theirs = Arc::clone(&start);
    let helper = thread::spawn(move || {
        theirs.wait();
        there();
    });
    start.wait();
    here();
    helper.join().unwrap();
}

const ROUNDS: u32 = 1_000;

#[test]
fn a_source_invalidated_while_it_is_added_is_not_left_in_the_loop() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    for round in 0..ROUNDS {
        let options = SourceOptions::new().reentrant();
        let source = SourceRef::with(options, Shared::default());
        let theirs = source.clone();
        at_once(
            || drop(run_loop.add(&source, Mode::DEFAULT)),
            move || theirs.invalidate(),
        );
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "round {round}");
        assert!(!run_loop.contains(&source, Mode::DEFAULT), "round {round}");
        let counts = [&source.ended, &source.scheduled, &source.cancelled];
        let [ended, scheduled, cancelled] = counts.map(|count| count.load(Ordering::SeqCst));
        assert_eq!(ended, 1, "round {round}: told once");
        assert_eq!(scheduled, cancelled, "round {round}: in pairs");
    }
}

#[test]
fn a_source_invalidated_while_its_thread_ends_is_told_once() {
    let _watchdog = Watchdog::new();
    for round in 0..ROUNDS {
        let source = SourceRef::new(Shared::default());
        let (theirs, ours) = (source.clone(), source.clone());
        at_once(
            move || ours.invalidate(),
            move || drop(RunLoop::current().add(&theirs, Mode::DEFAULT)),
        );
        let ended = source.ended.load(Ordering::SeqCst);
        assert_eq!(ended, 1, "round {round}");
        source.invalidate();
        assert_eq!(source.ended.load(Ordering::SeqCst), 1, "round {round}");
    }
}

#[test]
fn a_source_of_two_busy_loops_that_is_invalidated_leaves_both() {
    let _watchdog = Watchdog::new();
    for round in 0..100 {
        let options = SourceOptions::new().reentrant();
        let source = SourceRef::with(options, Shared::default());
        let runners = [(); 2].map(|()| {
            let theirs = source.clone();
            thread::spawn(move || {
                // A thread that comes too late finds the source invalid already, and its loop empty.
                drop(RunLoop::current().add(&theirs, Mode::DEFAULT));
                theirs.handle().signal();
                run(Mode::DEFAULT)
            })
        });
        while source.performed.load(Ordering::SeqCst) < 20 {
            thread::yield_now();
        }
        source.handle().invalidate_and_wait();
        let performed = source.performed.load(Ordering::SeqCst);
        for runner in runners {
            let outcome = runner.join().unwrap();
            assert_eq!(outcome, Outcome::Finished, "round {round}");
        }
        let after = source.performed.load(Ordering::SeqCst);
        assert_eq!(after, performed, "round {round}: none began afterwards");
        let ended = source.ended.load(Ordering::SeqCst);
        assert_eq!(ended, 1, "round {round}: told once, by the last");
    }
}

#[test]
fn two_loops_that_share_a_signalled_source_serve_every_signal_once() {
    let _watchdog = Watchdog::new();
    struct Counted(AtomicU32);
    impl Source for Counted {
        fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    const SIGNALS: u32 = 4_000;
    let options = SourceOptions::new().reentrant();
    let source = SourceRef::with(options, Counted(AtomicU32::new(0)));
    let ready = Arc::new(Barrier::new(3));
    let runners = [(); 2].map(|()| {
        let (theirs, ready) = (source.clone(), Arc::clone(&ready));
        thread::spawn(move || {
            RunLoop::current().add(&theirs, Mode::DEFAULT).unwrap();
            ready.wait();
            run(Mode::DEFAULT)
        })
    });
    ready.wait();
    for signal in 0..SIGNALS {
        source.handle().signal();
        while source.0.load(Ordering::SeqCst) <= signal {
            thread::yield_now();
        }
        assert_eq!(source.0.load(Ordering::SeqCst), signal + 1, "once");
    }
    source.invalidate();
    for runner in runners {
        assert_eq!(runner.join().unwrap(), Outcome::Finished, "it is empty");
    }
    assert_eq!(pass(Mode::DEFAULT), Outcome::Finished, "never here");
}
