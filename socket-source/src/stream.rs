//! Stream sockets: what arrives is read and handed to a callback, as it is wanted.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use runloop::RunLoop;

use crate::error::{AdoptError, ReadError};
use crate::options::{AtEnd, Reenable, SocketOptions};
use crate::pieces;
use crate::socket::Socket;
use crate::source::{Kind, Next, Turn, adopt};
use crate::sys;

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
        let reading = Reading {
            most: options.bytes_per_pass,
            reenable: options.reenable,
            at_end: options.at_end,
            callback: RefCell::new(receive),
        };
        Ok(adopt(options, native, reading))
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
    /// Bytes have arrived, one at least. They may be kept; a large piece keeps the memory it was read into, 64 KiB at
    /// most.
    Data(Bytes),
    /// The other side has written all it will write; everything of it has been delivered. It may still read.
    Ended,
    /// The stream broke off, and what had not been delivered is lost. The socket is invalidated when the callback has
    /// returned.
    Failed(ReadError),
}

/// What a stream socket does.
struct Reading<F> {
    /// The largest piece.
    most: usize,
    reenable: Reenable,
    at_end: AtEnd,
    /// Borrowed while it runs: its source is never performed within itself.
    callback: RefCell<F>,
}

impl<F: FnMut(&RunLoop, &Socket, StreamEvent) + 'static> Kind for Reading<F> {
    fn serve(&self, turn: &Turn<'_>) -> Next {
        let read = |room: &mut [u8]| {
            let received = turn
                .socket
                .shared()
                .with(|native| sys::receive(native, room));
            received.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
        };
        let (event, next) = match pieces::receive(self.most, read) {
            Ok(bytes) if bytes.is_empty() => (StreamEvent::Ended, self.at_end.into()),
            Ok(bytes) => {
                if self.reenable == Reenable::ByHand {
                    turn.socket.pause();
                }
                (StreamEvent::Data(bytes), Next::Again)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => return Next::Again,
                _ => (StreamEvent::Failed(error.into()), Next::Invalidate),
            },
        };
        let mut receive = self.callback.borrow_mut();
        receive(turn.run_loop, turn.socket, event);
        next
    }
}

impl From<AtEnd> for Next {
    fn from(policy: AtEnd) -> Self {
        match policy {
            AtEnd::Invalidate => Self::Invalidate,
            AtEnd::Keep => Self::Finish,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::ConnectionReset {
            Self::Reset(error)
        } else {
            Self::Failed(error)
        }
    }
}
