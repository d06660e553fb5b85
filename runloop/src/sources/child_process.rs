//! A child process as the kernel sees it: a descriptor that tells of its end, and who may take its exit status.
//!
//! Everything is asked through the descriptor, which always means the same process, whereas a process id is given to
//! another one as soon as somebody has waited for its first owner. Knows no loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal,
    waitid,
};
use thiserror::Error;

use crate::sources::unix_signal::UnixSignal;

/// A child that nobody has waited for yet, as far as its owner is concerned.
pub(crate) struct Process {
    /// `None` for one that had ended before, and whose status its `Child` has.
    pidfd: Option<OwnedFd>,
    /// The right to take the exit status; whoever takes it out has it.
    claim: Mutex<Option<Claim>>,
}

/// What came with the child.
pub(crate) enum Claim {
    Child(Child),
    Pid,
}

impl Process {
    /// The process of a child, which comes back if it cannot be watched.
    pub(crate) fn of_child(mut child: Child) -> Result<Self, ChildRefused> {
        // Its status may be there already, and then its id may be somebody else's.
        let pidfd = match child.try_wait() {
            Ok(Some(_)) => Ok(None),
            Ok(None) => open(child.id()).map(Some),
            Err(error) => Err(ChildError::of_wait(error)),
        };
        match pidfd {
            Ok(pidfd) => Ok(Self::new(pidfd, Claim::Child(child))),
            Err(why) => Err(ChildRefused { child, why }),
        }
    }

    /// The child of this id.
    pub(crate) fn of_pid(pid: u32) -> Result<Self, ChildError> {
        Ok(Self::new(Some(open(pid)?), Claim::Pid))
    }

    fn new(pidfd: Option<OwnedFd>, claim: Claim) -> Self {
        Self {
            pidfd,
            claim: Mutex::new(Some(claim)),
        }
    }

    /// What becomes readable when the process ends, unless it had ended before.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Takes the right to the exit status, if nobody has.
    pub(crate) fn take_claim(&self) -> Option<Claim> {
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        claim.take()
    }

    /// Whether it has ended; `None` if it has not. Takes nothing.
    pub(crate) fn end(&self) -> Option<Result<(), ExitLost>> {
        let Some(pidfd) = self.pidfd() else {
            return Some(Ok(()));
        };
        match peek(pidfd) {
            Ok(ended) => ended.map(|_| Ok(())),
            Err(error) => Some(Err(ExitLost::of(error.into()))),
        }
    }

    /// Takes the exit status of a process that has ended.
    pub(crate) fn exit_status(&self, claim: &mut Claim) -> Result<ExitStatus, ExitLost> {
        match (claim, self.pidfd()) {
            (Claim::Child(child), _) => match child.try_wait() {
                Ok(Some(status)) => Ok(status),
                // It has ended, so this one that has not is another with its id.
                Ok(None) => Err(ExitLost::Taken),
                Err(error) => Err(ExitLost::of(error)),
            },
            (Claim::Pid, Some(pidfd)) => {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
                match waitid(WaitId::PidFd(pidfd), options) {
                    Ok(Some(status)) => Ok(translate(&status)),
                    Ok(None) => Err(ExitLost::Taken),
                    Err(error) => Err(ExitLost::of(error.into())),
                }
            }
            (Claim::Pid, None) => Err(ExitLost::Taken),
        }
    }

    /// Sends it a signal.
    pub(crate) fn send(&self, signal: UnixSignal) -> Result<(), ChildSignalError> {
        let raw = signal.as_raw();
        let named = Signal::from_named_raw(raw).ok_or(ChildSignalError::Unknown(signal))?;
        let pidfd = self.pidfd().ok_or(ChildSignalError::Ended)?;
        pidfd_send_signal(pidfd, named).map_err(|error| match error {
            Errno::SRCH => ChildSignalError::Ended,
            error => ChildSignalError::Refused(error.into()),
        })
    }
}

/// A child process cannot be watched.
///
/// ```
/// use runloop::{ChildError, ChildExit};
/// let refused = ChildExit::of_pid(std::process::id(), |_, _| {});
/// assert!(matches!(refused, Err(ChildError::NotAChild)), "nobody is a child of itself");
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChildError {
    /// There is no child of this process with that id, or somebody has waited for it.
    #[error("there is no such child process, or it has been waited for")]
    NotAChild,
    /// The kernel is older than Linux 5.4, or a sandbox forbids `pidfd_open`: wait for the child in a thread of its own.
    #[error("the system has no descriptors of processes")]
    Unsupported,
    /// There is no room for a descriptor, or the system refuses for a reason of its own.
    #[error("the system refuses to watch the child")]
    System(#[source] io::Error),
}

impl ChildError {
    /// Linux, `pidfd_open(2)`.
    fn of_open(error: Errno) -> Self {
        match error {
            // The last two: of a thread that is no process.
            Errno::SRCH | Errno::INVAL | Errno::NOENT => Self::NotAChild,
            Errno::NOSYS | Errno::PERM => Self::Unsupported,
            error => Self::System(error.into()),
        }
    }

    /// Linux, `waitid(2)`; before 5.4 it knew nothing of descriptors.
    fn of_wait(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::CHILD) => Self::NotAChild,
            Some(Errno::INVAL) => Self::Unsupported,
            _ => Self::System(error),
        }
    }
}

/// A child process cannot be watched; here it is again.
///
/// ```
/// use runloop::{ChildExit, ChildRefused};
/// use std::process::Command;
///
/// let child = Command::new("true").spawn()?;
/// if let Err(refused) = ChildExit::new(child, |_, _, _| {}) {
///     println!("waiting for it here: {:?}", refused.why());
///     refused.into_child().wait()?;
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Error)]
#[error("the child cannot be watched by a run loop")]
pub struct ChildRefused {
    child: Child,
    #[source]
    why: ChildError,
}

impl ChildRefused {
    /// The child.
    #[must_use]
    pub fn into_child(self) -> Child {
        self.child
    }

    /// The reason.
    #[must_use]
    pub fn why(&self) -> &ChildError {
        &self.why
    }
}

/// A child has ended, and how is not known.
///
/// ```
/// use runloop::ExitLost;
/// assert!(ExitLost::Taken.to_string().contains("somebody else"));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExitLost {
    /// Somebody else has waited for it (`wait` for any child, in a library), or the program ignores `SIGCHLD`, so that
    /// the kernel keeps no status. Its process id may be another's by now: let go of it.
    #[error("somebody else has taken the exit status of the child")]
    Taken,
    /// The system refuses for a reason of its own.
    #[error("the system does not tell the exit status of the child")]
    System(#[source] io::Error),
}

impl ExitLost {
    fn of(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::CHILD) => Self::Taken,
            _ => Self::System(error),
        }
    }
}

/// A signal was not sent to a child.
///
/// ```
/// use runloop::{ChildSignalError, UnixSignal};
/// let error = ChildSignalError::Unknown(UnixSignal::from_raw(1_000));
/// assert_eq!(error.to_string(), "signal 1000 cannot be sent to a child");
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChildSignalError {
    /// The child has ended, or is no longer watched.
    #[error("the child has ended or is not watched any more")]
    Ended,
    /// It is a real-time signal, or none at all.
    #[error("{0} cannot be sent to a child")]
    Unknown(UnixSignal),
    /// This process is a forked one, whose siblings are no children of it.
    #[error("the child belongs to the parent of this forked process")]
    Forked,
    /// The system refuses: the child runs as another user.
    #[error("the system refuses to send the signal")]
    Refused(#[source] io::Error),
}

/// The descriptor of a child that nobody has waited for.
fn open(pid: u32) -> Result<OwnedFd, ChildError> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(ChildError::NotAChild)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(ChildError::of_open)?;
    // It could be anybody's process.
    peek(pidfd.as_fd()).map_err(|error| ChildError::of_wait(error.into()))?;
    Ok(pidfd)
}

/// The exit status of a child that has ended, which stays where it is.
fn peek(pidfd: BorrowedFd<'_>) -> Result<Option<WaitIdStatus>, Errno> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::PidFd(pidfd), options)
}

/// The same status in the form that `wait(2)` gives it and the standard library takes it.
fn translate(status: &WaitIdStatus) -> ExitStatus {
    let code = status.exit_status().map(|code| (code & 0xff) << 8);
    let signal = status.terminating_signal();
    let core = if status.dumped() { 0x80 } else { 0 };
    ExitStatus::from_raw(code.or(signal).unwrap_or_default() | core)
}

#[cfg(test)]
mod tests {
    use super::{ChildError, Errno};

    /// No test can have such a kernel, or a sandbox like those that forbid the call; this is what they answer.
    #[test]
    fn what_a_kernel_without_descriptors_of_processes_says_is_told_as_that() {
        for error in [Errno::NOSYS, Errno::PERM] {
            let open = ChildError::of_open(error);
            assert!(matches!(open, ChildError::Unsupported), "{error}: {open:?}");
        }
        let wait = ChildError::of_wait(Errno::INVAL.into());
        assert!(matches!(wait, ChildError::Unsupported), "{wait:?}");
        let wait = ChildError::of_wait(Errno::CHILD.into());
        assert!(matches!(wait, ChildError::NotAChild), "{wait:?}");
    }
}
