//! Where the two parties of a measurement run.

use rustix::thread::{CpuSet, sched_setaffinity};

/// Where the two parties of a measurement run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Both on processor 0, so that each must sleep for the other to run.
    Same,
    /// One on processor 0, the other on processor 1.
    Cross,
    /// Wherever the system puts them.
    Free,
}

impl Placement {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Same, Self::Cross, Self::Free];

    /// Its name in a result.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Cross => "cross",
            Self::Free => "free",
        }
    }

    /// The placement of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|placement| placement.name() == name)
    }

    /// Puts this thread where the first party belongs, or the second.
    pub fn take(self, second: bool) -> rustix::io::Result<()> {
        let mut set = CpuSet::new();
        match self {
            Self::Free => return Ok(()),
            Self::Cross if second => set.set(1),
            Self::Same | Self::Cross => set.set(0),
        }
        sched_setaffinity(None, &set)
    }
}
