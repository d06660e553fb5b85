//! What the other end of a link can write that cannot be true.

use crate::wire::Malformed;

/// Something impossible in the shared memory. It ends the use of the ring at this end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lie {
    /// More was written than there is room for, less than before, or half a unit.
    #[error("the position up to which the ring is said to be written is impossible")]
    Written,
    /// More was read than was written, less than before, or half a unit.
    #[error("the position up to which the ring is said to be read is impossible")]
    Read,
    /// A record reaches past what is written or past the ring's end, or a skip does not end there.
    #[error("a record does not lie within what is written")]
    Extent,
    /// A header breaks the rules of headers.
    #[error("a record has an impossible header")]
    Header(#[source] Malformed),
}
