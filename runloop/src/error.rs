//! What can go wrong when a loop is used, and what the caller can do about it.

use std::io;

use thiserror::Error;

/// The loop of another thread cannot be reached.
///
/// ```
/// let handle = std::thread::spawn(|| runloop::RunLoop::current().handle()).join().unwrap();
/// assert_eq!(handle.stop(), Err(runloop::Unreachable::Closed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// The loop's thread has ended; let go of the handle.
    #[error("the thread of this run loop has ended")]
    Closed,
    /// This process is a forked child, and the loop belongs to its parent; call `exec`, or use threads of its own.
    #[error("this run loop belongs to the parent of this forked process")]
    Forked,
}

/// A run could not begin.
///
/// ```
/// use runloop::{Limit, Mode, ReturnAfter, RunError, RunLoop};
/// let outcome = RunLoop::current().run_in_mode(Mode::COMMON, Limit::Now, ReturnAfter::Limit);
/// assert!(matches!(outcome, Err(RunError::CommonMode)));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// [`Mode::COMMON`](crate::Mode::COMMON) stands for a set of modes; run one of them.
    #[error("the common modes are a set, and only a single mode can be run")]
    CommonMode,
    /// The loop is closed, or belongs to the parent of this process.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The system refused the wait, or what a run that stays in an empty mode needs for it.
    #[error("the system refused to wait")]
    Wait(#[source] io::Error),
}

/// A source or an observer could not be added. Nothing has changed.
///
/// ```
/// use runloop::{AddError, Mode, RunLoop, Signalled};
/// let source = Signalled::new(|_| {});
/// source.invalidate();
/// let added = RunLoop::current().add(&source, Mode::DEFAULT);
/// assert!(matches!(added, Err(AddError::Invalid)));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddError {
    /// It is invalid; make a new one.
    #[error("the source is invalid")]
    Invalid,
    /// It belongs to another loop: it was made on another thread, or is in another loop and not made for several.
    #[error("the source belongs to the run loop of another thread")]
    OtherLoop,
    /// The source could not declare what it waits for.
    #[error("the source could not be attached")]
    Attach(#[source] io::Error),
    /// The system has no room for the mode's poll set.
    #[error("the mode's poll set could not be made or changed")]
    PollSet(#[source] io::Error),
    /// The loop is closed, or belongs to the parent of this process.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// A closure was not taken; here it is again.
///
/// ```
/// use runloop::{Mode, PerformError, RunLoop};
/// let handle = std::thread::spawn(|| RunLoop::current().handle()).join().unwrap();
/// match handle.perform(Mode::DEFAULT, |_| {}) {
///     Err(PerformError::Unreachable(closure, _)) => drop(closure),
///     other => unreachable!("{other:?}"),
/// }
/// ```
#[derive(Error)]
#[non_exhaustive]
pub enum PerformError<F> {
    /// As many closures wait as the loop holds; try again when it has run some.
    #[error("the run loop holds as many closures as it may")]
    Full(F),
    /// There is no loop to run it.
    #[error("there is no run loop to perform the closure")]
    Unreachable(F, #[source] Unreachable),
}

impl<F> std::fmt::Debug for PerformError<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Unreachable(_, why) => write!(f, "Unreachable(.., {why:?})"),
        }
    }
}

impl<F> PerformError<F> {
    /// The closure that was not taken.
    ///
    /// ```
    /// # use runloop::PerformError;
    /// assert_eq!(PerformError::Full(7).into_inner(), 7);
    /// ```
    pub fn into_inner(self) -> F {
        match self {
            Self::Full(closure) | Self::Unreachable(closure, _) => closure,
        }
    }
}
