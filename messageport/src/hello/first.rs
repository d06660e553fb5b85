//! The first packet of a link: what a client says of itself and of the link that it offers.
//!
//! For both ends. Pure: it encodes and decodes, and believes nothing that it reads.

use crate::bell::BellKind;
use crate::ring::{Layout, RingSize};

/// What a client says of itself and of the link that it offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The newest version of the protocol that the client speaks.
    pub(crate) version: u16,
    /// The oldest one.
    pub(crate) oldest: u16,
    /// How the two ends wake each other.
    pub(crate) bell: BellKind,
    /// The ring from the client to the server.
    pub(crate) to_server: RingSize,
    /// The ring from the server to the client.
    pub(crate) to_client: RingSize,
    /// The largest reply that the client takes, in bytes.
    pub(crate) max_reply: u64,
}

impl Hello {
    /// The size of the packet in bytes.
    pub(crate) const SIZE: usize = 64;

    /// What this version of the library says.
    pub(crate) fn new(bell: BellKind, rings: [RingSize; 2], max_reply: u64) -> Self {
        let [to_server, to_client] = rings;
        Self {
            version: VERSION,
            oldest: OLDEST,
            bell,
            to_server,
            to_client,
            max_reply,
        }
    }

    /// The packet as it travels.
    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&self.version.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.oldest.to_le_bytes());
        bytes[12] = self.bell.code();
        bytes[16..20].copy_from_slice(&self.to_server.bytes().to_le_bytes());
        bytes[20..24].copy_from_slice(&self.to_client.bytes().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.max_reply.to_le_bytes());
        bytes
    }

    /// The hello in `bytes`, which anybody may have sent.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((bytes, [])) = bytes.split_first_chunk() else {
            return Err(Malformed::Length);
        };
        if field::<8>(bytes, 0) != MAGIC {
            return Err(Malformed::Magic);
        }
        let version = u16::from_le_bytes(field(bytes, 8));
        let oldest = u16::from_le_bytes(field(bytes, 10));
        if oldest == 0 || oldest > version {
            return Err(Malformed::Versions { version, oldest });
        }
        let bell = BellKind::of_code(bytes[12]).ok_or(Malformed::Bell(bytes[12]))?;
        if field::<3>(bytes, 13) != [0; 3] || field::<32>(bytes, 32) != [0; 32] {
            return Err(Malformed::Reserved);
        }
        let ring = |offset| {
            let size = u32::from_le_bytes(field(bytes, offset));
            RingSize::new(size).ok_or(Malformed::Ring(size))
        };
        let (to_server, to_client) = (ring(16)?, ring(20)?);
        let max_reply = u64::from_le_bytes(field(bytes, 24));
        Ok(Self {
            version,
            oldest,
            bell,
            to_server,
            to_client,
            max_reply,
        })
    }

    /// The newest version that both the client and this library speak, if there is one.
    pub(crate) fn common_version(&self) -> Option<u16> {
        let newest = self.version.min(VERSION);
        (newest >= self.oldest.max(OLDEST)).then_some(newest)
    }

    /// How the memory that comes with the packet must be laid out.
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(self.to_server, self.to_client)
    }

    /// How many descriptors come with the packet.
    pub(crate) fn descriptors(&self) -> usize {
        match self.bell {
            BellKind::Socket => 1,
            BellKind::Event => 3,
        }
    }
}

/// What is wrong with a first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// Its length.
    #[error("the first packet has the wrong length")]
    Length,
    /// It is not of this protocol at all.
    #[error("the first packet is not one of a message port")]
    Magic,
    /// Its versions are none, or the wrong way round.
    #[error("the first packet speaks of versions {oldest} to {version}")]
    Versions {
        /// The newest.
        version: u16,
        /// The oldest.
        oldest: u16,
    },
    /// It names a bell that does not exist.
    #[error("the first packet asks for bell {0}, which does not exist")]
    Bell(u8),
    /// Something stands where nothing may stand yet.
    #[error("the first packet has something in a reserved place")]
    Reserved,
    /// A ring has a size that none may have.
    #[error("the first packet offers a ring of {0} bytes")]
    Ring(u32),
    /// The descriptors are not as many as it takes.
    #[error("the first packet carries {found} descriptors instead of {expected}")]
    Descriptors {
        /// How many there should be.
        expected: usize,
        /// How many could be counted; there may be more.
        found: usize,
    },
}

/// The bytes of `packet` at `offset`, which is a constant that lies inside.
fn field<const N: usize>(packet: &[u8; Hello::SIZE], offset: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&packet[offset..offset + N]);
    field
}

/// The first bytes of every link.
const MAGIC: [u8; 8] = *b"msg-port";
/// The newest version that this library speaks.
const VERSION: u16 = 1;
/// The oldest version that it speaks.
const OLDEST: u16 = 1;

#[cfg(test)]
mod tests {
    use super::{Hello, Malformed};
    use crate::bell::BellKind;
    use crate::ring::{Layout, RingSize};

    fn hello() -> Hello {
        let rings = [RingSize::MIN, RingSize::MAX];
        Hello {
            max_reply: 0x0807_0605_0403_0201,
            ..Hello::new(BellKind::Event, rings, 0)
        }
    }

    fn changed(position: usize, value: u8) -> Result<Hello, Malformed> {
        let mut bytes = hello().encode();
        bytes[position] = value;
        Hello::decode(&bytes)
    }

    #[test]
    fn the_packet_looks_as_the_layout_says() {
        let mut expected = [0; 64];
        expected[..8].copy_from_slice(b"msg-port");
        expected[8..16].copy_from_slice(&[1, 0, 1, 0, 1, 0, 0, 0]);
        expected[16..24].copy_from_slice(&[0, 0, 1, 0, 0, 0, 0x80, 0]);
        expected[24..32].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(hello().encode(), expected, "byte by byte");
    }

    #[test]
    fn a_hello_arrives_as_it_was_sent() {
        for bell in [BellKind::Socket, BellKind::Event] {
            let sent = Hello { bell, ..hello() };
            assert_eq!(Hello::decode(&sent.encode()), Ok(sent), "{bell:?}");
        }
    }

    #[test]
    fn every_wrong_byte_is_noticed() {
        assert_eq!(Hello::decode(&[]), Err(Malformed::Length), "nothing");
        let bytes = hello().encode();
        assert_eq!(
            Hello::decode(&bytes[..63]),
            Err(Malformed::Length),
            "too short"
        );
        for position in 0..8 {
            assert_eq!(
                changed(position, 0),
                Err(Malformed::Magic),
                "magic at {position}"
            );
        }
        let none = Malformed::Versions {
            version: 0,
            oldest: 1,
        };
        assert_eq!(changed(8, 0), Err(none), "newer than the newest");
        let zero = Malformed::Versions {
            version: 1,
            oldest: 0,
        };
        assert_eq!(changed(10, 0), Err(zero), "there is no version 0");
        assert_eq!(changed(12, 2), Err(Malformed::Bell(2)), "an unknown bell");
        for position in (13..16).chain(32..64) {
            assert_eq!(
                changed(position, 1),
                Err(Malformed::Reserved),
                "reserved {position}"
            );
        }
    }

    #[test]
    fn a_ring_is_a_power_of_two_from_64_kib_to_8_mib() {
        for size in [
            0,
            1,
            4096,
            32 << 10,
            (64 << 10) + 32,
            3 << 20,
            16 << 20,
            1 << 31,
            u32::MAX,
        ] {
            let mut bytes = hello().encode();
            bytes[20..24].copy_from_slice(&size.to_le_bytes());
            assert_eq!(
                Hello::decode(&bytes),
                Err(Malformed::Ring(size)),
                "{size} is refused"
            );
        }
        for shift in 16..=23 {
            let mut bytes = hello().encode();
            bytes[20..24].copy_from_slice(&(1_u32 << shift).to_le_bytes());
            assert_eq!(
                Hello::decode(&bytes).map(|hello| hello.to_client.bytes()),
                Ok(1 << shift),
                "2^{shift}"
            );
        }
    }

    #[test]
    fn the_layout_has_the_rings_in_their_order() {
        let layout = Layout::new(RingSize::MIN, RingSize::MAX);
        assert_eq!(
            hello().layout(),
            layout,
            "to the server, then to the client"
        );
    }

    #[test]
    fn the_newest_common_version_is_chosen() {
        let versions = |oldest, version| {
            Hello {
                version,
                oldest,
                ..hello()
            }
            .common_version()
        };
        assert_eq!(versions(1, 1), Some(1), "the same");
        assert_eq!(versions(1, 9), Some(1), "a newer client that remembers");
        assert_eq!(versions(2, 9), None, "a newer client that does not");
    }
}
