//! Programs, run by the real loop of a thread of their own.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use runloop::{
    Interest, Limit, ManualClock, Observer, Outcome, PerformError, ReturnAfter, RunError, RunLoop,
    SourceRef, Token,
};
use rustix::pipe::{PipeFlags, pipe_with};
use tests::Log;

use crate::actors::{Probe, observer};
use crate::program::{Action, EVENTS, For, How, In, Program, Script};

/// Runs a program, and says everything that happened.
pub(crate) fn run(program: &Program) -> Vec<String> {
    let log = Log::new();
    let (program, inside) = (program.clone(), log.clone());
    let thread = std::thread::Builder::new().stack_size(STACK);
    let thread = thread.spawn(move || run_here(&program, &inside));
    let ended = thread.expect("a thread can be started").join();
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
    let mut lines = log.take();
    let end = lines.iter().position(|line| line == END);
    let end = end.map_or(lines.len(), |end| end + 1);
    // In which order a thread's end takes leave of its sources is nobody's business.
    lines[end..].sort_by_key(|line| line.split(' ').next().map(str::to_owned));
    lines
}

fn run_here(program: &Program, log: &Log) {
    let world = Rc::new(World::new(program, log));
    WORLD.set(Some(Rc::clone(&world)));
    let ended = catch_unwind(AssertUnwindSafe(|| world.follow(&program.main)));
    if ended.is_err() {
        log.add("panicked");
    }
    world.act(&Action::Look);
    log.add(END);
    world.sources.take().clear();
    WORLD.take();
}

/// Everything that a program acts on.
pub(crate) struct World {
    pub(crate) log: Log,
    clock: ManualClock,
    begun: Instant,
    /// Pipes: the ends that sources watch, and the other ones until they hang up.
    events: Vec<Arc<OwnedFd>>,
    writers: RefCell<Vec<Option<OwnedFd>>>,
    sources: RefCell<Vec<Option<SourceRef<Probe>>>>,
    observers: Vec<Observer>,
    run_loop: RunLoop,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// The world of this thread.
pub(crate) fn world() -> Rc<World> {
    WORLD.with_borrow(|world| Rc::clone(world.as_ref().expect("a program is running")))
}

impl World {
    fn new(program: &Program, log: &Log) -> Self {
        let clock = ManualClock::new();
        let flags = PipeFlags::NONBLOCK | PipeFlags::CLOEXEC;
        let pipes = (0..EVENTS).map(|_| pipe_with(flags).expect("there is room for one"));
        let (events, writers): (Vec<_>, Vec<_>) = pipes
            .map(|(reader, writer)| (Arc::new(reader), Some(writer)))
            .unzip();
        let sources = program.sources.0.iter().enumerate();
        let sources = sources.map(|(id, def)| Some(Probe::source(id, def, &events, log)));
        let observers = program.observers.0.iter().enumerate();
        Self {
            log: log.clone(),
            begun: clock.now(),
            clock,
            sources: RefCell::new(sources.collect()),
            observers: observers.map(|(id, def)| observer(id, def)).collect(),
            events,
            writers: RefCell::new(writers),
            run_loop: RunLoop::current(),
        }
    }

    pub(crate) fn follow(&self, script: &Script) {
        for action in &script.0 {
            self.act(action);
        }
    }

    fn say(&self, action: &Action, result: impl std::fmt::Display) {
        self.log.add(format!("{action:?} -> {result}"));
    }

    /// The source of that number, unless the program has let go of it.
    fn source(&self, id: usize) -> Option<SourceRef<Probe>> {
        self.sources.borrow().get(id)?.clone()
    }

    pub(crate) fn at(&self, millis: i64) -> Instant {
        let distance = Duration::from_millis(millis.unsigned_abs());
        let now = self.clock.now();
        if millis < 0 {
            now.checked_sub(distance)
                .expect("the machine has run for a while")
        } else {
            now + distance
        }
    }

    fn act(&self, action: &Action) {
        match action {
            Action::Add(id, mode) => self.add(action, *id, *mode),
            Action::Remove(id, mode) => {
                if let Some(source) = self.source(*id) {
                    self.say(action, self.run_loop.remove(&source, mode.real()));
                }
            }
            Action::AddObserver(id, mode) => {
                let added = self
                    .run_loop
                    .add_observer(&self.observers[*id], mode.real());
                self.say(
                    action,
                    added.map_or_else(|_| "refused".to_owned(), |new| new.to_string()),
                );
            }
            Action::RemoveObserver(id, mode) => {
                let observer = &self.observers[*id];
                self.say(action, self.run_loop.remove_observer(observer, mode.real()));
            }
            Action::InvalidateObserver(id) => self.observers[*id].invalidate(),
            Action::AddCommon(mode) => self.add_common(action, *mode),
            Action::Perform(mode, script) => {
                let script = script.clone();
                let sent = self
                    .run_loop
                    .perform(mode.real(), move |_| closure(mode_of(), &script));
                self.say_sent(action, &sent);
            }
            Action::Run(mode, limit, how) => self.run(action, *mode, *limit, *how),
            Action::Panic => resume_unwind(Box::new("as the program says")),
            Action::Elsewhere(inner) => self.elsewhere(inner),
            Action::Look => self.look(),
            Action::Advance(millis) => self
                .clock
                .advance(Duration::from_millis(millis.unsigned_abs())),
            Action::Write(event) => {
                if let Some(writer) = &self.writers.borrow()[*event] {
                    rustix::io::write(writer, &[0]).expect("room for one");
                }
            }
            Action::HangUp(event) => drop(self.writers.borrow_mut()[*event].take()),
            Action::Read(event) => drain(&self.events[*event]),
            Action::Keep => {}
            _ => self.act_anywhere(action),
        }
    }

    /// What can be done on any thread, on this one.
    fn act_anywhere(&self, action: &Action) {
        match action {
            Action::Adopt(id) => {
                if let Some(source) = self.source(*id).filter(|source| source.handle().is_valid()) {
                    drop(self.run_loop.adopt(&source));
                }
            }
            Action::Invalidate(id) => {
                if let Some(source) = self.source(*id) {
                    source.invalidate();
                }
            }
            Action::Drop(id) => {
                let source = self.sources.borrow_mut()[*id].take();
                drop(source);
            }
            Action::LookBeforeSleep(id) => {
                if let Some(source) = self.source(*id) {
                    self.run_loop.look_before_sleep(&source);
                }
            }
            Action::Stop => self.run_loop.stop(),
            Action::ClosureLimit(most) => self.run_loop.set_closure_limit(*most),
            _ => {
                if let Some(job) = self.job(action) {
                    job();
                }
            }
        }
    }

    /// What needs no more than handles, so that any thread can do it.
    fn job(&self, action: &Action) -> Option<Box<dyn FnOnce() + Send>> {
        let handle = self.run_loop.handle();
        Some(match action {
            Action::Signal(id) => {
                let source = self.source(*id)?.handle().clone();
                Box::new(move || source.signal())
            }
            Action::Invalidate(id) => {
                let source = self.source(*id)?.handle().clone();
                Box::new(move || source.invalidate())
            }
            Action::Due(id, millis) => {
                let source = self.source(*id)?.handle().clone();
                let at = millis.map(|millis| self.at(millis));
                Box::new(move || source.set_deadline(at))
            }
            Action::DueWithin(id, millis, tolerance) => {
                let source = self.source(*id)?.handle().clone();
                let at = Some(self.at(*millis));
                let tolerance = Duration::from_millis(tolerance.unsigned_abs());
                Box::new(move || source.set_deadline_within(at, tolerance))
            }
            Action::Watch(id, token, on) => {
                let source = self.source(*id)?.handle().clone();
                let token = Token(u32::try_from(*token).expect("a small number"));
                let interest = if *on {
                    Interest::READABLE
                } else {
                    Interest::empty()
                };
                Box::new(move || source.set_interest(token, interest))
            }
            Action::Send(mode, script) => {
                let (mode, script, log) = (mode.real(), script.clone(), self.log.clone());
                let action = action.clone();
                Box::new(move || {
                    let sent = handle.perform(mode, move |_| closure(mode_of(), &script));
                    let sent = if sent.is_ok() { "taken" } else { "full" };
                    log.add(format!("{action:?} -> {sent}"));
                })
            }
            Action::SendStop => Box::new(move || handle.stop().expect("the loop is there")),
            Action::WakeUp => Box::new(move || handle.wake_up().expect("the loop is there")),
            _ => return None,
        })
    }

    fn elsewhere(&self, action: &Action) {
        if let Some(job) = self.job(action) {
            HELPER.with(|helper| {
                let (done, wait) = channel();
                helper.send((job, done)).expect("the helper lives as long");
                wait.recv().expect("the helper has done it");
            });
        }
    }

    fn add(&self, action: &Action, id: usize, mode: In) {
        if let Some(source) = self.source(id) {
            let added = self.run_loop.add(&source, mode.real());
            self.say(
                action,
                added.map_or_else(|_| "refused".to_owned(), |new| new.to_string()),
            );
        }
    }

    /// In which order the sources of the common set come into a new mode is nobody's business.
    fn add_common(&self, action: &Action, mode: In) {
        let before = self.log.take();
        let added = self.run_loop.add_common_mode(mode.real());
        let mut lines = self.log.take();
        lines.sort();
        for line in before.into_iter().chain(lines) {
            self.log.add(line);
        }
        self.say(
            action,
            added.map_or_else(|_| "refused".to_owned(), |new| new.to_string()),
        );
    }

    fn say_sent<F>(&self, action: &Action, sent: &Result<(), PerformError<F>>) {
        self.say(action, if sent.is_ok() { "taken" } else { "full" });
    }

    fn run(&self, action: &Action, mode: In, limit: For, how: How) {
        self.log.add(format!("{action:?}"));
        let limit = match limit {
            For::APass => Limit::Now,
            For::Millis(millis) => Limit::from(Duration::from_millis(millis.unsigned_abs())),
            // Where the loop would sleep for ever and the model says that it does not, a difference is better than a test
            // that hangs.
            For::Ever => Limit::from(Duration::from_secs(1 << 30)),
        };
        let run = || -> Result<Outcome, RunError> {
            match how {
                How::One => self
                    .run_loop
                    .run_in_mode(mode.real(), limit, ReturnAfter::FirstSource),
                How::WhenEmpty => {
                    self.run_loop
                        .wait_in_mode(mode.real(), limit, ReturnAfter::Limit)
                }
                How::Plain | How::Catching => {
                    self.run_loop
                        .run_in_mode(mode.real(), limit, ReturnAfter::Limit)
                }
            }
        };
        let outcome = if how == How::Catching {
            catch_unwind(AssertUnwindSafe(run))
        } else {
            Ok(run())
        };
        let outcome = match outcome {
            Ok(Ok(outcome)) => format!("{outcome:?}"),
            Ok(Err(_)) => "refused".to_owned(),
            Err(_) => "panicked".to_owned(),
        };
        self.log.add(format!("{outcome} at {}", self.now()));
    }

    /// The present, in nanoseconds from the beginning.
    pub(crate) fn now(&self) -> u128 {
        (self.clock.now() - self.begun).as_nanos()
    }

    fn look(&self) {
        for id in 0..self.sources.borrow().len() {
            let Some(source) = self.source(id) else {
                continue;
            };
            let within = |mode: In| self.run_loop.contains(&source, mode.real());
            let (valid, signalled) = (source.handle().is_valid(), source.handle().is_signalled());
            let modes = In::ALL.map(within);
            self.log.add(format!(
                "s{id} valid {valid} signalled {signalled} in {modes:?}"
            ));
        }
        for (id, observer) in self.observers.iter().enumerate() {
            let modes = In::ALL.map(|mode| self.run_loop.contains_observer(observer, mode.real()));
            self.log
                .add(format!("o{id} valid {} in {modes:?}", observer.is_valid()));
        }
        let due = [In::A, In::B, In::C].map(|mode| {
            let at = self.run_loop.next_deadline(mode.real())?;
            let nanos =
                |distance: Duration| i128::try_from(distance.as_nanos()).unwrap_or(i128::MAX);
            let after = at.checked_duration_since(self.begun).map(nanos);
            Some(after.unwrap_or_else(|| -nanos(self.begun - at)))
        });
        let mode = self.run_loop.current_mode().map(In::of);
        self.log
            .add(format!("{mode:?} at {} due {due:?}", self.now()));
    }
}

/// What a closure of a program does.
fn closure(mode: Option<In>, script: &Script) {
    let world = world();
    world.log.add(format!("closure in {mode:?}"));
    world.follow(script);
}

/// The mode that this thread runs.
pub(crate) fn mode_of() -> Option<In> {
    RunLoop::current().current_mode().map(In::of)
}

pub(crate) fn drain(event: &OwnedFd) {
    let mut bytes = [0; 64];
    // Nothing to read is what is wanted.
    while rustix::io::read(event, &mut bytes).is_ok_and(|read| read > 0) {}
}

type Job = (Box<dyn FnOnce() + Send>, Sender<()>);

thread_local! {
    /// Another thread, for what a program does elsewhere.
    static HELPER: Sender<Job> = {
        let (sender, jobs) = channel::<Job>();
        std::thread::spawn(move || {
            for (job, done) in jobs {
                job();
                done.send(()).ok();
            }
        });
        sender
    };
}

/// What a program says when it is over and only its thread's end is left.
pub(crate) const END: &str = "~ the thread ends";
const STACK: usize = 4 << 20;
