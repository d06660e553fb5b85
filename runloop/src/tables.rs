//! Changes to the tables: deadlines and memberships.
//!
//! Nothing here calls anything of a user. Whatever leaves the tables is handed back, for the caller to drop once they
//! are free.

use std::io;

use smallvec::SmallVec;

use crate::arena::Key;
use crate::clock::Tick;
use crate::core::{SourceEntry, Tables};
use crate::deadlines::{Deadline, Deadlines, Set};
use crate::member::{How, Member, SourceFlags};
use crate::mode::Mode;

/// The modes of a source, copied so that the tables can be changed meanwhile.
type Modes = SmallVec<[Mode; 4]>;

impl Tables {
    /// Sets, moves or clears the deadline of a source in every mode it is in.
    pub(crate) fn set_deadline(&mut self, source: Key, deadline: Deadline) {
        let number = self.count();
        let Some(entry) = self.sources.get_mut(source) else {
            return;
        };
        entry.deadline = deadline;
        entry.deadline_set = number;
        self.reseat(source);
        self.stir(source, deadline.limit);
    }

    /// Has the queue of every mode of a source say when it is to be looked at.
    pub(crate) fn reseat(&mut self, source: Key) {
        let (sources, mut modes) = self.parts();
        let Some(entry) = sources.get_mut(source) else {
            return;
        };
        let (alarm, number) = (entry.alarm(), entry.deadline_set);
        let mut left = Modes::new();
        for member in &mut entry.members {
            if std::mem::replace(&mut member.queued, !alarm.is_never()) {
                left.push(member.mode);
            }
            if let Some(mode) = modes.at(member.mode).filter(|_| !alarm.is_never()) {
                mode.deadlines.insert(alarm, number, source.index);
            }
        }
        for mode in left {
            self.give_up_deadline(mode);
        }
    }

    /// A deadline of a mode holds no longer.
    fn give_up_deadline(&mut self, mode: Mode) {
        if let Some((deadlines, set)) = self.deadlines_of(mode) {
            deadlines.give_up(set);
        }
    }

    /// The deadlines of a mode, if there are any, and what is set for the source of an index.
    fn deadlines_of(
        &mut self,
        mode: Mode,
    ) -> Option<(&mut Deadlines, impl Fn(u32) -> Option<Set>)> {
        let (sources, modes) = self.parts();
        let entry = modes.only(mode)?;
        if entry.deadlines.is_empty() {
            return None;
        }
        let set = move |index| sources.at(index)?.set_in(mode);
        Some((&mut entry.deadlines, set))
    }

    /// The earliest deadline of a mode, and the index of its source.
    pub(crate) fn first_due(&mut self, mode: Mode) -> Option<(Tick, u32)> {
        let (deadlines, set) = self.deadlines_of(mode)?;
        deadlines.first(set)
    }

    /// The moment until which every deadline of a mode tolerates that the loop sleeps.
    pub(crate) fn limit_of(&mut self, mode: Mode) -> Option<Tick> {
        let (deadlines, set) = self.deadlines_of(mode)?;
        deadlines.limit(set)
    }

    /// Takes a deadline out of one mode although it is still set: its source is being performed.
    pub(crate) fn park_deadline(&mut self, source: Key, mode: Mode) {
        let Some(entry) = self.sources.get_mut(source) else {
            return;
        };
        let member = entry.members.iter_mut().find(|member| member.mode == mode);
        if member.is_some_and(|member| std::mem::take(&mut member.queued)) {
            entry.flags.insert(SourceFlags::PARKED);
            self.give_up_deadline(mode);
        }
    }

    /// Puts a source into a mode; says whether it was not there before. On failure nothing has changed.
    pub(crate) fn join(&mut self, source: Key, mode: Mode, how: How) -> io::Result<bool> {
        self.mode_or_new(mode);
        let (sources, mut modes) = self.parts();
        let Some(entry) = sources.get_mut(source) else {
            return Ok(false);
        };
        if let Some(member) = entry.members.iter_mut().find(|member| member.mode == mode) {
            member.how |= how;
            return Ok(false);
        }
        let Some(at) = modes.at(mode) else {
            return Ok(false);
        };
        let alarm = entry.alarm();
        let queued = !alarm.is_never();
        if queued {
            at.deadlines.insert(alarm, entry.deadline_set, source.index);
        }
        at.members += 1;
        at.lively += usize::from(!entry.state.traits().passive);
        entry.members.push(Member { mode, queued, how });
        let mut from = alarm.limit;
        if entry.state.is_signalled() {
            self.shelf_changed = true;
            from = Tick(0);
        }
        self.stir(source, from);
        let watches = self.watches_of(source);
        if watches.is_empty() {
            return Ok(true);
        }
        let modes = self.modes_of(source);
        for (done, &key) in watches.iter().enumerate() {
            if let Err(error) = self.enroll(key, mode, &modes[..modes.len() - 1]) {
                for &earlier in &watches[..done] {
                    self.withdraw(earlier, mode);
                }
                self.strike(source, mode);
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Takes one reason away why a source is in a mode; says whether it has left the mode.
    pub(crate) fn leave(&mut self, source: Key, mode: Mode, how: How) -> bool {
        let Some(entry) = self.sources.get_mut(source) else {
            return false;
        };
        let Some(member) = entry.members.iter_mut().find(|member| member.mode == mode) else {
            return false;
        };
        member.how.remove(how);
        let gone = member.how.is_empty();
        if gone {
            self.part(source, mode);
        }
        gone
    }

    /// Takes a source out of a mode, whatever brought it there.
    pub(crate) fn part(&mut self, source: Key, mode: Mode) {
        for key in self.watches_of(source) {
            self.withdraw(key, mode);
        }
        self.strike(source, mode);
    }

    /// Strikes a source off the list of a mode, whose poll set has forgotten its watches.
    fn strike(&mut self, source: Key, mode: Mode) {
        let (sources, mut modes) = self.parts();
        let Some(entry) = sources.get_mut(source) else {
            return;
        };
        let place = entry.members.iter().position(|member| member.mode == mode);
        let (Some(place), Some(at)) = (place, modes.at(mode)) else {
            return;
        };
        let member = entry.members.remove(place);
        at.members -= 1;
        at.lively -= usize::from(!entry.state.traits().passive);
        if member.queued {
            self.give_up_deadline(mode);
        }
    }

    /// Whether a mode has nothing that a run could wait for or do.
    pub(crate) fn is_empty(&self, mode: Mode) -> bool {
        self.mode(mode).is_none_or(|entry| entry.lively == 0) && !self.has_closures(mode)
    }

    /// Whether a closure waits for a mode.
    pub(crate) fn has_closures(&self, mode: Mode) -> bool {
        let Some(entry) = self.mode(mode) else {
            return false;
        };
        !entry.closures.is_empty() || (entry.common && !self.common_closures.is_empty())
    }

    /// Whether a source is in a mode, or in the common set.
    pub(crate) fn contains(&self, source: Key, mode: Mode) -> bool {
        self.sources.get(source).is_some_and(|entry| {
            entry.is_in(mode) || (mode == Mode::COMMON && entry.flags.contains(SourceFlags::COMMON))
        })
    }

    pub(crate) fn modes_of(&self, source: Key) -> Modes {
        let entry = self.sources.get(source);
        entry
            .into_iter()
            .flat_map(|entry| &entry.members)
            .map(|member| member.mode)
            .collect()
    }
}

impl SourceEntry {
    /// Whether it may not be performed now because it is being performed.
    pub(crate) fn is_engaged(&self) -> bool {
        self.firing > 0 && !self.state.traits().reentrant
    }

    /// The deadline that a mode has of it, if any, with the number of its setting.
    pub(crate) fn set_in(&self, mode: Mode) -> Option<Set> {
        let mut members = self.members.iter();
        let queued = members.any(|member| member.mode == mode && member.queued);
        queued.then(|| (self.alarm(), self.deadline_set))
    }

    pub(crate) fn is_in(&self, mode: Mode) -> bool {
        self.members.iter().any(|member| member.mode == mode)
    }
}

#[cfg(test)]
mod tests {
    use crate::core::SourceEntry;

    #[test]
    fn a_source_has_little_more_than_a_cache_line_and_a_half_in_the_table() {
        let size = size_of::<SourceEntry>();
        assert!(
            size <= 96,
            "{size} bytes, for each of what may be a million"
        );
    }
}
