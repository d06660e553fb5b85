//! A socket as its users hold it: without the type of its callback, from any thread.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use runloop::{AsSource, Interest, SourceHandle, Token};
use socket2::SockAddr;

use crate::error::{AddressError, TakeError};
use crate::shared::Shared;

/// A socket that calls back on the run loop of the thread that makes it.
///
/// What it calls back for is its kind: [`listening`](Self::listening) and [`accepting`](Self::accepting) sockets hand out
/// connections, [`reading`](Self::reading) sockets hand out what arrives on a stream. Add it to a mode with
/// [`RunLoop::add`](runloop::RunLoop::add); until then, and whenever it is in no mode that runs, nothing is accepted and
/// nothing is read.
///
/// Clones are the same socket, and equal. They may cross threads; the callback stays where it is. The socket is closed
/// when it is invalidated, when its thread ends, or when the last clone is dropped while it is in no mode.
///
/// Counterpart: `CFSocketRef`, together with the source of `CFSocketCreateRunLoopSource`. There is no table of all
/// sockets: two of these never stand for one descriptor.
///
/// ```
/// use runloop::{Mode, RunLoop};
/// use socket_source::{Socket, StreamEvent};
/// use std::io::Write;
/// use std::os::unix::net::UnixStream;
///
/// let (ours, mut theirs) = UnixStream::pair()?;
/// let socket = Socket::reading(ours, |run_loop, _, event| match event {
///     StreamEvent::Data(bytes) => assert_eq!(bytes, "hello"),
///     StreamEvent::Ended => run_loop.stop(),
///     other => panic!("{other:?}"),
/// })?;
/// let run_loop = RunLoop::current();
/// run_loop.add(&socket, Mode::DEFAULT)?;
/// theirs.write_all(b"hello")?;
/// drop(theirs);
/// let _stopped = run_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Socket {
    handle: SourceHandle,
    shared: Arc<Shared>,
}

impl Socket {
    pub(crate) fn new(handle: SourceHandle, shared: Arc<Shared>) -> Self {
        Self { handle, shared }
    }

    /// Stops deliveries, from any thread, at any time, before the socket is in a loop as well. What arrives waits in the
    /// system, and the other side is slowed down when there is no room for more.
    ///
    /// On the socket's own thread nothing is delivered from here on; from another thread a callback that has begun may
    /// still be running.
    ///
    /// Counterpart: `CFSocketDisableCallBacks`, which is forgotten if the socket is in no loop and lets one more event
    /// pass if it is.
    ///
    /// ```
    /// use socket_source::Socket;
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let socket = Socket::reading(ours, |_, _, event| println!("{event:?}"))?;
    /// socket.pause();
    /// assert!(socket.is_paused(), "and will be when it is added to a loop");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pause(&self) {
        self.shared.set_paused(true);
        // From elsewhere the mark is enough: the source takes its interest back when it finds it. An order to do so could
        // overtake, or be overtaken by, a `resume`.
        if self.shared.is_home() {
            self.handle.set_interest(NATIVE, Interest::empty());
        }
    }

    /// Delivers again, beginning with what has waited.
    ///
    /// Counterpart: `CFSocketEnableCallBacks`.
    ///
    /// ```
    /// use socket_source::{Socket, SocketOptions};
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let options = SocketOptions::new().paused();
    /// let socket = Socket::reading_with(options, ours, |_, _, event| println!("{event:?}"))?;
    /// socket.resume();
    /// assert!(!socket.is_paused(), "it delivers as soon as it is in a mode that runs");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resume(&self) {
        self.shared.set_paused(false);
        self.handle.set_interest(NATIVE, Interest::READABLE);
    }

    /// Whether it is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.shared.is_paused()
    }

    /// Its own address, as the system knows it now: the way to learn the port that was chosen for port zero.
    ///
    /// Counterpart: `CFSocketCopyAddress`, which keeps the first answer for ever.
    ///
    /// # Errors
    ///
    /// [`AddressError`].
    ///
    /// ```
    /// use socket_source::Socket;
    /// use std::net::{Ipv4Addr, SocketAddrV4};
    /// let listener = Socket::listening(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), |_, _, _| {})?;
    /// let address = listener.local_address()?.as_socket().expect("an internet address");
    /// assert_ne!(address.port(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn local_address(&self) -> Result<SockAddr, AddressError> {
        self.address(socket2::Socket::local_addr)
    }

    /// The address of the other side, as the system knows it now. Once the other side is gone nobody knows;
    /// [`Accepted::peer`](crate::Accepted::peer) is what it was.
    ///
    /// Counterpart: `CFSocketCopyPeerAddress`.
    ///
    /// # Errors
    ///
    /// [`AddressError`].
    ///
    /// ```
    /// use socket_source::Socket;
    /// use std::net::{TcpListener, TcpStream};
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// let socket = Socket::reading(stream, |_, _, _| {})?;
    /// assert_eq!(socket.peer_address()?, listener.local_addr()?.into());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peer_address(&self) -> Result<SockAddr, AddressError> {
        self.address(socket2::Socket::peer_addr)
    }

    /// Ends it: after this returns no callback begins on any thread. The loop forgets the descriptor, and then it is
    /// closed: here, if this is the socket's own thread and its callback is not running; otherwise as soon as the loop
    /// looks or the callback has returned.
    ///
    /// Counterpart: `CFSocketInvalidate`.
    pub fn invalidate(&self) {
        self.handle.invalidate();
    }

    /// Whether it has not been invalidated.
    ///
    /// Counterpart: `CFSocketIsValid`.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.handle.is_valid()
    }

    /// Takes the operating system's socket back, open and non-blocking, with everything that has not been delivered. All
    /// other clones are invalid from then on.
    ///
    /// Works on the socket's own thread, in its own callback as well, and from anywhere as long as it is in no mode.
    ///
    /// Counterpart: `CFSocketInvalidate` without `kCFSocketCloseOnInvalidate`, after `CFSocketGetNative`.
    ///
    /// # Errors
    ///
    /// [`TakeError`].
    ///
    /// ```
    /// use socket_source::Socket;
    /// use std::os::unix::net::UnixStream;
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let socket = Socket::reading(ours, |_, _, _| {})?;
    /// let ours = UnixStream::from(socket.into_inner()?);
    /// ours.set_nonblocking(false)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_inner(self) -> Result<OwnedFd, TakeError> {
        if !self.is_valid() {
            return Err(TakeError::Invalid);
        }
        let native = self.shared.take()?;
        // The loop's share goes here, unless the process has forked and there is no loop to let go of it.
        self.invalidate();
        let native = Arc::into_inner(native).ok_or(TakeError::Watched)?;
        Ok(native.into())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn address(
        &self,
        ask: impl FnOnce(&socket2::Socket) -> io::Result<SockAddr>,
    ) -> Result<SockAddr, AddressError> {
        if !self.is_valid() {
            return Err(AddressError::Invalid);
        }
        let asked = self.shared.with(ask).ok_or(AddressError::Invalid)?;
        asked.map_err(AddressError::Unknown)
    }
}

/// The source is in the care of the loop of the thread that made it; only there can it be added.
impl AsSource for Socket {
    fn as_source(&self) -> &SourceHandle {
        &self.handle
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        self.handle == other.handle
    }
}

impl Eq for Socket {}

impl Hash for Socket {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.handle.hash(state);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let descriptor = self.shared.with(AsRawFd::as_raw_fd);
        f.debug_struct("Socket")
            .field("source", &self.handle)
            .field("descriptor", &descriptor)
            .field("paused", &self.is_paused())
            .finish()
    }
}

/// The one descriptor of every socket.
pub(crate) const NATIVE: Token = Token(0);
