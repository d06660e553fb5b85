//! The packets that a link's socket carries after the hello: descriptors, and a refusal.
//!
//! For both ends of a link. Pure, but for sending the one that ends it.

use super::rights::{DESCRIPTORS_MAX, send};
use std::io;
use std::os::fd::BorrowedFd;

/// A packet on the socket of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// Descriptors that belong to the message of a conversation.
    Descriptors {
        /// How many the packet carries, from 1 to 16.
        count: u32,
        /// Whose they are.
        conversation: u64,
    },
    /// The port does not serve this client, and hangs up.
    Refused(Refusal),
}

impl Packet {
    /// The size of every packet in bytes.
    pub(crate) const SIZE: usize = 16;

    /// The packet as it travels.
    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        let (kind, word, conversation) = match self {
            Self::Descriptors {
                count,
                conversation,
            } => (DESCRIPTORS, count, conversation),
            Self::Refused(refusal) => (REFUSED, refusal.code(), 0),
        };
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&word.to_le_bytes());
        bytes[8..].copy_from_slice(&conversation.to_le_bytes());
        bytes
    }

    /// The packet in `bytes`; none if it is not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::SIZE] = bytes.try_into().ok()?;
        let (kind, rest) = bytes.split_first_chunk()?;
        let (word, rest) = rest.split_first_chunk()?;
        let (conversation, _) = rest.split_first_chunk()?;
        let word = u32::from_le_bytes(*word);
        let conversation = u64::from_le_bytes(*conversation);
        match u32::from_le_bytes(*kind) {
            DESCRIPTORS => {
                let count = usize::try_from(word).ok()?;
                let fits = (1..=DESCRIPTORS_MAX).contains(&count);
                fits.then_some(Self::Descriptors {
                    count: word,
                    conversation,
                })
            }
            REFUSED if conversation == 0 => Some(Self::Refused(Refusal::of_code(word))),
            _ => None,
        }
    }
}

/// Why a port does not serve a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It speaks no version of the protocol that the client speaks.
    Version,
    /// It does not admit the client's user or process.
    Policy,
    /// It has as many clients as it takes.
    Limit,
    /// The client's first packet was not a valid one.
    Malformed,
    /// A reason that this version does not know.
    Other(u32),
}

impl Refusal {
    /// The number that stands for this reason.
    fn code(self) -> u32 {
        match self {
            Self::Version => 1,
            Self::Policy => 2,
            Self::Limit => 3,
            Self::Malformed => 4,
            Self::Other(code) => code,
        }
    }

    /// The reason for which `code` stands.
    fn of_code(code: u32) -> Self {
        match code {
            1 => Self::Version,
            2 => Self::Policy,
            3 => Self::Limit,
            4 => Self::Malformed,
            other => Self::Other(other),
        }
    }
}

/// Tells the client at the other end of `socket` why it is about to be hung up on.
pub(crate) fn send_refused(socket: BorrowedFd<'_>, refusal: Refusal) -> io::Result<()> {
    Ok(send(socket, &Packet::Refused(refusal).encode(), &[])?)
}

/// The kind of a packet with descriptors.
const DESCRIPTORS: u32 = 1;
/// The kind of a refusal.
const REFUSED: u32 = 2;

#[cfg(test)]
mod tests {
    use super::{Packet, Refusal, send_refused};
    use crate::hello::rights::peek;
    use crate::hello::tests::pair;
    use std::os::fd::AsFd;

    #[test]
    fn packets_look_as_the_layout_says() {
        let packet = Packet::Descriptors {
            count: 3,
            conversation: 0x0102_0304_0506_0708,
        };
        let bytes = [1, 0, 0, 0, 3, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1];
        assert_eq!(packet.encode(), bytes, "descriptors");
        let refused = [2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            Packet::Refused(Refusal::Limit).encode(),
            refused,
            "a refusal"
        );
    }

    #[test]
    fn packets_arrive_as_they_were_sent() {
        let refusals = [
            Refusal::Version,
            Refusal::Policy,
            Refusal::Limit,
            Refusal::Malformed,
            Refusal::Other(9),
        ];
        let descriptors = [1, 16].map(|count| Packet::Descriptors {
            count,
            conversation: 7,
        });
        for packet in refusals.map(Packet::Refused).into_iter().chain(descriptors) {
            assert_eq!(Packet::decode(&packet.encode()), Some(packet), "{packet:?}");
        }
    }

    #[test]
    fn what_is_not_a_packet_is_none() {
        let good = Packet::Descriptors {
            count: 1,
            conversation: 7,
        }
        .encode();
        assert_eq!(Packet::decode(&good[..15]), None, "too short");
        assert_eq!(
            Packet::decode(&[good.as_slice(), &[0]].concat()),
            None,
            "too long"
        );
        for (position, value) in [(0, 0), (0, 3), (1, 1), (4, 0), (4, 17), (7, 1)] {
            let mut bytes = good;
            bytes[position] = value;
            assert_eq!(Packet::decode(&bytes), None, "{value} at {position}");
        }
        let mut refused = Packet::Refused(Refusal::Policy).encode();
        refused[15] = 1;
        assert_eq!(
            Packet::decode(&refused),
            None,
            "a refusal is of no conversation"
        );
    }

    #[test]
    fn a_refusal_reaches_the_client() {
        let (server, client) = pair();
        send_refused(server.as_fd(), Refusal::Policy).unwrap();
        drop(server);
        let mut bytes = [0; Packet::SIZE];
        let packet = peek(client.as_fd(), &mut bytes).unwrap();
        let read = Packet::decode(&bytes[..packet.length]);
        assert_eq!(
            read,
            Some(Packet::Refused(Refusal::Policy)),
            "although we hung up"
        );
    }
}
