//! Moments of the monotonic clock as plain numbers, so that queues compare one word and the timer descriptor is armed
//! with what was compared.
//!
//! Callers of the crate see [`Instant`] only.

#[cfg(any(feature = "manual-clock", test))]
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::sys;

/// A moment of the monotonic clock, in nanoseconds of the system's own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) u64);

impl Tick {
    /// Later than any moment that can come.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// This moment, on the clock of this thread's loop.
    pub(crate) fn now() -> Self {
        #[cfg(test)]
        READS.set(READS.get() + 1);
        standing().unwrap_or_else(Self::of_the_system)
    }

    /// This moment, on the system's clock.
    pub(crate) fn of_the_system() -> Self {
        Self(sys::monotonic_nanos())
    }

    /// The same moment; one that is too far away becomes `NEVER`.
    pub(crate) fn from_instant(at: Instant) -> Self {
        let epoch = epoch();
        match at.checked_duration_since(epoch.instant) {
            Some(after) => epoch.tick.after(after),
            None => Self(
                epoch
                    .tick
                    .0
                    .saturating_sub(nanos(epoch.instant.duration_since(at))),
            ),
        }
    }

    /// The same moment, as callers of the crate see it.
    pub(crate) fn to_instant(self) -> Instant {
        let epoch = epoch();
        if self >= epoch.tick {
            let after = Duration::from_nanos(self.0 - epoch.tick.0);
            epoch.instant.checked_add(after).unwrap_or(epoch.instant)
        } else {
            let before = Duration::from_nanos(epoch.tick.0 - self.0);
            epoch.instant.checked_sub(before).unwrap_or(epoch.instant)
        }
    }

    /// The time from here to a later moment; none to an earlier one.
    pub(crate) const fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }

    /// The moment that comes `time` later.
    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanos(time)))
    }
}

/// Where the clock of this thread's loop stands, if it does not go by itself.
#[cfg(feature = "manual-clock")]
pub(crate) fn standing() -> Option<Tick> {
    STANDING.get()
}

/// Where the clock of this thread's loop stands: it always goes by itself.
#[cfg(not(feature = "manual-clock"))]
pub(crate) const fn standing() -> Option<Tick> {
    None
}

/// Moves the clock of this thread's loop to a later moment, if it stands.
pub(crate) fn jump_to(at: Tick) {
    #[cfg(feature = "manual-clock")]
    if let Some(now) = standing() {
        // The end of time is no moment: nothing could come after it.
        stand_at(Some(now.max(at.min(Tick(Tick::NEVER.0 - 1)))));
    }
    #[cfg(not(feature = "manual-clock"))]
    let _never = at;
}

/// Has the clock of this thread's loop stand at a moment, or go by itself again.
#[cfg(feature = "manual-clock")]
pub(crate) fn stand_at(at: Option<Tick>) {
    STANDING.set(at);
}

#[cfg(feature = "manual-clock")]
thread_local! {
    static STANDING: Cell<Option<Tick>> = const { Cell::new(None) };
}

#[cfg(test)]
thread_local! {
    /// How often this thread has looked at the clock of its loop.
    pub(crate) static READS: Cell<u32> = const { Cell::new(0) };
}

/// A duration in nanoseconds, or the largest number.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One moment, seen in both ways.
struct Epoch {
    instant: Instant,
    tick: Tick,
}

/// The two readings are taken one after the other, so the tick is the later one: a converted deadline can be late by
/// the distance, never early. The closest of several pairs is kept, since a thread can lose its processor in between.
fn epoch() -> &'static Epoch {
    static EPOCH: OnceLock<Epoch> = OnceLock::new();
    EPOCH.get_or_init(|| {
        let pair = || {
            let instant = Instant::now();
            let tick = Tick::of_the_system();
            (instant.elapsed(), Epoch { instant, tick })
        };
        let mut best = pair();
        for _ in 0..16 {
            let next = pair();
            if next.0 < best.0 {
                best = next;
            }
        }
        best.1
    })
}

#[cfg(test)]
mod tests {
    use super::Tick;
    use std::time::{Duration, Instant};

    #[test]
    fn a_moment_survives_the_way_there_and_back() {
        for at in [Instant::now(), Instant::now() + Duration::from_secs(3_600)] {
            assert_eq!(Tick::from_instant(at).to_instant(), at, "there and back");
        }
    }

    #[test]
    fn a_moment_is_never_converted_to_an_earlier_one() {
        let before = Instant::now();
        let tick = Tick::now();
        assert!(
            Tick::from_instant(before) <= Tick::now(),
            "not in the future"
        );
        assert!(
            Tick::from_instant(before) <= tick.after(Duration::from_millis(1)),
            "close"
        );
    }

    #[test]
    fn a_time_too_far_away_is_never() {
        assert_eq!(Tick::now().after(Duration::MAX), Tick::NEVER, "saturates");
    }
}
