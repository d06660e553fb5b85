//! Rules 1 to 3: one thread per loop, everything is a source, and nothing is torn down before it is detached.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, ThreadId};
use std::time::Instant;

use runloop::{
    Cx, Handle, Interest, Mode, Outcome, Prepared, Ready, RunLoop, Source, SourceHandle,
    SourceOptions, SourceRef, Stage, Token, Why,
};
use tests::{Log, Watchdog, watched_descriptors};

/// Compiles for a type that is not `Send` only: for one that is, the path would be ambiguous.
macro_rules! not_send {
    ($type:ty) => {{
        trait Ambiguous<Choice> {
            fn here() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        struct Sendable;
        impl<T: ?Sized + Send> Ambiguous<Sendable> for T {}
        <$type as Ambiguous<_>>::here();
    }};
}

#[test]
fn rule_1_a_loop_stays_on_its_thread_and_handles_go_anywhere() {
    fn goes_anywhere<T: Send + Sync + Clone + 'static>() {}
    not_send!(RunLoop);
    not_send!(runloop::Observer);
    goes_anywhere::<Handle>();
    goes_anywhere::<SourceHandle>();
    goes_anywhere::<runloop::Sender<u32>>();
}

/// Writes down whether each callback is on the thread of its loop.
struct Homebody(Log, ThreadId);

impl Homebody {
    fn note(&self, what: &str) {
        let here = thread::current().id() == self.1;
        self.0.add(format!("{what} {here}"));
    }
}

impl Source for Homebody {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        self.note("attach");
        cx.look_before_sleep();
        Ok(())
    }
    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {
        self.note("perform");
    }
    fn prepare<'s>(&'s self, _: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        self.note(&format!("{stage:?}"));
        Prepared::Idle
    }
    fn schedule(&self, _: &RunLoop, _: Mode) {
        self.note("schedule");
    }
    fn cancel(&self, _: &RunLoop, _: Mode) {
        self.note("cancel");
    }
    fn detach(&self, _: &RunLoop) {
        self.note("detach");
    }
    fn invalidated(&self, _: Why) {
        self.note("invalidated");
    }
}

#[test]
fn rule_1_whatever_another_thread_asks_for_happens_on_the_thread_of_the_loop() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let (handle, inside, me) = (run_loop.handle(), log.clone(), thread::current().id());
    let source = SourceRef::new(Homebody(log.clone(), me));
    let sent = source.clone();
    let helper = thread::spawn(move || {
        handle.add(&sent, Mode::DEFAULT).unwrap();
        sent.handle().signal();
        sent.handle().set_deadline(Some(Instant::now()));
        handle
            .perform(Mode::DEFAULT, move |run_loop| {
                let here = thread::current().id() == me;
                inside.add(format!("closure {here}"));
                run_loop.stop();
            })
            .unwrap();
    });
    helper.join().unwrap();
    assert_eq!(run_loop.run().unwrap(), Outcome::Stopped, "by the closure");
    thread::spawn(move || source.invalidate()).join().unwrap();
    assert_eq!(run_loop.run().unwrap(), Outcome::Finished, "it has gone");
    let lines = log.take();
    assert!(lines.len() >= 8, "all of it happened: {lines:?}");
    let elsewhere = lines.iter().filter(|line| !line.ends_with("true"));
    assert_eq!(elsewhere.count(), 0, "{lines:?}");
}

// A descriptor source: begin.
struct Lines(UnixStream, Log);
impl Source for Lines {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(Token(0), self.0.as_fd(), Interest::READABLE)
    }
    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {
        let mut bytes = [0; 64];
        let count = (&self.0).read(&mut bytes).unwrap_or(0);
        self.1.add(format!("read {count}"));
    }
}
// A descriptor source: end.

// A composite source: begin.
struct Echo([UnixStream; 2], Instant, Log);
impl Source for Echo {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(Token(0), self.0[0].as_fd(), Interest::READABLE)?;
        cx.watch(Token(1), self.0[1].as_fd(), Interest::READABLE)?;
        cx.set_deadline(Some(self.1));
        Ok(())
    }
    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, ready: Ready<'_>) {
        let tokens: Vec<_> = ready.fds.iter().map(|(token, _)| token.0).collect();
        self.2
            .add(format!("{tokens:?} {:?}", ready.deadline.is_some()));
        for &(token, _) in ready.fds {
            let mut byte = [0];
            drop((&self.0[token.0 as usize]).read(&mut byte));
        }
    }
}
// A composite source: end.

#[test]
fn rule_2_a_custom_source_is_written_in_a_few_lines() {
    let text = include_str!("sources.rs");
    for (what, most) in [("descriptor", 15), ("composite", 20)] {
        let begin = format!("// A {what} source: begin.\n");
        let end = format!("// A {what} source: end.\n");
        let (_, rest) = text.split_once(&begin).unwrap();
        let lines = rest.split_once(&end).unwrap().0.lines().count();
        assert!(lines <= most, "a {what} source takes {lines} lines");
    }
}

#[test]
fn rule_2_a_custom_source_has_what_the_ready_made_ones_have() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let pairs = [(); 3].map(|()| UnixStream::pair().unwrap());
    let [(a, first), (b, second), (c, third)] = pairs;
    let lines = SourceRef::new(Lines(a, log.clone()));
    let echo = SourceRef::new(Echo([b, c], Instant::now(), log.clone()));
    for mut stream in [&first, &second, &third] {
        stream.write_all(b"xy").unwrap();
    }
    run_loop.add(&lines, Mode::DEFAULT).unwrap();
    run_loop.add(&echo, Mode::DEFAULT).unwrap();
    echo.handle().signal();
    let one_pass = runloop::Limit::Now;
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, one_pass, runloop::ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "one pass");
    let expected = ["[] false", "[] true", "read 2", "[0, 1] false"];
    assert_eq!(log.take(), expected, "a signal, a deadline, descriptors");
}

/// Owns a descriptor, and writes down in how many poll sets that is when it is about to be closed.
struct Owned(UnixStream, Log);

impl Source for Owned {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(Token(0), self.0.as_fd(), Interest::READABLE)
    }
    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {
        panic!("the test's panic");
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let own = self.0.as_raw_fd();
        let watched = watched_descriptors();
        let sets = watched.iter().filter(|(_, target)| *target == own).count();
        self.1.add(format!("closed in {sets} poll sets"));
    }
}

#[test]
fn rule_3_a_descriptor_has_left_every_poll_set_when_its_owner_is_dropped() {
    tests::in_own_process!({
        type End = fn(&RunLoop, SourceRef<Owned>);
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let other = Mode::new("rules.other");
        let ends: [(&str, End); 4] = [
            ("invalidated", |_, source| source.invalidate()),
            ("removed", |run_loop, source| {
                run_loop.remove(&source, Mode::DEFAULT);
                run_loop.remove(&source, Mode::new("rules.other"));
            }),
            ("panicked", |run_loop, source| {
                drop(source);
                let run = std::panic::AssertUnwindSafe(|| run_loop.run());
                assert!(std::panic::catch_unwind(run).is_err(), "it panics");
            }),
            ("the thread ends", |_, source| drop(source)),
        ];
        for (what, end) in ends {
            let inside = log.clone();
            thread::spawn(move || {
                let (ours, theirs) = UnixStream::pair().unwrap();
                (&theirs).write_all(b"x").unwrap();
                let options = SourceOptions::new().name("owner");
                let source = SourceRef::with(options, Owned(ours, inside));
                let run_loop = RunLoop::current();
                run_loop.add(&source, Mode::DEFAULT).unwrap();
                run_loop.add(&source, other).unwrap();
                end(&run_loop, source);
            })
            .join()
            .unwrap();
            assert_eq!(log.take(), ["closed in 0 poll sets"], "{what}");
        }
    });
}
