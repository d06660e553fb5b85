//! The sleeper's flag: how a loop goes to sleep without missing work, and how others wake it without a system call
//! while it is awake.
//!
//! The loop announces its sleep and then looks at its queues once more; others push first and ring only if sleep is
//! announced. The two fences make it impossible that the loop misses the push and the pusher misses the announcement.

use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Whether the loop sleeps, or is about to.
#[derive(Debug)]
pub(crate) struct Sleep(AtomicBool);

impl Sleep {
    pub(crate) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The loop's: from now on whoever brings work rings. The queues must be looked at once more after this.
    pub(crate) fn announce(&self) {
        // A swap rather than a store, so that the ringer's swap reads this very write: with plain stores the protocol is
        // right but a model checker cannot see it.
        self.0.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    /// The loop's: awake again.
    pub(crate) fn end(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }

    /// Everybody else's, after pushing: whether this caller must ring. At most one of them each time the loop sleeps.
    pub(crate) fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::AcqRel)
    }

    /// Whether the loop sleeps and nobody has rung yet.
    pub(crate) fn is_announced(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
