//! Packets that carry descriptors over a Unix socket, sent and received so that none is lost,
//! leaked or inherited.
//!
//! For both ends of a link. It knows neither what is in a packet nor what the descriptors are.

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The most descriptors that any packet carries.
pub(crate) const DESCRIPTORS_MAX: usize = crate::wire::DESCRIPTORS_MAX as usize;

/// A packet that has been looked at and still lies at the head of its socket.
#[derive(Debug)]
pub(crate) struct Peeked {
    /// How many of its bytes are in the caller's buffer.
    pub(crate) length: usize,
    /// Whether it has more bytes than that.
    pub(crate) longer: bool,
    /// Its descriptors, opened here; closed with this value unless they are taken out.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Whether it has more descriptors than could be opened here: more than there may be, if
    /// there are over `DESCRIPTORS_MAX`, and otherwise more than this process has room for.
    pub(crate) cut: bool,
}

/// Sends `bytes` as one packet, with `descriptors`. It never waits and never raises a signal.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let rights = SendAncillaryMessage::ScmRights(descriptors);
    if descriptors.len() > DESCRIPTORS_MAX || !descriptors.is_empty() && !control.push(rights) {
        return Err(Errno::INVAL);
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        match sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags) {
            // Packets go whole or not at all.
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Looks at the packet at the head of `socket` and leaves it there. It never waits.
///
/// Only what was looked at whole may be taken off: a packet that is taken while the descriptor
/// table is full loses its descriptors for good.
pub(crate) fn peek(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<Peeked, Errno> {
    // Room for at least one too many, so that this process being full differs from the peer being wrong.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX + 1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::PEEK | RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = again(|| recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, flags))?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(Peeked {
        length: received.bytes,
        longer: received.flags.contains(ReturnFlags::TRUNC),
        descriptors,
        cut: received.flags.contains(ReturnFlags::CTRUNC),
    })
}

/// Takes the packet at the head of `socket` off; descriptors it carries are not opened.
pub(crate) fn take_off(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    again(|| rustix::net::recv(socket, &mut [0; 1], RecvFlags::DONTWAIT)).map(drop)
}

/// Repeats a receiving call where its error says nothing about the packet: a peer that closed
/// with something unread makes the next call fail once, before what it had sent can be read.
pub(crate) fn again<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let mut resets = 0;
    loop {
        match call() {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) if resets == 0 => resets += 1,
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DESCRIPTORS_MAX, peek, send, take_off};
    use crate::hello::tests::{close, pair};
    use rustix::io::Errno;
    use std::os::fd::{AsFd, BorrowedFd};

    #[test]
    fn a_packet_can_be_looked_at_again_until_it_is_taken_off() {
        let (one, other) = pair();
        send(one.as_fd(), b"ab", &[one.as_fd()]).unwrap();
        send(one.as_fd(), b"c", &[]).unwrap();
        for _ in 0..2 {
            let mut bytes = [0; 4];
            let packet = peek(other.as_fd(), &mut bytes).unwrap();
            assert_eq!(&bytes[..packet.length], b"ab", "the first packet");
            assert_eq!(packet.descriptors.len(), 1, "with its descriptor");
            assert!(!packet.cut && !packet.longer, "and whole");
        }
        take_off(other.as_fd()).unwrap();
        let mut bytes = [0; 4];
        let packet = peek(other.as_fd(), &mut bytes).unwrap();
        assert_eq!(&bytes[..packet.length], b"c", "the second packet");
        assert_eq!(
            packet.descriptors.len(),
            0,
            "without descriptors of the first"
        );
        take_off(other.as_fd()).unwrap();
        assert_eq!(
            peek(other.as_fd(), &mut bytes).unwrap_err(),
            Errno::AGAIN,
            "and no more"
        );
    }

    #[test]
    fn received_descriptors_do_not_survive_an_exec() {
        let (one, other) = pair();
        send(one.as_fd(), b"a", &[one.as_fd()]).unwrap();
        let packet = peek(other.as_fd(), &mut [0; 1]).unwrap();
        let flags = rustix::io::fcntl_getfd(&packet.descriptors[0]).unwrap();
        assert!(
            flags.contains(rustix::io::FdFlags::CLOEXEC),
            "it is closed on exec"
        );
    }

    #[test]
    fn too_many_descriptors_and_too_many_bytes_show() {
        let (one, other) = pair();
        let many: Vec<BorrowedFd<'_>> = vec![one.as_fd(); DESCRIPTORS_MAX];
        send(one.as_fd(), b"abc", &many).unwrap();
        let packet = peek(other.as_fd(), &mut [0; 2]).unwrap();
        assert_eq!(
            packet.descriptors.len(),
            DESCRIPTORS_MAX,
            "as many as there may be"
        );
        assert!(packet.longer, "three bytes are more than two");
        let more: Vec<BorrowedFd<'_>> = vec![one.as_fd(); DESCRIPTORS_MAX + 1];
        assert_eq!(
            send(one.as_fd(), b"abc", &more),
            Err(Errno::INVAL),
            "and we send no more"
        );
    }

    #[test]
    fn what_a_dead_peer_sent_is_still_read() {
        let (one, other) = pair();
        send(one.as_fd(), b"last words", &[]).unwrap();
        send(other.as_fd(), b"never read", &[]).unwrap();
        close(one, &other);
        let mut bytes = [0; 16];
        let packet = peek(other.as_fd(), &mut bytes).unwrap();
        assert_eq!(
            &bytes[..packet.length],
            b"last words",
            "the reset does not hide it"
        );
        take_off(other.as_fd()).unwrap();
        assert_eq!(
            peek(other.as_fd(), &mut bytes).unwrap().length,
            0,
            "then the end"
        );
        assert_eq!(
            send(other.as_fd(), b"x", &[]),
            Err(Errno::PIPE),
            "and nobody to send to"
        );
    }
}
