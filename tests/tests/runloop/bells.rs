//! Bells: descriptors that are never read, each ring of which signals their source.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use runloop::{Interest, Mode, Outcome, ReturnAfter, RunLoop, SourceRef, Token};
use rustix::event::{EventfdFlags, eventfd};
use tests::{Log, Watchdog};

use crate::support::{Probe, pass, past, run, serve, until};

/// An event descriptor.
struct Bell(OwnedFd);

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self(eventfd(0, EventfdFlags::CLOEXEC).unwrap()))
    }

    fn ring(&self) {
        rustix::io::write(&self.0, &1_u64.to_ne_bytes()).unwrap();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A probe that watches a bell from its attach on, in the default mode.
fn listening(log: &Log, bell: &Arc<Bell>, probe: Probe) -> SourceRef<Probe> {
    let watched = Arc::clone(bell);
    let source = probe
        .attaching(move |cx| cx.watch_bell(Token(0), Arc::clone(&watched)))
        .source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    source
}

/// Passes until nothing more comes of what has happened so far.
fn settle() {
    for _ in 0..3 {
        serve(Mode::DEFAULT);
    }
}

#[test]
fn each_ring_signals_the_source_once_and_says_that_it_was_a_bell() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (bell, inside) = (Bell::new(), log.clone());
    let probe = Probe::new("p", &log).performing(move |_, ready| {
        inside.add(format!("rung {}, fds {}", ready.rung, ready.fds.len()));
    });
    let source = listening(&log, &bell, probe);
    settle();
    assert_eq!(log.take(), [""; 0], "silence");
    for _ in 0..3 {
        bell.ring();
        settle();
        assert_eq!(log.take(), ["p signalled", "rung true, fds 0"], "once");
    }
    source.handle().signal();
    settle();
    assert_eq!(log.take(), ["p signalled", "rung false, fds 0"], "a signal");
}

#[test]
fn a_run_that_only_looks_performs_what_it_has_heard() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (bell, again) = (Bell::new(), Cell::new(2));
    let probe = Probe::new("p", &log).performing(move |cx, _| {
        again.set(again.get() - 1);
        if again.get() > 0 {
            cx.signal();
        }
    });
    listening(&log, &bell, probe);
    bell.ring();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p signalled"], "in the one pass that it makes");
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p signalled"], "a signal waits for the next");
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), [""; 0], "all is done");
}

#[test]
fn a_bell_wakes_a_sleeping_loop() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let bell = Bell::new();
    let probe = Probe::new("p", &log).performing(|cx, _| cx.run_loop().stop());
    listening(&log, &bell, probe);
    let (handle, ringer) = (RunLoop::current().handle(), Arc::clone(&bell));
    let helper = thread::spawn(move || {
        until(|| handle.is_waiting().unwrap());
        ringer.ring();
    });
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the bell");
    helper.join().unwrap();
}

#[test]
fn an_unread_bell_does_not_keep_the_loop_awake() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let bell = Bell::new();
    listening(&log, &bell, Probe::new("p", &log));
    bell.ring();
    let limit = Duration::from_millis(5);
    crate::support::trace(&log, Mode::DEFAULT);
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "it slept");
    let passes = log.take().iter().filter(|l| *l == "BeforeTimers").count();
    assert!(passes <= 3, "{passes} passes");
}

#[test]
fn a_ring_that_comes_while_its_source_is_performed_is_not_lost() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (bell, first) = (Bell::new(), Cell::new(true));
    let ringer = Arc::clone(&bell);
    let probe = Probe::new("p", &log).performing(move |_, _| {
        if first.replace(false) {
            ringer.ring();
            settle();
        }
    });
    listening(&log, &bell, probe);
    bell.ring();
    settle();
    assert_eq!(log.take(), ["p signalled", "p signalled"], "both rings");
}

#[test]
fn a_ring_survives_a_panic_of_another_source_in_the_same_batch() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let bell = Bell::new();
    listening(&log, &bell, Probe::new("p", &log));
    let bomb = Probe::new("bomb", &log).due(past());
    let bomb = bomb.performing(|_, _| panic!("the test's panic")).source();
    RunLoop::current().add(&bomb, Mode::DEFAULT).unwrap();
    bell.ring();
    let panicked = std::panic::catch_unwind(|| pass(Mode::DEFAULT));
    assert!(panicked.is_err(), "in the pass that heard the bell");
    log.take();
    settle();
    assert_eq!(log.take(), ["p signalled"], "it is heard all the same");
}

#[test]
fn a_silenced_bell_is_not_heard_and_one_that_is_listened_to_again_is() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let bell = Bell::new();
    let source = listening(&log, &bell, Probe::new("p", &log));
    source.handle().set_interest(Token(0), Interest::empty());
    bell.ring();
    settle();
    assert_eq!(log.take(), [""; 0], "nobody listens");
    source.handle().set_interest(Token(0), Interest::READABLE);
    settle();
    assert_eq!(log.take(), ["p signalled"], "it had rung meanwhile");
}

#[test]
fn a_bell_of_a_source_that_has_gone_rings_for_nobody() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let bell = Bell::new();
    let source = listening(&log, &bell, Probe::new("p", &log));
    let watched_twice = source.handle().clone();
    bell.ring();
    source.invalidate();
    drop(source);
    settle();
    let lines = log.take();
    assert!(!lines.contains(&"p signalled".to_owned()), "{lines:?}");
    assert_eq!(Arc::strong_count(&bell), 1, "nobody holds it");
    drop(watched_twice);
}

#[test]
fn a_token_names_one_watch_whatever_it_is() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let bell = Bell::new();
    let other = Arc::clone(&bell);
    let probe = Probe::new("p", &log).performing(move |cx, _| {
        let again = cx.watch_bell(Token(0), Arc::clone(&other));
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(cx.unwatch(Token(0)), "it was watched");
    });
    listening(&log, &bell, probe);
    bell.ring();
    settle();
    bell.ring();
    settle();
    assert_eq!(log.take(), ["p signalled"], "until it was forgotten");
}
