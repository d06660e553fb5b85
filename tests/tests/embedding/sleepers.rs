//! Sources that look before sleep, and races with other threads, in a mode that somebody else polls.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use runloop::{
    Cx, Limit, Mode, Prepared, Ready, ReturnAfter, RunLoop, Signalled, Source, SourceHandle,
    SourceOptions, SourceRef, Stage,
};
use rustix::event::{PollFd, PollFlags, poll};
use tests::{Log, Watchdog};

use crate::support::until;

/// A source that writes down what it is asked and performed for, and answers as it was told to.
struct Sleeper {
    log: Log,
    answers: Cell<Prepared>,
}

impl Source for Sleeper {
    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {
        self.log.add("performed");
    }

    fn prepare<'s>(&'s self, _: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        self.log.add(format!("{stage:?}"));
        self.answers.replace(Prepared::Idle)
    }
}

fn sleeper(log: &Log, mode: Mode) -> SourceRef<Sleeper> {
    let source = SourceRef::new(Sleeper {
        log: log.clone(),
        answers: Cell::new(Prepared::Idle),
    });
    RunLoop::current().add(&source, mode).unwrap();
    source
}

#[test]
fn a_hot_source_announces_when_the_run_ends_and_is_woken_when_the_next_begins() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("sleepers.hot"), Log::new());
    let source = sleeper(&log, mode);
    let embedding = run_loop.readiness(mode).unwrap();
    assert_eq!(log.take(), [""; 0], "it is cold");
    // From outside of every run: somebody has to look before the loop is asleep again.
    run_loop.look_before_sleep(&source);
    assert!(embedding.is_ready().unwrap(), "to have it announce");
    let _timed_out = embedding.serve().unwrap();
    assert_eq!(log.take(), ["Look", "Announce"], "before the run returns");
    assert!(!embedding.is_ready().unwrap(), "it sleeps");
    run_loop.wake_up();
    let _timed_out = embedding.serve().unwrap();
    assert_eq!(log.take(), ["Woken"], "before anything of that pass");
    run_loop.wake_up();
    let _timed_out = embedding.serve().unwrap();
    assert_eq!(log.take(), [""; 0], "it is cold");
}

#[test]
fn work_that_an_announcement_finds_makes_the_descriptor_readable() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("sleepers.found"), Log::new());
    let source = sleeper(&log, mode);
    run_loop.look_before_sleep(&source);
    source.answers.set(Prepared::Ready);
    // Nobody has looked so far, and nobody will but the poll around.
    let embedding = run_loop.readiness(mode).unwrap();
    assert_eq!(log.take(), ["Announce"], "the loop lies down");
    assert!(embedding.is_ready().unwrap(), "there is work");
    let _timed_out = embedding.serve().unwrap();
    assert_eq!(log.take(), ["Look", "performed", "Announce"], "it is done");
    assert!(!embedding.is_ready().unwrap(), "and all is quiet");
}

#[test]
fn every_embedded_mode_is_announced_for_whichever_has_run() {
    let _watchdog = Watchdog::new();
    let (run_loop, log) = (RunLoop::current(), Log::new());
    let (mode, other) = (Mode::new("sleepers.one"), Mode::new("sleepers.other"));
    let source = sleeper(&log, mode);
    let _embedding = run_loop.readiness(mode).unwrap();
    let hot = source.clone();
    let heat = move |run_loop: &RunLoop| run_loop.look_before_sleep(&hot);
    run_loop.perform(other, heat).unwrap();
    let ran = run_loop.run_in_mode(other, Limit::Now, ReturnAfter::Limit);
    let _finished = ran.unwrap();
    assert_eq!(log.take(), ["Announce"], "although another mode ran");
}

/// L24, with a poll around: each round waits until the loop has lain down, and is lost if a wake-up is.
#[test]
fn no_wake_up_of_many_threads_is_lost() {
    const THREADS: u32 = 3;
    const SIGNALS: u32 = 4_000;
    let _watchdog = Watchdog::new();
    let (run_loop, mode) = (RunLoop::current(), Mode::new("sleepers.race"));
    let left = Rc::new(Cell::new(THREADS));
    let mut helpers = Vec::new();
    for _ in 0..THREADS {
        let answered = Arc::new(AtomicU32::new(0));
        let (answer, left) = (Arc::clone(&answered), Rc::clone(&left));
        let count = move |_: &RunLoop| {
            if answer.fetch_add(1, Ordering::SeqCst) + 1 == SIGNALS {
                left.set(left.get() - 1);
            }
        };
        let source = Signalled::new(count);
        run_loop.add(&source, mode).unwrap();
        helpers.push(thread::spawn(move || {
            for signal in 0..SIGNALS {
                source.signal();
                until(|| answered.load(Ordering::SeqCst) > signal);
            }
        }));
    }
    let embedding = run_loop.readiness(mode).unwrap();
    let mut vain = 0;
    while left.get() > 0 {
        poll(&mut [PollFd::new(&embedding, PollFlags::IN)], None).unwrap();
        let before = run_loop.statistics().waits;
        let _timed_out = embedding.serve().unwrap();
        vain += u32::from(run_loop.statistics().waits == before);
    }
    assert_eq!(
        vain, 0,
        "each run has asked the kernel, which is what takes an edge back"
    );
    for helper in helpers {
        helper.join().unwrap();
    }
}

/// A source that has another one asked again while it announces that it will not be.
struct Heating(Rc<RefCell<Option<SourceHandle>>>);

impl Source for Heating {
    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {}

    fn prepare<'s>(&'s self, cx: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        if let Some(other) = self
            .0
            .borrow()
            .as_ref()
            .filter(|_| stage == Stage::Announce)
        {
            cx.run_loop().look_before_sleep(other);
        }
        Prepared::Idle
    }
}

/// What it has asked can be changed later.
fn heating(
    mode: Mode,
    other: Option<SourceHandle>,
) -> (SourceRef<Heating>, Rc<RefCell<Option<SourceHandle>>>) {
    let other = Rc::new(RefCell::new(other));
    let source = SourceRef::new(Heating(Rc::clone(&other)));
    RunLoop::current().add(&source, mode).unwrap();
    (source, other)
}

#[test]
fn a_source_that_wants_to_be_asked_after_the_last_announcement_makes_its_own_mode_readable() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let (mode, other) = (Mode::new("sleepers.heated"), Mode::new("sleepers.other"));
    let embedding = run_loop.readiness(mode).unwrap();
    let (first, others) = heating(mode, None);
    for (place, ready) in [(other, false), (mode, true)] {
        let (second, _) = heating(place, Some(first.handle().clone()));
        others.replace(Some(second.handle().clone()));
        run_loop.look_before_sleep(&first);
        let _timed_out = embedding.serve().unwrap();
        assert_eq!(embedding.is_ready().unwrap(), ready, "in {place}");
        second.invalidate();
        let _timed_out = embedding.serve().unwrap();
    }
}

#[test]
fn a_source_that_rests_is_not_asked_and_does_not_make_its_mode_readable() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("sleepers.rest"), Log::new());
    let embedding = run_loop.readiness(mode).unwrap();
    let options = SourceOptions::new().rate_limit(1, Duration::from_secs(3_600));
    let resting = SourceRef::with(
        options,
        Sleeper {
            log: log.clone(),
            answers: Cell::new(Prepared::Idle),
        },
    );
    run_loop.add(&resting, mode).unwrap();
    for _ in 0..2 {
        resting.handle().signal();
        let _timed_out = embedding.serve().unwrap();
    }
    assert_eq!(log.take(), ["performed"], "and then it rests");
    let (first, _) = heating(mode, Some(resting.handle().clone()));
    run_loop.look_before_sleep(&first);
    let _timed_out = embedding.serve().unwrap();
    assert_eq!(log.take(), [""; 0], "nobody asks it");
    assert!(!embedding.is_ready().unwrap(), "for an hour");
}
