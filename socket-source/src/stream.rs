//! Stream sockets: connections are made, and what arrives is read and handed to a callback, as it is wanted.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use runloop::RunLoop;

use crate::callbacks::Callbacks;
use crate::dial::Dial;
use crate::error::{AdoptError, ConnectError, ReadError};
use crate::options::{AtEnd, SocketOptions};
use crate::outbox::Gate;
use crate::pieces;
use crate::shared::{Manner, Phase, Shared};
use crate::socket::Socket;
use crate::source::{Kind, Next, Turn, adopt, adopt_as};
use crate::sys;
use crate::target::Target;

impl Socket {
    /// Reads from a connected stream socket, and calls back with what arrives.
    ///
    /// The stream is one of the standard library's, an [`Accepted`](crate::Accepted), a [`socket2::Socket`] or any other
    /// descriptor of a stream socket. It is made close-on-exec and non-blocking, which others who hold the same socket
    /// notice.
    ///
    /// One piece is read in a pass, and only just before the call, so a callback that pauses the socket has seen all that
    /// was read. By default the socket is invalidated after [`StreamEvent::Ended`]; see [`AtEnd`].
    ///
    /// Counterpart: `CFSocketCreateWithNative` with `kCFSocketDataCallBack`, which reads on whether anybody wants it or
    /// not.
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which gives the descriptor back.
    ///
    /// ```
    /// use socket_source::{Socket, StreamEvent};
    ///
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let mut wanted: usize = 1_000;
    /// let socket = Socket::reading(ours, move |_, socket, event| match event {
    ///     StreamEvent::Data(bytes) => {
    ///         wanted = wanted.saturating_sub(bytes.len());
    ///         if wanted == 0 {
    ///             socket.pause();
    ///         }
    ///     }
    ///     StreamEvent::Ended => println!("that was all"),
    ///     StreamEvent::Failed(error) => eprintln!("{error}"),
    ///     _ => {}
    /// })?;
    /// # drop(socket);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reading(
        stream: impl Into<OwnedFd>,
        receive: impl FnMut(&RunLoop, &Self, StreamEvent) + 'static,
    ) -> Result<Self, AdoptError> {
        Self::reading_with(SocketOptions::new(), stream, receive)
    }

    /// As [`reading`](Self::reading), with options.
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which gives the descriptor back.
    ///
    /// ```
    /// use socket_source::{AtEnd, Socket, SocketOptions};
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let options = SocketOptions::new().bytes_per_pass(4_096).at_end(AtEnd::Keep);
    /// let socket = Socket::reading_with(options, ours, |_, _, event| println!("{event:?}"))?;
    /// # drop(socket);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reading_with(
        options: SocketOptions,
        stream: impl Into<OwnedFd>,
        receive: impl FnMut(&RunLoop, &Self, StreamEvent) + 'static,
    ) -> Result<Self, AdoptError> {
        let native = sys::adopt_stream(stream.into())?;
        let stream = Stream::new(&options, receive);
        Ok(adopt(options, native, stream))
    }

    /// Connects to an address, a path or a host, and calls back with the outcome and with what arrives.
    ///
    /// It begins when the socket is added to a mode that runs. The loop is never kept waiting: a host name is looked up on
    /// a thread of its own, which lives for that one look-up, and its addresses are tried in turn. After 30 seconds,
    /// unless the options say otherwise, it has failed; [`invalidate`](Self::invalidate) cancels it at any time. What is
    /// sent meanwhile waits for the connection.
    ///
    /// Counterpart: `CFSocketConnectToAddress` with a negative timeout, and `kCFSocketConnectCallBack`. There is no form
    /// that waits, and an attempt that is out of time does not go on behind one's back.
    ///
    /// ```
    /// use runloop::{Mode, RunLoop};
    /// use socket_source::{Socket, StreamEvent};
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let socket = Socket::connecting(address, |run_loop, socket, event| match event {
    ///     StreamEvent::Connected => {
    ///         println!("reached {:?}", socket.peer_address());
    ///         run_loop.stop();
    ///     }
    ///     StreamEvent::ConnectFailed(error) => eprintln!("{error}"),
    ///     other => println!("{other:?}"),
    /// });
    /// socket.send("hello, as soon as you are there")?;
    /// let run_loop = RunLoop::current();
    /// run_loop.add(&socket, Mode::DEFAULT)?;
    /// let _stopped = run_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connecting(
        target: impl Into<Target>,
        receive: impl FnMut(&RunLoop, &Self, StreamEvent) + 'static,
    ) -> Self {
        Self::connecting_with(SocketOptions::new(), target, receive)
    }

    /// As [`connecting`](Self::connecting), with options.
    ///
    /// ```
    /// use socket_source::{Socket, SocketOptions};
    /// use std::time::Duration;
    /// let options = SocketOptions::new()
    ///     .connect_timeout(Duration::from_secs(5))
    ///     .configure(|socket| socket.set_tcp_nodelay(true));
    /// let socket = Socket::connecting_with(options, ("example.org", 80), |_, _, event| {
    ///     println!("{event:?}")
    /// });
    /// # drop(socket); // which was in no mode, so nobody was asked
    /// ```
    pub fn connecting_with(
        options: SocketOptions,
        target: impl Into<Target>,
        receive: impl FnMut(&RunLoop, &Self, StreamEvent) + 'static,
    ) -> Self {
        let stream = Stream::new(&options, receive);
        let enabled = Callbacks::READ | Callbacks::CONNECT;
        let state = (enabled, Phase::Dialing, Manner::Stream);
        let shared = Shared::new(None, &options, state);
        let dial = Dial::new(target.into(), options.clone());
        adopt_as(options, shared, Some(dial), stream)
    }
}

/// What a stream has to tell.
///
/// Counterpart: the bytes that a `kCFSocketDataCallBack` gets, where none at all mean the end or an error.
///
/// ```
/// use socket_source::StreamEvent;
/// let event = StreamEvent::Data("some bytes".into());
/// assert!(matches!(event, StreamEvent::Data(bytes) if bytes.len() == 10));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamEvent {
    /// There is a connection now. Only for [`Socket::connecting`].
    Connected,
    /// There will be no connection. The socket is invalidated when the callback has returned.
    ConnectFailed(ConnectError),
    /// Bytes have arrived, one at least. They may be kept; a large piece keeps the memory it was read into, 64 KiB at
    /// most.
    Data(Bytes),
    /// The other side has written all it will write; everything of it has been delivered. It may still read.
    Ended,
    /// The stream broke off, and what had not been delivered is lost. The socket is invalidated when the callback has
    /// returned.
    Failed(ReadError),
    /// There is room to send: no more than the low mark of the outbox waits. Comes once after a refused `send`, and once
    /// when [`Callbacks::WRITE`] is enabled; also if the connection is broken, which the next `send` says.
    Writable,
}

/// What a stream socket does.
struct Stream<F> {
    /// The largest piece.
    most: usize,
    at_end: AtEnd,
    /// Borrowed while it runs: its source is never performed within itself.
    callback: RefCell<F>,
}

impl<F: FnMut(&RunLoop, &Socket, StreamEvent) + 'static> Stream<F> {
    fn new(options: &SocketOptions, callback: F) -> Self {
        Self {
            most: options.bytes_per_pass,
            at_end: options.at_end,
            callback: RefCell::new(callback),
        }
    }

    fn call(&self, turn: &Turn<'_>, event: StreamEvent) {
        let mut receive = self.callback.borrow_mut();
        receive(turn.run_loop, turn.socket, event);
    }

    /// The end, or the break that was noticed in sending first: then reading finds nothing but an end.
    fn end(&self, turn: &Turn<'_>) -> (StreamEvent, Next) {
        match turn.socket.shared().lock().gate() {
            Gate::Broken(errno) => (broken(errno), Next::Invalidate),
            _ => (StreamEvent::Ended, Next::End(self.at_end)),
        }
    }
}

impl<F: FnMut(&RunLoop, &Socket, StreamEvent) + 'static> Kind for Stream<F> {
    const MANNER: Manner = Manner::Stream;

    fn incoming(&self, turn: &Turn<'_>) -> Next {
        let read = |room: &mut [u8]| {
            let shared = turn.socket.shared();
            let received = shared.with(|native| sys::receive(native, room));
            received.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
        };
        let (event, next) = match pieces::receive(self.most, read) {
            Ok(bytes) if bytes.is_empty() => self.end(turn),
            Ok(bytes) => {
                turn.before(Callbacks::READ);
                (StreamEvent::Data(bytes), Next::Again)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return Next::Again,
                _ => (StreamEvent::Failed(error.into()), Next::Invalidate),
            },
        };
        self.call(turn, event);
        next
    }

    fn connected(&self, turn: &Turn<'_>, outcome: Result<(), ConnectError>) {
        let event = outcome.map_or_else(StreamEvent::ConnectFailed, |()| StreamEvent::Connected);
        self.call(turn, event);
    }

    fn writable(&self, turn: &Turn<'_>) {
        self.call(turn, StreamEvent::Writable);
    }

    fn broken(&self, turn: &Turn<'_>, errno: i32) {
        self.call(turn, broken(errno));
    }
}

fn broken(errno: i32) -> StreamEvent {
    StreamEvent::Failed(io::Error::from_raw_os_error(errno).into())
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset(error),
            _ => Self::Failed(error),
        }
    }
}
