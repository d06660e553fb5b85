//! What one wait found: ids only, for whatever they name may be gone at its turn.

use crate::arena::Key;
use crate::readiness::{Readiness, Token};
use crate::sys::poller::Events;

/// What a wait found, sorted by source.
pub(crate) struct Batch {
    /// The number of the wait.
    pub(crate) wait: u64,
    /// Made for a run that returns after one source, so with room for few events.
    pub(crate) few: bool,
    pub(crate) events: Events,
    /// There was an event of a descriptor that nobody watches.
    pub(crate) stray: bool,
    pub(crate) items: Vec<Item>,
    /// The descriptors of the source whose turn it is.
    pub(crate) fds: Vec<(Token, Readiness)>,
    /// Those of them that report their end and nothing else, too often for anybody to care.
    pub(crate) barren: Vec<Token>,
}

/// One ready descriptor of a batch: ids only, since its source may be gone at its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) order: i32,
    /// The place of the source's first event among all events.
    pub(crate) place: u32,
    pub(crate) source: Key,
    pub(crate) watch: Key,
    pub(crate) readiness: Readiness,
}
