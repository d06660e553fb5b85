//! Programs for a loop: plain values that can be made up, run, made smaller, and printed as the code that makes them.

use std::fmt;

/// A program: what there is, and what is done with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) sources: List<SourceDef>,
    pub(crate) observers: List<ObserverDef>,
    pub(crate) main: Script,
}

/// What is done, in this order.
pub(crate) type Script = List<Action>;

/// A source, and what its `perform` does.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceDef {
    pub(crate) order: i32,
    /// The event descriptors it watches, each under its place in this list as a token.
    pub(crate) watches: List<usize>,
    /// How far away a deadline is that it gives itself when it is attached.
    pub(crate) due: Option<i64>,
    /// How often it may be performed in a stretch of how many milliseconds, or without an end of the stretch.
    pub(crate) limit: Option<(u32, Option<i64>)>,
    pub(crate) traits: List<Trait>,
    /// What it does in its first call, its second, and so on; nothing in those after that.
    pub(crate) calls: List<Script>,
    /// What it does when it is asked before a sleep for the first time, for the second, and so on, and what it answers then.
    pub(crate) asked: List<(Script, Answer)>,
}

/// What a source answers when it is asked before a sleep; after the last of its answers always `Idle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Idle,
    Ready,
    Spin,
}

/// What a source can be beside what it is by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trait {
    Reentrant,
    Passive,
    KeptOnPanic,
    /// It asks to be asked before sleep when it is attached.
    Looks,
}

/// An observer, and what it does.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObserverDef {
    /// The bits of its activities.
    pub(crate) moments: u8,
    pub(crate) order: i32,
    pub(crate) once: bool,
    pub(crate) calls: List<Script>,
}

/// The modes of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum In {
    /// The default mode, which is common from the beginning.
    A,
    B,
    C,
    /// The common modes.
    Common,
}

/// How long a run lasts at most, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    APass,
    Millis(i64),
    Ever,
}

/// How a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Plain,
    /// It returns after one source.
    One,
    /// It goes on in an empty mode.
    WhenEmpty,
    /// As plain; a panic in it goes no further.
    Catching,
}

/// One thing that a program does. Sources, observers and event descriptors are numbers; times are milliseconds from the
/// present.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Add(usize, In),
    Remove(usize, In),
    Adopt(usize),
    Invalidate(usize),
    /// Lets go of the program's own hold of a source.
    Drop(usize),
    Signal(usize),
    /// Sets a source's deadline, or clears it.
    Due(usize, Option<i64>),
    /// Sets it with a tolerance.
    DueWithin(usize, i64, i64),
    /// Has a source asked before the next sleep.
    LookBeforeSleep(usize),
    /// Has a source watch the descriptor of that token, or not.
    Watch(usize, usize, bool),
    AddObserver(usize, In),
    RemoveObserver(usize, In),
    InvalidateObserver(usize),
    AddCommon(In),
    Perform(In, Script),
    /// Performs through a handle.
    Send(In, Script),
    /// How many closures may wait.
    ClosureLimit(usize),
    Stop,
    /// Stops through a handle.
    SendStop,
    WakeUp,
    /// Makes an event descriptor ready, unless its other end is closed.
    Write(usize),
    /// Makes it not ready.
    Read(usize),
    /// Closes its other end: it reports that whatever else it is, and for ever.
    HangUp(usize),
    /// First in a call for descriptors: they are left ready.
    Keep,
    Advance(i64),
    Run(In, For, How),
    Panic,
    /// Does the same on another thread, while this one waits for it. Not everything can be done there.
    Elsewhere(Box<Self>),
    /// Writes down everything that can be asked.
    Look,
}

/// A list that prints itself as the code that makes it.
#[derive(Clone)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("List(vec!")?;
        f.debug_list().entries(&self.0).finish()?;
        f.write_str(")")
    }
}

impl Program {
    /// How large it is: what is made smaller when a program fails.
    pub(crate) fn size(&self) -> usize {
        let sources = self.sources.0.iter().map(|source| {
            let more =
                source.watches.0.len() + source.traits.0.len() + usize::from(source.due.is_some());
            let asked = source.asked.0.iter();
            let asked: usize = asked
                .map(|(script, answer)| 1 + script.size() + usize::from(*answer != Answer::Idle))
                .sum();
            let more = more + usize::from(source.limit.is_some()) + asked;
            1 + more + usize::from(source.order != 0) + calls(&source.calls)
        });
        let observers = self.observers.0.iter().map(|observer| {
            let moments = usize::try_from(observer.moments.count_ones()).unwrap_or(0);
            1 + moments + usize::from(observer.order != 0) + calls(&observer.calls)
        });
        sources.sum::<usize>() + observers.sum::<usize>() + self.main.size()
    }
}

fn calls(calls: &List<Script>) -> usize {
    calls.0.iter().map(|script| 1 + script.size()).sum()
}

impl Script {
    fn size(&self) -> usize {
        let inner = self.0.iter().map(|action| match action {
            Action::Perform(_, script) | Action::Send(_, script) => 1 + script.size(),
            Action::DueWithin(..) => 2,
            Action::Elsewhere(inner) => 2 + List(vec![(**inner).clone()]).size(),
            _ => 1,
        });
        inner.sum()
    }
}

/// A program as a test that can be pasted beside its siblings.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "    agree(&Program {{")?;
        write_all(f, "sources", &self.sources)?;
        write_all(f, "observers", &self.observers)?;
        write_all(f, "main", &self.main)?;
        writeln!(f, "    }});")
    }
}

fn write_all<T: fmt::Debug>(f: &mut fmt::Formatter<'_>, name: &str, list: &List<T>) -> fmt::Result {
    writeln!(f, "        {name}: List(vec![")?;
    for item in &list.0 {
        writeln!(f, "            {item:?},")?;
    }
    writeln!(f, "        ]),")
}

/// How many event descriptors a program has.
pub(crate) const EVENTS: usize = 3;
