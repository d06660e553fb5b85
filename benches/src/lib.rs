//! What the benchmarks share: placement on processors, medians, and the form of a result.

use rustix::thread::{CpuSet, sched_setaffinity};
use std::fmt;
use std::time::Duration;

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

/// Figures of several rounds.
#[derive(Clone, Debug, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// Adds the figure of one round.
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// The one in the middle.
    pub fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (self.0.first(), self.0.last());
        let figure = |figure: Option<&f64>| figure.copied().unwrap_or(f64::NAN);
        let (min, max) = (figure(min), figure(max));
        write!(f, "value={:.3} min={min:.3} max={max:.3}", self.median())
    }
}

/// The one in the middle of many durations, in microseconds.
pub fn median_micros(durations: &mut [Duration]) -> f64 {
    durations.sort_unstable();
    durations
        .get(durations.len() / 2)
        .map_or(f64::NAN, |middle| middle.as_secs_f64() * 1e6)
}
