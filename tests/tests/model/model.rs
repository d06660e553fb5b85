//! What a loop promises, as simply as it can be said: lists, scans and plain recursion, no kernel, no queue of ids.
//!
//! It runs a program and writes the same lines as the loop. Where the two differ, one of them is wrong.

mod act;
mod hot;
mod pace;
mod pass;
mod sources;
mod tables;
mod wait;

use std::collections::VecDeque;

use crate::program::{Action, EVENTS, In, Program, Script};

/// Runs a program, and says everything that must happen; `None` if it has no end.
pub(crate) fn run(program: &Program) -> Option<Vec<String>> {
    let mut model = Model::new(program);
    match model.follow(&program.main) {
        Err(Stopped::Endless) => return None,
        Err(Stopped::Panicked) => model.say("panicked"),
        Ok(()) => {}
    }
    model.act(&Action::Look).ok()?;
    model.say(crate::real::END);
    let before = model.log.len();
    for id in 0..model.sources.len() {
        model.drop_hold(id);
    }
    for id in 0..model.sources.len() {
        model.say_goodbye(id);
    }
    let id = |line: &String| line.split(' ').next().map(str::to_owned);
    model.log[before..].sort_by_key(id);
    Some(model.log)
}

/// Why a script does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Panicked,
    /// The program has no end, or none in sight.
    Endless,
}

pub(crate) type Go<T = ()> = Result<T, Stopped>;

/// A loop and everything around it.
pub(crate) struct Model {
    pub(crate) log: Vec<String>,
    /// In nanoseconds.
    pub(crate) now: i64,
    pub(crate) sources: Vec<Source>,
    pub(crate) observers: Vec<Observer>,
    /// Whether each event descriptor is ready, and whether its other end is closed.
    pub(crate) events: [(bool, bool); EVENTS],
    pub(crate) common: Vec<In>,
    /// The observers of the common set.
    pub(crate) common_observers: Vec<usize>,
    pub(crate) closures: VecDeque<Closure>,
    pub(crate) closure_limit: usize,
    pub(crate) inbox: VecDeque<Message>,
    pub(crate) stop_ordered: bool,
    pub(crate) wake_ordered: bool,
    /// A stop for the next run.
    pub(crate) stop_kept: bool,
    /// The runs in progress: each with its mode, and whether it is to stop.
    pub(crate) runs: Vec<(In, bool)>,
    /// The moment for which deadlines are being served.
    pub(crate) serving: Option<i64>,
    /// How often the kernel was asked, and how many passes have done without since then.
    pub(crate) waits: u64,
    pub(crate) skipped: u32,
    pub(crate) skipping_since: i64,
    /// The sources that are asked before a sleep, each in a life of its.
    pub(crate) hot: Vec<Named>,
    /// Those that have announced, and are told when the loop has slept.
    pub(crate) slept: Vec<Named>,
    /// Numbers things in the order of their coming.
    count: u64,
    /// How many callbacks the program may still have.
    pub(crate) fuel: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pub(crate) def: crate::program::SourceDef,
    /// The program holds it.
    pub(crate) held: bool,
    pub(crate) valid: bool,
    /// `invalidated` was called, or never will be.
    pub(crate) told: bool,
    pub(crate) dropped: bool,
    /// The loop knows it, for the how-manieth time.
    pub(crate) known: bool,
    pub(crate) life: u32,
    pub(crate) adopted: bool,
    pub(crate) attached: bool,
    /// Attached for the how-manieth time.
    pub(crate) attachment: u32,
    pub(crate) in_common: bool,
    pub(crate) members: Vec<Member>,
    pub(crate) signalled: bool,
    /// Its place among the signals that the loop knows of.
    pub(crate) listed: Option<u64>,
    pub(crate) due: Option<Due>,
    /// When that was set or taken away, in the order of coming.
    pub(crate) due_set: u64,
    pub(crate) pace: Pace,
    pub(crate) watches: Vec<Watch>,
    /// How many calls of `perform` are running.
    pub(crate) firing: u32,
    /// How many calls keep its value alive.
    pub(crate) alive: u32,
    pub(crate) ending: Option<&'static str>,
    /// The loop will hear from another thread about it.
    pub(crate) noticed: bool,
    /// What another thread asked for.
    pub(crate) wishes: Vec<Wish>,
    pub(crate) calls: usize,
    /// How often it was asked before a sleep, and how many of these calls are running.
    pub(crate) asked: usize,
    pub(crate) asking: u32,
}

/// A source in one of its lives.
pub(crate) type Named = (usize, u32);

/// How far a source is with its rate limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// When the stretch in progress began.
    pub(crate) begun: i64,
    pub(crate) performs: u32,
    /// It has been performed as often as it may.
    pub(crate) rests: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) mode: In,
    pub(crate) by_itself: bool,
    pub(crate) by_common: bool,
    /// Its deadline waits for the end of its call.
    pub(crate) parked: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) event: usize,
    pub(crate) wanted: bool,
    /// It waits for the end of the source's call.
    pub(crate) parked: bool,
    /// The last wait before it was served last.
    pub(crate) served: u64,
}

/// A deadline. In the order in which deadlines are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub(crate) at: i64,
    /// When it was set, in the order of coming.
    pub(crate) number: u64,
    /// Until then a loop that sleeps need not wake for it.
    pub(crate) limit: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Due(Option<(i64, i64)>),
    Watch(usize, bool),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Observer {
    pub(crate) def: crate::program::ObserverDef,
    pub(crate) valid: bool,
    pub(crate) running: bool,
    pub(crate) calls: usize,
    /// Each mode it is in, since when, and whether by itself and with the common set.
    pub(crate) seats: Vec<Seat>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    pub(crate) mode: In,
    pub(crate) since: u64,
    pub(crate) by_itself: bool,
    pub(crate) by_common: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Closure {
    pub(crate) number: u64,
    pub(crate) mode: In,
    pub(crate) script: Script,
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// Look at this source, if it is still in that life of its.
    Notice(usize, u32),
    Perform(In, Script),
}

impl Model {
    fn new(program: &Program) -> Self {
        let sources = program.sources.0.iter().map(|def| Source {
            def: def.clone(),
            held: true,
            valid: true,
            ..Source::default()
        });
        let observers = program.observers.0.iter().map(|def| Observer {
            def: def.clone(),
            valid: true,
            ..Observer::default()
        });
        Self {
            log: Vec::new(),
            now: 0,
            sources: sources.collect(),
            observers: observers.collect(),
            events: [(false, false); EVENTS],
            common: vec![In::A],
            common_observers: Vec::new(),
            closures: VecDeque::new(),
            closure_limit: 1_024,
            inbox: VecDeque::new(),
            stop_ordered: false,
            wake_ordered: false,
            stop_kept: false,
            runs: Vec::new(),
            serving: None,
            waits: 0,
            skipped: 0,
            skipping_since: 0,
            hot: Vec::new(),
            slept: Vec::new(),
            count: 0,
            fuel: 1_000,
        }
    }

    pub(crate) fn say(&mut self, line: impl Into<String>) {
        self.log.push(line.into());
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(crate) fn mode(&self) -> Option<In> {
        self.runs.last().map(|run| run.0)
    }

    /// The modes that a mode stands for.
    pub(crate) fn concrete(&self, mode: In) -> Vec<In> {
        if mode == In::Common {
            self.common.clone()
        } else {
            vec![mode]
        }
    }
}

/// A millisecond.
pub(crate) const MS: i64 = 1_000_000;
