//! Changes to the tables: deadlines and memberships.
//!
//! Nothing here calls anything of a user. Whatever leaves the tables is handed back, for the caller to drop once they
//! are free.

use std::io;

use smallvec::SmallVec;

use crate::arena::Key;
use crate::clock::Tick;
use crate::core::{SourceEntry, Tables};
use crate::deadlines::Deadline;
use crate::heap::Slot;
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

    /// Has the heap of every mode of a source say when it is to be looked at.
    pub(crate) fn reseat(&mut self, source: Key) {
        let Some((entry, mut modes)) = self.source_and_modes(source) else {
            return;
        };
        let (alarm, number) = (entry.alarm(), entry.deadline_set);
        for member in &mut entry.members {
            let Some(mode) = modes.at(member.mode) else {
                continue;
            };
            match (member.slot == Slot::NONE, alarm.is_never()) {
                (true, false) => {
                    member.slot = mode.deadlines.insert(alarm, number, source.index);
                }
                (false, false) => {
                    let slot = member.slot;
                    member.slot = mode.deadlines.update(slot, alarm, number, source.index);
                }
                (false, true) => {
                    mode.deadlines.remove(member.slot);
                    member.slot = Slot::NONE;
                }
                (true, true) => {}
            }
        }
    }

    /// Takes a deadline out of one mode although it is still set: its source is being performed.
    pub(crate) fn park_deadline(&mut self, source: Key, mode: Mode) {
        let Some((entry, mut modes)) = self.source_and_modes(source) else {
            return;
        };
        let member = entry.members.iter_mut().find(|member| member.mode == mode);
        if let (Some(member), Some(mode)) = (member, modes.at(mode)) {
            if member.slot != Slot::NONE {
                mode.deadlines.remove(member.slot);
                member.slot = Slot::NONE;
                entry.flags.insert(SourceFlags::PARKED);
            }
        }
    }

    /// Puts a source into a mode; says whether it was not there before. On failure nothing has changed.
    pub(crate) fn join(&mut self, source: Key, mode: Mode, how: How) -> io::Result<bool> {
        self.mode_or_new(mode);
        let Some((entry, mut modes)) = self.source_and_modes(source) else {
            return Ok(false);
        };
        if let Some(member) = entry.members.iter_mut().find(|member| member.mode == mode) {
            member.how |= how;
            return Ok(false);
        }
        let Some(at) = modes.at(mode) else {
            return Ok(false);
        };
        let mut slot = Slot::NONE;
        let alarm = entry.alarm();
        if !alarm.is_never() {
            slot = at.deadlines.insert(alarm, entry.deadline_set, source.index);
        }
        at.members += 1;
        at.lively += usize::from(!entry.state.traits.passive);
        entry.members.push(Member { mode, slot, how });
        let mut from = alarm.limit;
        if entry.state.is_signalled() {
            self.shelf_changed = true;
            from = Tick(0);
        }
        self.stir(source, from);
        let modes = self.modes_of(source);
        let watches = self.watches_of(source);
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
        let Some((entry, mut modes)) = self.source_and_modes(source) else {
            return;
        };
        let place = entry.members.iter().position(|member| member.mode == mode);
        let (Some(place), Some(mode)) = (place, modes.at(mode)) else {
            return;
        };
        let member = entry.members.remove(place);
        if member.slot != Slot::NONE {
            mode.deadlines.remove(member.slot);
        }
        mode.members -= 1;
        mode.lively -= usize::from(!entry.state.traits.passive);
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
        self.firing > 0 && !self.state.traits.reentrant
    }

    pub(crate) fn is_in(&self, mode: Mode) -> bool {
        self.members.iter().any(|member| member.mode == mode)
    }
}
