//! Calling a source back: claiming the call, keeping the source alive through it, and what follows when it panics.
//!
//! Every callback of every source goes through here, with the tables free.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::arena::Key;
use crate::core::{Callee, RunLoop, SourceEntry, Tables};
use crate::member::SourceFlags;
use crate::readiness::{Prepared, Ready, Stage, Token, Why};
use crate::state::State;
use crate::trace::Call;

/// What a panic carries.
pub(crate) type Payload = Box<dyn std::any::Any + Send>;

impl RunLoop {
    /// Performs a source that was engaged for it, unless it has become invalid or its signal has been taken; says whether
    /// it was performed.
    pub(crate) fn perform_source(&self, key: Key, engaged: Engaged, ready: Ready<'_>) -> bool {
        let (callee, state) = engaged;
        let begun = state.begin();
        // Another loop may have taken the signal; a bell of this one has still rung.
        if !begun || (ready.signalled && !state.take_signal() && !ready.rung) {
            if begun {
                state.end();
            }
            self.release(key);
            if !begun {
                // Another thread has invalidated it, and its notice is on the way; what made it ready would not wait.
                self.tear_down(key, Why::Asked);
            }
            return false;
        }
        self.core.count(|statistics| statistics.performs += 1);
        state.count_perform();
        let result = self.call(Call::Source("perform", &callee, &state), || {
            catch_unwind(AssertUnwindSafe(|| callee.perform(self, key, ready)))
        });
        state.end();
        self.release(key);
        if let Err(panic) = result {
            self.panicked(key, &state);
            resume_unwind(panic);
        }
        true
    }

    /// Asks a source whether it has work.
    pub(crate) fn ask(&self, key: Key, stage: Stage) -> Prepared {
        let found = self
            .core
            .with(|tables| tables.sources.get(key).map(SourceEntry::both));
        found.map_or(Prepared::Idle, |(callee, state)| {
            self.ask_this(key, (&callee, &state), stage)
        })
    }

    /// As `ask`, for a source that was looked up before.
    pub(crate) fn ask_this(
        &self,
        key: Key,
        (callee, state): (&Arc<dyn Callee>, &Arc<State>),
        stage: Stage,
    ) -> Prepared {
        if !state.begin() {
            return Prepared::Idle;
        }
        self.core.asking.borrow_mut().push(key);
        let result = self.call(Call::Source("prepare", callee, state), || {
            catch_unwind(AssertUnwindSafe(|| callee.prepare(self, key, stage)))
        });
        self.core.asking.borrow_mut().pop();
        state.end();
        if result.is_err() {
            self.panicked(key, state);
        }
        if !state.is_valid() {
            self.settle(key);
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Whether a `prepare` of a source is running on this thread.
    pub(crate) fn is_asking(&self, key: Key) -> bool {
        self.core.asking.borrow().contains(&key)
    }

    /// How many callbacks of a source that `State::begin` counts are running on this thread.
    pub(crate) fn calls_of(&self, key: Key) -> u32 {
        let firing = self
            .core
            .with(|tables| tables.sources.get(key).map_or(0, |entry| entry.firing));
        let asking = self.core.asking.borrow();
        let asking = asking.iter().filter(|&&asked| asked == key).count();
        firing + u32::try_from(asking).unwrap_or(u32::MAX)
    }

    /// Calls one of the hooks that announce a change; a panic is kept for the caller to go on with when all is done.
    pub(crate) fn hook(&self, kept: &mut Option<Payload>, call: impl FnOnce()) {
        debug_assert!(
            self.core.with(|_| true),
            "the tables are free while a hook runs"
        );
        if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
            kept.get_or_insert(panic);
        }
    }

    /// As `hook`, for a callback that is told of.
    pub(crate) fn tell(&self, kept: &mut Option<Payload>, call: Call<'_>, callback: impl FnOnce()) {
        self.hook(kept, || self.call(call, callback));
    }

    /// Does to a source that has panicked what its options say.
    pub(crate) fn panicked(&self, key: Key, state: &Arc<State>) {
        if state.traits().kept_on_panic {
            return;
        }
        let name = state.name();
        tracing::warn!(
            source = name,
            "a callback panicked, and its source is invalidated"
        );
        state.clear_valid();
        // The others first: what follows here calls hooks, and one may panic.
        state.notify_others(self.core.shared.id);
        self.tear_down(key, Why::Panicked);
    }

    /// Stops watching descriptors that report their end again and again to a source that does nothing about it.
    pub(crate) fn silence(&self, key: Key, barren: &[Token]) {
        for &token in barren {
            if self.core.with(|tables| tables.silence(key, token)) {
                let state = self
                    .core
                    .with(|t| t.sources.get(key).map(|e| Arc::clone(&e.state)));
                tracing::warn!(
                    source = state.as_ref().and_then(|state| state.name()),
                    token = token.0,
                    "a descriptor reports nothing but its end, and is not watched any more"
                );
            }
        }
    }

    /// Lets a source go on that has rested.
    pub(crate) fn go_on(&self, key: Key) {
        if let Err(error) = self.core.with(|tables| tables.end_rest(key)) {
            self.fail(key, &error);
        }
    }

    /// A perform has ended: what was parked for it comes back, and what it outlived is buried.
    fn release(&self, key: Key) {
        let (parked, kept) = self.core.with(|tables| tables.disengage(key));
        if parked {
            if let Err(error) = self.core.with(|tables| tables.unpark(key)) {
                self.fail(key, &error);
            }
        }
        if parked || !kept {
            self.settle(key);
        }
    }
}

/// What a call needs, held while the tables are free.
pub(crate) type Engaged = (Arc<dyn Callee>, Arc<State>);

impl Tables {
    /// A perform of a source is about to begin.
    pub(crate) fn engage(&mut self, key: Key) -> Option<Engaged> {
        let entry = self.sources.get_mut(key)?;
        entry.firing += 1;
        if let Some(pace) = &mut entry.pace {
            pace.count();
        }
        Some(entry.both())
    }

    /// A perform of a source has ended; says whether something was parked for it, and whether it stays in the table.
    fn disengage(&mut self, key: Key) -> (bool, bool) {
        let Some(entry) = self.sources.get_mut(key) else {
            return (false, true);
        };
        entry.firing -= 1;
        if entry.firing > 0 {
            return (false, true);
        }
        self.shelf_changed |= entry.flags.contains(SourceFlags::LISTED);
        (entry.flags.contains(SourceFlags::PARKED), entry.is_kept())
    }
}

impl SourceEntry {
    /// What a call needs, to be held while the tables are free.
    pub(crate) fn both(&self) -> Engaged {
        (Arc::clone(&self.callee), Arc::clone(&self.state))
    }
}
