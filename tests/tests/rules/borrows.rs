//! Rule 4: nothing of a user runs while the loop's tables are borrowed. Every callback there is does everything to the loop
//! that can be done; a borrow would panic.

use std::cell::Cell;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use runloop::{
    Activity, Cx, Descriptor, Interest, Limit, Mode, Observer, Outcome, Prepared, Ready,
    ReturnAfter, RunLoop, Signalled, Source, SourceRef, Stage, Token, Why, channel,
};
use tests::{Log, Watchdog};
use tracing::span::{Attributes, Record};
use tracing::{Event, Id, Metadata, Subscriber};

/// Does everything to the loop of this thread, and writes down where it was called.
fn meddle(log: &Log, place: &str) {
    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }
    if INSIDE.replace(true) {
        return;
    }
    let run_loop = RunLoop::current();
    let mode = Mode::new("rules.meddle");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let reader = Descriptor::new(ours, Interest::READABLE, |_, _, _| {});
    let signalled = Signalled::new(|_| {});
    let observer = Observer::new(Activity::all(), 0, |_, _| {});
    let due = SourceRef::new(Due);
    for mode in [mode, Mode::COMMON] {
        run_loop.add(&reader, mode).unwrap();
        run_loop.add(&signalled, mode).unwrap();
        run_loop.add(&due, mode).unwrap();
        run_loop.add_observer(&observer, mode).unwrap();
    }
    signalled.signal();
    due.handle().set_deadline(Some(Instant::now()));
    reader.set_interest(Interest::WRITABLE);
    (&theirs).write_all(b"x").unwrap();
    run_loop.perform(mode, |_| {}).unwrap();
    run_loop.handle().perform(mode, |_| {}).unwrap();
    run_loop.look_before_sleep(&due);
    let _outcome = run_loop
        .run_in_mode(mode, Limit::Now, ReturnAfter::Limit)
        .unwrap();
    let known = (run_loop.modes(), run_loop.current_mode());
    let found = (run_loop.contains(&due, mode), run_loop.next_deadline(mode));
    drop(format!("{run_loop:?} {known:?} {found:?}"));
    run_loop.wake_up();
    assert!(run_loop.remove_observer(&observer, mode), "it was there");
    assert!(run_loop.remove(&due, mode), "it was there");
    due.invalidate();
    reader.invalidate();
    signalled.invalidate();
    observer.invalidate();
    INSIDE.set(false);
    log.add(place);
}

struct Due;

impl Source for Due {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.set_deadline(Some(Instant::now() + Duration::from_secs(3_600)));
        Ok(())
    }
    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {}
}

/// A source whose every callback meddles; its `prepare` at one stage at a time, since a nested run asks at another.
struct Meddler(UnixStream, Log, Cell<Stage>);

impl Source for Meddler {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        meddle(&self.1, "attach");
        cx.watch(Token(0), self.0.as_fd(), Interest::READABLE)?;
        cx.set_deadline(Some(Instant::now()));
        cx.look_before_sleep();
        Ok(())
    }
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        let reason = match (ready.signalled, ready.deadline) {
            (true, _) => "perform a signal",
            (_, Some(_)) => "perform a deadline",
            _ => "perform a descriptor",
        };
        meddle(&self.1, reason);
        if !ready.fds.is_empty() {
            assert!(cx.unwatch(Token(0)), "it was watched");
        }
    }
    fn prepare<'s>(&'s self, _: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        if stage == self.2.get() {
            meddle(&self.1, &format!("prepare {stage:?}"));
        }
        Prepared::Idle
    }
    fn schedule(&self, _: &RunLoop, _: Mode) {
        meddle(&self.1, "schedule");
    }
    fn cancel(&self, _: &RunLoop, _: Mode) {
        meddle(&self.1, "cancel");
    }
    fn detach(&self, _: &RunLoop) {
        meddle(&self.1, "detach");
    }
    fn invalidated(&self, _: Why) {
        meddle(&self.1, "invalidated");
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        meddle(&self.1, "drop of a source");
    }
}

/// Something that a closure has captured.
struct Captured(Log, &'static str);

impl Drop for Captured {
    fn drop(&mut self) {
        meddle(&self.0, self.1);
    }
}

/// The places that were not reached.
fn missing<'a>(log: &Log, places: &[&'a str]) -> Vec<&'a str> {
    let lines = log.take();
    let found = |place: &&&str| !lines.iter().any(|line| line == **place);
    places.iter().filter(found).copied().collect()
}

#[test]
fn rule_4_every_callback_of_a_source_may_do_everything_to_the_loop() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let (ours, theirs) = UnixStream::pair().unwrap();
    (&theirs).write_all(b"x").unwrap();
    let stage = Cell::new(Stage::Look);
    let source = SourceRef::new(Meddler(ours, log.clone(), stage));
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.handle().signal();
    let limit = Duration::from_millis(10);
    for stage in [Stage::Look, Stage::Announce, Stage::Woken] {
        source.2.set(stage);
        run_loop.look_before_sleep(&source);
        let _outcome = run_loop
            .run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit)
            .unwrap();
    }
    source.invalidate();
    drop(source);
    let places = [
        "attach",
        "schedule",
        "perform a signal",
        "perform a deadline",
        "perform a descriptor",
        "prepare Look",
        "prepare Announce",
        "prepare Woken",
        "cancel",
        "detach",
        "invalidated",
        "drop of a source",
    ];
    assert_eq!(missing(&log, &places), [""; 0], "not reached");
}

#[test]
fn rule_4_every_closure_and_what_it_has_captured_may_do_everything_to_the_loop() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let place = |running: &'static str, dropped: &'static str| {
        let captured = Captured(log.clone(), dropped);
        move || meddle(&captured.0, running)
    };
    let performed = place("a closure", "drop of a closure");
    run_loop
        .perform(Mode::DEFAULT, move |_| performed())
        .unwrap();
    let seen = place("an observer", "drop of an observer");
    let observer = Observer::new(Activity::all(), 0, move |_, _| seen());
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    let signalled = place("a signalled source", "drop of a signalled source");
    let signalled = Signalled::new(move |_| signalled());
    run_loop.add(&signalled, Mode::DEFAULT).unwrap();
    signalled.signal();
    let read = place("a descriptor source", "drop of a descriptor source");
    let (ours, theirs) = UnixStream::pair().unwrap();
    (&theirs).write_all(b"x").unwrap();
    let reader = Descriptor::new(ours, Interest::READABLE, move |_, _, _| read());
    run_loop.add(&reader, Mode::DEFAULT).unwrap();
    let received = place("a receiver", "drop of a receiver");
    let (sender, receiver) = channel(move |_, (): ()| received());
    run_loop.add(&receiver, Mode::DEFAULT).unwrap();
    sender.send(()).unwrap();
    let _outcome = run_loop
        .run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit)
        .unwrap();
    signalled.invalidate();
    reader.invalidate();
    receiver.invalidate();
    observer.invalidate();
    let places = [
        "a closure",
        "drop of a closure",
        "an observer",
        "drop of an observer",
        "a signalled source",
        "drop of a signalled source",
        "a descriptor source",
        "drop of a descriptor source",
        "a receiver",
        "drop of a receiver",
    ];
    assert_eq!(missing(&log, &places), [""; 0], "not reached");
}

/// A source that owns something whose destructor meddles, and shares with the loop another such thing with a descriptor.
struct Keeper(Captured, Cell<Option<Arc<Shared>>>);

struct Shared(
    UnixStream,
    #[expect(dead_code, reason = "held for its destructor")] Captured,
);

impl AsFd for Shared {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Source for Keeper {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        let shared = self.1.take().expect("it is attached once");
        cx.watch_shared(Token(0), shared, Interest::READABLE)?;
        match self.0.1 {
            "refused" => Err(io::Error::other("not today")),
            _ => Ok(()),
        }
    }
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        assert_eq!(self.0.1, "unwatched", "the test's panic");
        assert!(cx.unwatch(Token(0)), "it was watched");
    }
}

/// The loop's share of a source is the last, however the source leaves.
#[test]
fn rule_4_whatever_the_loop_lets_go_of_may_do_everything_to_the_loop() {
    type Leave = fn(&RunLoop, &runloop::SourceHandle);
    let leaves: [(&'static str, Leave); 6] = [
        ("invalidated", |_, handle| handle.invalidate()),
        ("removed", |run_loop, handle| {
            assert!(run_loop.remove(handle, Mode::DEFAULT), "it was there");
        }),
        ("panicked", |run_loop, handle| {
            handle.signal();
            let run = AssertUnwindSafe(|| run_loop.run());
            assert!(catch_unwind(run).is_err(), "it panics");
        }),
        ("invalidated elsewhere", |run_loop, handle| {
            let theirs = handle.clone();
            thread::spawn(move || theirs.invalidate()).join().unwrap();
            assert_eq!(run_loop.run().unwrap(), Outcome::Finished, "it has gone");
        }),
        ("unwatched", |run_loop, handle| {
            handle.signal();
            let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
            assert_eq!(outcome.unwrap(), Outcome::TimedOut, "one pass");
            handle.invalidate();
        }),
        ("refused", |_, _| {}),
    ];
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    for (how, leave) in leaves {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let shared = Shared(ours, Captured(log.clone(), "shared"));
        let shared = Cell::new(Some(Arc::new(shared)));
        let keeper = Keeper(Captured(log.clone(), how), shared);
        let handle = {
            let source = SourceRef::new(keeper);
            let added = run_loop.add(&source, Mode::DEFAULT);
            assert_eq!(added.is_err(), how == "refused", "{how}: {added:?}");
            source.handle().clone()
        };
        leave(&run_loop, &handle);
        assert_eq!(missing(&log, &[how, "shared"]), [""; 0], "not dropped");
    }
}

/// A receiver of traces that meddles.
struct Tracer(Log, Arc<AtomicBool>);

impl Tracer {
    fn meddle(&self, place: &str) {
        if self.1.load(Ordering::Relaxed) {
            meddle(&self.0, place);
        }
    }
}

impl Subscriber for Tracer {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.meddle(&format!("span {}", span.metadata().name()));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.meddle(&format!("event {}", event.metadata().level()));
    }
    fn enter(&self, _: &Id) {
        self.meddle("enter");
    }
    fn exit(&self, _: &Id) {
        self.meddle("exit");
    }
}

#[test]
fn rule_4_a_receiver_of_traces_may_do_everything_to_the_loop() {
    // In a process of its own: which places of a program are listened to is remembered for all threads of it.
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let armed = Arc::new(AtomicBool::new(false));
        let tracer = Tracer(log.clone(), Arc::clone(&armed));
        tracing::subscriber::with_default(tracer, || {
            let run_loop = RunLoop::current();
            // A place that is met for the first time inside a receiver is taken for one that nobody wants to hear of, so each
            // is met once before.
            let harmless = Signalled::new(RunLoop::stop);
            run_loop.add(&harmless, Mode::DEFAULT).unwrap();
            harmless.signal();
            run_loop.perform(Mode::DEFAULT, |_| {}).unwrap();
            let _stopped = run_loop.run().unwrap();
            harmless.invalidate();
            armed.store(true, Ordering::Relaxed);
            run_loop.perform(Mode::DEFAULT, |_| {}).unwrap();
            let source = Signalled::new(|_| panic!("the test's panic"));
            run_loop.add(&source, Mode::DEFAULT).unwrap();
            source.signal();
            let run = AssertUnwindSafe(|| run_loop.run());
            assert!(catch_unwind(run).is_err(), "it panics");
        });
        let places = ["span callback", "event WARN", "enter", "exit"];
        assert_eq!(missing(&log, &places), [""; 0], "not reached");
    });
}
