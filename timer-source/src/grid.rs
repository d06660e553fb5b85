//! The dates on which a timer fires, as plain numbers: a grid of equal steps from a first date on.
//!
//! Pure arithmetic for any clock: nothing here reads one, the present moment is passed in, and nothing overflows.

use std::num::NonZeroU64;
use std::time::Duration;

/// A moment on the clock of a timer, in nanoseconds from some moment in the life of the process.
///
/// # Invariant
///
/// The number has 63 bits, so that one bit of a word that holds a date is left for other use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date(i64);

impl Date {
    /// Later than any moment that can come.
    pub(crate) const NEVER: Self = Self(i64::MAX >> 1);

    /// The moment that is this far from the beginning of the count: 146 years in either direction, and no farther.
    pub(crate) const fn new(nanos: i64) -> Self {
        if nanos > Self::NEVER.0 {
            return Self::NEVER;
        }
        if nanos < EARLIEST {
            return Self(EARLIEST);
        }
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> i64 {
        self.0
    }

    /// The moment that comes `nanos` later; one that is too far away is `NEVER`.
    pub(crate) const fn after(self, nanos: u64) -> Self {
        Self::new(self.0.saturating_add_unsigned(nanos))
    }

    /// The moment as far from `there` as this one is from `here`: the same moment, on a clock that shows `there` when this
    /// one's shows `here`.
    pub(crate) const fn shifted(self, here: Self, there: Self) -> Self {
        Self::new(self.0.saturating_sub(here.0).saturating_add(there.0))
    }

    /// The first date of the grid through this one that is later than `now`, if this one is more than one and a half
    /// intervals away: then the clock has been set back, and shows dates anew that it has shown before.
    ///
    /// Half an interval is let pass. A clock that is put right by a little, just after a date, would have that date served
    /// twice.
    pub(crate) fn drawn_near(self, interval: NonZeroU64, now: Self) -> Self {
        let away = if self > now {
            self.0.abs_diff(now.0)
        } else {
            0
        };
        let near = interval.get().saturating_add(interval.get() / 2);
        if away <= near || self == Self::NEVER {
            return self;
        }
        let whole = away - 1 - (away - 1) % interval;
        Self::new(self.0.saturating_sub_unsigned(whole))
    }

    /// The first date of the grid through this one that is later than `now`, and how many dates between the two were
    /// passed over.
    pub(crate) fn step(self, interval: NonZeroU64, now: Self) -> Step {
        let late = if now > self {
            now.0.abs_diff(self.0)
        } else {
            0
        };
        // By division, not by stepping: a tiny interval after a long suspension would take minutes to step through.
        let missed = late / interval;
        let last = self.0.saturating_add_unsigned(late - late % interval);
        Step {
            next: Self::new(last.saturating_add_unsigned(interval.get())),
            missed,
        }
    }
}

/// Where a repeating timer goes after it has fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The next date of the grid.
    pub(crate) next: Date,
    /// How many dates of the grid have gone by without a firing of their own.
    pub(crate) missed: u64,
}

/// The interval of a repeating timer in nanoseconds, at least the smallest that a timer can have.
pub(crate) fn interval(asked: Duration) -> NonZeroU64 {
    NonZeroU64::new(nanos(asked.max(INTERVAL_MIN))).unwrap_or(NonZeroU64::MAX)
}

/// A duration in nanoseconds, or the largest number.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The smallest interval: less than one pass of a loop takes, so a timer that asks for less fires no less often for it.
pub(crate) const INTERVAL_MIN: Duration = Duration::from_micros(1);

const EARLIEST: i64 = -Date::NEVER.0;

#[cfg(test)]
mod tests;
