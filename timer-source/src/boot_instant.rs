//! Moments of the clock that goes on while the machine is suspended.
//!
//! Plain values; nothing here knows a timer.

use std::ops::{Add, Sub};
use std::time::Duration;

use crate::sys;

/// A moment since the machine was started, on a clock that nobody sets and that counts the time of a suspended machine.
///
/// For what has to happen after so much time in the world, as a lease that runs out, where [`Instant`](std::time::Instant)
/// is for so much time of a running machine. It means nothing on another machine or after the next start.
///
/// Arithmetic saturates: nothing is before the start, and a moment too far away is the last there is, which for a timer is
/// never.
///
/// Counterpart: none; `CFAbsoluteTime` is the wall clock (here [`SystemTime`](std::time::SystemTime)).
///
/// ```
/// use std::time::Duration;
/// use timer_source::BootInstant;
///
/// let begun = BootInstant::now();
/// let lease = begun + Duration::from_secs(3_600);
/// assert_eq!(lease - begun, Duration::from_secs(3_600));
/// assert_eq!(begun - lease, Duration::ZERO, "it has not passed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootInstant(Duration);

impl BootInstant {
    /// The present.
    ///
    /// ```
    /// use timer_source::BootInstant;
    /// let before = BootInstant::now();
    /// assert!(BootInstant::now() >= before);
    /// ```
    #[must_use]
    pub fn now() -> Self {
        Self(sys::since_boot())
    }

    /// The moment that came this long after the machine was started.
    ///
    /// ```
    /// use std::time::Duration;
    /// use timer_source::BootInstant;
    /// let minute = Duration::from_secs(60);
    /// assert_eq!(BootInstant::after_boot(minute).since_boot(), minute);
    /// ```
    #[must_use]
    pub const fn after_boot(time: Duration) -> Self {
        Self(time)
    }

    /// How long after the start of the machine it is.
    #[must_use]
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// How long ago it was; zero if it is still to come.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }
}

impl Add<Duration> for BootInstant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}

impl Sub<Duration> for BootInstant {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(time))
    }
}

impl Sub for BootInstant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
