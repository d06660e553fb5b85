//! How a run was asked for, and what the loop is between runs.

use crate::clock::Tick;
use crate::limit::ReturnAfter;
use crate::mode::Mode;

/// How a run was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    /// When the run ends at the latest; `Tick(0)` means one pass that never blocks.
    pub(crate) deadline: Tick,
    pub(crate) return_after: ReturnAfter,
    /// Go on although the mode is empty.
    pub(crate) when_empty: bool,
}

impl Plan {
    /// One pass that never blocks?
    pub(crate) fn only_looks(&self) -> bool {
        self.deadline == Tick(0)
    }
}

/// How the loop stands to polls around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repose {
    /// No mode is embedded.
    Alone,
    /// Some mode is, and a run is in progress or has just ended.
    Awake,
    /// Some mode is, no run is in progress, and the polls around are told of every change.
    Dozing,
}
