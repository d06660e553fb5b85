//! Descriptors that travel beside messages: a packet on the socket of the link ahead of each record that says it has any.
//!
//! Sent under the lock of the writing side, just before the record, and claimed under that of the reading side, just before
//! the record is taken: so packets and records are in one order, and what no record claims is closed on the way.

use super::Link;
use crate::bell::{BellKind, Rest, drain};
use crate::fork::forked;
use crate::hello::{DESCRIPTORS_MAX, Packet, peek, send, take_off};
use crate::ring::Lie;
use crate::transfer::{Arrival, Breach, Claim, Outgoing, Sending, Step};
use crate::wire::Head;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use smallvec::SmallVec;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{MutexGuard, PoisonError};

impl Link {
    /// Sends the descriptors of a message ahead of its first record, if there is room for both; the step that is the
    /// answer is what keeps the record from being written.
    #[cold]
    pub(super) fn pass<P: AsRef<[u8]>>(
        &self,
        outgoing: &mut Outgoing,
        sending: &Sending<P>,
        descriptors: &[impl AsFd],
    ) -> Result<Option<Step>, Lie> {
        if !sending.is_waiting() {
            return Ok(None);
        }
        if let Some(step) = outgoing.look(sending)? {
            return Ok(Some(step));
        }
        let packet = Packet::Descriptors {
            count: u32::from(sending.head().nfds),
            conversation: sending.head().conversation,
        };
        let descriptors: SmallVec<[BorrowedFd<'_>; DESCRIPTORS_MAX]> =
            descriptors.iter().map(AsFd::as_fd).collect();
        let sent = send(self.peer.socket().as_fd(), &packet.encode(), &descriptors);
        let Err(error) = sent else { return Ok(None) };
        let why = Unsent::of(error);
        if why == Unsent::Gone {
            self.hang_up();
        }
        Ok(Some(match why {
            // Of a link that is over the caller asks first.
            Unsent::NoRoom | Unsent::Gone => Step::Clogged,
            Unsent::Unpassable => Step::Unpassable,
        }))
    }

    /// Takes the descriptors of a record off the socket.
    pub(super) fn claim(&self, head: &Head) -> Claim {
        let socket = self.peer.socket().as_fd();
        let _turn = self.socket_turn();
        for _ in 0..PACKETS_MAX {
            let mut bytes = [0; Packet::SIZE];
            let peeked = match peek(socket, &mut bytes) {
                Ok(peeked) => peeked,
                Err(Errno::NOBUFS | Errno::NOMEM) => return Claim::NoRoom,
                Err(_) => return Claim::Missing,
            };
            let packet = Packet::decode(&bytes[..peeked.length]).filter(|_| !peeked.longer);
            match packet {
                Some(Packet::Descriptors {
                    count,
                    conversation,
                }) if conversation == head.conversation => {
                    let (found, claimed) = (peeked.descriptors.len(), usize::from(head.nfds));
                    if peeked.cut && found < claimed {
                        return Claim::NoRoom;
                    }
                    let right = !peeked.cut && found == claimed && count == u32::from(head.nfds);
                    return match take_off(socket) {
                        Ok(()) if right => Claim::Taken(peeked.descriptors),
                        _ => Claim::Missing,
                    };
                }
                // A bell that was rung before, or what belongs to no record.
                Some(Packet::Descriptors { .. }) => {}
                None if peeked.length == 1 => {}
                _ => return Claim::Missing,
            }
            if take_off(socket).is_err() {
                return Claim::Missing;
            }
        }
        Claim::Missing
    }

    /// Takes the next record, and drops its descriptors unopened if it is of this conversation: nobody wants it any more.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(crate) fn take_unopened(&self, conversation: u64) -> Result<Arrival, Breach> {
        self.take_with(&|head| {
            if head.conversation != conversation {
                return self.claim(head);
            }
            let _turn = self.socket_turn();
            // The packet has been looked at before, and is the first.
            take_off(self.peer.socket().as_fd())
                .map_or(Claim::Missing, |()| Claim::Taken(Vec::new()))
        })
    }

    /// Takes the bells off the socket; see [`drain`].
    ///
    /// # Errors
    ///
    /// As [`drain`].
    pub(crate) fn drain(&self) -> io::Result<Rest> {
        let _turn = self.socket_turn();
        drain(self.ours.descriptor(), &self.counters.wakes)
    }

    /// Whether bells of the peer may stay unheard: those on the socket, while descriptors of a message that is not taken
    /// stand before them, and fill it up.
    pub(crate) fn is_blocked(&self) -> bool {
        self.ours.kind() == BellKind::Socket && matches!(self.drain(), Ok(Rest::Packet))
    }

    /// Takes everything off the socket that has come, unopened: nothing of it will be taken in any more.
    pub(crate) fn purge(&self) {
        // In a child it is the parent's.
        if forked() {
            return;
        }
        let _turn = self.socket_turn();
        for _ in 0..PACKETS_MAX {
            let mut head = [0; 1];
            match rustix::net::recv(self.peer.socket(), &mut head, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return,
                // A peer that closed with something unread is told of once, before what it had sent.
                Ok(_) | Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(_) => return,
            }
        }
    }

    /// Takes nothing in any more, and lets go of what has come, so that no descriptor of it stays open for as long as
    /// somebody holds a message or a remote of this link.
    pub(crate) fn let_go(&self) {
        let parts = self.incoming().end();
        drop(parts);
        self.purge();
    }

    /// Held by whoever takes packets off the socket, which is done in two steps: of two at once, one would take off what
    /// neither has looked at.
    pub(crate) fn socket_turn(&self) -> MutexGuard<'_, ()> {
        self.socket_turn
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why descriptors were not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsent {
    /// There will be room: the socket is full of what the peer has not read, this user has too many descriptors on their
    /// way, or memory is short.
    NoRoom,
    /// There is nobody to send to.
    Gone,
    /// The system does not pass one of them.
    Unpassable,
}

impl Unsent {
    fn of(error: Errno) -> Self {
        match error {
            Errno::AGAIN | Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM => Self::NoRoom,
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::CONNREFUSED => Self::Gone,
            _ => Self::Unpassable,
        }
    }
}

/// How many packets may stand before the one that is claimed: more than a socket holds.
const PACKETS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::Unsent;
    use rustix::io::Errno;

    #[test]
    fn a_full_socket_is_waited_for_and_an_unpassable_descriptor_costs_nobody_the_link() {
        // What a full socket says, and a user with too many descriptors on their way.
        assert_eq!(Unsent::of(Errno::AGAIN), Unsent::NoRoom);
        assert_eq!(Unsent::of(Errno::TOOMANYREFS), Unsent::NoRoom);
        // What the system says of an io_uring, which is the caller's mistake and not the peer's.
        assert_eq!(Unsent::of(Errno::INVAL), Unsent::Unpassable);
        assert_eq!(Unsent::of(Errno::PIPE), Unsent::Gone);
    }
}
