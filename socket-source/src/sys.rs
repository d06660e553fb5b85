//! The operating system's side of a socket: making, preparing, accepting, receiving.
//!
//! Every system call of this crate is here, and none of them waits. A platform supplies exactly these functions; Linux is
//! the one so far. Nothing here knows a loop.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::sockopt::{socket_acceptconn, socket_type};
use rustix::net::{RecvFlags, SocketFlags, SocketType, acceptfrom_with, recv};
use socket2::{SockAddr, Socket, Type};

use crate::error::{AdoptError, ListenError};

/// A listening stream socket at an address: `socket`, `bind`, `listen`.
pub(crate) fn listen(
    address: &SockAddr,
    backlog: u32,
    exclusive: bool,
) -> Result<Socket, ListenError> {
    // `socket2` sets close-on-exec in the same call.
    let socket = Socket::new(address.domain(), Type::STREAM, None).map_err(ListenError::Create)?;
    socket.set_nonblocking(true).map_err(ListenError::Create)?;
    if !exclusive {
        socket.set_reuse_address(true).map_err(ListenError::Reuse)?;
    }
    socket.bind(address).map_err(ListenError::Bind)?;
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    socket.listen(backlog).map_err(ListenError::Listen)?;
    Ok(socket)
}

/// A listening socket from elsewhere.
pub(crate) fn adopt_listener(fd: OwnedFd) -> Result<Socket, AdoptError> {
    match socket_acceptconn(&fd) {
        Ok(true) => prepare(fd),
        Ok(false) => Err(AdoptError::NotListening(fd)),
        Err(error) => Err(unusable(fd, error)),
    }
}

/// A stream socket from elsewhere.
pub(crate) fn adopt_stream(fd: OwnedFd) -> Result<Socket, AdoptError> {
    match socket_type(&fd) {
        Ok(SocketType::STREAM) => prepare(fd),
        Ok(_) => Err(AdoptError::NotAStream(fd)),
        Err(error) => Err(unusable(fd, error)),
    }
}

/// The next connection that waits at a listening socket, close-on-exec and non-blocking from its first moment:
/// `accept4`.
pub(crate) fn accept(listener: &Socket) -> Result<(Socket, SockAddr), Refusal> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (fd, peer) = acceptfrom_with(listener, flags).map_err(Refusal::from)?;
    let stream = Socket::from(fd);
    // An internet peer that has gone by now is only known from here. Any other family is asked of the socket, which
    // always knows: a Unix peer without a name does not survive the conversion.
    let internet = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    let peer = internet.map_or_else(|| stream.peer_addr(), |peer| Ok(peer.into()));
    let peer = peer.map_err(|_gone| Refusal::Skip)?;
    Ok((stream, peer))
}

/// What has arrived, as much as there is room for; nothing at the end of the stream: `recv`.
pub(crate) fn receive(stream: &Socket, room: &mut [u8]) -> io::Result<usize> {
    // Others who hold this socket may have made it blocking again.
    let (_, count) = recv(stream, room, RecvFlags::DONTWAIT)?;
    Ok(count)
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// None is waiting.
    Empty,
    /// This one has come to nothing; there may be others.
    Skip,
    /// None can be had for a while.
    Rest(io::Error),
    /// None will ever come.
    Broken(io::Error),
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        match error {
            Errno::AGAIN => Self::Empty,
            // The connection is gone, or the network says through the new socket what it has to say: accept(2) asks to
            // treat these as if nothing had been there.
            Errno::INTR
            | Errno::CONNABORTED
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH => Self::Skip,
            Errno::BADF | Errno::INVAL | Errno::NOTSOCK => Self::Broken(error.into()),
            // Full tables, and whatever else leaves the connection where it is: trying again at once would spin.
            _ => Self::Rest(error.into()),
        }
    }
}

fn prepare(fd: OwnedFd) -> Result<Socket, AdoptError> {
    let prepared = fcntl_setfd(&fd, FdFlags::CLOEXEC).and_then(|()| ioctl_fionbio(&fd, true));
    match prepared {
        Ok(()) => Ok(Socket::from(fd)),
        Err(error) => Err(AdoptError::Prepare(fd, error.into())),
    }
}

fn unusable(fd: OwnedFd, error: Errno) -> AdoptError {
    match error {
        Errno::NOTSOCK => AdoptError::NotASocket(fd),
        _ => AdoptError::Prepare(fd, error.into()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::Refusal;

    #[test]
    fn a_full_table_and_an_unknown_error_make_the_listener_rest() {
        let full = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        for error in full.into_iter().chain([Errno::PERM, Errno::OPNOTSUPP]) {
            assert!(
                matches!(Refusal::from(error), Refusal::Rest(_)),
                "{error} leaves the connection in the queue"
            );
        }
    }

    #[test]
    fn a_connection_that_came_to_nothing_is_skipped() {
        for error in [Errno::CONNABORTED, Errno::INTR, Errno::PROTO] {
            assert!(
                matches!(Refusal::from(error), Refusal::Skip),
                "{error} says nothing of the next connection"
            );
        }
    }

    #[test]
    fn a_socket_that_does_not_listen_any_more_is_broken() {
        for error in [Errno::INVAL, Errno::BADF] {
            assert!(
                matches!(Refusal::from(error), Refusal::Broken(_)),
                "{error} will not go away"
            );
        }
    }
}
