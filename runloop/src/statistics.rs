//! What a loop has done so far, in numbers.

use std::time::Duration;

/// What a loop has done since its thread began to use it.
///
/// `waits`, `alarms` and `yields` are system calls of the loop, so that their differences say what an operation costs. How often each
/// single source was performed says [`SourceHandle::performs`](crate::SourceHandle::performs), and `{:#?}` of the loop.
///
/// ```
/// use runloop::{Limit, Mode, ReturnAfter, RunLoop, Signalled};
///
/// let run_loop = RunLoop::current();
/// run_loop.add(&Signalled::new(|_| {}), Mode::DEFAULT)?;
/// let before = run_loop.statistics();
/// let _timed_out = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit)?;
/// let after = run_loop.statistics();
/// assert_eq!((after.passes - before.passes, after.waits - before.waits), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Passes that were made.
    pub passes: u64,
    /// How often a source was performed.
    pub performs: u64,
    /// How often the kernel was asked what is ready, sleeping or not.
    pub waits: u64,
    /// How often the timer descriptor was set.
    pub alarms: u64,
    /// How often the loop gave its processor to other threads before it slept: see
    /// [`RunLoop::set_spinning`](crate::RunLoop::set_spinning).
    pub yields: u64,
    /// For how long the loop slept while it [measured](crate::RunLoop::set_measuring) times.
    pub asleep: Duration,
}
