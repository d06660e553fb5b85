//! A source that goes while it is needed: removed, invalidated or dropped, from each place where that can happen.
//!
//! Every case runs in a process of its own, and afterwards neither a descriptor nor a watch is left.

use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{cell::RefCell, os::unix::net::UnixStream};

use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop, Signalled, SourceHandle, SourceOptions};
use tests::{Log, Watchdog, open_descriptors, watched_descriptors};

use crate::support::{Probe, drain, far, pair, past, run, serve, until};

/// What makes the source ready.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Signal,
    Descriptor,
    Deadline,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Removed,
    Invalidated,
    Dropped,
}

/// The only handle of the victim, until somebody takes it.
type Slot = Rc<RefCell<Option<SourceHandle>>>;

/// A probe that is ready for the reason of its kind again and again, and what keeps it so.
struct Victim {
    kind: Kind,
    slot: Slot,
    theirs: UnixStream,
}

impl Victim {
    /// Makes a victim whose perform does this beside writing its line.
    fn new(kind: Kind, log: &Log, perform: impl Fn() + 'static) -> Self {
        let (ours, theirs) = pair();
        let mut probe = Probe::new("v", log).performing(move |_, _| perform());
        if kind == Kind::Descriptor {
            probe = probe.watching(ours);
        }
        let source = probe.with(SourceOptions::new().order(1));
        let run_loop = RunLoop::current();
        let handle = run_loop.adopt(&source);
        drop(source);
        run_loop.add(&handle, Mode::DEFAULT).unwrap();
        log.take();
        let slot = Rc::new(RefCell::new(Some(handle)));
        Self { kind, slot, theirs }
    }

    /// Makes it ready; does nothing once its handle is gone.
    fn excite(&self) {
        if let Some(handle) = &*self.slot.borrow() {
            excite(self.kind, handle, &self.theirs);
        }
    }
}

fn excite(kind: Kind, handle: &SourceHandle, mut theirs: &UnixStream) {
    match kind {
        Kind::Signal => handle.signal(),
        Kind::Descriptor => theirs.write_all(b"x").unwrap_or(()),
        Kind::Deadline => handle.set_deadline(Some(past())),
    }
}

/// Does it.
fn act(how: How, run_loop: &RunLoop, slot: &Slot) {
    let handle = slot.borrow().clone().expect("it has not happened yet");
    match how {
        How::Removed => assert!(run_loop.remove(&handle, Mode::DEFAULT), "it was there"),
        How::Invalidated => handle.invalidate(),
        How::Dropped => {
            assert!(run_loop.remove(&handle, Mode::DEFAULT), "it was there");
            drop(slot.take());
            drop(handle);
        }
    }
}

/// Runs a case between two counts of descriptors; the case answers how often the victim should have been performed.
fn check(how: How, log: &Log, case: impl FnOnce() -> usize) {
    let _watchdog = Watchdog::new();
    // The loop's own descriptors stay: they are made before the first count.
    let (ours, theirs) = pair();
    let first = Probe::new("first", log).watching(ours).source();
    let run_loop = RunLoop::current();
    run_loop.add(&first, Mode::DEFAULT).unwrap();
    first.invalidate();
    drop((first, theirs));
    log.take();
    let before = (open_descriptors(), watched_descriptors());

    let performed = case();

    let lines = log.take();
    let after = (open_descriptors(), watched_descriptors());
    assert_eq!(after, before, "what is open and what is watched: {lines:?}");
    let reasons = ["v signalled", "v ready 0", "v deadline"];
    let seen = lines.iter().filter(|line| reasons.contains(&line.as_str()));
    assert_eq!(seen.count(), performed, "{lines:?}");
    let told: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| line.starts_with("v ") && !reasons.contains(line))
        .collect();
    let mut expected = vec!["v cancel default", "v detach"];
    if how == How::Invalidated {
        expected.push("v invalidated Asked");
    }
    expected.push("v dropped");
    assert_eq!(told, expected, "{lines:?}");
    let place = |what: &str| lines.iter().rposition(|line| line == what);
    let ends = ["v invalidated Asked", "v dropped"].map(place);
    assert!(
        ends.into_iter()
            .flatten()
            .all(|end| place("returned") < Some(end)),
        "not while it is being performed: {lines:?}"
    );
}

/// It goes in its own callback.
fn in_its_own_callback(kind: Kind, how: How) {
    let log = Log::new();
    check(how, &log, || {
        let (inside, shared) = (log.clone(), Rc::new(RefCell::new(None::<Slot>)));
        let known = Rc::clone(&shared);
        let victim = Victim::new(kind, &log, move || {
            let slot = known.borrow().clone().unwrap();
            act(how, &RunLoop::current(), &slot);
            inside.add("returned");
        });
        shared.replace(Some(Rc::clone(&victim.slot)));
        victim.excite();
        serve(Mode::DEFAULT);
        victim.excite();
        serve(Mode::DEFAULT);
        drop(victim.slot.take());
        1
    });
}

/// It goes in the callback of another source that became ready together with it and has its turn first.
fn in_the_same_batch(kind: Kind, how: How) {
    let log = Log::new();
    check(how, &log, || {
        let victim = Victim::new(kind, &log, || {});
        let slot = Rc::clone(&victim.slot);
        let (ours, theirs) = pair();
        let mut culprit = Probe::new("culprit", &log).performing(move |cx, _| {
            act(how, cx.run_loop(), &slot);
        });
        if kind == Kind::Descriptor {
            culprit = culprit.watching(ours);
        }
        let culprit = culprit.source();
        RunLoop::current().add(&culprit, Mode::DEFAULT).unwrap();
        excite(kind, culprit.handle(), &theirs);
        victim.excite();
        serve(Mode::DEFAULT);
        victim.excite();
        serve(Mode::DEFAULT);
        culprit.invalidate();
        0
    });
}

/// It goes at the order of another thread, while the loop sleeps.
fn from_another_thread(kind: Kind, how: How) {
    let log = Log::new();
    check(how, &log, || {
        let run_loop = RunLoop::current();
        let idle = Signalled::new(|_| {});
        run_loop.add(&idle, Mode::DEFAULT).unwrap();
        let victim = Victim::new(kind, &log, || {});
        let (handle, taken) = (run_loop.handle(), victim.slot.take().unwrap());
        let Victim { theirs, slot, .. } = victim;
        let helper = std::thread::spawn(move || {
            until(|| handle.is_waiting().unwrap());
            let mut left = Some(taken.clone());
            match how {
                How::Invalidated => taken.invalidate(),
                How::Removed | How::Dropped => {
                    let target = taken.clone();
                    let removal = handle.perform(Mode::DEFAULT, move |run_loop| {
                        assert!(run_loop.remove(&target, Mode::DEFAULT), "it was there");
                    });
                    removal.unwrap();
                    until(|| handle.is_waiting().unwrap());
                }
            }
            excite(kind, &taken, &theirs);
            drop(taken);
            if how == How::Dropped {
                drop(left.take());
            }
            handle.perform(Mode::DEFAULT, RunLoop::stop).unwrap();
            left
        });
        assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the helper");
        slot.replace(helper.join().unwrap());
        serve(Mode::DEFAULT);
        idle.invalidate();
        0
    });
}

/// It goes while a nested run is inside its callback.
fn in_a_nested_run(kind: Kind, how: How) {
    let log = Log::new();
    check(how, &log, || {
        let (inside, shared) = (log.clone(), Rc::new(RefCell::new(None::<Slot>)));
        let known = Rc::clone(&shared);
        let culprit = Signalled::new(move |run_loop| {
            let slot = known.borrow().clone().unwrap();
            act(how, run_loop, &slot);
        });
        let run_loop = RunLoop::current();
        run_loop.add(&culprit, Mode::DEFAULT).unwrap();
        let trigger = culprit.clone();
        let victim = Victim::new(kind, &log, move || {
            trigger.signal();
            serve(Mode::DEFAULT);
            inside.add("returned");
        });
        shared.replace(Some(Rc::clone(&victim.slot)));
        victim.excite();
        serve(Mode::DEFAULT);
        victim.excite();
        serve(Mode::DEFAULT);
        culprit.invalidate();
        drop(shared);
        1
    });
}

macro_rules! removals {
    ($place:ident: $($name:ident $kind:ident $how:ident;)*) => {
        $(
            #[test]
            fn $name() {
                tests::in_own_process!({
                    $place(Kind::$kind, How::$how);
                });
            }
        )*
    };
}

removals! { in_its_own_callback:
    a_signalled_source_removed_in_its_own_callback Signal Removed;
    a_signalled_source_invalidated_in_its_own_callback Signal Invalidated;
    a_signalled_source_dropped_in_its_own_callback Signal Dropped;
    a_descriptor_source_removed_in_its_own_callback Descriptor Removed;
    a_descriptor_source_invalidated_in_its_own_callback Descriptor Invalidated;
    a_descriptor_source_dropped_in_its_own_callback Descriptor Dropped;
    a_deadline_source_removed_in_its_own_callback Deadline Removed;
    a_deadline_source_invalidated_in_its_own_callback Deadline Invalidated;
    a_deadline_source_dropped_in_its_own_callback Deadline Dropped;
}

removals! { in_the_same_batch:
    a_signalled_source_removed_in_the_same_batch Signal Removed;
    a_signalled_source_invalidated_in_the_same_batch Signal Invalidated;
    a_signalled_source_dropped_in_the_same_batch Signal Dropped;
    a_descriptor_source_removed_in_the_same_batch Descriptor Removed;
    a_descriptor_source_invalidated_in_the_same_batch Descriptor Invalidated;
    a_descriptor_source_dropped_in_the_same_batch Descriptor Dropped;
    a_deadline_source_removed_in_the_same_batch Deadline Removed;
    a_deadline_source_invalidated_in_the_same_batch Deadline Invalidated;
    a_deadline_source_dropped_in_the_same_batch Deadline Dropped;
}

removals! { from_another_thread:
    a_signalled_source_removed_from_another_thread Signal Removed;
    a_signalled_source_invalidated_from_another_thread Signal Invalidated;
    a_signalled_source_dropped_from_another_thread Signal Dropped;
    a_descriptor_source_removed_from_another_thread Descriptor Removed;
    a_descriptor_source_invalidated_from_another_thread Descriptor Invalidated;
    a_descriptor_source_dropped_from_another_thread Descriptor Dropped;
    a_deadline_source_removed_from_another_thread Deadline Removed;
    a_deadline_source_invalidated_from_another_thread Deadline Invalidated;
    a_deadline_source_dropped_from_another_thread Deadline Dropped;
}

removals! { in_a_nested_run:
    a_signalled_source_removed_in_a_nested_run Signal Removed;
    a_signalled_source_invalidated_in_a_nested_run Signal Invalidated;
    a_signalled_source_dropped_in_a_nested_run Signal Dropped;
    a_descriptor_source_removed_in_a_nested_run Descriptor Removed;
    a_descriptor_source_invalidated_in_a_nested_run Descriptor Invalidated;
    a_descriptor_source_dropped_in_a_nested_run Descriptor Dropped;
    a_deadline_source_removed_in_a_nested_run Deadline Removed;
    a_deadline_source_invalidated_in_a_nested_run Deadline Invalidated;
    a_deadline_source_dropped_in_a_nested_run Deadline Dropped;
}

#[test]
fn a_loop_that_ends_with_its_thread_leaves_nothing_open() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let before = open_descriptors();
        for _ in 0..3 {
            let ended = std::thread::spawn(|| {
                let log = Log::new();
                let (ours, theirs) = pair();
                let run_loop = RunLoop::current();
                let [one, two] = ["removal.one", "removal.two"].map(Mode::new);
                let source = Probe::new("a", &log).watching(ours).due(far()).source();
                run_loop.add(&source, one).unwrap();
                run_loop.add(&source, two).unwrap();
                (&theirs).write_all(b"x").unwrap();
                assert_eq!(drain(&theirs), 0, "nothing comes back");
                let outcome = run_loop.run_in_mode(one, Limit::Now, ReturnAfter::Limit);
                assert_eq!(outcome.unwrap(), Outcome::TimedOut, "one pass");
            });
            ended.join().unwrap();
        }
        assert_eq!(open_descriptors(), before, "nothing is left");
    });
}

#[test]
fn a_thousand_adds_and_removals_leave_nothing_open() {
    tests::in_own_process!({
        let _watchdog = Watchdog::with_limit(Duration::from_secs(60));
        let begun = Instant::now();
        let log = Log::new();
        let run_loop = RunLoop::current();
        let mut counts = Vec::new();
        for round in 0..1_000 {
            let (ours, theirs) = pair();
            let source = Probe::new("a", &log).watching(ours).source();
            run_loop.add(&source, Mode::COMMON).unwrap();
            if round % 2 == 0 {
                source.invalidate();
            } else {
                run_loop.remove(&source, Mode::COMMON);
            }
            drop((source, theirs));
            if round % 500 == 0 {
                counts.push(open_descriptors().len());
            }
        }
        counts.push(open_descriptors().len());
        assert_eq!(counts, [counts[0]; 3], "after {:?}", begun.elapsed());
    });
}
