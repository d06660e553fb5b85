//! A source that tells once how a child process has ended.

use std::cell::Cell;
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Weak};

use crate::core::RunLoop;
use crate::cx::Cx;
use crate::options::SourceOptions;
use crate::readiness::{Interest, Ready, Token, Why};
use crate::source::Source;
use crate::source_handle::SourceHandle;
use crate::source_ref::{AsSource, SourceRef};
use crate::sources::child_process::{
    ChildError, ChildRefused, ChildSignalError, Claim, ExitLost, Process,
};
use crate::sources::unix_signal::UnixSignal;
use crate::sys::fork::ForkGuard;

/// A source that calls its closure once, when a child process has ended, with its exit status.
///
/// It watches a descriptor of the process, so it needs no handler of `SIGCHLD`, disturbs nobody who has one, and waits for
/// this child only. It never blocks. The child may have ended before the source was made, or before it is in a mode that
/// runs: it is told of then. A child that stops and goes on has not ended.
///
/// The source ends with its one call, in which it is invalid already, so that a run with nothing else to wait for ends
/// too. Invalidating it earlier neither ends the child nor waits for it: the [`Child`] is dropped with the closure, and
/// stays as a zombie when it ends; [`take_back`](Self::take_back) is for those who want it.
///
/// Needs Linux 5.4; below, making one answers [`ChildError::Unsupported`] with the child.
///
/// Counterpart: none in CoreFoundation; the process source of a dispatch queue.
///
/// ```
/// use runloop::{ChildExit, Mode, RunLoop};
/// use std::process::Command;
///
/// let run_loop = RunLoop::current();
/// let child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
/// let exit = ChildExit::new(child, |_, child, status| {
///     println!("process {} has ended: {status:?}", child.id());
///     assert_eq!(status.unwrap().code(), Some(3));
/// })?;
/// run_loop.add(&exit, Mode::DEFAULT)?;
/// let _finished = run_loop.run()?; // nothing else is waited for
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChildExit {
    handle: SourceHandle,
    /// Weak, so that the descriptor goes with the source and not with the last of its users.
    process: Weak<Process>,
    pid: u32,
    guard: ForkGuard,
}

impl ChildExit {
    /// A source in the care of this thread's loop, in no mode yet, that waits for the end of `child` and gives it back
    /// to the closure. Take out its `stdin`, `stdout` and `stderr` before, to use them meanwhile; what is left in it is as
    /// it was when it comes back.
    ///
    /// The closure gets [`ExitLost`] in place of the status if somebody else has waited for the child.
    ///
    /// # Errors
    ///
    /// [`ChildRefused`], with the child.
    ///
    /// ```
    /// use runloop::ChildExit;
    /// use std::process::Command;
    /// let child = Command::new("true").spawn()?;
    /// let exit = ChildExit::new(child, |_, _, status| println!("{status:?}"))?;
    /// # drop(exit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        child: Child,
        exited: impl FnOnce(&RunLoop, Child, Result<ExitStatus, ExitLost>) + 'static,
    ) -> Result<Self, ChildRefused> {
        Self::with(SourceOptions::new().name("child exit"), child, exited)
    }

    /// As [`new`](Self::new), with options.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use runloop::{ChildExit, SourceOptions};
    /// use std::process::Command;
    /// let options = SourceOptions::new().name("the compiler").order(5);
    /// let child = Command::new("true").spawn()?;
    /// let exit = ChildExit::with(options, child, |_, _, status| println!("{status:?}"))?;
    /// # drop(exit);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with(
        options: SourceOptions,
        child: Child,
        exited: impl FnOnce(&RunLoop, Child, Result<ExitStatus, ExitLost>) + 'static,
    ) -> Result<Self, ChildRefused> {
        let pid = child.id();
        let process = Process::of_child(child)?;
        Ok(Self::adopt(
            options,
            pid,
            process,
            |run_loop, claim, end| {
                if let Claim::Child(child) = claim {
                    exited(run_loop, child, end);
                }
            },
        ))
    }

    /// A source for a child that was started by other means than [`Command`](std::process::Command), by its process id.
    /// Nobody else may wait for it.
    ///
    /// # Errors
    ///
    /// [`ChildError`].
    ///
    /// ```
    /// use runloop::{ChildError, ChildExit};
    /// let init = ChildExit::of_pid(1, |_, status| println!("{status:?}"));
    /// assert!(matches!(init, Err(ChildError::NotAChild)));
    /// ```
    pub fn of_pid(
        pid: u32,
        exited: impl FnOnce(&RunLoop, Result<ExitStatus, ExitLost>) + 'static,
    ) -> Result<Self, ChildError> {
        let options = SourceOptions::new().name("child exit");
        let process = Process::of_pid(pid)?;
        Ok(Self::adopt(options, pid, process, |run_loop, _, end| {
            exited(run_loop, end);
        }))
    }

    /// The process id of the child: its own as long as nobody has waited for it, which making the source does if it has
    /// ended already.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends the child a signal, from any thread; never another process.
    ///
    /// # Errors
    ///
    /// [`ChildSignalError`].
    pub fn send(&self, signal: UnixSignal) -> Result<(), ChildSignalError> {
        if self.guard.is_forked() {
            return Err(ChildSignalError::Forked);
        }
        let process = self.process.upgrade().ok_or(ChildSignalError::Ended)?;
        process.send(signal)
    }

    /// Ends the child with [`UnixSignal::KILL`]; the closure is called when it has ended.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn kill(&self) -> Result<(), ChildSignalError> {
        self.send(UnixSignal::KILL)
    }

    /// Ends the source, from any thread, and gives the child back: `None` if the closure has got it, if it was taken
    /// before or dropped with the source, or if there was never more of it than its process id.
    #[must_use]
    pub fn take_back(&self) -> Option<Child> {
        if self.guard.is_forked() {
            return None;
        }
        let claim = self.process.upgrade().and_then(|p| p.take_claim());
        self.handle.invalidate();
        match claim {
            Some(Claim::Child(child)) => Some(child),
            Some(Claim::Pid) | None => None,
        }
    }

    /// Ends it: see [`SourceHandle::invalidate`].
    pub fn invalidate(&self) {
        self.handle.invalidate();
    }

    /// Whether it has neither been invalidated nor called its closure.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.handle.is_valid()
    }

    /// The source without its kind.
    #[must_use]
    pub fn handle(&self) -> &SourceHandle {
        &self.handle
    }

    fn adopt<F>(options: SourceOptions, pid: u32, process: Process, exited: F) -> Self
    where
        F: FnOnce(&RunLoop, Claim, Result<ExitStatus, ExitLost>) + 'static,
    {
        let process = Arc::new(process);
        let weak = Arc::downgrade(&process);
        let has_ended = process.pidfd().is_none();
        let source = ExitSource {
            process,
            exited: Cell::new(Some(exited)),
        };
        let handle = RunLoop::current().adopt(&SourceRef::with(options.exclusive(), source));
        if has_ended {
            handle.signal();
        }
        Self {
            handle,
            process: weak,
            pid,
            guard: ForkGuard::new(),
        }
    }
}

impl AsSource for ChildExit {
    fn as_source(&self) -> &SourceHandle {
        &self.handle
    }
}

struct ExitSource<F> {
    process: Arc<Process>,
    exited: Cell<Option<F>>,
}

impl<F> Source for ExitSource<F>
where
    F: FnOnce(&RunLoop, Claim, Result<ExitStatus, ExitLost>) + 'static,
{
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        match self.process.pidfd() {
            Some(pidfd) => cx.watch(THE_ONE, pidfd, Interest::READABLE),
            None => Ok(()),
        }
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        let Some(end) = self.process.end() else {
            return;
        };
        let claim = self.process.take_claim();
        let Some((mut claim, exited)) = claim.zip(self.exited.take()) else {
            return;
        };
        let status = end.and_then(|()| self.process.exit_status(&mut claim));
        // Before the call, so that nothing of it is left in a nested run.
        if let Some(handle) = cx.handle() {
            handle.invalidate();
        }
        exited(cx.run_loop(), claim, status);
    }

    fn invalidated(&self, _: Why) {
        drop((self.exited.take(), self.process.take_claim()));
    }
}

const THE_ONE: Token = Token(0);
