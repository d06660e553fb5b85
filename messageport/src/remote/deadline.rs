//! Until when a call waits.

use runloop::Limit;
use std::time::{Duration, Instant};

/// Until when a call waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    At(Instant),
    Never,
}

impl Deadline {
    /// A time too far away to be told is never.
    pub(super) fn after(timeout: Option<Duration>) -> Self {
        let at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        at.map_or(Self::Never, Self::At)
    }

    /// This, or a moment from now if that is sooner.
    pub(super) fn or_soon(self) -> Self {
        let soon = Instant::now() + SOON;
        match self {
            Self::At(at) => Self::At(at.min(soon)),
            Self::Never => Self::At(soon),
        }
    }

    pub(super) fn has_passed(self) -> bool {
        match self {
            Self::At(at) => at <= Instant::now(),
            Self::Never => false,
        }
    }

    /// As the limit of a run: once it has passed, one look.
    pub(super) fn limit(self) -> Limit {
        match self {
            Self::At(_) if self.has_passed() => Limit::Now,
            Self::At(at) => Limit::At(at),
            Self::Never => Limit::Never,
        }
    }
}

/// When to look again for room of which nobody tells: in a table of descriptors, or on a socket.
const SOON: Duration = Duration::from_millis(5);
