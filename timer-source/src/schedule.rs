//! When a timer fires: its first date, and whether it repeats.
//!
//! Plain values; nothing here knows a loop.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::clock;
use crate::grid::{self, Date};

/// When a timer fires first, and at what interval after that.
///
/// The dates of a repeating timer are the first one and every whole number of intervals after it. Nothing that delays a
/// firing moves them, and a first date in the past is the phase of the rest all the same.
///
/// Counterpart: the `fireDate` and `interval` of `CFRunLoopTimerCreate`.
///
/// ```
/// use std::time::{Duration, Instant};
/// use timer_source::{Schedule, Timer};
///
/// let start = Instant::now();
/// let schedule = Schedule::at(start + Duration::from_secs(5)).every(Duration::from_secs(60));
/// let timer = Timer::new(schedule, |_, _| println!("a minute has begun"));
/// assert_eq!(timer.next_fire_date(), Some(start + Duration::from_secs(5)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// As it was asked for; a distance becomes a date when a timer is made.
    first: First,
    /// `None` for a timer that fires once.
    interval: Option<Duration>,
    /// How late it may fire for the sake of others.
    tolerance: Duration,
}

impl Schedule {
    /// Once, this long after the timer is made. A time too long to be represented means never.
    ///
    /// ```
    /// use std::time::Duration;
    /// let soon = timer_source::Schedule::after(Duration::from_millis(200));
    /// # drop(soon);
    /// ```
    #[must_use]
    pub const fn after(time: Duration) -> Self {
        Self {
            first: First::After(time),
            interval: None,
            tolerance: Duration::ZERO,
        }
    }

    /// Once, at this moment, or as soon as possible if it has passed. `None` is a timer that waits to be
    /// [moved](crate::Timer::set_next_fire_date).
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use timer_source::Schedule;
    /// let at_once = Schedule::at(Instant::now());
    /// let some_day = Schedule::at(Instant::now().checked_add(Duration::MAX)); // overflows: never
    /// assert_eq!(some_day, Schedule::at(None));
    /// # drop(at_once);
    /// ```
    #[must_use]
    pub fn at(first: impl Into<Option<Instant>>) -> Self {
        Self {
            first: First::At(first.into()),
            interval: None,
            tolerance: Duration::ZERO,
        }
    }

    /// And from then on at this interval, which is a microsecond at least.
    ///
    /// A microsecond is less than one pass of a loop takes, so a timer that asks for less, or for zero, fires in every
    /// pass in either case; it keeps a processor busy, and nothing else of its loop waiting. One that asks for more than
    /// 146 years fires once and is not heard of again until it is moved.
    ///
    /// ```
    /// use std::time::Duration;
    /// use timer_source::{Schedule, Timer};
    /// let hourly = Schedule::after(Duration::ZERO).every(Duration::from_secs(3_600));
    /// assert!(Timer::new(hourly, |_, _| {}).repeats());
    /// ```
    #[must_use]
    pub const fn every(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// And each time this much later, if that lets it share a wake-up with others: see
    /// [`Timer::set_tolerance`](crate::Timer::set_tolerance).
    ///
    /// ```
    /// use std::time::Duration;
    /// use timer_source::{Schedule, Timer};
    /// let minute = Duration::from_secs(60);
    /// let now_and_then = Schedule::after(minute).every(minute).within(Duration::from_secs(5));
    /// assert_eq!(Timer::new(now_and_then, |_, _| {}).tolerance(), Duration::from_secs(5));
    /// ```
    #[must_use]
    pub const fn within(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The first date, for a timer that is made now. The clock is read only if that matters.
    pub(crate) fn first(&self, now: impl FnOnce() -> Date) -> Date {
        match self.first {
            First::After(time) => now().after(grid::nanos(time)),
            First::At(at) => at.map_or(Date::NEVER, clock::date),
        }
    }

    /// How late it may fire, as it was asked for.
    pub(crate) fn tolerance(&self) -> Duration {
        self.tolerance
    }

    /// The interval, if it repeats.
    pub(crate) fn interval(&self) -> Option<NonZeroU64> {
        self.interval.map(grid::interval)
    }
}

/// The first date, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    After(Duration),
    At(Option<Instant>),
}
