//! A mode of a loop as somebody else's poll sees it: one descriptor.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;

use crate::core::RunLoop;
use crate::error::RunError;
use crate::limit::{Limit, Outcome, ReturnAfter};
use crate::mode::Mode;
use crate::sys::poller::Poller;

impl RunLoop {
    /// Embeds a mode into somebody else's poll: gives out one descriptor that is readable as long as the mode has
    /// anything to do, deadlines included. A run of the mode with [`Limit::Now`] then serves it.
    ///
    /// As long as the [`Embedding`] exists the loop counts as asleep ([`is_waiting`](Self::is_waiting)) whenever no run is
    /// active: signals, closures and everything else, of this thread and of others, make the descriptor readable, and
    /// sources that look before sleep are told that nobody looks. A stop that no run has taken makes it readable, an
    /// empty mode does not. Several modes may be embedded, and one of them several times.
    ///
    /// What is polled *inside* a callback of this loop hears of descriptors only, since the loop is awake then.
    ///
    /// # Errors
    ///
    /// [`RunError::CommonMode`] for [`Mode::COMMON`]; [`RunError::Wait`] if the system has no room for a poll set;
    /// [`RunError::Unreachable`] if the loop is closed or belongs to the parent of this process.
    pub fn readiness(&self, mode: Mode) -> Result<Embedding, RunError> {
        self.core.shared.reachable()?;
        if mode == Mode::COMMON {
            return Err(RunError::CommonMode);
        }
        let poller = self.embed(mode).map_err(RunError::Wait)?;
        Ok(Embedding {
            run_loop: self.clone(),
            mode,
            poller,
        })
    }
}

/// A mode of a loop inside somebody else's poll, until it is dropped: see [`RunLoop::readiness`].
///
/// The descriptor is to be polled for reading, and never read. It is *level-triggered*: readable until a run has left
/// nothing to do. A poll that is edge-triggered has to go on serving until [`is_ready`](Self::is_ready) says no, or to
/// ask for the descriptor anew.
///
/// It may be readable for nothing: a wake-up that was meant for another mode, a deadline that has moved. A run then finds
/// nothing, and it is no longer readable. While nothing happens it is not readable, and the loop makes no system call.
///
/// ```
/// use runloop::{Mode, RunLoop, Signalled};
///
/// let run_loop = RunLoop::current();
/// let source = Signalled::new(|_| println!("signalled"));
/// run_loop.add(&source, Mode::DEFAULT)?;
/// let embedding = run_loop.readiness(Mode::DEFAULT)?;
/// assert!(!embedding.is_ready()?, "nothing to do");
///
/// std::thread::spawn(move || source.signal()).join().unwrap();
/// assert!(embedding.is_ready()?, "as the poll around will find");
/// let _timed_out = embedding.serve()?;
/// assert!(!embedding.is_ready()?, "served");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Embedding {
    run_loop: RunLoop,
    mode: Mode,
    poller: Rc<Poller>,
}

impl Embedding {
    /// Makes one pass that does not block, and serves all that is ready in it: [`RunLoop::run_in_mode`] with
    /// [`Limit::Now`]. In an embedded mode such a run makes its pass even if the mode is empty.
    ///
    /// # Errors
    ///
    /// As [`RunLoop::run_in_mode`].
    pub fn serve(&self) -> Result<Outcome, RunError> {
        self.run_loop
            .run_in_mode(self.mode, Limit::Now, ReturnAfter::Limit)
    }

    /// Whether the descriptor is readable now. One system call.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn is_ready(&self) -> io::Result<bool> {
        self.poller.is_readable()
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }
}

impl AsFd for Embedding {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

impl AsRawFd for Embedding {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Embedding {
    fn drop(&mut self) {
        self.run_loop.unembed(self.mode);
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedding")
            .field("mode", &self.mode)
            .field("fd", &self.as_raw_fd())
            .finish_non_exhaustive()
    }
}
