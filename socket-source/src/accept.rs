//! Listening sockets: connections are accepted and handed to a callback.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use runloop::RunLoop;
use socket2::SockAddr;

use crate::backoff::Backoff;
use crate::callbacks::Callbacks;
use crate::error::{AcceptError, AdoptError, BindError};
use crate::options::SocketOptions;
use crate::shared::Manner;
use crate::socket::Socket;
use crate::source::{Kind, Next, Turn, adopt};
use crate::sys::{self, Refusal};

impl Socket {
    /// Listens at an address, and calls back with every connection.
    ///
    /// The address is a `std::net::SocketAddr` (port zero: a free one), or a [`SockAddr`], which may be a path. A path
    /// must not exist, and is left behind: removing it is the caller's. TCP addresses are reused at once, and `[::]` serves
    /// IPv4 as well, unless the options say otherwise.
    ///
    /// Up to 16 connections are accepted in one pass, one before each call. They are close-on-exec and non-blocking.
    /// When there is no room for another descriptor, the listener rests instead of spinning: see
    /// [`AcceptError::Resting`].
    ///
    /// Counterpart: `CFSocketCreate` with `kCFSocketAcceptCallBack`, and `CFSocketSetAddress`.
    ///
    /// # Errors
    ///
    /// [`BindError`].
    ///
    /// ```
    /// use runloop::{Mode, RunLoop};
    /// use socket_source::Socket;
    /// use std::net::{Ipv4Addr, SocketAddr, TcpStream};
    ///
    /// let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    /// let listener = Socket::listening(address, |run_loop, _, accepted| {
    ///     match accepted {
    ///         Ok(accepted) => println!("{:?} has come", accepted.peer().as_socket()),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    ///     run_loop.stop();
    /// })?;
    /// let run_loop = RunLoop::current();
    /// run_loop.add(&listener, Mode::DEFAULT)?;
    /// let address = listener.local_address()?.as_socket().expect("an internet address");
    /// let _client = TcpStream::connect(address)?;
    /// let _stopped = run_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listening(
        address: impl Into<SockAddr>,
        accept: impl FnMut(&RunLoop, &Self, Result<Accepted, AcceptError>) + 'static,
    ) -> Result<Self, BindError> {
        Self::listening_with(SocketOptions::new(), address, accept)
    }

    /// As [`listening`](Self::listening), with options.
    ///
    /// # Errors
    ///
    /// [`BindError`].
    ///
    /// ```
    /// use socket_source::{Socket, SocketOptions};
    /// use std::net::{Ipv6Addr, SocketAddr};
    ///
    /// let options = SocketOptions::new().backlog(16).accepts_per_pass(1);
    /// let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    /// let listener = Socket::listening_with(options, address, |_, _, accepted| println!("{accepted:?}"));
    /// # drop(listener); // there may be no IPv6 here
    /// ```
    pub fn listening_with(
        options: SocketOptions,
        address: impl Into<SockAddr>,
        accept: impl FnMut(&RunLoop, &Self, Result<Accepted, AcceptError>) + 'static,
    ) -> Result<Self, BindError> {
        let native = sys::listen(&address.into(), &options)?;
        let accepting = Accepting::new(&options, accept);
        Ok(adopt(options, native, accepting))
    }

    /// As [`listening`](Self::listening), for a socket that listens already: one of the standard library's, of
    /// [`socket2`], or a descriptor that a service manager has passed. It is made close-on-exec and non-blocking; other
    /// processes that share it must leave it so, or a connection that they take away makes this loop wait.
    ///
    /// Counterpart: `CFSocketCreateWithNative` with `kCFSocketAcceptCallBack`.
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which gives the descriptor back.
    ///
    /// ```
    /// use socket_source::Socket;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let listener = Socket::accepting(listener, |_, _, accepted| println!("{accepted:?}"))?;
    /// # drop(listener);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accepting(
        listener: impl Into<OwnedFd>,
        accept: impl FnMut(&RunLoop, &Self, Result<Accepted, AcceptError>) + 'static,
    ) -> Result<Self, AdoptError> {
        Self::accepting_with(SocketOptions::new(), listener, accept)
    }

    /// As [`accepting`](Self::accepting), with options.
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which gives the descriptor back.
    ///
    /// ```
    /// use socket_source::{Socket, SocketOptions};
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let options = SocketOptions::new().paused();
    /// let listener = Socket::accepting_with(options, listener, |_, _, accepted| println!("{accepted:?}"))?;
    /// listener.resume();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accepting_with(
        options: SocketOptions,
        listener: impl Into<OwnedFd>,
        accept: impl FnMut(&RunLoop, &Self, Result<Accepted, AcceptError>) + 'static,
    ) -> Result<Self, AdoptError> {
        let native = sys::adopt_listener(listener.into())?;
        let accepting = Accepting::new(&options, accept);
        Ok(adopt(options, native, accepting))
    }
}

/// A connection that nobody has taken yet; dropping it closes it.
///
/// It is close-on-exec and non-blocking, and goes into [`Socket::reading`] as it is. Options are set through
/// [`socket2::SockRef`]; whoever makes a blocking stream of it says so: `TcpStream::from(accepted.into_inner())` and
/// `set_nonblocking(false)`.
///
/// Counterpart: the native handle and the address that a `kCFSocketAcceptCallBack` gets.
///
/// ```
/// use runloop::Mode;
/// use socket_source::Socket;
/// use std::net::{Ipv4Addr, SocketAddr};
///
/// let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
/// let listener = Socket::listening(address, |run_loop, _, accepted| {
///     let Ok(accepted) = accepted else { return };
///     let stream = Socket::reading(accepted, |_, _, event| println!("{event:?}"));
///     let added = stream.map(|stream| run_loop.add(&stream, Mode::DEFAULT));
///     # drop(added);
/// })?;
/// # drop(listener);
/// # Ok::<(), socket_source::BindError>(())
/// ```
#[derive(Debug)]
pub struct Accepted {
    native: socket2::Socket,
    peer: SockAddr,
}

impl Accepted {
    /// The address of the other side. A Unix socket's is usually without a name.
    #[must_use]
    pub const fn peer(&self) -> &SockAddr {
        &self.peer
    }

    /// The connection itself, for a stream of the standard library, or for `Socket::from` of [`socket2`].
    #[must_use]
    pub fn into_inner(self) -> OwnedFd {
        self.native.into()
    }
}

impl AsFd for Accepted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.native.as_fd()
    }
}

impl From<Accepted> for OwnedFd {
    fn from(accepted: Accepted) -> Self {
        accepted.into_inner()
    }
}

/// What a listening socket does.
struct Accepting<F> {
    /// How many connections one turn accepts.
    most: usize,
    backoff: Cell<Backoff>,
    /// Borrowed while it runs: its source is never performed within itself.
    callback: RefCell<F>,
}

impl<F> Accepting<F> {
    fn new(options: &SocketOptions, callback: F) -> Self {
        Self {
            most: options.accepts_per_pass,
            backoff: Cell::new(Backoff::new()),
            callback: RefCell::new(callback),
        }
    }

    /// How long to rest now; longer than the last time.
    fn lengthen(&self) -> Duration {
        let mut backoff = self.backoff.get();
        let rest = backoff.lengthen();
        self.backoff.set(backoff);
        rest
    }
}

impl<F> Kind for Accepting<F>
where
    F: FnMut(&RunLoop, &Socket, Result<Accepted, AcceptError>) + 'static,
{
    const MANNER: Manner = Manner::Never;

    fn incoming(&self, turn: &Turn<'_>) -> Next {
        let tell = |result| {
            let mut accept = self.callback.borrow_mut();
            accept(turn.run_loop, turn.socket, result);
        };
        for _ in 0..self.most {
            match turn.socket.shared().with(sys::accept) {
                Some(Ok((native, peer))) => {
                    self.backoff.set(Backoff::new());
                    turn.before(Callbacks::READ);
                    tell(Ok(Accepted { native, peer }));
                }
                Some(Err(Refusal::Skip)) => {}
                Some(Err(Refusal::Rest(source))) => {
                    let rest = self.lengthen();
                    tell(Err(AcceptError::Resting { rest, source }));
                    return Next::Rest(rest);
                }
                Some(Err(Refusal::Broken(error))) => {
                    tell(Err(AcceptError::Failed(error)));
                    return Next::Invalidate;
                }
                Some(Err(Refusal::Empty)) | None => return Next::Again,
            }
            if !turn.goes_on() {
                break;
            }
        }
        Next::Again
    }
}
