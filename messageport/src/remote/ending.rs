//! The end of a link as its holders hear of it: who is told, how often, and on which thread.
//!
//! The callback runs once. Whoever invalidates the remote runs it; when the port goes away, it runs in the remote's run
//! loop if it is in one or on its queue if it has one, and otherwise inside the call that noticed, when that is about to
//! return.

use crate::background;
use crate::error::QueueError;
use crate::queue::{Job, Queue, Work};
use crate::remote::client::{BROKEN, Client, INVALIDATED, OPEN};
use runloop::SourceHandle;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{fmt, io};

/// Who is told of the end of a link, and where.
#[derive(Default)]
pub(super) struct Notice {
    /// What is called, once.
    callback: Mutex<Option<Callback>>,
    /// The source of the remote, if it was ever asked for.
    source: OnceLock<SourceHandle>,
    /// Where the end is told of.
    place: Mutex<Place>,
}

/// Where the end of a link is told of: in loops, on a queue, or wherever it is noticed.
#[derive(Default)]
struct Place {
    /// In how many loops of users the remote is.
    loops: u32,
    queue: Option<Arc<Teller>>,
}

/// What tells of the end on a queue.
struct Teller {
    client: Weak<Client>,
    queue: Box<dyn Queue>,
}

/// What is called when a remote becomes invalid.
pub(super) type Callback = Box<dyn FnOnce() + Send>;

impl Client {
    /// Ends the link on this side.
    pub(crate) fn invalidate(&self) {
        if self.is_forked() || !self.finish(INVALIDATED) {
            return;
        }
        let callback = self.notice.take();
        // However the callback ends, the source leaves its loops.
        let _parting = Parting(self);
        if let Some(callback) = callback {
            callback();
        }
    }

    /// The other side broke the rules.
    pub(crate) fn set_broken(&self, why: &dyn fmt::Display) {
        if self.finish(BROKEN) {
            tracing::warn!(port = %self.name, %why, "the port does not keep to the rules of the link");
        }
    }

    /// Ends the link, once, and wakes everybody who waits on it. Says whether this was the once.
    pub(super) fn finish(&self, how: u8) -> bool {
        let first = self
            .ended
            .compare_exchange(OPEN, how, Ordering::SeqCst, Ordering::SeqCst);
        if first.is_err() {
            return false;
        }
        self.link.hang_up();
        let calls = self.calls();
        let all = calls.owners();
        drop(calls);
        all.iter().for_each(SourceHandle::signal);
        self.part_with_sources();
        if let Some(source) = self.notice.source.get() {
            // If it is in a loop, it is there that the end is told of.
            source.signal();
        }
        true
    }

    /// Sets what is called at the end; comes back if that is over.
    pub(super) fn set_callback(&self, callback: Callback) -> Option<Callback> {
        if self.has_ended() {
            return Some(callback);
        }
        let former = self.notice.callback().replace(callback);
        drop(former);
        // It may have ended since the look above, and missed this.
        if self.has_ended() {
            self.notice.take()
        } else {
            None
        }
    }

    /// Tells of the end, if there was one that was not told and no loop is there to do it. Called with nothing locked,
    /// when a call is about to return.
    pub(crate) fn tell_here(&self) {
        let elsewhere = || {
            let place = self.notice.place();
            place.loops > 0 || place.queue.is_some()
        };
        if self.has_ended() && !self.is_forked() && !elsewhere() {
            self.tell();
        }
    }

    /// Tells of the end where that is to be done, on behalf of a loop that watches for it.
    pub(super) fn tell_from_loop(&self) {
        let teller = self.notice.place().queue.clone();
        match teller {
            Some(teller) => {
                let queue = Arc::clone(&teller);
                queue.queue.dispatch(Job::new(teller));
            }
            None if background::is_here() => {}
            None => self.tell(),
        }
    }

    /// Tells of the end, if that was not done.
    fn tell(&self) {
        let _parting = Parting(self);
        if let Some(callback) = self.notice.take() {
            callback();
        }
    }

    /// The source of the remote exists from now on.
    pub(super) fn set_watcher(&self, source: SourceHandle) {
        drop(self.notice.source.set(source));
        if self.has_ended() {
            self.leave_loops();
        }
    }

    /// A loop watches the remote from now on.
    pub(super) fn enter_loop(&self) -> io::Result<()> {
        let mut place = self.notice.place();
        match place.queue {
            // It watches on behalf of the queue.
            _ if background::is_here() => {}
            None => place.loops += 1,
            Some(_) => {
                let busy = io::ErrorKind::ResourceBusy;
                return Err(io::Error::new(busy, QueueError::OnQueue));
            }
        }
        Ok(())
    }

    /// A loop watches the remote no more.
    pub(super) fn leave_loop(&self) {
        if background::is_here() {
            return;
        }
        let mut place = self.notice.place();
        place.loops = place.loops.saturating_sub(1);
        drop(place);
        self.tell_here();
    }

    /// The end is told of on a queue from now on.
    pub(super) fn set_queue(self: &Arc<Self>, queue: Box<dyn Queue>) -> Result<(), QueueError> {
        if self.has_ended() {
            return Err(QueueError::Invalid);
        }
        let client = Arc::downgrade(self);
        let teller = Arc::new(Teller { client, queue });
        let mut place = self.notice.place();
        if place.loops > 0 {
            return Err(QueueError::InLoop);
        }
        let former = place.queue.replace(teller);
        drop(place);
        drop(former);
        Ok(())
    }

    /// The end is told of on no queue any more; says whether that is a change.
    pub(super) fn clear_queue(&self) -> bool {
        let former = self.notice.place().queue.take();
        former.is_some()
    }

    /// Whether the end is to be told of on a queue.
    pub(super) fn has_queue(&self) -> bool {
        self.notice.place().queue.is_some()
    }

    fn has_ended(&self) -> bool {
        self.is_forked() || self.ended.load(Ordering::SeqCst) != OPEN
    }

    fn leave_loops(&self) {
        if let Some(source) = self.notice.source.get() {
            source.invalidate();
        }
    }
}

impl Notice {
    fn take(&self) -> Option<Callback> {
        self.callback().take()
    }

    fn callback(&self) -> MutexGuard<'_, Option<Callback>> {
        self.callback.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Work for Teller {
    fn run(&self) {
        if let Some(client) = self.client.upgrade() {
            client.tell();
        }
    }

    fn refused(&self) {
        let source = self.client.upgrade();
        let source = source
            .as_ref()
            .and_then(|client| client.notice.source.get());
        if let Some(source) = source {
            // The loop that watches offers it again then.
            source.set_deadline(Instant::now().checked_add(REFUSED_FOR));
        }
    }
}

/// The source of a remote leaves its loops when this is dropped.
struct Parting<'a>(&'a Client);

impl Drop for Parting<'_> {
    fn drop(&mut self) {
        self.0.leave_loops();
    }
}

/// After how long a queue that dropped a job is offered another.
const REFUSED_FOR: Duration = Duration::from_millis(100);
