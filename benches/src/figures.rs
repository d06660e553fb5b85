//! Figures of several rounds, and what is said of them.

use std::fmt;
use std::time::Duration;

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

    /// What is said of them.
    pub fn figure(&self) -> Figure {
        let of = |figure: Option<&f64>| figure.copied().unwrap_or(f64::NAN);
        Figure {
            value: self.median(),
            min: of(self.0.first()),
            max: of(self.0.last()),
        }
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.figure().fmt(f)
    }
}

/// The middle of several rounds, with the lowest and the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The one in the middle.
    pub value: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, min, max } = self;
        write!(f, "value={value:.3} min={min:.3} max={max:.3}")
    }
}

/// The one in the middle of many durations, in microseconds.
pub fn median_micros(durations: &mut [Duration]) -> f64 {
    percentile_micros(durations, 50)
}

/// The duration that so many per cent of all do not exceed, in microseconds.
pub fn percentile_micros(durations: &mut [Duration], percent: usize) -> f64 {
    durations.sort_unstable();
    let place = (durations.len() * percent / 100).min(durations.len().saturating_sub(1));
    durations
        .get(place)
        .map_or(f64::NAN, |found| found.as_secs_f64() * 1e6)
}
