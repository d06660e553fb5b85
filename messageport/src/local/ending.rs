//! The end of a port: in which order things go, and who is told.

use crate::background;
use crate::local::connection::Connection;
use crate::local::core::{Delivery, InvalidationCallback, PortCore, Served};
use crate::local::farewell;
use runloop::Mode;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

impl PortCore {
    /// Ends the port: the name is free first, then the callback is called, then the handler is let go of, then the source
    /// leaves its loops, then the clients are told. Says whether it was valid.
    pub(crate) fn invalidate(&self) -> bool {
        if self.fork.is_forked() || !self.valid.swap(false, Ordering::SeqCst) {
            return false;
        }
        let mut state = self.lock();
        state.ended = true;
        let claim = state.claim.take();
        let delivery = state.delivery.clone();
        drop(state);
        if let Some(claim) = claim {
            self.hub.remove(claim.listener().as_fd());
            drop(claim);
        }
        let mut panic = None;
        let mut call = |what: &mut dyn FnMut()| {
            let called = catch_unwind(AssertUnwindSafe(what));
            panic = panic.take().or(called.err());
        };
        if let Some(callback) = self.take_invalidation() {
            let mut callback = Some(callback);
            call(&mut || callback.take().into_iter().for_each(|callback| callback()));
        }
        let served = self.lock().served.clone();
        if let Delivery::Queue(dispatcher) = delivery {
            dispatcher.end();
        }
        if let Some(equipment) = self.equipment.get() {
            call(&mut || (equipment.release)());
            call(&mut || equipment.source.invalidate());
        }
        self.close(served);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
        true
    }

    /// Tells the clients that the port is closing, and hangs up on those for whom nothing is being done.
    fn close(&self, served: Vec<Served>) {
        let mut state = self.lock();
        let former = std::mem::replace(&mut state.served, served);
        let lists = (
            former,
            std::mem::take(&mut state.ready),
            std::mem::take(&mut state.awake),
        );
        let connections: Vec<_> = state
            .connections
            .iter()
            .map(|(_, c)| Arc::clone(c))
            .collect();
        drop(state);
        drop(lists);
        for connection in connections {
            if let Some(link) = connection.link() {
                link.page().set_closing();
                link.ring_sleeper();
            }
            connection.fail_deferred();
            // A reply that is being made still goes out; whoever makes it takes leave afterwards.
            if !connection.is_running() {
                self.take_leave(&connection);
            }
        }
    }

    /// Sets what is called when the port becomes invalid; comes back if it is already.
    pub(crate) fn set_invalidation_callback(
        &self,
        callback: InvalidationCallback,
    ) -> Option<InvalidationCallback> {
        if !self.is_valid() {
            return Some(callback);
        }
        let mut slot = self
            .invalidation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let former = slot.replace(callback);
        drop(slot);
        drop(former);
        // The port may have become invalid since the look above, and missed this.
        if self.is_valid() {
            None
        } else {
            self.take_invalidation()
        }
    }

    /// Lets go of a client of a port that has ended: with replies on their way to it, when it has them.
    pub(crate) fn take_leave(&self, connection: &Arc<Connection>) {
        if !connection.owes() {
            return self.dismiss(connection);
        }
        self.forget(connection);
        let mut served = self.lock().served.clone();
        if let (true, Ok(run_loop)) = (served.is_empty(), background::run_loop()) {
            let mode = Mode::DEFAULT;
            served.push(Served { run_loop, mode });
        }
        farewell::begin(connection, &served);
    }

    fn take_invalidation(&self) -> Option<InvalidationCallback> {
        self.invalidation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
