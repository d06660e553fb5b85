//! The end of a link as its holders hear of it: who is told, how often, and on which thread.
//!
//! The callback runs once. Whoever invalidates the remote runs it; when the port goes away, it runs in the remote's run
//! loop if it is in one, and otherwise inside the call that noticed, when that is about to return.

use crate::remote::client::{BROKEN, Client, INVALIDATED, OPEN};
use runloop::SourceHandle;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Who is told of the end of a link, and where.
#[derive(Default)]
pub(super) struct Notice {
    /// What is called, once.
    callback: Mutex<Option<Callback>>,
    /// The source of the remote, if it was ever asked for.
    source: OnceLock<SourceHandle>,
    /// In how many loops that is.
    loops: Mutex<u32>,
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
        tracing::warn!(port = %self.name, %why, "the port does not keep to the rules of the link");
        self.finish(BROKEN);
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
        if !self.has_ended() || self.is_forked() || *self.notice.loops() > 0 {
            return;
        }
        self.tell();
    }

    /// Tells of the end, if that was not done.
    pub(super) fn tell(&self) {
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
    pub(super) fn enter_loop(&self) {
        *self.notice.loops() += 1;
    }

    /// A loop watches the remote no more.
    pub(super) fn leave_loop(&self) {
        let mut loops = self.notice.loops();
        *loops = loops.saturating_sub(1);
        drop(loops);
        self.tell_here();
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

    fn loops(&self) -> MutexGuard<'_, u32> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// The source of a remote leaves its loops when this is dropped.
struct Parting<'a>(&'a Client);

impl Drop for Parting<'_> {
    fn drop(&mut self) {
        self.0.leave_loops();
    }
}
