//! Waiting for a name: what wakes whoever waits, and how long to pause where nothing does.
//!
//! For `connect` with a timeout, which does the waiting itself.

use super::directory::{Directory, proc_path};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A descriptor that becomes readable when a name appears in a directory.
///
/// Readable says only that it is worth looking again. Users have few of these (128 by default),
/// so one lives as long as somebody waits, and who gets none looks from time to time.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

impl Watch {
    /// Watches `directory`. Whoever then looks for a name before waiting misses none.
    ///
    /// Linux, `inotify(7)`.
    pub(crate) fn new(directory: &Directory) -> io::Result<Self> {
        // A name appears by a move and in no other way.
        Self::of(directory, WatchFlags::MOVED_TO)
    }

    /// As [`new`](Self::new), but also for names that vanish while their owner lives.
    pub(crate) fn of_changes(directory: &Directory) -> io::Result<Self> {
        let gone = WatchFlags::MOVED_FROM | WatchFlags::DELETE;
        Self::of(directory, WatchFlags::MOVED_TO | gone)
    }

    fn of(directory: &Directory, events: WatchFlags) -> io::Result<Self> {
        let watch = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let path = proc_path(directory.as_fd());
        add_watch(&watch, path, events | WatchFlags::ONLYDIR)?;
        Ok(Self(watch))
    }

    /// Forgets what has appeared so far, so that the descriptor is not readable any more.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let mut events = [0; 4096];
        for _ in 0..READS_MAX {
            match rustix::io::read(&self.0, &mut events) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Growing pauses between attempts, for ever.
#[derive(Clone, Debug)]
pub(crate) struct Pauses {
    /// The next one.
    next: Duration,
    /// The longest one.
    longest: Duration,
}

impl Pauses {
    /// For a port that is too busy: 1, 2, 4 … 50 ms.
    pub(crate) fn while_busy() -> Self {
        Self {
            next: Duration::from_millis(1),
            longest: Duration::from_millis(50),
        }
    }

    /// For a name that is not there, where it cannot be watched for: 10, 20 … 100 ms.
    pub(crate) fn while_absent() -> Self {
        Self {
            next: Duration::from_millis(10),
            longest: Duration::from_millis(100),
        }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = self.longest.min(pause * 2);
        Some(pause)
    }
}

/// How much is forgotten at once at most, lest somebody who makes names keeps us at it.
const READS_MAX: usize = 16;
