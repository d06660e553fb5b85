//! Sources that rest: what is found for one that has been performed as often as its limit allows is kept, out of the way,
//! until it may go on.
//!
//! A resting source has, in place of its deadline, the end of its rest in the queue of each of its modes: so a run wakes in
//! time, and so does a poll around it. Its signal waits on the shelf and its ready descriptors outside of the poll sets,
//! as those of a source that is being performed.

use std::io;

use crate::arena::Key;
use crate::clock::Tick;
use crate::core::{SourceEntry, Tables};
use crate::deadlines::Deadline;
use crate::member::SourceFlags;

impl Tables {
    /// Whether a source may not be performed now, since it is being performed or has to rest. One that has been performed
    /// as often as it may begins its rest here; only its limit makes anybody look at the clock.
    pub(crate) fn must_wait(&mut self, source: Key) -> bool {
        let Some(entry) = self.sources.get_mut(source) else {
            return true;
        };
        if entry.is_held() {
            return true;
        }
        let Some(pace) = &mut entry.pace else {
            return false;
        };
        if pace.admits(Tick::now()) {
            return false;
        }
        entry.flags.insert(SourceFlags::RESTING);
        self.reseat(source);
        true
    }

    /// Ends the rest of a source: what was kept for it is found again.
    pub(crate) fn end_rest(&mut self, source: Key) -> io::Result<()> {
        let Some(entry) = self.sources.get_mut(source) else {
            return Ok(());
        };
        entry.flags.remove(SourceFlags::RESTING);
        self.shelf_changed = true;
        self.reseat(source);
        self.unpark(source)
    }
}

impl SourceEntry {
    /// Whether it has been performed as often as it may for now.
    pub(crate) fn is_resting(&self) -> bool {
        self.flags.contains(SourceFlags::RESTING)
    }

    /// Whether it may not be performed now, whatever is found for it.
    pub(crate) fn is_held(&self) -> bool {
        self.is_engaged() || self.is_resting()
    }

    /// When its modes have to look at it: at its deadline, or at the end of its rest.
    pub(crate) fn alarm(&self) -> Deadline {
        match &self.pace {
            Some(pace) if self.is_resting() => Deadline::new(pace.end()),
            _ => self.deadline,
        }
    }
}
