//! A source of which everything can be watched and replaced, a directory for a test, and shorthands for what the tests do
//! all the time.

use std::cell::Cell;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use runloop::{
    Activity, Cx, Interest, Limit, Mode, Observer, Outcome, Prepared, Ready, ReturnAfter, RunLoop,
    Source, SourceOptions, SourceRef, Stage, Token, Why,
};
use tests::Log;

/// A source that writes down everything that happens to it, and does what the test says.
///
/// Each line of the log begins with its name: `a attach`, `a schedule MODE`, `a signalled`, `a deadline`, `a ready 0 1`
/// (the tokens), `a cancel MODE`, `a detach`, `a invalidated Asked`, `a dropped`.
pub(crate) struct Probe {
    name: &'static str,
    log: Log,
    watched: Vec<(Token, UnixStream, Interest)>,
    due: Cell<Option<Instant>>,
    attach: Box<AttachFn>,
    perform: Box<PerformFn>,
    prepare: Box<PrepareFn>,
    hook: Box<HookFn>,
}

type AttachFn = dyn Fn(&mut Cx<'_, '_>) -> io::Result<()>;
type PerformFn = dyn Fn(&mut Cx<'_, '_>, Ready<'_>);
type PrepareFn = dyn Fn(&mut Cx<'_, '_>, Stage) -> Prepared;
type HookFn = dyn Fn(&RunLoop, &str);

impl Probe {
    pub(crate) fn new(name: &'static str, log: &Log) -> Self {
        Self {
            name,
            log: log.clone(),
            watched: Vec::new(),
            due: Cell::new(None),
            attach: Box::new(|_| Ok(())),
            perform: Box::new(|_, _| {}),
            prepare: Box::new(|_, _| Prepared::Idle),
            hook: Box::new(|_, _| {}),
        }
    }

    /// Watches a stream for reading, as the next token.
    pub(crate) fn watching(mut self, stream: UnixStream) -> Self {
        let token = Token(u32::try_from(self.watched.len()).unwrap());
        self.watched.push((token, stream, Interest::READABLE));
        self
    }

    /// Has a deadline from its attach on.
    pub(crate) fn due(self, at: Instant) -> Self {
        self.due.set(Some(at));
        self
    }

    /// What its attach does, beside declaring what it watches.
    pub(crate) fn attaching(
        mut self,
        attach: impl Fn(&mut Cx<'_, '_>) -> io::Result<()> + 'static,
    ) -> Self {
        self.attach = Box::new(attach);
        self
    }

    /// What its perform does, after writing the line.
    pub(crate) fn performing(
        mut self,
        perform: impl Fn(&mut Cx<'_, '_>, Ready<'_>) + 'static,
    ) -> Self {
        self.perform = Box::new(perform);
        self
    }

    /// What its prepare answers; not logged, since it may be called any number of times (but see `hot`).
    pub(crate) fn preparing(
        mut self,
        prepare: impl Fn(&mut Cx<'_, '_>, Stage) -> Prepared + 'static,
    ) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    /// What its notifications do, after writing the line, of which they get the second word.
    pub(crate) fn hooking(mut self, hook: impl Fn(&RunLoop, &str) + 'static) -> Self {
        self.hook = Box::new(hook);
        self
    }

    pub(crate) fn source(self) -> SourceRef<Self> {
        SourceRef::new(self)
    }

    pub(crate) fn with(self, options: SourceOptions) -> SourceRef<Self> {
        SourceRef::with(options, self)
    }

    fn note(&self, what: &str) {
        self.log.add(format!("{} {what}", self.name));
    }

    fn tell(&self, run_loop: &RunLoop, what: &str) {
        self.note(what);
        (self.hook)(run_loop, what.split(' ').next().unwrap());
    }
}

impl Source for Probe {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        self.note("attach");
        for (token, stream, interest) in &self.watched {
            cx.watch(*token, stream.as_fd(), *interest)?;
        }
        if let Some(at) = self.due.get() {
            cx.set_deadline(Some(at));
        }
        (self.attach)(cx)
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        if ready.signalled {
            self.note("signalled");
        } else if ready.deadline.is_some() {
            self.note("deadline");
        } else {
            let tokens = ready.fds.iter().map(|(token, _)| token.0.to_string());
            self.note(&format!("ready {}", tokens.collect::<Vec<_>>().join(" ")));
        }
        for (token, stream, _) in &self.watched {
            if ready.fds.iter().any(|(ready, _)| ready == token) {
                drain(stream);
            }
        }
        (self.perform)(cx, ready);
    }

    fn prepare<'s>(&'s self, cx: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        (self.prepare)(cx, stage)
    }

    fn schedule(&self, run_loop: &RunLoop, mode: Mode) {
        self.tell(run_loop, &format!("schedule {mode}"));
    }

    fn cancel(&self, run_loop: &RunLoop, mode: Mode) {
        self.tell(run_loop, &format!("cancel {mode}"));
    }

    fn detach(&self, run_loop: &RunLoop) {
        self.tell(run_loop, "detach");
    }

    fn invalidated(&self, why: Why) {
        self.tell(&RunLoop::current(), &format!("invalidated {why:?}"));
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.tell(&RunLoop::current(), "dropped");
    }
}

/// A probe that is hot from its attach on, and writes down each stage that it is asked at, repetitions as one.
pub(crate) fn hot(
    log: &Log,
    answer: impl Fn(&mut Cx<'_, '_>, Stage) -> Prepared + 'static,
) -> Probe {
    let (inside, last) = (log.clone(), Cell::new(None));
    Probe::new("p", log)
        .attaching(|cx| {
            cx.look_before_sleep();
            Ok(())
        })
        .preparing(move |cx, stage| {
            if last.replace(Some(stage)) != Some(stage) {
                inside.add(format!("{stage:?}"));
            }
            answer(cx, stage)
        })
}

/// The two ends of a connection, neither of which blocks.
pub(crate) fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (ours, theirs)
}

/// One end of a connection in which a byte waits, and the other end.
pub(crate) fn ready_pair() -> (UnixStream, UnixStream) {
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    (ours, theirs)
}

/// Reads what is there, and says how much that was.
pub(crate) fn drain(mut stream: &UnixStream) -> usize {
    let mut bytes = [0; 64];
    stream.read(&mut bytes).unwrap_or(0)
}

/// An observer of everything that happens in a mode, each moment by its name, in the same log as everything else.
pub(crate) fn trace(log: &Log, mode: Mode) -> Observer {
    let log = log.clone();
    let observer = Observer::new(Activity::all(), 0, move |_, activity| {
        log.add(moment(activity));
    });
    RunLoop::current().add_observer(&observer, mode).unwrap();
    observer
}

/// The name of a moment of a run.
pub(crate) fn moment(activity: Activity) -> &'static str {
    match activity {
        Activity::ENTRY => "Entry",
        Activity::BEFORE_TIMERS => "BeforeTimers",
        Activity::BEFORE_SOURCES => "BeforeSources",
        Activity::BEFORE_WAITING => "BeforeWaiting",
        Activity::AFTER_WAITING => "AfterWaiting",
        Activity::EXIT => "Exit",
        _ => "several moments at once",
    }
}

/// Does something when the loop is about to wait for the `n`th time from now, counted from 0.
pub(crate) fn at_wait(n: u32, mode: Mode, act: impl FnOnce(&RunLoop) + 'static) {
    let mut act = Some(act);
    let mut waits = 0;
    let observer = Observer::new(Activity::BEFORE_WAITING, 1, move |run_loop, _| {
        if waits == n {
            if let Some(act) = act.take() {
                act(run_loop);
            }
        }
        waits += 1;
    });
    RunLoop::current().add_observer(&observer, mode).unwrap();
}

/// One pass that does not block.
pub(crate) fn pass(mode: Mode) -> Outcome {
    let run_loop = RunLoop::current();
    run_loop
        .run_in_mode(mode, Limit::Now, ReturnAfter::Limit)
        .unwrap()
}

/// One pass that does not block, whatever it ends with.
pub(crate) fn serve(mode: Mode) {
    let _outcome = pass(mode);
}

/// A run until it is stopped or nothing is left.
pub(crate) fn run(mode: Mode) -> Outcome {
    let run_loop = RunLoop::current();
    run_loop
        .run_in_mode(mode, Limit::Never, ReturnAfter::Limit)
        .unwrap()
}

/// A run until one source was performed.
pub(crate) fn run_one(mode: Mode) -> Outcome {
    let run_loop = RunLoop::current();
    run_loop
        .run_in_mode(mode, Limit::Never, ReturnAfter::FirstSource)
        .unwrap()
}

/// A moment that is over, so a deadline that is due at once.
pub(crate) fn past() -> Instant {
    Instant::now()
}

/// A moment that no test reaches.
pub(crate) fn far() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}

/// Waits, without the loop of this thread, until something is true that another thread makes true.
pub(crate) fn until(mut is_true: impl FnMut() -> bool) {
    while !is_true() {
        std::thread::yield_now();
    }
}

/// A directory of its own for one test, which goes with it.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("runloop-{}-{name}", std::process::id()));
        fs::create_dir(&place).unwrap();
        Self(place)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str) {
        fs::write(self.path(name), name).unwrap();
    }

    pub(crate) fn write_all<const N: usize>(&self, names: [&str; N]) {
        names.into_iter().for_each(|name| self.write(name));
    }

    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
