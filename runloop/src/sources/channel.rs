//! A bounded queue whose receiving end is a source.

use std::cell::RefCell;
use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use thiserror::Error;

use crate::core::RunLoop;
use crate::cx::Cx;
use crate::options::SourceOptions;
use crate::readiness::{Ready, Why};
use crate::source::Source;
use crate::source_handle::SourceHandle;
use crate::source_ref::{AsSource, SourceRef};
use crate::sources::again::Again;
use crate::sources::callback::Callback;

/// A channel whose values are handed to a closure on this thread's loop, in order, at most 1,024 waiting.
///
/// ```
/// use runloop::{Mode, RunLoop, channel};
///
/// let run_loop = RunLoop::current();
/// let (sender, source) = channel(|run_loop, line: String| {
///     println!("{line}");
///     run_loop.stop();
/// });
/// run_loop.add(&source, Mode::DEFAULT)?;
/// std::thread::spawn(move || sender.send("from afar".to_owned()));
/// let _stopped = run_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel<T: Send + 'static>(
    receive: impl FnMut(&RunLoop, T) + 'static,
) -> (Sender<T>, Channel) {
    channel_with(SourceOptions::new(), VALUES_MAX, receive)
}

/// As [`channel`], with options and with room for `most` waiting values (at least one).
///
/// ```
/// use runloop::{SourceOptions, channel_with};
/// let (sender, _source) = channel_with(SourceOptions::new(), 1, |_, number: u32| println!("{number}"));
/// sender.send(1)?;
/// assert_eq!(sender.send(2).unwrap_err().into_inner(), 2, "there is room for one");
/// # Ok::<(), runloop::SendError<u32>>(())
/// ```
pub fn channel_with<T: Send + 'static>(
    options: SourceOptions,
    most: usize,
    receive: impl FnMut(&RunLoop, T) + 'static,
) -> (Sender<T>, Channel) {
    let (sender, receiver) = sync_channel(most.max(1));
    let source = ChannelSource {
        receiver: RefCell::new(Some(receiver)),
        callback: Callback::new(receive),
    };
    let handle = RunLoop::current().adopt(&SourceRef::with(options.exclusive(), source));
    (
        Sender {
            values: sender,
            handle: handle.clone(),
        },
        Channel { handle },
    )
}

/// The receiving end of a [`channel`]: the source to add to a loop.
///
/// Its closure is called once per value, up to 256 times in one perform, or as often as
/// [`SourceOptions::budget`] says. Invalidating it drops the values that wait.
///
/// ```
/// use runloop::{Mode, RunLoop, channel};
/// let (_sender, source) = channel(|_, number: u32| println!("{number}"));
/// RunLoop::current().add(&source, Mode::COMMON)?;
/// # Ok::<(), runloop::AddError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Channel {
    handle: SourceHandle,
}

impl Channel {
    /// Ends it: see [`SourceHandle::invalidate`]. Senders are told by [`SendError::Closed`].
    pub fn invalidate(&self) {
        self.handle.invalidate();
    }

    /// Whether it has not been invalidated.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.handle.is_valid()
    }

    /// The source without its kind.
    #[must_use]
    pub fn handle(&self) -> &SourceHandle {
        &self.handle
    }
}

impl AsSource for Channel {
    fn as_source(&self) -> &SourceHandle {
        &self.handle
    }
}

/// The sending end of a [`channel`], for any thread.
///
/// ```
/// use runloop::{Sender, channel};
/// let (sender, _source) = channel(|_, number: u32| println!("{number}"));
/// let second: Sender<u32> = sender.clone();
/// second.send(7)?;
/// # Ok::<(), runloop::SendError<u32>>(())
/// ```
pub struct Sender<T> {
    values: SyncSender<T>,
    handle: SourceHandle,
}

impl<T> Sender<T> {
    /// Puts a value into the queue and wakes the loop if it sleeps. Never blocks.
    ///
    /// # Errors
    ///
    /// The value comes back: [`SendError::Full`] when the queue is, [`SendError::Closed`] when the receiving source is
    /// invalid or its thread has ended.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if !self.handle.is_valid() {
            return Err(SendError::Closed(value));
        }
        match self.values.try_send(value) {
            Ok(()) => {
                self.handle.signal();
                Ok(())
            }
            Err(TrySendError::Full(value)) => Err(SendError::Full(value)),
            Err(TrySendError::Disconnected(value)) => Err(SendError::Closed(value)),
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            handle: self.handle.clone(),
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// A value was not taken by a [`channel`]; here it is again.
///
/// ```
/// use runloop::{SendError, channel};
/// let (sender, source) = channel(|_, number: u32| println!("{number}"));
/// source.invalidate();
/// assert_eq!(sender.send(5), Err(SendError::Closed(5)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError<T> {
    /// As many values wait as the channel holds; try again when some have been taken.
    #[error("the channel is full")]
    Full(T),
    /// Nobody will ever take a value again.
    #[error("the receiving source is gone")]
    Closed(T),
}

impl<T> SendError<T> {
    /// The value that was not taken.
    ///
    /// ```
    /// assert_eq!(runloop::SendError::Full("value").into_inner(), "value");
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

struct ChannelSource<T, F> {
    /// `None` once the source is invalid, so that senders find the channel closed.
    receiver: RefCell<Option<Receiver<T>>>,
    callback: Callback<F>,
}

impl<T, F> ChannelSource<T, F> {
    fn next(&self) -> Result<T, TryRecvError> {
        let receiver = self.receiver.borrow();
        receiver
            .as_ref()
            .map_or(Err(TryRecvError::Disconnected), Receiver::try_recv)
    }
}

impl<T: 'static, F: FnMut(&RunLoop, T) + 'static> Source for ChannelSource<T, F> {
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        // A value leaves the queue just before its call. The guard asks for another perform when this one leaves values
        // behind, also because the closure panicked.
        let budget = cx.budget(VALUES_PER_PERFORM);
        let mut again = Again::new(cx);
        for _ in 0..budget {
            if !again.may_go_on() {
                return;
            }
            let Ok(value) = self.next() else {
                again.is_not_needed();
                return;
            };
            self.callback
                .call(|receive| receive(again.run_loop(), value));
        }
    }

    fn invalidated(&self, _: Why) {
        let receiver = self.receiver.take();
        drop(receiver);
        self.callback.end();
    }
}

/// How many values wait in a channel unless it was told otherwise.
const VALUES_MAX: usize = 1_024;
/// How many values one perform takes, so that a flood of them leaves the loop room for others.
const VALUES_PER_PERFORM: usize = 256;
