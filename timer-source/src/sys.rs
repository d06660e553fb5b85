//! The operating system's side of timers: the clock that counts a suspended machine's time, and word of clocks being set.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// How long ago the machine was started, the time that it was suspended included.
pub(crate) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// A descriptor that becomes readable when the wall clock is set, and when the machine has been suspended: whenever the
/// distance between two clocks changes at a stroke.
#[derive(Debug)]
pub(crate) struct StepWatch(OwnedFd);

impl StepWatch {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let descriptor = timerfd_create(TimerfdClockId::Realtime, flags)?;
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // A timer that never goes off, and is cancelled by each setting of its clock.
        let never = Itimerspec {
            it_interval: zero,
            it_value: Timespec {
                tv_sec: i64::MAX,
                tv_nsec: 0,
            },
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(&descriptor, flags, &never)?;
        Ok(Self(descriptor))
    }

    /// Takes the word that a clock was set, if there is one; the next step is told of again.
    pub(crate) fn take(&self) -> bool {
        let mut expirations = [0; 8];
        rustix::io::read(&self.0, &mut expirations) == Err(Errno::CANCELED)
    }
}

impl AsFd for StepWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
