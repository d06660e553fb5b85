//! A closure that a source calls, and lets go of when it becomes invalid.

use std::cell::Cell;

/// A closure that may end its own source, or drop the last handle of it, while it runs.
///
/// It is taken out while it runs, so nothing is borrowed; an exclusive source never calls it twice at once. A closure
/// that holds its source's handle does not leak: it goes when the source becomes invalid.
pub(crate) struct Callback<F> {
    slot: Cell<Option<F>>,
    ended: Cell<bool>,
}

impl<F> Callback<F> {
    pub(crate) fn new(closure: F) -> Self {
        Self {
            slot: Cell::new(Some(closure)),
            ended: Cell::new(false),
        }
    }

    /// Calls with the closure, if it is there.
    pub(crate) fn call<R>(&self, call: impl FnOnce(&mut F) -> R) -> Option<R> {
        let closure = self.slot.take()?;
        let mut running = Running {
            callback: self,
            closure: Some(closure),
        };
        running.closure.as_mut().map(call)
    }

    /// Lets go of the closure, now or when it has returned.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        let closure = self.slot.take();
        drop(closure);
    }
}

/// The closure while it runs; it goes back where it was, also on the way of a panic, unless its source has ended.
struct Running<'a, F> {
    callback: &'a Callback<F>,
    closure: Option<F>,
}

impl<F> Drop for Running<'_, F> {
    fn drop(&mut self) {
        if !self.callback.ended.get() {
            self.callback.slot.set(self.closure.take());
        }
    }
}
