//! How long a run lasts, and what it ended with.
//!
//! Plain values; nothing here knows a loop.

use std::time::Instant;

/// How long a run may last.
///
/// `Duration` and `Instant` convert into it. A time too far away to be represented means [`Limit::Never`].
///
/// Counterpart: the `seconds` of `CFRunLoopRunInMode`.
///
/// ```
/// use runloop::Limit;
/// use std::time::Duration;
///
/// assert_eq!(Limit::from(Duration::ZERO), Limit::Now);
/// assert_eq!(Limit::from(Duration::MAX), Limit::Never);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Exactly one pass that never blocks.
    Now,
    /// Until this moment of the monotonic clock.
    At(Instant),
    /// Without a limit.
    Never,
}

impl From<Instant> for Limit {
    fn from(at: Instant) -> Self {
        Self::At(at)
    }
}

/// What ends a run before its limit does.
///
/// Counterpart: `returnAfterSourceHandled` of `CFRunLoopRunInMode`.
///
/// ```
/// assert_ne!(runloop::ReturnAfter::FirstSource, runloop::ReturnAfter::Limit);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnAfter {
    /// Serve until the limit, a stop, or an empty mode.
    Limit,
    /// Return as soon as one source has been performed for a signal or a descriptor.
    FirstSource,
}

/// What a run ended with.
///
/// Where several hold at the end of a pass the first in this list wins: `HandledSource`, `TimedOut`, `Stopped`,
/// `Finished`. A stop that is outvoted is not lost: it ends the next run.
///
/// Counterpart: `CFRunLoopRunResult`.
///
/// ```
/// use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop};
///
/// // Nothing was added to this mode, so there is nothing to wait for.
/// let mode = Mode::new("org.example.empty");
/// let outcome = RunLoop::current().run_in_mode(mode, Limit::Never, ReturnAfter::Limit)?;
/// assert_eq!(outcome, Outcome::Finished);
/// # Ok::<(), runloop::RunError>(())
/// ```
#[must_use = "a run that returned `Finished` or `Stopped` will not wait if it is simply repeated"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The mode has no source and no closure left (`kCFRunLoopRunFinished`).
    Finished,
    /// [`stop`](crate::RunLoop::stop) was called (`kCFRunLoopRunStopped`).
    Stopped,
    /// The limit was reached (`kCFRunLoopRunTimedOut`).
    TimedOut,
    /// A source was performed, and the run was asked to return after one (`kCFRunLoopRunHandledSource`).
    HandledSource,
}
