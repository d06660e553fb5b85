//! What other threads do with a loop.

use crate::core::RunLoop;
use crate::error::{PerformError, Unreachable};
use crate::mode::Mode;
use crate::shared::{Message, Shared};
use crate::source::Source;
use crate::source_ref::SourceRef;
use crate::thread;
use crate::wake::{STOP, WAKE};
use std::sync::Arc;

/// A loop, as other threads see it.
///
/// Everything sent through a handle wakes the loop if it sleeps and costs no system call if it does not. Once the loop's
/// thread has ended every call answers [`Unreachable::Closed`].
///
/// Counterpart: a `CFRunLoopRef` held by another thread.
///
/// ```
/// use runloop::{Mode, RunLoop, Signalled};
///
/// let (sent, handle) = std::sync::mpsc::channel();
/// let thread = std::thread::spawn(move || {
///     let run_loop = RunLoop::current();
///     run_loop.add(&Signalled::new(|_| {}), Mode::DEFAULT)?; // something to wait for
///     sent.send(run_loop.handle()).expect("somebody waits for it");
///     run_loop.run().map_err(Box::<dyn std::error::Error + Send + Sync>::from)
/// });
/// let handle = handle.recv()?;
/// handle.perform(Mode::DEFAULT, |run_loop| run_loop.stop()).expect("the loop takes closures");
/// assert_eq!(thread.join().expect("it does not panic").unwrap(), runloop::Outcome::Stopped);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Has the loop call a closure once, when `mode` runs (or any common mode, for [`Mode::COMMON`]).
    ///
    /// The closure gets the loop, so everything else goes through here: adding sources that stay on their thread,
    /// observers, nested runs. Closures run in the order in which they came; a closure alone keeps its mode from being
    /// empty. One that has not run when the thread ends is dropped there.
    ///
    /// Counterpart: `CFRunLoopPerformBlock`, followed by `CFRunLoopWakeUp`, which is never needed here. A block can name
    /// several modes, whichever runs first; here they are one, or the common ones, since a closure with a list of its own
    /// would have to be taken out of each mode's queue again. Modes that belong together are best made common.
    ///
    /// # Errors
    ///
    /// The closure comes back: [`PerformError::Full`] if the loop holds as many as it may (1,024, see
    /// [`RunLoop::set_closure_limit`]); [`PerformError::Unreachable`] if its thread has ended.
    pub fn perform<F>(&self, mode: Mode, closure: F) -> Result<(), PerformError<F>>
    where
        F: FnOnce(&RunLoop) + Send + 'static,
    {
        self.send(closure, |closure| {
            Message::Perform(mode, Box::new(move || closure(&thread::current())))
        })
    }

    /// Adds a source that may cross threads to a mode of the loop.
    ///
    /// The loop adds it as soon as it looks, whatever mode runs. If it cannot be attached there, it is invalidated, with
    /// [`Why::Failed`](crate::Why::Failed), and a warning is traced.
    ///
    /// # Errors
    ///
    /// As [`perform`](Self::perform), with the source.
    pub fn add<S: Source + Send + Sync>(
        &self,
        source: &SourceRef<S>,
        mode: Mode,
    ) -> Result<(), PerformError<SourceRef<S>>> {
        self.send(source.clone(), |source| {
            Message::Control(Box::new(move || {
                thread::current().add_or_fail(&source, mode);
            }))
        })
    }

    /// Ends the innermost run at its next decision, or the next run at once if none is in progress.
    ///
    /// Counterpart: `CFRunLoopStop`, which is lost on a loop that does not run.
    ///
    /// # Errors
    ///
    /// [`Unreachable`] if there is no loop to stop any more.
    pub fn stop(&self) -> Result<(), Unreachable> {
        self.shared.order(STOP)
    }

    /// Has a sleeping loop make one more pass. Nothing in this crate needs it: everything wakes the loop itself.
    ///
    /// Counterpart: `CFRunLoopWakeUp`.
    ///
    /// # Errors
    ///
    /// [`Unreachable`] if there is no loop to wake any more.
    pub fn wake_up(&self) -> Result<(), Unreachable> {
        self.shared.order(WAKE)
    }

    /// Whether the loop sleeps, at this moment, which may be over when this returns.
    ///
    /// Counterpart: `CFRunLoopIsWaiting`.
    ///
    /// # Errors
    ///
    /// [`Unreachable`] if there is no loop any more.
    pub fn is_waiting(&self) -> Result<bool, Unreachable> {
        self.shared.reachable()?;
        Ok(self.shared.sleep.is_announced())
    }

    /// Sends something if there is room, or gives it back.
    fn send<T>(&self, value: T, message: impl FnOnce(T) -> Message) -> Result<(), PerformError<T>> {
        if let Err(why) = self.shared.reachable() {
            return Err(PerformError::Unreachable(value, why));
        }
        if !self.shared.reserve_closure() {
            return Err(PerformError::Full(value));
        }
        if self.shared.post(message(value)).is_err() {
            // The thread has ended since the look above: as good as a moment later, when it would have been taken in
            // and dropped with the rest.
            self.shared.release_closure();
        }
        Ok(())
    }
}

impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Handle {}
