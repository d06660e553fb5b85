//! What other threads hold of a loop: its inbox, its sleeper's flag and its doorbell.
//!
//! Nothing here reaches the loop's tables; the loop takes what is in the inbox when it looks.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

use crate::arena::Key;
use crate::error::Unreachable;
use crate::flags::Mark;
use crate::mode::Mode;
use crate::sys::Doorbell;
use crate::sys::fork::ForkGuard;
use crate::wake::{POSTED, STOP, Sleep, WAKE};

/// A closure on its way to a loop. It finds the loop as the current one of its thread.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// What other threads send to a loop.
pub(crate) enum Message {
    /// Look at the flags of this source. The mark is taken back first, so that a later change sends another notice.
    Notice(Key, Option<Arc<Mark>>),
    /// Run this when the mode runs.
    Perform(Mode, Job),
    /// Run this when the inbox is looked at, whatever mode runs.
    Control(Job),
}

/// The part of a loop that any thread may touch.
pub(crate) struct Shared {
    /// The loop's number, never zero and never another loop's: threads come and go, but not this often.
    pub(crate) id: u64,
    inbox: Sender<Message>,
    /// What it is to look at, and whether it sleeps.
    pub(crate) sleep: Sleep,
    /// Set before the loop sleeps for the first time.
    pub(crate) bell: OnceLock<Arc<Doorbell>>,
    /// Closures that are sent or queued and have not begun.
    closures: AtomicUsize,
    /// How many closures may wait.
    capacity: AtomicUsize,
    closed: AtomicBool,
    fork: ForkGuard,
}

impl Shared {
    pub(crate) fn new() -> (Arc<Self>, Receiver<Message>) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let (inbox, received) = channel();
        let shared = Self {
            id,
            inbox,
            sleep: Sleep::new(),
            bell: OnceLock::new(),
            closures: AtomicUsize::new(0),
            capacity: AtomicUsize::new(CLOSURES_MAX),
            closed: AtomicBool::new(false),
            fork: ForkGuard::new(),
        };
        (Arc::new(shared), received)
    }

    /// Whether this loop can still be used from this process.
    pub(crate) fn reachable(&self) -> Result<(), Unreachable> {
        if self.fork.is_forked() {
            return Err(Unreachable::Forked);
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Unreachable::Closed);
        }
        Ok(())
    }

    pub(crate) fn is_forked(&self) -> bool {
        self.fork.is_forked()
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Puts a message into the inbox and wakes the loop; gives it back when nobody will ever look.
    pub(crate) fn post(&self, message: Message) -> Result<(), Message> {
        if self.fork.is_forked() {
            return Err(message);
        }
        self.inbox.send(message).map_err(|unsent| unsent.0)?;
        self.mark(POSTED);
        Ok(())
    }

    /// Gives an order, and wakes the loop.
    pub(crate) fn order(&self, order: u32) -> Result<(), Unreachable> {
        self.reachable()?;
        self.mark(order);
        Ok(())
    }

    /// The loop's: takes an order back, and says whether it was given.
    pub(crate) fn take_order(&self, order: u32) -> bool {
        self.sleep.take(order)
    }

    pub(crate) fn has_orders(&self) -> bool {
        self.sleep.has(STOP | WAKE)
    }

    /// Takes room for one closure, if there is any.
    pub(crate) fn reserve_closure(&self) -> bool {
        let capacity = self.capacity.load(Ordering::Relaxed);
        let taken = self.closures.fetch_add(1, Ordering::Relaxed);
        if taken < capacity {
            return true;
        }
        self.release_closure();
        false
    }

    pub(crate) fn release_closure(&self) {
        self.closures.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn set_capacity(&self, most: usize) {
        self.capacity.store(most, Ordering::Relaxed);
    }

    fn mark(&self, what: u32) {
        if self.sleep.mark(what) {
            if let Some(bell) = self.bell.get() {
                bell.ring();
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("id", &self.id)
            .field("asleep", &self.sleep.is_announced())
            .field("closed", &self.closed.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

/// How many closures wait for a loop unless it was told otherwise.
const CLOSURES_MAX: usize = 1_024;
