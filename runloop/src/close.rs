//! The end of a thread: its loop takes leave of every source, one at a time.

use std::sync::Arc;

use crate::core::{RunLoop, SourceEntry, Watch};
use crate::member::SourceFlags;
use crate::mode::Mode;
use crate::plan::Repose;
use crate::readiness::Why;
use crate::trace::Call;

impl RunLoop {
    /// Closes the loop. Every source is told that it leaves its modes and the loop, but stays valid; closures that can no
    /// longer run are dropped.
    ///
    /// A panic in a destructor of a thread's end would abort the process; it is reported and goes no further.
    pub(crate) fn close(&self) {
        let forked = self.core.shared.is_forked();
        self.core.shared.close();
        self.core.repose.set(Repose::Alone);
        if !forked {
            self.part_with_sources();
        }
        let closures = self.core.with(|tables| {
            let modes: Vec<Mode> = tables.modes().map(|entry| entry.mode).collect();
            let mut closures = std::mem::take(&mut tables.common_closures);
            for mode in modes {
                if let Some(entry) = tables.mode_mut(mode) {
                    closures.append(&mut entry.closures);
                }
            }
            closures
        });
        let mut panic = None;
        for closure in closures {
            self.hook(&mut panic, || drop(closure));
        }
        for seat in self.take_observers() {
            self.hook(&mut panic, || drop(seat));
        }
        // Whatever is left in the inbox goes with it, and from here on senders get their messages back.
        let inbox = self.core.inbox.take();
        self.hook(&mut panic, || drop(inbox));
        if panic.is_some() {
            tracing::error!("a destructor panicked while its thread ended");
        }
    }

    fn part_with_sources(&self) {
        let keys = self.core.with(|tables| tables.sources.keys());
        for key in keys {
            let taken = self.core.with(|tables| {
                let modes = tables.modes_of(key);
                for &mode in &modes {
                    tables.part(key, mode);
                }
                let watches = tables.drop_watches(key);
                let entry = tables.sources.remove(key)?;
                Some((entry, modes, watches))
            });
            if let Some((entry, modes, watches)) = taken {
                self.say_goodbye(entry, &modes, watches);
            }
        }
    }

    fn say_goodbye(&self, entry: SourceEntry, modes: &[Mode], watches: Vec<Watch>) {
        let callee = Arc::clone(&entry.callee);
        let last = entry.state.leave(self.core.shared.id);
        let mut panic = None;
        for &mode in modes {
            let call = Call::Source("cancel", &callee, &entry.state);
            self.tell(&mut panic, call, || callee.cancel(self, mode));
        }
        self.hook(&mut panic, || drop(watches));
        if entry.flags.contains(SourceFlags::ATTACHED) {
            let call = Call::Source("detach", &callee, &entry.state);
            self.tell(&mut panic, call, || callee.detach(self));
        }
        // Another thread may have invalidated it, and this loop has not looked since.
        if last && !entry.state.is_valid() && entry.state.claim_end() {
            let why = entry.ending.unwrap_or(Why::Asked);
            let call = Call::Source("invalidated", &callee, &entry.state);
            self.tell(&mut panic, call, || callee.invalidated(why));
        }
        let kind = callee.kind();
        self.hook(&mut panic, || drop(entry));
        self.hook(&mut panic, || drop(callee));
        if panic.is_some() {
            tracing::error!(kind, "a source panicked while its thread ended");
        }
    }
}
