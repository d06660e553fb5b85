//! The clocks that timers follow, each known by the type of its moments, and every reading of one.
//!
//! It knows no timer.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use runloop::RunLoop;

use crate::boot_instant::BootInstant;
use crate::grid::{Date, nanos};

/// A moment of some clock, by which a timer's dates are told.
///
/// | moments | their clock | when it is set | while the machine is suspended |
/// | --- | --- | --- | --- |
/// | [`Instant`] | monotonic | nobody can | stands still |
/// | [`BootInstant`] | since the start of the machine | nobody can | goes on |
/// | [`SystemTime`] | the wall's | the dates stay, and come sooner or later | goes on |
///
/// A program may have a clock of its own, say the time of a simulation: it implements this for its moments, and calls
/// [`clock_was_set`](crate::clock_was_set) when the clock has made a jump.
///
/// Counterpart: none; a `CFRunLoopTimer` takes dates of the wall clock and then follows another one.
///
/// ```
/// use std::time::SystemTime;
/// use timer_source::Moment;
/// let moment = SystemTime::present();
/// assert_eq!(SystemTime::from_nanos(moment.to_nanos()), Some(moment));
/// ```
pub trait Moment: Copy + fmt::Debug + 'static {
    /// Whether the clock always goes at the pace of [`Instant`]. If not, the system is asked for word of clocks being set.
    const STEADY: bool;

    /// The present on this clock, as the loop of this thread measures it.
    fn present() -> Self;

    /// The moment in nanoseconds from one that is the same for the life of the process. One that is too far away saturates:
    /// what is 146 years away is never.
    fn to_nanos(self) -> i64;

    /// The moment of that number, if this type has one.
    fn from_nanos(nanos: i64) -> Option<Self>;

    /// When the loop's own clock will have reached this moment, unless a clock is set before; a little earlier rather than
    /// later. `None` if that is too far away.
    fn to_instant(self) -> Option<Instant> {
        // Read first: if this thread loses its processor here the timer looks once more, and is not late.
        let here = RunLoop::now();
        let there = Self::present();
        let date = Date::new(self.to_nanos()).shifted(Date::new(there.to_nanos()), date(here));
        Instant::from_nanos(date.nanos())
    }
}

impl Moment for Instant {
    const STEADY: bool = true;

    fn present() -> Self {
        RunLoop::now()
    }

    fn to_nanos(self) -> i64 {
        let base = base();
        self.checked_duration_since(base).map_or_else(
            || 0_i64.saturating_sub_unsigned(nanos(base.duration_since(self))),
            |after| 0_i64.saturating_add_unsigned(nanos(after)),
        )
    }

    fn from_nanos(nanos: i64) -> Option<Self> {
        let distance = Duration::from_nanos(nanos.unsigned_abs());
        if nanos < 0 {
            base().checked_sub(distance)
        } else {
            base().checked_add(distance)
        }
    }

    fn to_instant(self) -> Option<Self> {
        Some(self)
    }
}

impl Moment for BootInstant {
    const STEADY: bool = false;

    fn present() -> Self {
        match ahead() {
            (true, shift) => Self::now() + shift,
            (false, shift) => Self::now() - shift,
        }
    }

    fn to_nanos(self) -> i64 {
        0_i64.saturating_add_unsigned(nanos(self.since_boot()))
    }

    fn from_nanos(nanos: i64) -> Option<Self> {
        let after = Duration::from_nanos(u64::try_from(nanos).ok()?);
        Some(Self::after_boot(after))
    }
}

impl Moment for SystemTime {
    const STEADY: bool = false;

    fn present() -> Self {
        let shifted = match ahead() {
            (true, shift) => Self::now().checked_add(shift),
            (false, shift) => Self::now().checked_sub(shift),
        };
        shifted.unwrap_or(UNIX_EPOCH)
    }

    fn to_nanos(self) -> i64 {
        match self.duration_since(UNIX_EPOCH) {
            Ok(after) => 0_i64.saturating_add_unsigned(nanos(after)),
            Err(before) => 0_i64.saturating_sub_unsigned(nanos(before.duration())),
        }
    }

    fn from_nanos(nanos: i64) -> Option<Self> {
        let distance = Duration::from_nanos(nanos.unsigned_abs());
        if nanos < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        }
    }
}

/// The present on a clock, as a date.
pub(crate) fn now<M: Moment>() -> Date {
    date(M::present())
}

/// The same moment as a date, to the nanosecond; one that is too far away becomes [`Date::NEVER`].
pub(crate) fn date<M: Moment>(at: M) -> Date {
    Date::new(at.to_nanos())
}

/// The same moment as callers see it; `None` for never.
pub(crate) fn moment<M: Moment>(date: Date) -> Option<M> {
    if date == Date::NEVER {
        return None;
    }
    M::from_nanos(date.nanos())
}

/// A moment that has passed on every thread, whatever its clock.
pub(crate) fn past() -> Instant {
    base()
}

/// Whether the loop's clock is ahead of the system's, and by how much: a test may have it in hand, and the other clocks go
/// with it then. Otherwise it is behind by the time between two readings.
fn ahead() -> (bool, Duration) {
    let here = RunLoop::now();
    let system = Instant::now();
    let ahead = here.checked_duration_since(system);
    ahead.map_or_else(
        || (false, system.duration_since(here)),
        |shift| (true, shift),
    )
}

/// Where the count begins. Any moment would do: an [`Instant`] does not tell its own number.
fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now)
}

#[cfg(test)]
mod tests {
    use super::{Moment, date, moment, now};
    use crate::boot_instant::BootInstant;
    use crate::grid::Date;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    fn there_and_back<M: Moment + PartialEq>(moments: [Option<M>; 3]) {
        for at in moments.into_iter().flatten() {
            assert_eq!(moment(date(at)), Some(at), "to the nanosecond");
        }
    }

    #[test]
    fn a_moment_survives_the_way_there_and_back() {
        let (hour, past) = (
            Duration::from_secs(3_600),
            Duration::from_nanos(12_345_678_901),
        );
        let present = Instant::now();
        let (later, earlier) = (present.checked_add(hour), present.checked_sub(past));
        there_and_back([Some(present), later, earlier]);
        let present = SystemTime::now();
        let before_1970 = UNIX_EPOCH.checked_sub(past);
        there_and_back([Some(present), present.checked_add(hour), before_1970]);
        let present = BootInstant::now();
        there_and_back([Some(present), Some(present + hour), Some(present - past)]);
    }

    #[test]
    fn later_moments_have_later_dates() {
        let before = now::<Instant>();
        let at = Instant::now();
        assert!(before <= date(at), "the clock does not go backwards");
        assert!(
            date(at) < date(at + Duration::from_nanos(1)),
            "a nanosecond counts"
        );
    }

    #[test]
    fn a_moment_in_a_thousand_years_is_never() {
        let age = Duration::from_secs(1_000 * 365 * 86_400);
        let far = Instant::now().checked_add(age).map(date);
        assert_eq!(far, Some(Date::NEVER), "beyond the count");
        assert_eq!(date(SystemTime::now() + age), Date::NEVER, "on the wall");
        assert_eq!(date(BootInstant::now() + Duration::MAX), Date::NEVER);
        assert_eq!(moment::<Instant>(Date::NEVER), None, "and has no moment");
        assert_eq!(moment::<SystemTime>(Date::NEVER), None, "nor here");
    }

    #[test]
    fn the_present_is_never_ahead_of_the_clock_and_the_loop_meets_a_moment_in_time() {
        for _ in 0..1_000 {
            let present = SystemTime::present();
            assert!(present <= SystemTime::now(), "never early");
            let present = BootInstant::present();
            assert!(present <= BootInstant::now(), "never early");
            let at = BootInstant::now() + Duration::from_secs(1);
            let met = at.to_instant();
            let latest = Instant::now() + Duration::from_secs(1);
            assert!(met <= Some(latest), "not later than it comes");
        }
    }
}
