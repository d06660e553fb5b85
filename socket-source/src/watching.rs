//! Sockets whose callback does everything itself: it is told that something can be done, and nothing is done for it.

use std::cell::RefCell;
use std::os::fd::OwnedFd;

use runloop::RunLoop;

use crate::callbacks::Callbacks;
use crate::dial::Dial;
use crate::error::{AdoptError, ConnectError};
use crate::options::SocketOptions;
use crate::shared::{Manner, Phase, Shared};
use crate::socket::Socket;
use crate::source::{Kind, Next, Turn, adopt_as};
use crate::sys;

impl Socket {
    /// Watches any socket, connected or not, and calls back when something can be read or written, or when a connection
    /// attempt that was begun before has ended. Nothing is read or accepted for the callback: `Read` and `Write` for
    /// `&Socket` do so without waiting, and [`native`](Self::native) gives access to everything else.
    ///
    /// `kinds` are enabled at first. [`Callbacks::READ`] calls back as long as something is there to be read, the end of a
    /// stream included: read it, or disable it. [`Callbacks::WRITE`] calls back once each time it is enabled; with
    /// [`Reenable::Automatically`](crate::Reenable) as long as there is room, which is nearly always.
    /// [`Callbacks::CONNECT`] calls back once; for a socket that is connected already, at once, and with a failure for a
    /// stream that nobody has begun to connect. It is ignored for a listener, and for datagrams without a peer.
    ///
    /// Counterpart: `CFSocketCreateWithNative` with `kCFSocketReadCallBack`, `kCFSocketWriteCallBack` and
    /// `kCFSocketConnectCallBack`. The error of a failed connection is always taken and told (`kCFSocketLeaveErrors` would
    /// report it as a success).
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which gives the descriptor back.
    ///
    /// ```
    /// use runloop::{Mode, RunLoop};
    /// use socket_source::{Callbacks, Socket, WatchEvent};
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// let kinds = Callbacks::READ | Callbacks::WRITE;
    /// let socket = Socket::watching(ours, kinds, |run_loop, mut socket, event| match event {
    ///     WatchEvent::Writable => drop(socket.write(b"ping")),
    ///     WatchEvent::Readable => {
    ///         let mut room = [0; 16];
    ///         let count = socket.read(&mut room).unwrap_or(0);
    ///         assert_eq!(&room[..count], b"pong");
    ///         run_loop.stop();
    ///     }
    ///     other => println!("{other:?}"),
    /// })?;
    /// let run_loop = RunLoop::current();
    /// run_loop.add(&socket, Mode::DEFAULT)?;
    /// theirs.write_all(b"pong")?;
    /// let _stopped = run_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watching(
        socket: impl Into<OwnedFd>,
        kinds: Callbacks,
        perform: impl FnMut(&RunLoop, &Self, WatchEvent) + 'static,
    ) -> Result<Self, AdoptError> {
        Self::watching_with(SocketOptions::new(), socket, kinds, perform)
    }

    /// As [`watching`](Self::watching), with options.
    ///
    /// # Errors
    ///
    /// [`AdoptError`], which gives the descriptor back.
    ///
    /// ```
    /// use socket_source::{Callbacks, Reenable, Socket, SocketOptions};
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let options = SocketOptions::new().reenable(Callbacks::READ, Reenable::ByHand);
    /// let socket = Socket::watching_with(options, ours, Callbacks::READ, |_, socket, event| {
    ///     println!("{event:?}, and no more until this is called:");
    ///     socket.resume();
    /// })?;
    /// # drop(socket);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watching_with(
        options: SocketOptions,
        socket: impl Into<OwnedFd>,
        kinds: Callbacks,
        perform: impl FnMut(&RunLoop, &Self, WatchEvent) + 'static,
    ) -> Result<Self, AdoptError> {
        let native = sys::adopt_any(socket.into())?;
        let dials = kinds.contains(Callbacks::CONNECT) && sys::has_connection(&native);
        let dial = dials.then(|| Dial::begun(options.clone()));
        let phase = if dials {
            Phase::Dialing
        } else {
            Phase::Serving
        };
        let shared = Shared::new(Some(native), &options, (kinds, phase, Manner::Raw));
        let watching = Watching {
            callback: RefCell::new(perform),
        };
        Ok(adopt_as(options, shared, dial, watching))
    }
}

/// What can be done with a socket that is watched.
///
/// Counterpart: the type of a `CFSocketCallBack`, with the error number of a connection.
///
/// ```
/// assert!(matches!(socket_source::WatchEvent::Readable, socket_source::WatchEvent::Readable));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum WatchEvent {
    /// There is a connection now.
    Connected,
    /// There will be no connection. The socket is invalidated when the callback has returned.
    ConnectFailed(ConnectError),
    /// A read would not wait: something is there, a connection can be accepted, or the stream has ended or failed.
    Readable,
    /// A write would not wait: there is room, or the stream has failed.
    Writable,
}

/// What a watched socket does.
struct Watching<F> {
    /// Borrowed while it runs: its source is never performed within itself.
    callback: RefCell<F>,
}

impl<F: FnMut(&RunLoop, &Socket, WatchEvent) + 'static> Watching<F> {
    fn call(&self, turn: &Turn<'_>, event: WatchEvent) {
        let mut perform = self.callback.borrow_mut();
        perform(turn.run_loop, turn.socket, event);
    }
}

impl<F: FnMut(&RunLoop, &Socket, WatchEvent) + 'static> Kind for Watching<F> {
    const MANNER: Manner = Manner::Raw;

    fn incoming(&self, turn: &Turn<'_>) -> Next {
        turn.before(Callbacks::READ);
        self.call(turn, WatchEvent::Readable);
        Next::Again
    }

    fn connected(&self, turn: &Turn<'_>, outcome: Result<(), ConnectError>) {
        let event = outcome.map_or_else(WatchEvent::ConnectFailed, |()| WatchEvent::Connected);
        self.call(turn, event);
    }

    fn writable(&self, turn: &Turn<'_>) {
        self.call(turn, WatchEvent::Writable);
    }
}
