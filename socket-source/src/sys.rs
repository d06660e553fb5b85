//! The operating system's side of a socket: making, preparing, connecting, accepting, sending, receiving.
//!
//! Every system call of this crate is here, and none of them waits but `resolve`, which has a thread for it. A platform
//! supplies exactly these functions; Linux is the one so far. Nothing here knows a loop.

mod several;

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

use rustix::io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::sockopt::{socket_acceptconn, socket_type};
use rustix::net::{
    RecvFlags, SendFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, acceptfrom_with,
    recv, recvfrom,
};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::error::{AdoptError, BindError};
use crate::options::SocketOptions;

pub(crate) use several::{Family, Headers, receive_several};

/// A listening stream socket at an address: `socket`, `bind`, `listen`.
pub(crate) fn listen(address: &SockAddr, options: &SocketOptions) -> Result<Socket, BindError> {
    let socket = bind(address, Type::STREAM, options)?;
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    socket.listen(backlog).map_err(BindError::Listen)?;
    Ok(socket)
}

/// A datagram socket at an address: `socket`, `bind`.
pub(crate) fn bind_datagrams(
    address: &SockAddr,
    options: &SocketOptions,
) -> Result<Socket, BindError> {
    bind(address, Type::DGRAM, options)
}

fn bind(address: &SockAddr, kind: Type, options: &SocketOptions) -> Result<Socket, BindError> {
    let socket = make(address, kind).map_err(BindError::Create)?;
    configure(&socket, address, kind, options).map_err(BindError::Configure)?;
    socket.bind(address).map_err(BindError::Bind)?;
    Ok(socket)
}

fn make(address: &SockAddr, kind: Type) -> io::Result<Socket> {
    // `socket2` sets close-on-exec in the same call.
    let socket = Socket::new(address.domain(), kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn configure(
    socket: &Socket,
    address: &SockAddr,
    kind: Type,
    options: &SocketOptions,
) -> io::Result<()> {
    // For datagrams it would let a second socket take what is meant for the first.
    if kind == Type::STREAM && !options.exclusive_address {
        socket.set_reuse_address(true)?;
    }
    if address.domain() == Domain::IPV6 {
        socket.set_only_v6(options.only_v6)?;
    }
    options
        .configure
        .as_ref()
        .map_or(Ok(()), |further| further(socket))
}

/// Begins to connect a new stream socket: `connect`. `WouldBlock` if it has to be tried again later, as with a Unix
/// listener whose queue is full, for which nobody can wait.
pub(crate) fn connect(address: &SockAddr, options: &SocketOptions) -> io::Result<Socket> {
    let socket = make(address, Type::STREAM)?;
    if let Some(further) = &options.configure {
        further(&socket)?;
    }
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(socket),
    }
}

/// Whether a connection attempt has succeeded, or the error with which it has ended. Asking takes the error away.
pub(crate) fn is_connected(socket: &Socket) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether this is a socket that is connected, or may be some time: neither a listener nor one for datagrams from anybody.
pub(crate) fn has_connection(socket: &Socket) -> bool {
    match socket_type(socket) {
        Ok(SocketType::DGRAM) => socket.peer_addr().is_ok(),
        _ => socket_acceptconn(socket) != Ok(true),
    }
}

/// The addresses of a host: `getaddrinfo`. This may wait for a long time, so it is called on a thread of its own.
pub(crate) fn resolve(host: &str, port: u16) -> io::Result<Vec<SockAddr>> {
    let addresses = (host, port).to_socket_addrs()?;
    Ok(addresses.map(SockAddr::from).collect())
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

/// A datagram socket from elsewhere.
pub(crate) fn adopt_datagrams(fd: OwnedFd) -> Result<Socket, AdoptError> {
    match socket_type(&fd) {
        Ok(SocketType::DGRAM) => prepare(fd),
        Ok(_) => Err(AdoptError::NotDatagrams(fd)),
        Err(error) => Err(unusable(fd, error)),
    }
}

/// A socket of any kind from elsewhere.
pub(crate) fn adopt_any(fd: OwnedFd) -> Result<Socket, AdoptError> {
    match socket_type(&fd) {
        Ok(_) => prepare(fd),
        Err(error) => Err(unusable(fd, error)),
    }
}

/// Sends the pieces on a stream, or as many of their bytes as there is room for: `sendmsg`, never with a signal.
pub(crate) fn send(socket: &Socket, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    socket.send_vectored_with_flags(pieces, send_flags())
}

/// Sends one datagram: `send` or `sendto`.
pub(crate) fn send_datagram(
    socket: &Socket,
    bytes: &[u8],
    to: Option<&SockAddr>,
) -> io::Result<usize> {
    match to {
        Some(to) => socket.send_to_with_flags(bytes, to, send_flags()),
        None => socket.send_with_flags(bytes, send_flags()),
    }
}

/// Others who hold this socket may have made it blocking again, and a broken connection is an error and no signal.
fn send_flags() -> i32 {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    i32::try_from(flags.bits()).expect("flags are small numbers")
}

/// Receives one datagram into as much room as there is: how much of it is there, how long it was, and whose it is if
/// its sender has an address. `recvfrom`.
pub(crate) fn receive_datagram(socket: &Socket, room: &mut [u8]) -> io::Result<Received> {
    let (_, whole, from) = recvfrom(socket, room, RecvFlags::DONTWAIT | RecvFlags::TRUNC)?;
    let from = from.as_ref().and_then(address);
    Ok(Received { whole, from })
}

/// What is known of a datagram beside its bytes.
#[derive(Debug)]
pub(crate) struct Received {
    /// How long it was.
    pub(crate) whole: usize,
    pub(crate) from: Option<SockAddr>,
}

/// An address in the form that callers know; none for a Unix socket without a name.
fn address(address: &SocketAddrAny) -> Option<SockAddr> {
    if let Ok(internet) = SocketAddr::try_from(address.clone()) {
        return Some(internet.into());
    }
    let unix = SocketAddrUnix::try_from(address.clone()).ok()?;
    // An abstract name is written with a zero byte before it.
    let name = match unix.abstract_name() {
        Some(name) => [&[0], name].concat(),
        None => unix.path_bytes()?.to_vec(),
    };
    SockAddr::unix(OsString::from_vec(name)).ok()
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
