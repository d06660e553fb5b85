//! Descriptors: the same one twice, ones that cannot be polled, and ones that hang up (L1, L11, L16, L31, L32).

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use runloop::{
    AddError, Descriptor, Interest, Mode, Outcome, Readiness, ReturnAfter, RunLoop, SourceRef,
    Token,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::{Log, Watchdog, open_descriptors, watched_descriptors};

use crate::support::{Probe, pair, ready_pair, run, run_one, serve};

/// How often any socket is in any poll set.
fn watched_sockets() -> usize {
    let open = open_descriptors();
    let watched = watched_descriptors().into_iter();
    let sockets = watched.filter(|(_, target)| {
        let what = open.get(&target.to_string());
        what.is_some_and(|what| what.starts_with("socket:"))
    });
    sockets.count()
}

fn added(log: &Log, probe: Probe) -> SourceRef<Probe> {
    let source = probe.source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    source
}

#[test]
fn a_descriptor_that_is_left_ready_is_performed_again_in_the_next_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = ready_pair();
    let seen = log.clone();
    let lazy = Descriptor::new(ours, Interest::READABLE, move |_, _, _| seen.add("ready"));
    RunLoop::current().add(&lazy, Mode::DEFAULT).unwrap();
    for _ in 0..3 {
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["ready"], "once a pass");
    }
    drop(theirs);
}

#[test]
fn the_same_descriptor_in_two_sources_wakes_both_and_outlives_either() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let (ours, theirs) = ready_pair();
    let shared = Arc::new(ours);
    let watch = |name: &'static str| {
        let seen = log.clone();
        let source = Descriptor::new(Arc::clone(&shared), Interest::READABLE, move |_, _, _| {
            seen.add(name);
        });
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        source
    };
    let (a, b, c) = (watch("a"), watch("b"), watch("c"));
    serve(Mode::DEFAULT);
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["a", "b", "c"], "each of them");
    b.set_interest(Interest::WRITABLE);
    a.invalidate();
    serve(Mode::DEFAULT);
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["b", "c"], "those that are left, each on its own");
    b.invalidate();
    c.set_interest(Interest::empty());
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), [""; 0], "disabled");
    c.set_interest(Interest::READABLE);
    let d = watch("d");
    serve(Mode::DEFAULT);
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["c", "d"], "enabled, and a new one");
    c.invalidate();
    d.invalidate();
    assert_eq!(Arc::strong_count(&shared), 1, "the loop holds no share");
    drop(theirs);
}

#[test]
fn a_descriptor_watched_twice_works_in_every_mode_and_leaves_no_duplicate_open() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let run_loop = RunLoop::current();
        let [one, two] = ["descriptors.one", "descriptors.two"].map(Mode::new);
        for mode in [one, two] {
            let (ours, _theirs) = pair();
            let first = Probe::new("first", &log).watching(ours).source();
            run_loop.add(&first, mode).unwrap();
            first.invalidate();
        }
        let before = (open_descriptors(), watched_descriptors());
        {
            let (ours, theirs) = ready_pair();
            let shared = Arc::new(ours);
            let watch = |name: &'static str| {
                let seen = log.clone();
                let closure = move |_: &RunLoop, _: &_, _| seen.add(name);
                Descriptor::new(Arc::clone(&shared), Interest::READABLE, closure)
            };
            let (a, b) = (watch("a"), watch("b"));
            // The second comes to its duplicate only in the second of its modes, and must change over in both.
            run_loop.add(&b, one).unwrap();
            run_loop.add(&a, two).unwrap();
            run_loop.add(&b, two).unwrap();
            run_loop.add(&a, one).unwrap();
            log.take();
            for mode in [one, two] {
                serve(mode);
                let mut lines = log.take();
                lines.sort();
                assert_eq!(lines, ["a", "b"], "both in {mode}");
            }
            run_loop.remove(&b, two);
            serve(two);
            assert_eq!(log.take(), ["a"], "one has left");
            a.invalidate();
            serve(one);
            assert_eq!(log.take(), ["b"], "the other has gone");
            b.invalidate();
            drop(theirs);
        }
        let after = (open_descriptors(), watched_descriptors());
        assert_eq!(after, before, "nothing is left open or watched");
    });
}

#[test]
fn a_regular_file_is_refused_by_the_add_without_trace() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let held = Rc::new(());
    let captured = Rc::clone(&held);
    let file = File::open("/proc/self/exe").unwrap();
    let source = Descriptor::new(file, Interest::READABLE, move |_, _, _| {
        drop(Rc::clone(&captured));
    });
    let added = run_loop.add(&source, Mode::DEFAULT);
    let Err(AddError::Attach(cause)) = added else {
        panic!("{added:?}");
    };
    assert_eq!(cause.kind(), io::ErrorKind::PermissionDenied, "{cause}");
    assert!(!run_loop.contains(&source, Mode::DEFAULT), "no trace");
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is there");
    drop(source);
    assert_eq!(Rc::strong_count(&held), 1, "nobody holds it");
}

#[test]
fn a_failed_watch_takes_the_ones_before_it_along() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let (warm, _other) = pair();
        added(&log, Probe::new("warm", &log).watching(warm)).invalidate();
        let before = watched_descriptors();
        let (ours, _theirs) = ready_pair();
        let source = Probe::new("p", &log)
            .watching(ours)
            .attaching(|cx| {
                let file = Arc::new(File::open("/proc/self/exe")?);
                cx.watch_shared(Token(1), file, Interest::READABLE)
            })
            .source();
        let added = RunLoop::current().add(&source, Mode::DEFAULT);
        assert!(matches!(added, Err(AddError::Attach(_))), "{added:?}");
        assert_eq!(watched_descriptors(), before, "neither is watched");
    });
}

#[test]
fn a_full_descriptor_table_fails_the_add_without_trace() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let (ours, _theirs) = ready_pair();
        let source = Probe::new("p", &log).watching(ours).source();
        let before = open_descriptors();
        let full = getrlimit(Resource::Nofile);
        let run_loop = RunLoop::current();
        // Each further descriptor lets the add come one step further, until it succeeds.
        let first_free = u64::try_from(before.len()).unwrap();
        let mut failures = 0;
        for limit in first_free.. {
            let tight = Rlimit {
                current: Some(limit),
                maximum: full.maximum,
            };
            setrlimit(Resource::Nofile, tight).unwrap();
            let added = run_loop.add(&source, Mode::DEFAULT);
            setrlimit(Resource::Nofile, full).unwrap();
            if added.is_ok() {
                break;
            }
            failures += 1;
            assert!(!run_loop.contains(&source, Mode::DEFAULT), "{added:?}");
            assert_eq!(watched_sockets(), 0, "none is watched: {added:?}");
            assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing in it");
        }
        assert!(failures >= 3, "{failures} failures only");
        log.take();
        assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "at last");
        assert_eq!(log.take(), ["p ready 0"], "it works");
    });
}

#[test]
fn a_disabled_descriptor_whose_peer_has_gone_is_silent() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = pair();
    let seen = log.clone();
    let source = Descriptor::new(ours, Interest::empty(), move |_, _, _| seen.add("called"));
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    drop(theirs);
    let limit = Duration::from_millis(5);
    crate::support::trace(&log, Mode::DEFAULT);
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "it slept");
    let lines = log.take();
    assert_eq!(lines.len(), 6, "one pass, no call: {lines:?}");
    source.set_interest(Interest::READABLE);
    assert_eq!(
        run_one(Mode::DEFAULT),
        Outcome::HandledSource,
        "the hang-up"
    );
}

#[test]
fn a_hang_up_is_reported_whatever_the_interest_is() {
    let _watchdog = Watchdog::new();
    let (read, write) = rustix::pipe::pipe().unwrap();
    let seen = Rc::new(Cell::new(Readiness::empty()));
    let inside = Rc::clone(&seen);
    let source = Descriptor::new(write, Interest::WRITABLE, move |_, _, readiness| {
        inside.set(readiness);
    });
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    drop(read);
    serve(Mode::DEFAULT);
    assert!(seen.get().contains(Readiness::ERROR), "{:?}", seen.get());
    assert!(seen.get().is_writable(), "a write would fail at once");
}

#[test]
fn a_shared_descriptor_is_let_go_of_when_it_is_no_longer_watched() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = pair();
    let shared = Arc::new(ours);
    let watched = Arc::clone(&shared);
    let source = added(
        &log,
        Probe::new("p", &log)
            .attaching(move |cx| {
                cx.watch_shared(Token(3), Arc::clone(&watched), Interest::READABLE)?;
                let again = cx.watch_shared(Token(3), Arc::clone(&watched), Interest::READABLE);
                assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
                Ok(())
            })
            .performing(|cx, _| assert!(cx.unwatch(Token(3)), "it was watched")),
    );
    assert_eq!(Arc::strong_count(&shared), 3, "one in the loop");
    theirs.write_all(b"x").unwrap();
    serve(Mode::DEFAULT);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p ready 3"], "once");
    assert_eq!(Arc::strong_count(&shared), 2, "none in the loop");
    drop(source);
}

/// L16: nobody does anything about the end of this pipe, which would keep the loop busy for ever.
#[test]
fn a_descriptor_that_reports_nothing_but_its_end_is_disabled_after_a_while() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let (read, write) = rustix::pipe::pipe().unwrap();
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    let source = Descriptor::new(read, Interest::READABLE, move |_, _, _| {
        counted.set(counted.get() + 1);
    });
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    drop(write);
    for _ in 0..1_100 {
        serve(Mode::DEFAULT);
    }
    assert_eq!(calls.get(), 1_000, "it came to rest after so many");
    assert!(source.is_valid(), "it may be enabled again");
    source.set_interest(Interest::READABLE);
    serve(Mode::DEFAULT);
    assert_eq!(calls.get(), 1_001, "and then reports again");
}

/// L1: when a source's own descriptor is closed no poll set has it any more.
#[test]
fn a_descriptor_has_left_every_poll_set_before_it_is_closed() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let run_loop = RunLoop::current();
        let (ours, theirs) = ready_pair();
        let number = ours.as_fd().as_raw_fd();
        let seen = log.clone();
        let source = Probe::new("p", &log)
            .watching(ours)
            .hooking(move |_, what| {
                let watched = watched_descriptors();
                let sets = watched.iter().filter(|(_, target)| *target == number);
                seen.add(format!("{what}: in {} poll sets", sets.count()));
            })
            .source();
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        run_loop
            .add(&source, Mode::new("descriptors.second"))
            .unwrap();
        log.take();
        source.invalidate();
        drop(source);
        let lines = log.take();
        let lines = lines.iter().filter(|line| line.contains("poll sets"));
        let expected = [
            "cancel: in 0 poll sets",
            "cancel: in 0 poll sets",
            "detach: in 0 poll sets",
            "invalidated: in 0 poll sets",
            "dropped: in 0 poll sets",
        ];
        assert!(lines.eq(expected.iter()), "not before the first of them");
        drop(theirs);
    });
}

/// L10: a wait that a signal of the system interrupts goes on.
#[test]
fn an_interrupted_wait_goes_on() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        added(&log, Probe::new("p", &log));
        crate::support::trace(&log, Mode::DEFAULT);
        let me = std::process::id();
        let script = format!("for i in 1 2 3 4 5; do kill -STOP {me}; kill -CONT {me}; done");
        let run_loop = RunLoop::current();
        let handle = run_loop.handle();
        let helper = std::thread::spawn(move || {
            crate::support::until(|| handle.is_waiting().unwrap());
            let shell = std::process::Command::new("sh")
                .args(["-c", &script])
                .status();
            assert!(shell.unwrap().success(), "the shell can send signals");
            handle.stop().unwrap();
        });
        assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the helper");
        helper.join().unwrap();
        let waits = log.take().iter().filter(|l| *l == "BeforeWaiting").count();
        assert_eq!(waits, 1, "observers saw one wait");
    });
}
