//! Several datagrams with one call of the system: `recvmmsg`, for sockets of UDP.
//!
//! It knows neither who keeps the memory nor what becomes of it.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use bytes::BytesMut;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use rustix::net::sockopt::{socket_domain, socket_protocol};
use rustix::net::{AddressFamily, ipproto};
use socket2::{SockAddr, Socket};

use super::Received;
use crate::options::MOST_PER_CALL;

/// What one call for several datagrams fills in beside their bytes, kept from one call to the next.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    /// One set for each family, whose addresses have all one length: the system leaves the length of the last one behind,
    /// and would cut a longer one.
    four: Option<MultiHeaders<SockaddrStorage>>,
    six: Option<MultiHeaders<SockaddrStorage>>,
}

/// The family of a socket of which several datagrams can be received with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Four,
    Six,
}

impl Family {
    /// Only UDP says of every datagram whose it is. A Unix socket leaves the address out if there is none, and what stands
    /// in its place was never written.
    pub(crate) fn of(socket: &Socket) -> Option<Self> {
        if socket_protocol(socket).ok()? != Some(ipproto::UDP) {
            return None;
        }
        match socket_domain(socket).ok()? {
            AddressFamily::INET => Some(Self::Four),
            AddressFamily::INET6 => Some(Self::Six),
            _ => None,
        }
    }
}

/// Receives datagrams, at most as many as there are rooms and [`MOST_PER_CALL`], and puts down how long they were and whose they
/// are; [`io::ErrorKind::Unsupported`] where the system has no such call.
pub(crate) fn receive_several(
    socket: &Socket,
    family: Family,
    headers: &mut Headers,
    rooms: &mut [BytesMut],
    received: &mut Vec<Received>,
) -> io::Result<()> {
    let kept = match family {
        Family::Four => &mut headers.four,
        Family::Six => &mut headers.six,
    };
    let mut current = kept
        .take()
        .unwrap_or_else(|| MultiHeaders::preallocate(MOST_PER_CALL, None));
    let count = rooms.len().min(MOST_PER_CALL);
    let mut rooms = rooms.iter_mut();
    let mut room = || rooms.next().map_or(&mut [][..], |room| &mut room[..]);
    let mut slices: [[IoSliceMut<'_>; 1]; MOST_PER_CALL] =
        std::array::from_fn(|_| [IoSliceMut::new(room())]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
    let slices = slices.iter_mut().take(count);
    let found = recvmmsg(socket.as_raw_fd(), &mut current, slices, flags, None);
    let mut are_alike = true;
    let outcome = found.map_err(refused).map(|found| {
        received.extend(found.map(|one| {
            let from = one.address.as_ref().and_then(internet);
            are_alike &= from.is_some_and(|from| from.is_ipv4() == (family == Family::Four));
            let (whole, from) = (one.bytes, from.map(SockAddr::from));
            Received { whole, from }
        }));
    });
    // A socket may have changed its family (`IPV6_ADDRFORM`).
    if are_alike {
        *kept = Some(current);
    }
    outcome
}

fn internet(address: &SockaddrStorage) -> Option<SocketAddr> {
    let four = address
        .as_sockaddr_in()
        .map(|four| SocketAddrV4::from(*four));
    let six = address
        .as_sockaddr_in6()
        .map(|six| SocketAddrV6::from(*six));
    four.map(SocketAddr::from)
        .or_else(|| six.map(SocketAddr::from))
}

/// A kernel without the call, or a filter of system calls that does not know it, has nothing else to say.
fn refused(error: Errno) -> io::Error {
    match error {
        Errno::ENOSYS | Errno::EPERM => io::ErrorKind::Unsupported.into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use nix::errno::Errno;

    use super::refused;

    #[test]
    fn only_a_missing_call_is_told_as_missing() {
        for (error, kind) in [
            (Errno::ENOSYS, ErrorKind::Unsupported),
            (Errno::EPERM, ErrorKind::Unsupported),
            (Errno::EAGAIN, ErrorKind::WouldBlock),
            (Errno::ECONNREFUSED, ErrorKind::ConnectionRefused),
        ] {
            assert_eq!(refused(error).kind(), kind, "{error}");
        }
    }
}
