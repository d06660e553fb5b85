//! A socket as its users hold it: without the type of its callback, from any thread.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use runloop::{AsSource, SourceHandle, Token};
use socket2::SockAddr;

use crate::callbacks::Callbacks;
use crate::error::{AddressError, TakeError};
use crate::shared::{Phase, Shared};

/// A socket that calls back on the run loop of the thread that makes it.
///
/// What it calls back for is its kind: [`listening`](Self::listening) and [`accepting`](Self::accepting) sockets hand out
/// connections, [`connecting`](Self::connecting) and [`reading`](Self::reading) sockets what arrives on a stream,
/// [`binding`](Self::binding) and [`receiving`](Self::receiving) sockets datagrams; for a [`watching`](Self::watching)
/// socket the callback does everything itself. Add it to a mode with [`RunLoop::add`](runloop::RunLoop::add); until then,
/// and whenever it is in no mode that runs, nothing is accepted, connected or read, and what the system did not take of
/// what was sent waits.
///
/// When several things are ready in one pass, the callbacks come in this order: connected, incoming, sent, room to send.
/// Before each of them it is checked whether the socket is still valid, enabled and in the mode.
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

    /// Stops what comes in, from any thread, at any time, before the socket is in a loop as well. What arrives waits in the
    /// system, and the other side is slowed down when there is no room for more. The same as disabling
    /// [`Callbacks::READ`].
    ///
    /// On the socket's own thread nothing is delivered from here on; from another thread a callback that has begun may
    /// still be running.
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
        self.disable(Callbacks::READ);
    }

    /// Delivers again what comes in, beginning with what has waited. The same as enabling [`Callbacks::READ`].
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
        self.enable(Callbacks::READ);
    }

    /// Whether what comes in is not delivered.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        !self.enabled().contains(Callbacks::READ)
    }

    /// Disables kinds of callback, from any thread, at any time, before the socket is in a loop as well. On the socket's
    /// own thread none of them begins from here on.
    ///
    /// Counterpart: `CFSocketDisableCallBacks`, which is forgotten if the socket is in no loop and lets one more event
    /// pass if it is.
    pub fn disable(&self, kinds: Callbacks) {
        self.shared.disable(kinds);
        // From elsewhere the mark is enough: the source takes its interest back when it finds it.
        if self.shared.is_home() {
            self.follow();
        }
    }

    /// Enables kinds of callback, from any thread, at any time; those that are re-enabled by hand, for one callback. Kinds
    /// that this socket never has are ignored.
    ///
    /// Counterpart: `CFSocketEnableCallBacks`, which can only enable what the socket was created with.
    ///
    /// ```
    /// use socket_source::{Callbacks, Socket, StreamEvent};
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let socket = Socket::reading(ours, |_, socket, event| match event {
    ///     StreamEvent::Writable => drop(socket.send("as soon as there is room")),
    ///     other => println!("{other:?}"),
    /// })?;
    /// socket.enable(Callbacks::WRITE);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn enable(&self, kinds: Callbacks) {
        let undelivered = self.shared.enable(kinds);
        let dials = kinds.contains(Callbacks::CONNECT) && self.shared.phase() == Phase::Dialing;
        if undelivered || dials {
            // There may be no descriptor yet, or its time may be over, or it has been emptied.
            self.handle.signal();
        }
        self.look();
    }

    /// The kinds of callback that are enabled.
    #[must_use]
    pub fn enabled(&self) -> Callbacks {
        self.shared.enabled()
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

    /// Does something with the operating system's socket, such as reading or setting an option; nothing if it is closed
    /// or not made yet. What would wait or take bytes away from the callback is better left alone.
    ///
    /// Counterpart: `CFSocketGetNative`.
    ///
    /// ```
    /// use socket_source::Socket;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// let socket = Socket::reading(stream, |_, _, _| {})?;
    /// let set = socket.native(|native| native.set_tcp_nodelay(true));
    /// assert!(matches!(set, Some(Ok(()))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn native<R>(&self, call: impl FnOnce(&socket2::Socket) -> R) -> Option<R> {
        // A share of its own and no lock, since the caller may do anything.
        let native = self.shared.share().filter(|_| self.is_valid())?;
        Some(call(&native))
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
    /// other clones are invalid from then on. One that is still connecting comes back as it stands.
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
        // The loop's share goes here.
        self.invalidate();
        let native = Arc::try_unwrap(native).or_else(|shared| {
            // Somebody is inside of `native` on another thread, or above us on this one.
            shared.try_clone().map_err(|_full| TakeError::Watched)
        })?;
        Ok(native.into())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn handle(&self) -> &SourceHandle {
        &self.handle
    }

    /// Has the loop look at what is wanted now: at once if it is this thread's, otherwise as soon as it can.
    pub(crate) fn look(&self) {
        if !self.shared.is_home() {
            // An interest that another thread has worked out could arrive after a later one, so the source does that.
            self.handle.signal();
        } else {
            self.follow();
        }
    }

    /// Watches for what is wanted now.
    fn follow(&self) {
        self.handle.set_interest(NATIVE, self.shared.interest());
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
            .field("enabled", &self.enabled())
            .finish()
    }
}

/// The one descriptor of every socket.
pub(crate) const NATIVE: Token = Token(0);
