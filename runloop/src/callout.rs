//! Calling a source back: claiming the call, keeping the source alive through it, and what follows when it panics.
//!
//! Every callback of every source goes through here, with the tables free.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::arena::Key;
use crate::core::{Callee, RunLoop, SourceEntry};
use crate::member::SourceFlags;
use crate::readiness::{Prepared, Ready, Stage, Why};
use crate::state::State;

/// What a panic carries.
pub(crate) type Payload = Box<dyn std::any::Any + Send>;

impl RunLoop {
    /// Performs a source, unless it has become invalid or its signal has been taken; says whether it was performed.
    pub(crate) fn perform_source(&self, key: Key, ready: Ready<'_>) -> bool {
        let found = self.core.with(|tables| {
            let depth = tables.activations.len();
            let running = tables.running();
            let entry = tables.sources.get_mut(key)?;
            entry.firing += 1;
            Some((
                Arc::clone(&entry.callee),
                Arc::clone(&entry.state),
                running,
                depth,
            ))
        });
        let Some((callee, state, mode, depth)) = found else {
            return false;
        };
        let begun = state.begin();
        if !begun || (ready.signalled && !state.take_signal()) {
            if begun {
                state.end();
            }
            self.release(key);
            return false;
        }
        let span = tracing::trace_span!(
            "perform",
            source = state.name.as_deref(),
            kind = callee.kind(),
            mode = mode.map(crate::Mode::name),
            depth,
        );
        let result =
            span.in_scope(|| catch_unwind(AssertUnwindSafe(|| callee.perform(self, key, ready))));
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
        let result = catch_unwind(AssertUnwindSafe(|| callee.prepare(self, key, stage)));
        state.end();
        result.unwrap_or_else(|panic| {
            self.panicked(key, state);
            resume_unwind(panic)
        })
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

    /// Does to a source that has panicked what its options say.
    pub(crate) fn panicked(&self, key: Key, state: &Arc<State>) {
        if state.traits.kept_on_panic {
            return;
        }
        let name = state.name.as_deref();
        tracing::warn!(
            source = name,
            "a callback panicked, and its source is invalidated"
        );
        state.clear_valid();
        self.tear_down(key, Why::Panicked);
        state.notify();
    }

    /// A perform has ended: what was parked for it comes back, and what it outlived is buried.
    fn release(&self, key: Key) {
        let parked = self.core.with(|tables| {
            let entry = tables.sources.get_mut(key)?;
            entry.firing -= 1;
            if entry.firing > 0 {
                return None;
            }
            let flags = entry.flags;
            if flags.contains(SourceFlags::LISTED) {
                tables.shelf_changed = true;
            }
            Some(flags.contains(SourceFlags::PARKED))
        });
        if parked == Some(true) {
            if let Err(error) = self.core.with(|tables| tables.unpark(key)) {
                self.fail(key, &error);
            }
        }
        if parked.is_some() {
            self.settle(key);
        }
    }
}

impl SourceEntry {
    fn both(&self) -> (Arc<dyn Callee>, Arc<State>) {
        (Arc::clone(&self.callee), Arc::clone(&self.state))
    }
}
