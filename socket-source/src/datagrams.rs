//! Datagram sockets: each datagram is received as it is wanted, whole and with its sender.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;

use runloop::RunLoop;
use socket2::SockAddr;

use crate::backoff::Backoff;
use crate::callbacks::Callbacks;
use crate::datagram::Datagram;
use crate::error::{AdoptError, BindError, Unsent};
use crate::options::SocketOptions;
use crate::receiving::Arrivals;
use crate::shared::Manner;
use crate::socket::Socket;
use crate::source::{Kind, Next, Turn, adopt};
use crate::sys;

impl Socket {
    /// Binds a datagram socket to an address, and calls back with what arrives.
    ///
    /// The address is a `std::net::SocketAddr` (port zero: a free one), or a [`SockAddr`], which may be a path. Unlike a
    /// listener's, the address is never shared with another socket.
    ///
    /// Up to 16 datagrams are received in one pass, one before each call, so that a callback that pauses has seen all that
    /// was received. [`SocketOptions::datagrams_per_call`] has several of them received together.
    ///
    /// Counterpart: `CFSocketCreate` with `SOCK_DGRAM` and `kCFSocketDataCallBack`, and `CFSocketSetAddress`.
    ///
    /// # Errors
    ///
    /// [`BindError`].
    ///
    /// ```
    /// use runloop::{Mode, RunLoop};
    /// use socket_source::{DatagramEvent, Socket};
    /// use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
    ///
    /// let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    /// let echo = Socket::binding(anywhere, |run_loop, socket, event| match event {
    ///     DatagramEvent::Received(datagram) => {
    ///         if let Some(from) = datagram.from().cloned() {
    ///             drop(socket.send_to(datagram.into_bytes(), from));
    ///         }
    ///         run_loop.stop();
    ///     }
    ///     other => eprintln!("{other:?}"),
    /// })?;
    /// let run_loop = RunLoop::current();
    /// run_loop.add(&echo, Mode::DEFAULT)?;
    /// let client = UdpSocket::bind(anywhere)?;
    /// let address = echo.local_address()?.as_socket().expect("an internet address");
    /// client.send_to(b"hello", address)?;
    /// let _stopped = run_loop.run()?;
    /// assert_eq!(client.recv(&mut [0; 16])?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn binding(
        address: impl Into<SockAddr>,
        receive: impl FnMut(&RunLoop, &Self, DatagramEvent) + 'static,
    ) -> Result<Self, BindError> {
        Self::binding_with(SocketOptions::new(), address, receive)
    }

    /// As [`binding`](Self::binding), with options.
    ///
    /// # Errors
    ///
    /// [`BindError`].
    ///
    /// ```
    /// use socket_source::{Socket, SocketOptions};
    /// use std::net::{Ipv4Addr, SocketAddr};
    /// let options = SocketOptions::new()
    ///     .datagrams_per_pass(64)
    ///     .configure(|socket| socket.set_broadcast(true));
    /// let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    /// let socket = Socket::binding_with(options, anywhere, |_, _, event| println!("{event:?}"))?;
    /// # drop(socket);
    /// # Ok::<(), socket_source::BindError>(())
    /// ```
    pub fn binding_with(
        options: SocketOptions,
        address: impl Into<SockAddr>,
        receive: impl FnMut(&RunLoop, &Self, DatagramEvent) + 'static,
    ) -> Result<Self, BindError> {
        let native = sys::bind_datagrams(&address.into(), &options)?;
        let datagrams = Datagrams::new(&options, &native, receive);
        Ok(adopt(options, native, datagrams))
    }

    /// As [`binding`](Self::binding), for a datagram socket that exists: one of the standard library's, of [`socket2`], or
    /// any other descriptor of one. It may be connected to one other side, or to none. It is made close-on-exec and
    /// non-blocking.
    ///
    /// Counterpart: `CFSocketCreateWithNative` with `kCFSocketDataCallBack`.
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which gives the descriptor back.
    ///
    /// ```
    /// use socket_source::Socket;
    /// let (ours, theirs) = std::os::unix::net::UnixDatagram::pair()?;
    /// let socket = Socket::receiving(ours, |_, _, event| println!("{event:?}"))?;
    /// socket.send("hello")?;
    /// assert_eq!(theirs.recv(&mut [0; 16])?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receiving(
        socket: impl Into<OwnedFd>,
        receive: impl FnMut(&RunLoop, &Self, DatagramEvent) + 'static,
    ) -> Result<Self, AdoptError> {
        Self::receiving_with(SocketOptions::new(), socket, receive)
    }

    /// As [`receiving`](Self::receiving), with options.
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which gives the descriptor back.
    ///
    /// ```
    /// use socket_source::{Socket, SocketOptions};
    /// let udp = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let options = SocketOptions::new().paused();
    /// let socket = Socket::receiving_with(options, udp, |_, _, event| println!("{event:?}"))?;
    /// # drop(socket);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receiving_with(
        options: SocketOptions,
        socket: impl Into<OwnedFd>,
        receive: impl FnMut(&RunLoop, &Self, DatagramEvent) + 'static,
    ) -> Result<Self, AdoptError> {
        let native = sys::adopt_datagrams(socket.into())?;
        let datagrams = Datagrams::new(&options, &native, receive);
        Ok(adopt(options, native, datagrams))
    }
}

/// What a datagram socket has to tell. None of it ends the socket.
///
/// Counterpart: the bytes and the address that a `kCFSocketDataCallBack` gets, where none at all mean an empty datagram or
/// an error.
///
/// ```
/// use socket_source::DatagramEvent;
/// fn count(event: &DatagramEvent) -> usize {
///     match event {
///         DatagramEvent::Received(datagram) => datagram.bytes().len(),
///         _ => 0,
///     }
/// }
/// # drop(count);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum DatagramEvent {
    /// One has arrived; it may be empty.
    Received(Datagram),
    /// The system reports an error instead of a datagram: for a connected socket usually that nobody was there to take an
    /// earlier one (`ConnectionRefused`).
    Failed(io::Error),
    /// One that was taken by `send` or `send_to` was refused by the system after all: it is too large, or nobody is there.
    Unsent(Unsent),
    /// There is room to send: no more than the low mark of the outbox waits. Comes once after a refused `send`, and once
    /// when [`Callbacks::WRITE`] is enabled.
    Writable,
}

/// What a datagram socket does.
struct Datagrams<F> {
    /// How many one turn receives.
    most: usize,
    backoff: Cell<Backoff>,
    /// Not borrowed while the callback runs.
    arrivals: RefCell<Arrivals>,
    /// Borrowed while it runs: its source is never performed within itself.
    callback: RefCell<F>,
}

impl<F: FnMut(&RunLoop, &Socket, DatagramEvent) + 'static> Datagrams<F> {
    fn new(options: &SocketOptions, native: &socket2::Socket, callback: F) -> Self {
        Self {
            most: options.datagrams_per_pass,
            backoff: Cell::new(Backoff::new()),
            arrivals: RefCell::new(Arrivals::new(native, options.datagrams_per_call)),
            callback: RefCell::new(callback),
        }
    }

    fn call(&self, turn: &Turn<'_>, event: DatagramEvent) {
        let mut receive = self.callback.borrow_mut();
        receive(turn.run_loop, turn.socket, event);
    }

    /// An error was told. Nobody being there says nothing of the next datagram; anything else may stay for a while.
    fn after(&self, kind: io::ErrorKind) -> Next {
        if kind == io::ErrorKind::ConnectionRefused {
            return Next::Again;
        }
        let mut backoff = self.backoff.get();
        let rest = backoff.lengthen();
        self.backoff.set(backoff);
        Next::Rest(rest)
    }
}

impl<F: FnMut(&RunLoop, &Socket, DatagramEvent) + 'static> Kind for Datagrams<F> {
    const MANNER: Manner = Manner::Datagrams;

    fn incoming(&self, turn: &Turn<'_>) -> Next {
        let rest = Rest(turn);
        for left in (1..=self.most).rev() {
            let next = self.arrivals.borrow_mut().next(turn.socket.shared(), left);
            match next {
                Ok(datagram) => {
                    self.backoff.set(Backoff::new());
                    turn.before(Callbacks::READ);
                    self.call(turn, DatagramEvent::Received(datagram));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return Next::Again,
                    kind => {
                        turn.before(Callbacks::READ);
                        self.call(turn, DatagramEvent::Failed(error));
                        return self.after(kind);
                    }
                },
            }
            if !turn.goes_on() || self.arrivals.borrow().is_over() {
                break;
            }
        }
        drop(rest);
        Next::Again
    }

    fn writable(&self, turn: &Turn<'_>) {
        self.call(turn, DatagramEvent::Writable);
    }

    fn unsent(&self, turn: &Turn<'_>, why: Unsent) {
        self.call(turn, DatagramEvent::Unsent(why));
    }
}

/// Asks for another turn if this one leaves something that was received, also because the callback has panicked. A socket
/// that is paused gets it when it is resumed; for one in no mode the signal is kept.
struct Rest<'a>(&'a Turn<'a>);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let socket = self.0.socket;
        if socket.shared().is_undelivered() && !socket.is_paused() {
            socket.handle().signal();
        }
    }
}
