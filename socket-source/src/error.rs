//! What can go wrong with a socket, one small enum for each thing that is done with it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use thiserror::Error;

/// A socket with an address of its own could not be made.
///
/// Counterpart: the NULL of `CFSocketCreate` and the -1 of `CFSocketSetAddress`, which lose the reason.
///
/// ```
/// use socket_source::{BindError, SockAddr, Socket};
/// let address = SockAddr::unix("/nonexistent/socket")?;
/// let listener = Socket::listening(address, |_, _, _| {});
/// assert!(matches!(listener, Err(BindError::Bind(_))));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// There is no room for another descriptor, or the system does not know the address family.
    #[error("the socket could not be created")]
    Create(#[source] io::Error),
    /// An option of the socket was refused, one of [`SocketOptions::configure`](crate::SocketOptions::configure)
    /// included.
    #[error("the socket could not be configured")]
    Configure(#[source] io::Error),
    /// The address is in use, is not one of this machine, or is not ours to use.
    #[error("the address could not be bound")]
    Bind(#[source] io::Error),
    /// Somebody else listens at that very address.
    #[error("the socket could not listen")]
    Listen(#[source] io::Error),
}

/// A descriptor could not be made the socket of a source; here it is again.
///
/// Counterpart: the NULL of `CFSocketCreateWithNative`.
///
/// ```
/// use socket_source::{AdoptError, Socket};
/// let datagrams = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// let refused = Socket::reading(datagrams, |_, _, _| {}).unwrap_err();
/// assert!(matches!(refused, AdoptError::NotAStream(_)));
/// let _datagrams = std::net::UdpSocket::from(refused.into_inner());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// It is a file, a pipe or something else.
    #[error("the descriptor is not a socket")]
    NotASocket(OwnedFd),
    /// Nobody has called `listen` for it.
    #[error("the socket does not listen")]
    NotListening(OwnedFd),
    /// It keeps messages apart, which would be lost in a stream of bytes.
    #[error("the socket is not a stream")]
    NotAStream(OwnedFd),
    /// It is a stream, or of a kind that has connections.
    #[error("the socket is not one for datagrams")]
    NotDatagrams(OwnedFd),
    /// It could not be made close-on-exec and non-blocking.
    #[error("the descriptor could not be prepared")]
    Prepare(OwnedFd, #[source] io::Error),
}

impl AdoptError {
    /// The descriptor that was not taken.
    ///
    /// ```
    /// use std::os::fd::OwnedFd;
    /// let file: OwnedFd = std::fs::File::open("/dev/null")?.into();
    /// let refused = socket_source::Socket::reading(file, |_, _, _| {}).unwrap_err();
    /// let _file = std::fs::File::from(refused.into_inner());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn into_inner(self) -> OwnedFd {
        match self {
            Self::NotASocket(fd)
            | Self::NotListening(fd)
            | Self::NotAStream(fd)
            | Self::NotDatagrams(fd)
            | Self::Prepare(fd, _) => fd,
        }
    }
}

/// A listening socket has no connection to give, and not because nobody connects.
///
/// Counterpart: none; `CFSocket` swallows what `accept` says.
///
/// ```
/// use socket_source::AcceptError;
/// fn explain(error: &AcceptError) -> &'static str {
///     match error {
///         AcceptError::Resting { .. } => "close a few connections",
///         _ => "make a new listener",
///     }
/// }
/// # drop(explain);
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The process or the system has no room for another descriptor, or refuses for a reason of its own. The listener is
    /// left alone for a while and then tries again; those who connect meanwhile wait in its backlog.
    #[error("no connection can be accepted for now, and the listener rests")]
    Resting {
        /// For how long: 100 ms, doubled each time until it is 1 s, and 100 ms again after a connection.
        rest: Duration,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The socket does not listen any more, because somebody has shut it down. The source is invalidated when the
    /// callback has returned.
    #[error("the listening socket has failed")]
    Failed(#[source] io::Error),
}

/// No connection came about. The socket is invalidated when the callback has returned.
///
/// When several addresses were tried, this is about the last of them.
///
/// Counterpart: the error number that a `kCFSocketConnectCallBack` gets, and what `CFSocketConnectToAddress` answers.
///
/// ```
/// use socket_source::ConnectError;
/// fn is_worth_another_try(error: &ConnectError) -> bool {
///     matches!(error, ConnectError::TimedOut | ConnectError::Refused(_))
/// }
/// # drop(is_worth_another_try);
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name of the host is not known, or nobody could be asked.
    #[error("the name of the host could not be resolved")]
    LookUp(#[source] io::Error),
    /// Nobody has answered within the time that was given.
    #[error("no connection came about in time")]
    TimedOut,
    /// Nobody listens at the address.
    #[error("nobody listens at the address")]
    Refused(#[source] io::Error),
    /// The network, the system or an option refuses.
    #[error("the connection could not be made")]
    Failed(#[source] io::Error),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Self::Refused(error),
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Failed(error),
        }
    }
}

/// Bytes were not taken by `send`; here they are again, all of them.
///
/// Counterpart: what `CFSocketSendData` answers, which calls a part of the data a success.
///
/// ```
/// use socket_source::{SendError, Socket};
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// let socket = Socket::reading(ours, |_, _, _| {})?;
/// socket.finish();
/// match socket.send("too late") {
///     Err(SendError::Finished(bytes)) => assert_eq!(bytes, "too late"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError<T> {
    /// As much waits as may wait: send again when the callback is told that there is room.
    #[error("as much waits to be sent as may wait")]
    Full(T),
    /// `finish` was called, or this kind of socket never sends.
    #[error("nothing more is sent on this socket")]
    Finished(T),
    /// The connection is broken; nothing will reach the other side any more.
    #[error("the connection is broken")]
    Broken(T),
    /// The socket has been invalidated.
    #[error("the socket is invalid")]
    Invalid(T),
}

impl<T> SendError<T> {
    /// What was not taken.
    ///
    /// ```
    /// assert_eq!(socket_source::SendError::Full("bytes").into_inner(), "bytes");
    /// ```
    #[must_use]
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(unsent)
            | Self::Finished(unsent)
            | Self::Broken(unsent)
            | Self::Invalid(unsent) => unsent,
        }
    }

    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> SendError<U> {
        match self {
            Self::Full(unsent) => SendError::Full(f(unsent)),
            Self::Finished(unsent) => SendError::Finished(f(unsent)),
            Self::Broken(unsent) => SendError::Broken(f(unsent)),
            Self::Invalid(unsent) => SendError::Invalid(f(unsent)),
        }
    }
}

/// What was taken could not be sent in the end, or only a part of it.
///
/// ```
/// use socket_source::Socket;
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// let socket = Socket::reading(ours, |_, _, _| {})?;
/// socket.send_then("bytes", |_, _, sent| match sent {
///     Ok(()) => println!("the system has them all"),
///     Err(unsent) => eprintln!("{unsent}: {:?}", unsent.kind()),
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
#[error("what was to be sent was not sent")]
pub struct Unsent(#[source] io::Error);

impl Unsent {
    pub(crate) fn new(errno: i32) -> Self {
        Self(io::Error::from_raw_os_error(errno))
    }

    /// What the system said.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }
}

/// A stream broke off. What came before has been delivered.
///
/// Counterpart: none; `CFSocket` reports every error as the end of the stream.
///
/// ```
/// use socket_source::ReadError;
/// let broken = ReadError::Reset(std::io::ErrorKind::ConnectionReset.into());
/// assert_eq!(broken.to_string(), "the other side has reset the connection");
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The other side has given up the connection, or has died: what it had still to send or to read is lost.
    #[error("the other side has reset the connection")]
    Reset(#[source] io::Error),
    /// The network or the system has failed.
    #[error("the stream could not be read")]
    Failed(#[source] io::Error),
}

/// An address is not known.
///
/// Counterpart: the NULL of `CFSocketCopyAddress` and `CFSocketCopyPeerAddress`.
///
/// ```
/// use socket_source::{AddressError, Socket};
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// let socket = Socket::reading(ours, |_, _, _| {})?;
/// socket.invalidate();
/// assert!(matches!(socket.peer_address(), Err(AddressError::Invalid)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The socket has been invalidated.
    #[error("the socket is invalid")]
    Invalid,
    /// The system does not say, for example because nobody is connected (any more).
    #[error("the socket has no such address")]
    Unknown(#[source] io::Error),
}

/// A socket could not be taken back.
///
/// ```
/// use socket_source::{Socket, TakeError};
/// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// let socket = Socket::reading(ours, |_, _, _| {})?;
/// socket.invalidate();
/// assert_eq!(socket.into_inner().unwrap_err(), TakeError::Invalid);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TakeError {
    /// It has been invalidated, and is closed or about to be.
    #[error("the socket is invalid")]
    Invalid,
    /// It is in a mode of a loop that cannot be made to forget it from here: take it back on that loop's thread, or
    /// remove it from its modes first.
    #[error("the socket is watched by the run loop of another thread")]
    Watched,
    /// There is none yet: the name of the host is still being looked up.
    #[error("the socket has not been made yet")]
    NotYet,
    /// Bytes that were given to `send` are still waiting: take it back when they have gone.
    #[error("the socket has still something to send")]
    Sending,
    /// Datagrams that were received together with others ([`SocketOptions::datagrams_per_call`]) have not been delivered:
    /// take it back when they have.
    ///
    /// [`SocketOptions::datagrams_per_call`]: crate::SocketOptions::datagrams_per_call
    #[error("the socket has still something to deliver")]
    Undelivered,
}
