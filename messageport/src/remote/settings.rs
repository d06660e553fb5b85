//! What is said of a link when it is made.

use crate::local::LARGEST;
use crate::ring::RingSize;

/// What both ends of a link are told of its size, and how its client waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(super) ring: RingSize,
    pub(super) largest_reply: u64,
    pub(super) spinning: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ring: RingSize::DEFAULT,
            largest_reply: LARGEST,
            spinning: true,
        }
    }
}
