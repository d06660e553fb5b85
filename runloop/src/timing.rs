//! What a loop wants to know of the time that passes: all of it off unless asked for.

use std::cell::Cell;
use std::time::Duration;

use crate::clock::Tick;

/// What is wanted, and the last look at the clock.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    /// A callback that takes this long is warned of.
    pub(crate) slow: Cell<Option<Duration>>,
    /// Whether times are added up.
    pub(crate) measuring: Cell<bool>,
    /// When the last callback or sleep of this run ended, if nothing that could take long has happened since.
    pub(crate) last: Cell<Option<Tick>>,
    /// Whether a callback is in progress that has not run the loop.
    pub(crate) inside: Cell<bool>,
}

impl Timing {
    /// Whether callbacks are timed.
    pub(crate) fn is_on(&self) -> bool {
        self.slow.get().is_some() || self.measuring.get()
    }

    /// A run begins; says whether that is inside of a callback, for its end.
    pub(crate) fn enter(&self) -> bool {
        self.inside.replace(false)
    }

    /// A run ends.
    pub(crate) fn leave(&self, inside: bool) {
        self.last.set(None);
        self.inside.set(inside);
    }
}
