//! What every thread may know and change of a socket: the operating system's socket itself, and whether it is paused.
//!
//! The callback is not here, so this may live and die on any thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, ThreadId};

use crate::error::TakeError;

/// The part of a socket that any thread may touch.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The operating system's socket; `None` once it is closed or taken back.
    ///
    /// # Invariant
    ///
    /// Beside this share there is only the one that a loop holds for as long as it watches the descriptor. So whoever
    /// takes this share out when no loop watches has the socket alone, and dropping it closes the descriptor.
    native: RwLock<Option<Arc<socket2::Socket>>>,
    /// Whether nothing incoming is to be delivered. It is looked at before every delivery.
    paused: AtomicBool,
    /// The thread whose loop the socket is made for.
    home: ThreadId,
}

impl Shared {
    /// A socket made for the loop of this thread.
    pub(crate) fn new(native: socket2::Socket, paused: bool) -> Self {
        Self {
            native: RwLock::new(Some(Arc::new(native))),
            paused: AtomicBool::new(paused),
            home: thread::current().id(),
        }
    }

    /// Makes a system call that does not wait, and nothing else: the socket cannot be closed meanwhile.
    pub(crate) fn with<R>(&self, call: impl FnOnce(&socket2::Socket) -> R) -> Option<R> {
        let native = self.native.read().unwrap_or_else(PoisonError::into_inner);
        native.as_deref().map(call)
    }

    /// A share for the loop that is to watch the descriptor.
    pub(crate) fn share(&self) -> Option<Arc<socket2::Socket>> {
        let native = self.native.read().unwrap_or_else(PoisonError::into_inner);
        native.clone()
    }

    /// Takes the socket out for good, unless a loop watches it that is not this thread's.
    pub(crate) fn take(&self) -> Result<Arc<socket2::Socket>, TakeError> {
        let mut native = self.native.write().unwrap_or_else(PoisonError::into_inner);
        match &*native {
            Some(share) if !self.is_home() && Arc::strong_count(share) > 1 => {
                Err(TakeError::Watched)
            }
            _ => native.take().ok_or(TakeError::Invalid),
        }
    }

    /// Closes the socket, if nobody has taken it.
    pub(crate) fn close(&self) {
        let native = self
            .native
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(native);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    /// Whether this is the thread whose loop the socket is made for.
    pub(crate) fn is_home(&self) -> bool {
        thread::current().id() == self.home
    }
}
