//! What a source is in a loop and in each of its modes, as small values.

use crate::mode::Mode;

bitflags::bitflags! {
    /// What a source is in this loop, as yes or no.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct SourceFlags: u8 {
        /// `attach` has been called, and `detach` has not.
        const ATTACHED = 1;
        /// It stays in the table without a mode as long as there are handles.
        const ADOPTED = 2;
        /// It is in the common set.
        const COMMON = 4;
        /// It is in `signalled` or on the shelf.
        const LISTED = 8;
        /// It is on the hot list.
        const HOT = 16;
        /// Some watch or deadline of it was taken out because it is being performed.
        const PARKED = 32;
        /// A bell of it has rung since it was last performed for a signal.
        const RUNG = 64;
        /// It has been performed as often as it may for now.
        const RESTING = 128;
    }
}

/// A source's membership of a mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) mode: Mode,
    /// Whether its deadline is among those of the mode.
    pub(crate) queued: bool,
    pub(crate) how: How,
}

bitflags::bitflags! {
    /// How something came into a mode; it leaves with the last of the two.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct How: u8 {
        /// By itself.
        const INDIVIDUAL = 1;
        /// With the common set.
        const COMMON = 2;
    }
}
