//! A port's handler: kept until the port is invalid, let go of where it may be, and called without knowing its type.

use crate::local::connection::Connection;
use crate::transfer::Arrival;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Where a handler is until its port is invalid.
pub(crate) struct Slot<H>(Mutex<Option<Arc<H>>>);

impl<H> Slot<H> {
    pub(crate) fn new(handler: H) -> Self {
        Self(Mutex::new(Some(Arc::new(handler))))
    }

    /// The handler, if it is still there. It stays while it is being called.
    pub(crate) fn get(&self) -> Option<Arc<H>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn take(&self) -> Option<Arc<H>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What serves a port, without the type of its handler.
pub(crate) trait Serve {
    /// Something of a client has arrived.
    fn arrived(&self, connection: &Arc<Connection>, arrival: Arrival);
}

/// Something that lets go of a handler.
pub(crate) trait Release {
    /// Lets go of it; doing it again changes nothing.
    fn release(&self);
}

impl<H> Release for Slot<H> {
    fn release(&self) {
        // Not in one expression: what the handler holds is dropped with nothing locked.
        let handler = self.take();
        drop(handler);
    }
}

/// How a handler that must stay on this thread is let go of: from this thread at once, from others not at all, since its
/// source does it when it leaves this thread's loop.
pub(crate) fn bind<H: 'static>(slot: &Arc<Slot<H>>) -> impl Fn() + Send + Sync + 'static {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let key = NEXT.fetch_add(1, Ordering::Relaxed);
    let slot: Weak<dyn Release> = Arc::<Slot<H>>::downgrade(slot);
    BOUND.with_borrow_mut(|bound| {
        bound.retain(|_, slot| slot.strong_count() > 0);
        bound.insert(key, slot);
    });
    move || {
        // A number is of one thread only, so elsewhere nothing is found; nor is there when the thread is ending.
        let found = BOUND.try_with(|bound| bound.borrow_mut().remove(&key));
        if let Some(slot) = found.ok().flatten().and_then(|slot| slot.upgrade()) {
            slot.release();
        }
    }
}

thread_local! {
    /// The handlers that stay on this thread.
    static BOUND: RefCell<HashMap<u64, Weak<dyn Release>>> = RefCell::default();
}
