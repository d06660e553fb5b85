//! When a timer fires: its first date, and whether it repeats.
//!
//! Plain values; nothing here knows a loop.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::grid::{self, Date};
use crate::moment::{self, Moment};

/// When a timer fires first, and at what interval after that.
///
/// The dates of a repeating timer are the first one and every whole number of intervals after it. Nothing that delays a
/// firing moves them, and a first date in the past is the phase of the rest all the same.
///
/// `M` is the clock that the timer follows, by the type of its moments: see [`Moment`]. It is the type of the first date.
///
/// Times are [`Duration`]s, not seconds in a floating point number, so none is negative, infinite or not a number;
/// [`Duration::try_from_secs_f64`] says so of such a number as an error.
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
///
/// By the wall clock, every full hour:
///
/// ```
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
/// use timer_source::{Schedule, Timer};
///
/// let hour = Duration::from_secs(3_600);
/// let hours = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 3_600;
/// let next = UNIX_EPOCH + Duration::from_secs((hours + 1) * 3_600);
/// let timer: Timer<SystemTime> = Timer::new(Schedule::at(next).every(hour), |_, _| println!("cuckoo"));
/// assert_eq!(timer.next_fire_date(), Some(next));
/// # Ok::<(), std::time::SystemTimeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule<M = Instant> {
    /// As it was asked for; a distance becomes a date when a timer is made.
    first: First<M>,
    /// `None` for a timer that fires once.
    interval: Option<Duration>,
    /// How late it may fire for the sake of others.
    tolerance: Duration,
}

impl Schedule<Instant> {
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
}

impl<M: Moment> Schedule<M> {
    /// Once, at this moment, or as soon as possible if it has passed.
    ///
    /// ```
    /// use std::time::{Duration, Instant, SystemTime};
    /// use timer_source::{BootInstant, Schedule};
    /// let minute = Duration::from_secs(60);
    /// let in_a_minute_of_a_running_machine = Schedule::at(Instant::now() + minute);
    /// let in_a_minute_whatever_happens = Schedule::at(BootInstant::now() + minute);
    /// let when_the_clock_shows_a_minute_more = Schedule::at(SystemTime::now() + minute);
    /// # drop((in_a_minute_of_a_running_machine, in_a_minute_whatever_happens, when_the_clock_shows_a_minute_more));
    /// ```
    #[must_use]
    pub const fn at(first: M) -> Self {
        Self {
            first: First::At(first),
            interval: None,
            tolerance: Duration::ZERO,
        }
    }

    /// Not until the timer is [moved](crate::Timer::set_next_fire_date).
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use timer_source::{Schedule, Timer};
    ///
    /// let idle: Timer = Timer::new(Schedule::never().every(Duration::from_secs(1)), |_, _| println!("tick"));
    /// assert_eq!(idle.next_fire_date(), None);
    /// idle.set_next_fire_date(Instant::now());
    /// ```
    #[must_use]
    pub const fn never() -> Self {
        Self {
            first: First::Never,
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
    pub(crate) fn first(&self) -> Date {
        match self.first {
            First::After(time) => moment::now::<M>().after(grid::nanos(time)),
            First::At(at) => moment::date(at),
            First::Never => Date::NEVER,
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
enum First<M> {
    After(Duration),
    At(M),
    Never,
}
