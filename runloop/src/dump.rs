//! A loop as a person reads it.
//!
//! What is written is copied from the tables first: whoever is written to may be somebody who uses the loop.

use std::fmt;

use crate::activity::Activity;
use crate::clock::Tick;
use crate::core::{ModeEntry, RunLoop, SourceEntry, Tables};
use crate::mode::Mode;
use crate::plan::Repose;
use crate::statistics::Statistics;

/// In one line what runs and how much there is; with `{:#?}` everything: each mode with its next deadline, its observers
/// and the closures that wait, each source with its name, kind, order, modes, next deadline and how often it was performed.
impl fmt::Debug for RunLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A borrow that is in progress is one of the loop's own, which calls nobody; but a debugger may.
        let now = Tick::now();
        let dump = self.core.look().map(|tables| Dump::of(&tables, now));
        let Some(dump) = dump else {
            return f.write_str("RunLoop(..)");
        };
        if !f.alternate() {
            let modes: Vec<_> = dump.modes.iter().map(|m| (m.mode, m.members)).collect();
            return f
                .debug_struct("RunLoop")
                .field("running", &dump.running)
                .field("sources", &dump.sources.len())
                .field("modes", &modes)
                .finish_non_exhaustive();
        }
        f.debug_struct("RunLoop")
            .field("running", &dump.running)
            .field("embedded", &(self.core.repose.get() != Repose::Alone))
            .field("stop_kept", &self.core.stop_kept.get())
            .field("common_modes", &dump.common_modes)
            .field("common_closures", &dump.common_closures)
            .field("modes", &dump.modes)
            .field("sources", &dump.sources)
            .field("statistics", &Statistics::clone(&self.statistics()))
            .finish()
    }
}

/// What the tables hold, at one moment.
struct Dump {
    /// The modes of the runs in progress, the innermost last.
    running: Vec<Mode>,
    common_modes: Vec<Mode>,
    common_closures: usize,
    modes: Vec<ModeDump>,
    sources: Vec<SourceDump>,
}

impl Dump {
    fn of(tables: &Tables, now: Tick) -> Self {
        let keys = tables.sources.keys();
        let sources = keys.into_iter().filter_map(|key| {
            let watches = tables.watches_of(key).len();
            Some(SourceDump::of(tables.sources.get(key)?, watches, now))
        });
        Self {
            running: tables.activations.clone(),
            common_modes: tables.common_modes.clone(),
            common_closures: tables.common_closures.len(),
            modes: tables
                .modes()
                .map(|mode| ModeDump::of(mode, next_in(tables, mode.mode), now))
                .collect(),
            sources: sources.collect(),
        }
    }
}

/// The earliest deadline of a mode; this is a look that changes nothing, and may search.
fn next_in(tables: &Tables, mode: Mode) -> Tick {
    let keys = tables.sources.keys().into_iter();
    let entries = keys.filter_map(|key| tables.sources.get(key));
    let set = entries.filter_map(|entry| entry.set_in(mode));
    set.map(|(deadline, _)| deadline.at)
        .min()
        .unwrap_or(Tick::NEVER)
}

struct ModeDump {
    mode: Mode,
    members: usize,
    closures: usize,
    next: When,
    /// The order and the activities of each.
    observers: Vec<(i32, Activity)>,
    embedded: bool,
}

impl ModeDump {
    fn of(entry: &ModeEntry, next: Tick, now: Tick) -> Self {
        let observers = entry.observers.iter();
        Self {
            mode: entry.mode,
            members: entry.members,
            closures: entry.closures.len(),
            next: When::of(next, now),
            observers: observers
                .map(|seat| (seat.order, seat.observer.activities()))
                .collect(),
            embedded: entry.beacon.is_some(),
        }
    }
}

impl fmt::Debug for ModeDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.mode.name())
            .field("sources", &self.members)
            .field("closures", &self.closures)
            .field("next_deadline", &self.next)
            .field("observers", &self.observers)
            .field("embedded", &self.embedded)
            .finish()
    }
}

struct SourceDump {
    name: Option<Box<str>>,
    kind: &'static str,
    order: i32,
    modes: Vec<Mode>,
    next: When,
    watches: usize,
    performed: u64,
    performing: u32,
    resting: bool,
    signalled: bool,
    valid: bool,
}

impl SourceDump {
    fn of(entry: &SourceEntry, watches: usize, now: Tick) -> Self {
        Self {
            name: entry.state.name().map(Box::from),
            kind: entry.callee.kind(),
            order: entry.state.order(),
            modes: entry.members.iter().map(|member| member.mode).collect(),
            next: When::of(entry.deadline.at, now),
            watches,
            performed: entry.state.performs(),
            performing: entry.firing,
            resting: entry.is_resting(),
            signalled: entry.state.is_signalled(),
            valid: entry.state.is_valid(),
        }
    }
}

impl fmt::Debug for SourceDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name.as_deref().unwrap_or("(no name)"))
            .field("kind", &self.kind)
            .field("order", &self.order)
            .field("modes", &self.modes)
            .field("next_deadline", &self.next)
            .field("watches", &self.watches)
            .field("performed", &self.performed)
            .field("performing", &self.performing)
            .field("resting", &self.resting)
            .field("signalled", &self.signalled)
            .field("valid", &self.valid)
            .finish()
    }
}

/// A deadline as seen from the present.
enum When {
    Never,
    Passed,
    In(std::time::Duration),
}

impl When {
    fn of(at: Tick, now: Tick) -> Self {
        if at == Tick::NEVER {
            return Self::Never;
        }
        match at.0.checked_sub(now.0) {
            None | Some(0) => Self::Passed,
            Some(nanos) => Self::In(std::time::Duration::from_nanos(nanos)),
        }
    }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Passed => f.write_str("passed"),
            Self::In(time) => write!(f, "in {time:?}"),
        }
    }
}
