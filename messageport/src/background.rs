//! The one thread of this process that listens for ports whose handlers are called on queues.
//!
//! It calls no handler; it hears that there is something to do, and gives the queue a job. It is started when it is first
//! needed, and stays.

use crate::fork::forked;
use crate::queue::start;
use runloop::{Handle, Mode};
use std::cell::Cell;
use std::io;
use std::sync::{Mutex, PoisonError};

/// The loop of the thread that listens.
///
/// # Errors
///
/// The system has no room for a thread, or this is a forked child.
pub(crate) fn run_loop() -> io::Result<Handle> {
    static LOOP: Mutex<Option<Handle>> = Mutex::new(None);
    if forked() {
        // The lock may be held by a thread that is not here.
        return Err(io::Error::other("a forked child has no ports"));
    }
    let mut known = LOOP.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = known.as_ref() {
        return Ok(handle.clone());
    }
    let handle = start("messageport")?;
    if handle.perform(Mode::DEFAULT, |_| HERE.set(true)).is_err() {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    Ok(known.insert(handle).clone())
}

/// Whether this is the thread that listens.
pub(crate) fn is_here() -> bool {
    HERE.get()
}

thread_local! {
    /// This is the thread that listens.
    static HERE: Cell<bool> = const { Cell::new(false) };
}
