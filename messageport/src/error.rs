//! What can go wrong with ports, and what the caller can do about it.

use crate::names::{ClaimError, ConnectError, DirectoryError, NameError};
use std::io;
use thiserror::Error;

/// A port could not be created. The handler comes back in [`handler`](NotCreated::handler).
///
/// ```
/// use messageport::{CreateError, LocalPort};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let port = LocalPort::create_in(&directory, "org.example.one", |_| ())?;
/// let again = LocalPort::create_in(&directory, "org.example.one", |_| ()).unwrap_err();
/// assert!(matches!(again.error, CreateError::Claim(messageport::ClaimError::NameInUse { .. })));
/// # drop(port);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Error)]
#[error("the port could not be created")]
pub struct NotCreated<H> {
    /// Why not.
    #[source]
    pub error: CreateError,
    /// The handler that was given.
    pub handler: H,
}

impl<H> std::fmt::Debug for NotCreated<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotCreated")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// Why a port could not be created.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The directory of names cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The name could not be claimed, for instance because it is in use.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The system has no room for what the port needs.
    #[error("the system has no room for the port")]
    System(#[source] io::Error),
}

/// A port could not take another name. It has the one it had.
///
/// ```
/// use messageport::{LocalPort, RenameError};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let port = LocalPort::create_in(&directory, "org.example.before", |_| ())?;
/// port.rename("org.example.after")?;
/// assert_eq!(port.name().unwrap().as_str(), "org.example.after");
/// port.invalidate();
/// assert!(matches!(port.rename("org.example.late"), Err(RenameError::Invalid)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RenameError {
    /// The port is invalid.
    #[error("the port is gone")]
    Invalid,
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The directory of names cannot be used; only for a port that had no name.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The name could not be claimed, for instance because it is in use.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The system has no room for the first name of a port.
    #[error("the system has no room for the name")]
    System(#[source] io::Error),
}

/// A port's handler cannot be called on a queue, or the port cannot be in a loop.
///
/// What a loop says of a port that is on a queue is [`AddError::Attach`](runloop::AddError::Attach) with
/// [`OnQueue`](Self::OnQueue) inside.
///
/// ```
/// use messageport::{PortOptions, QueueError, SerialQueue};
/// use runloop::{AddError, Mode, RunLoop};
///
/// let port = PortOptions::new().create_shared(|_| ())?;
/// port.set_dispatch_queue(SerialQueue::new("worker")?)?;
/// let Err(AddError::Attach(error)) = RunLoop::current().add(&port, Mode::DEFAULT) else {
///     unreachable!("it is on a queue");
/// };
/// let inside = error.get_ref().and_then(|error| error.downcast_ref());
/// assert!(matches!(inside, Some(QueueError::OnQueue)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum QueueError {
    /// It is in a run loop; take it out first.
    #[error("the port is in a run loop")]
    InLoop,
    /// It is on a queue; [clear](crate::LocalPort::clear_dispatch_queue) that first.
    #[error("the handler of the port is called on a queue")]
    OnQueue,
    /// The handler must stay on the thread that made it; use [`create_shared`](crate::LocalPort::create_shared).
    #[error("the handler of the port is bound to its thread")]
    Bound,
    /// It is invalid.
    #[error("the port is gone")]
    Invalid,
    /// The system has no room for the thread that listens.
    #[error("the system has no room for a thread that listens")]
    System(#[source] io::Error),
}

/// A name could not be connected to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The directory of names cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is no port of that name, or it cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The port refused the link at once. One that does so later is heard of in the first call on the link, as
    /// [`TransportError::Refused`].
    #[error("the port refused the link: {why:?}")]
    Refused {
        /// Why.
        why: crate::hello::Refusal,
    },
    /// The system has no room for the link.
    #[error("the system has no room for the link")]
    System(#[source] io::Error),
    /// This thread's run loop cannot wait.
    #[error("this thread's run loop cannot wait")]
    Wait(#[source] runloop::RunError),
}

impl OpenError {
    /// Whether nobody serves the name now, so that it is worth waiting for it to appear.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Connect(ConnectError::NotFound { .. }))
    }
}

/// A message was not sent, or a request was not answered.
///
/// Counterpart: the status codes of `CFMessagePortSendRequest`, each named at its variant.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// There was no room for the message until the deadline; nothing of it will ever be delivered
    /// (`kCFMessagePortSendTimeout`).
    #[error("there was no room for the message in time")]
    SendTimeout,
    /// The message was sent, no reply came in time, and the port is still there (`kCFMessagePortReceiveTimeout`). A reply
    /// that comes later is dropped.
    #[error("no reply came in time")]
    ReceiveTimeout,
    /// The remote had been invalidated, or its port was known to be gone (`kCFMessagePortIsInvalid`).
    #[error("the port is gone")]
    Invalid,
    /// The port went away, or this remote was invalidated, while the call was waiting (`kCFMessagePortBecameInvalidError`).
    #[error("the port went away during the call")]
    BecameInvalid,
    /// The message could not travel (`kCFMessagePortTransportError`).
    #[error("the message could not travel")]
    Transport(#[from] TransportError),
    /// The request could only be answered by this thread, which would wait in a mode that does not serve the port: run
    /// the request in a mode that the port is in, or on another thread.
    #[error(
        "only this thread could answer, and it would wait in a mode that does not serve the port"
    )]
    WouldDeadlock,
    /// The reply mode is [`Mode::COMMON`](runloop::Mode::COMMON), which cannot be run.
    #[error("a reply can only be waited for in a single mode")]
    CommonMode,
    /// This thread's run loop cannot wait.
    #[error("this thread's run loop cannot wait")]
    Wait(#[source] runloop::RunError),
}

/// Why a message could not travel.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The message, or its reply, is larger than one of the ends takes.
    #[error("the message is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// More descriptors than travel with one message; see
    /// [`DESCRIPTORS_MAX`](crate::RemotePort::DESCRIPTORS_MAX).
    #[error("no more than {limit} descriptors travel with one message")]
    TooManyDescriptors {
        /// The limit.
        limit: usize,
    },
    /// A descriptor of the message, or of its reply, is of a kind that the system passes to nobody, as one of an
    /// `io_uring` is; or the port's reply has too many. A message was not sent, and a request that was sent has been
    /// handled.
    #[error("the message has descriptors that cannot be passed on")]
    Unpassable,
    /// The port holds too many replies that this process has not read.
    #[error("the port has too much to send back")]
    Overload,
    /// The port refused the link.
    #[error("the port refused the link: {why:?}")]
    Refused {
        /// Why.
        why: crate::hello::Refusal,
    },
    /// The other side broke the rules of the link, which was ended.
    #[error("the other side of the link does not keep to its rules")]
    Malformed,
}
