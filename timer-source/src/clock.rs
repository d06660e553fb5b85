//! The monotonic clock, as dates: the only clock of timers that callers see as [`Instant`].
//!
//! It knows no timer. A timer on another clock has a sibling of this file.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use runloop::RunLoop;

use crate::grid::{Date, nanos};

/// This moment, as the loop of this thread measures it.
pub(crate) fn now() -> Date {
    date(RunLoop::now())
}

/// A moment that has passed on every thread, whatever its clock.
pub(crate) fn past() -> Instant {
    base()
}

/// The same moment as a date, to the nanosecond; one that is too far away becomes [`Date::NEVER`].
pub(crate) fn date(at: Instant) -> Date {
    let base = base();
    at.checked_duration_since(base).map_or_else(
        || Date::new(0_i64.saturating_sub_unsigned(nanos(base.duration_since(at)))),
        |after| Date::new(0).after(nanos(after)),
    )
}

/// The same moment as callers see it; `None` for never.
pub(crate) fn instant(date: Date) -> Option<Instant> {
    if date == Date::NEVER {
        return None;
    }
    let distance = Duration::from_nanos(date.nanos().unsigned_abs());
    if date.nanos() < 0 {
        base().checked_sub(distance)
    } else {
        base().checked_add(distance)
    }
}

/// Where the count begins. Any moment would do: an [`Instant`] does not tell its own number.
fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now)
}

#[cfg(test)]
mod tests {
    use super::{date, instant, now};
    use crate::grid::Date;
    use std::time::{Duration, Instant};

    #[test]
    fn a_moment_survives_the_way_there_and_back() {
        let present = Instant::now();
        let hour = Duration::from_secs(3_600);
        let past = present.checked_sub(Duration::from_nanos(12_345_678_901));
        for at in [Some(present), present.checked_add(hour), past]
            .into_iter()
            .flatten()
        {
            assert_eq!(instant(date(at)), Some(at), "to the nanosecond");
        }
    }

    #[test]
    fn later_moments_have_later_dates() {
        let before = now();
        let at = Instant::now();
        assert!(before <= date(at), "the clock does not go backwards");
        assert!(
            date(at) < date(at + Duration::from_nanos(1)),
            "a nanosecond counts"
        );
    }

    #[test]
    fn a_moment_in_a_thousand_years_is_never() {
        let far = Instant::now().checked_add(Duration::from_secs(1_000 * 365 * 86_400));
        assert_eq!(far.map(date), Some(Date::NEVER), "beyond the count");
        assert_eq!(instant(Date::NEVER), None, "and has no moment");
    }
}
