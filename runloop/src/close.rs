//! The end of a thread: its loop takes leave of every source, one at a time.

use std::sync::Arc;

use crate::core::{Callee, RunLoop, Watch};
use crate::member::SourceFlags;
use crate::mode::Mode;

impl RunLoop {
    /// Closes the loop. Every source is told that it leaves its modes and the loop, but stays valid; closures that can no
    /// longer run are dropped.
    pub(crate) fn close(&self) {
        let forked = self.core.shared.is_forked();
        self.core.shared.close();
        if !forked {
            self.part_with_sources();
        }
        let closures = self.core.with(|tables| {
            let keys: Vec<Mode> = tables.modes().map(|entry| entry.mode).collect();
            let mut closures = std::mem::take(&mut tables.common_closures);
            for mode in keys {
                if let Some(entry) = tables.mode_mut(mode) {
                    closures.append(&mut entry.closures);
                }
            }
            closures
        });
        drop(closures);
        self.part_with_observers();
        // Whatever is left in the inbox goes with it, and from here on senders get their messages back.
        let inbox = self.core.inbox.take();
        drop(inbox);
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
            let Some((entry, modes, watches)) = taken else {
                continue;
            };
            let callee = Arc::clone(&entry.callee);
            entry.state.leave(self.core.shared.id);
            self.say_goodbye(
                &*callee,
                &modes,
                entry.flags.contains(SourceFlags::ATTACHED),
                watches,
            );
            drop(entry);
            drop(callee);
        }
    }

    fn say_goodbye(
        &self,
        callee: &dyn Callee,
        modes: &[Mode],
        attached: bool,
        watches: Vec<Watch>,
    ) {
        // A panic in a destructor of a thread's end would abort the process; it is reported and goes no further.
        let mut panic = None;
        for &mode in modes {
            self.hook(&mut panic, || callee.cancel(self, mode));
        }
        self.hook(&mut panic, || drop(watches));
        if attached {
            self.hook(&mut panic, || callee.detach(self));
        }
        if panic.is_some() {
            tracing::error!(
                kind = callee.kind(),
                "a hook panicked while its thread ended"
            );
        }
    }
}
