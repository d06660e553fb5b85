//! Linux's wake-up and timer descriptors, its monotonic clock, and how it knows the main thread.
//!
//! Both descriptors are watched edge-triggered and never read: a write or an expiry is a fresh edge whatever was left
//! unread, so nothing has to be drained and nothing fills up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// A descriptor that any thread can make ready.
#[derive(Debug)]
pub(crate) struct Doorbell(OwnedFd);

impl Doorbell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    /// Makes the descriptor ready. One `write`, so it is safe in a signal handler.
    pub(crate) fn ring(&self) {
        // The counter would have to reach 2^64 - 1 for this to fail, one ring at a time.
        let rung = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
        debug_assert!(rung.is_ok(), "an event descriptor takes a one: {rung:?}");
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A descriptor that becomes ready at a moment of the monotonic clock.
#[derive(Debug)]
pub(crate) struct Alarm(OwnedFd);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Sets the moment, in nanoseconds of [`monotonic_nanos`] and in place of the former one; the largest number takes it
    /// back.
    pub(crate) fn set(&self, at: u64) -> io::Result<()> {
        let value = if at == u64::MAX {
            Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }
        } else {
            // All zero would disarm, so a moment that is long past is one nanosecond after the beginning.
            let nanos = at.max(1);
            let seconds = i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX);
            let rest = i64::try_from(nanos % 1_000_000_000).unwrap_or(0);
            Timespec {
                tv_sec: seconds,
                tv_nsec: rest,
            }
        };
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The monotonic clock, the one behind `Instant`.
pub(crate) fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Whether this is the thread in which the process began.
pub(crate) fn on_main_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}
