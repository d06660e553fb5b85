//! Telling a source that it comes and goes, and what follows when it refuses or panics: `attach`, `schedule`, `cancel` and
//! `detach`, each called with the tables free.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use smallvec::SmallVec;

use crate::arena::Key;
use crate::core::{RunLoop, SourceEntry, Watch};
use crate::deadlines::Deadline;
use crate::member::SourceFlags;
use crate::mode::Mode;
use crate::trace::Call;

impl RunLoop {
    /// Calls `attach`, unless this loop has done so. A source that fails, or panics, leaves the loop as it was before;
    /// `joined` are the modes it is not yet said to be in.
    pub(crate) fn attach(&self, key: Key, joined: &[Mode]) -> io::Result<()> {
        let found = self.core.with(|tables| {
            let entry = tables.sources.get_mut(key)?;
            let before = entry.flags.contains(SourceFlags::ATTACHED);
            entry.flags.insert(SourceFlags::ATTACHED);
            (!before).then(|| entry.both())
        });
        let Some((callee, state)) = found else {
            return Ok(());
        };
        let attached = self.call(Call::Source("attach", &callee, &state), || {
            catch_unwind(AssertUnwindSafe(|| callee.attach(self, key)))
        });
        if matches!(attached, Ok(Ok(()))) {
            return Ok(());
        }
        let (modes, watches) = self.leave_all(key);
        let mut kept = None;
        self.hook(&mut kept, || drop(watches));
        for mode in modes {
            // It can only be in another mode by its own doing, and has been told of that one.
            if !joined.contains(&mode) {
                let call = Call::Source("cancel", &callee, &state);
                self.tell(&mut kept, call, || callee.cancel(self, mode));
            }
        }
        if attached.is_err() {
            self.hook(&mut kept, || self.panicked(key, &state));
        }
        self.hook(&mut kept, || self.settle(key));
        self.hook(&mut kept, || drop(callee));
        match (attached, kept) {
            (Err(panic), _) | (Ok(_), Some(panic)) => resume_unwind(panic),
            (Ok(failed), None) => failed,
        }
    }

    /// Takes a source out of every mode and the common set, and hands back the modes and what it watched.
    pub(crate) fn leave_all(&self, key: Key) -> (SmallVec<[Mode; 4]>, Vec<Watch>) {
        let modes = self.core.with(|tables| {
            let modes = tables.modes_of(key);
            for &mode in &modes {
                tables.part(key, mode);
            }
            if let Some(entry) = tables.sources.get_mut(key) {
                entry.flags.remove(SourceFlags::COMMON);
            }
            modes
        });
        (modes, self.let_go(key))
    }

    /// Forgets what a source that is in no mode had asked of this loop, and hands back what it watched.
    fn let_go(&self, key: Key) -> Vec<Watch> {
        let (watches, hot) = self.core.with(|tables| {
            tables.set_deadline(key, Deadline::NEVER);
            if let Some(entry) = tables.sources.get_mut(key) {
                entry.flags.remove(SourceFlags::ATTACHED | SourceFlags::HOT);
            }
            (tables.drop_watches(key), tables.forget_hot(key))
        });
        self.core.hot_count.set(hot);
        watches
    }

    pub(crate) fn schedule(&self, key: Key, modes: &[Mode]) {
        let mut panic = None;
        for &mode in modes {
            let found = self.core.with(|tables| {
                let entry = tables.sources.get(key)?;
                entry.is_in(mode).then(|| entry.both())
            });
            // It may have left again while it was told of an earlier one.
            let Some((callee, state)) = found else {
                continue;
            };
            let call = Call::Source("schedule", &callee, &state);
            self.tell(&mut panic, call, || callee.schedule(self, mode));
            if panic.is_some() {
                self.hook(&mut panic, || self.panicked(key, &state));
            }
        }
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Tells a source that it has left these modes, and lets go of it if they were its last.
    pub(crate) fn unschedule(&self, key: Key, modes: &[Mode]) {
        let found = self
            .core
            .with(|tables| tables.sources.get(key).map(SourceEntry::both));
        let Some((callee, state)) = found else { return };
        let mut panic = None;
        for &mode in modes {
            let call = Call::Source("cancel", &callee, &state);
            self.tell(&mut panic, call, || callee.cancel(self, mode));
        }
        let detached = self.core.with(|tables| {
            let entry = tables.sources.get(key)?;
            let was = entry.flags.contains(SourceFlags::ATTACHED);
            Some(entry.members.is_empty() && was)
        });
        if detached == Some(true) {
            let watches = self.let_go(key);
            self.hook(&mut panic, || drop(watches));
            let call = Call::Source("detach", &callee, &state);
            self.tell(&mut panic, call, || callee.detach(self));
        }
        if panic.is_some() {
            self.hook(&mut panic, || self.panicked(key, &state));
        }
        self.hook(&mut panic, || self.settle(key));
        self.hook(&mut panic, || drop(callee));
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}
