//! Sending: from any thread, into the outbox, never waiting.

use std::io::{self, Read, Write};

use bytes::Bytes;
use runloop::RunLoop;
use socket2::SockAddr;

use crate::error::{SendError, Unsent};
use crate::outbox::{Gate, Piece};
use crate::shared::{Completion, Phase};
use crate::socket::Socket;
use crate::sys;

/// Sending works from any thread and never waits. What the system takes at once goes at once, in a mode or not; the rest
/// is kept in the socket's outbox and goes, in order, when there is room. Pieces of one call are never torn apart by
/// those of another.
impl Socket {
    /// Sends bytes on a stream, or one datagram to whom the socket is connected.
    ///
    /// Success means that all of them are sent or kept to be sent. The bytes are not copied: an owned vector, a string, a
    /// [`Bytes`] goes as it is.
    ///
    /// Counterpart: `CFSocketSendData`, which waits, and calls a part a success.
    ///
    /// # Errors
    ///
    /// [`SendError`], which gives all the bytes back. After [`SendError::Full`] the callback is told that there is room as
    /// soon as no more than the low mark waits.
    ///
    /// ```
    /// use socket_source::{SendError, Socket};
    /// let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let socket = Socket::reading(ours, |_, _, event| println!("{event:?}"))?;
    /// match socket.send("hello") {
    ///     Ok(()) => {}
    ///     Err(SendError::Full(bytes)) => println!("{} bytes for later", bytes.len()),
    ///     Err(error) => eprintln!("{error}"),
    /// }
    /// # drop(theirs);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(&self, bytes: impl Into<Bytes>) -> Result<(), SendError<Bytes>> {
        self.push_one(piece(bytes.into(), None, None))
    }

    /// As [`send`](Self::send), and calls back when all of the bytes have been handed to the system, or when it is certain
    /// that they never will be.
    ///
    /// It is called once, on the socket's own thread, in a mode that the socket is in; if the socket is invalidated
    /// before, it is dropped instead.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); the callback is dropped then.
    ///
    /// ```
    /// use socket_source::Socket;
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let socket = Socket::reading(ours, |_, _, event| println!("{event:?}"))?;
    /// socket.send_then("goodbye", |_, socket, _| socket.invalidate())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_then(
        &self,
        bytes: impl Into<Bytes>,
        then: impl FnOnce(&RunLoop, &Self, Result<(), Unsent>) + Send + 'static,
    ) -> Result<(), SendError<Bytes>> {
        self.push_one(piece(bytes.into(), None, Some(completion(then))))
    }

    /// Sends several pieces as one, without putting them together: all of them are taken, or none is. On a datagram
    /// socket each is a datagram of its own.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), with all the pieces.
    ///
    /// ```
    /// use socket_source::Socket;
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let socket = Socket::reading(ours, |_, _, event| println!("{event:?}"))?;
    /// let body = bytes::Bytes::from_static(b"hello");
    /// let head = format!("content-length: {}\r\n\r\n", body.len());
    /// socket.send_vectored([head.into(), body])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_vectored(
        &self,
        pieces: impl IntoIterator<Item = Bytes>,
    ) -> Result<(), SendError<Vec<Bytes>>> {
        let pieces = pieces.into_iter().map(|bytes| piece(bytes, None, None));
        let back = |pieces: Vec<Piece<Completion>>| pieces.into_iter().map(|p| p.bytes).collect();
        self.push(pieces.collect())
            .map_err(|refused| refused.map(back))
    }

    /// Sends a datagram to an address.
    ///
    /// Success means that it is sent or kept to be sent; what the system says to it later comes as
    /// [`DatagramEvent::Unsent`](crate::DatagramEvent::Unsent). On a stream the address is ignored.
    ///
    /// Counterpart: `CFSocketSendData` with an address.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// ```
    /// use socket_source::{SockAddr, Socket};
    /// use std::net::{Ipv4Addr, SocketAddr};
    /// let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    /// let other = std::net::UdpSocket::bind(anywhere)?;
    /// let socket = Socket::binding(anywhere, |_, _, event| println!("{event:?}"))?;
    /// socket.send_to("hello", other.local_addr()?)?;
    /// assert_eq!(other.recv(&mut [0; 16])?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_to(
        &self,
        bytes: impl Into<Bytes>,
        to: impl Into<SockAddr>,
    ) -> Result<(), SendError<Bytes>> {
        self.push_one(piece(bytes.into(), Some(to.into()), None))
    }

    /// Ends our side of a stream, after what still waits to be sent: the other side reads the end. It may go on sending.
    /// When it has ended its side as well, and all of ours is sent, the socket is invalidated, kept at the end of the stream
    /// ([`AtEnd::Keep`](crate::AtEnd::Keep)) or not.
    ///
    /// Counterpart: none; `shutdown` on the descriptor of `CFSocketGetNative`, when nothing waits any more.
    ///
    /// ```
    /// use socket_source::Socket;
    /// use std::io::Read;
    /// let (ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let socket = Socket::reading(ours, |_, _, event| println!("{event:?}"))?;
    /// socket.send("all of it")?;
    /// socket.finish();
    /// let mut all = String::new();
    /// theirs.read_to_string(&mut all)?;
    /// assert_eq!(all, "all of it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(&self) {
        if !self.is_valid() {
            return;
        }
        if self.shared().finish() {
            self.look();
        } else if self.shared().phase() == Phase::Ended {
            // That was all that kept the socket, and no descriptor tells of it.
            self.handle().signal();
        }
    }

    /// How much waits to be sent, in bytes as [`SocketOptions::outbox`](crate::SocketOptions::outbox) counts them.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.shared().lock().weight()
    }

    fn push_one(&self, piece: Piece<Completion>) -> Result<(), SendError<Bytes>> {
        let back = |pieces: Vec<Piece<Completion>>| {
            let piece = pieces.into_iter().next();
            piece.map(|piece| piece.bytes).unwrap_or_default()
        };
        self.push(vec![piece]).map_err(|refused| refused.map(back))
    }

    fn push(
        &self,
        pieces: Vec<Piece<Completion>>,
    ) -> Result<(), SendError<Vec<Piece<Completion>>>> {
        if !self.is_valid() {
            return Err(SendError::Invalid(pieces));
        }
        if self.shared().push(pieces)? {
            let outbox = self.shared().lock();
            // What there is to tell waits for no descriptor.
            let tell = outbox.has_told() || matches!(outbox.gate(), Gate::Broken(_));
            drop(outbox);
            if tell {
                self.handle().signal();
            }
            self.look();
        }
        Ok(())
    }
}

/// Reads what there is, without waiting: for the callback of a [`watching`](Socket::watching) socket, which reads for
/// itself. `WouldBlock` when nothing is there, `NotConnected` when the socket is invalid or not made yet.
impl Read for &Socket {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let received = self.native(|native| sys::receive(native, room));
        received.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
    }
}

/// Writes what the system takes, without waiting and without a signal when nobody is there any more: for the callback of
/// a [`watching`](Socket::watching) socket. `WouldBlock` when there is no room, or when what was given to
/// [`send`](Socket::send) has to go first.
impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_valid() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let sent = self.shared().with(|native| {
            // Held, so that no piece of another thread is begun in between.
            let outbox = self.shared().lock();
            if !outbox.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            sys::send(native, &[io::IoSlice::new(bytes)])
        });
        sent.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn piece(bytes: Bytes, to: Option<SockAddr>, then: Option<Completion>) -> Piece<Completion> {
    Piece { bytes, to, then }
}

fn completion(
    then: impl FnOnce(&RunLoop, &Socket, Result<(), Unsent>) + Send + 'static,
) -> Completion {
    Box::new(move |run_loop, (handle, shared), sent| {
        then(run_loop, &Socket::new(handle, shared), sent);
    })
}
