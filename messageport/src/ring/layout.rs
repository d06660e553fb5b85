//! Where everything stands in the memory of a link: one page of words, then the bytes of the two rings.
//!
//! The words of a ring are laid out by who writes them, each on cache lines of its own. All zero is the state in which
//! nothing has happened yet, so an unused link touches no page at all.

use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

/// The sizes of the two rings, and what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    to_server: RingSize,
    to_client: RingSize,
}

impl Layout {
    pub(crate) fn new(to_server: RingSize, to_client: RingSize) -> Self {
        Self {
            to_server,
            to_client,
        }
    }

    /// Bytes of the whole file.
    pub(crate) fn file_len(self) -> u32 {
        PAGE + self.to_server.bytes() + self.to_client.bytes()
    }

    /// Bytes of one ring.
    #[inline]
    pub(super) fn ring_len(self, direction: Direction) -> u32 {
        match direction {
            Direction::ToServer => self.to_server.bytes(),
            Direction::ToClient => self.to_client.bytes(),
        }
    }

    /// Where in the file the bytes of a ring begin.
    #[inline]
    pub(super) fn ring_start(self, direction: Direction) -> u32 {
        match direction {
            Direction::ToServer => PAGE,
            Direction::ToClient => PAGE + self.to_server.bytes(),
        }
    }
}

/// The size of a ring: a power of two from 64 KiB to 8 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RingSize(u32);

impl RingSize {
    /// The smallest ring.
    pub(crate) const MIN: Self = Self(64 << 10);
    /// The largest ring.
    pub(crate) const MAX: Self = Self(8 << 20);
    /// The size where nobody asks for another; only what is used of it is ever in memory.
    pub(crate) const DEFAULT: Self = Self(4 << 20);

    /// The size of this many bytes, if a ring may have it.
    pub(crate) fn new(bytes: u32) -> Option<Self> {
        let allowed = bytes.is_power_of_two() && (Self::MIN.0..=Self::MAX.0).contains(&bytes);
        allowed.then_some(Self(bytes))
    }

    /// The smallest size of at least this many bytes, or the largest.
    pub(crate) fn at_least(bytes: u32) -> Self {
        let bounded = bytes.clamp(Self::MIN.0, Self::MAX.0);
        Self(bounded.next_power_of_two())
    }

    /// The size in bytes.
    #[inline]
    pub(crate) fn bytes(self) -> u32 {
        self.0
    }
}

/// Which of the two rings: the one that goes to the server, or the one that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client, who called `connect`.
    ToServer,
    /// From the server, who has the name.
    ToClient,
}

impl Direction {
    /// The other ring.
    pub(crate) fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }

    /// Which of the first page's [`Words`] are those of this ring.
    #[inline]
    pub(super) fn index(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }
}

/// The shared words of one ring.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Words {
    /// Bytes ever written; the producer's, a multiple of [`UNIT`].
    pub(super) written: AtomicU64,
    /// One more than the processor on which the producer's end last ran, 0 when it has not said.
    pub(super) cpu: AtomicU32,
    /// [`OPEN`] or [`CLOSING`], by the producer.
    pub(super) state: AtomicU32,
    /// The value of `written` at which the ring, empty then, was last begun again: the record there stands at offset 0.
    /// The producer's.
    pub(super) origin: AtomicU64,
    _gap0: [AtomicU8; 104],
    /// Bytes ever read; the consumer's, a multiple of [`UNIT`].
    pub(super) read: AtomicU64,
    _gap1: [AtomicU8; 120],
    /// Not 0 while the consumer sleeps until something is written.
    pub(super) data_sleep: AtomicU32,
    _gap2: [AtomicU8; 124],
    /// Not 0 while the producer sleeps until that many [`UNIT`]s are free.
    pub(super) space_sleep: AtomicU32,
    _gap3: [AtomicU8; 60],
    /// The largest message the server takes, 0 until it has said; only in the words of the ring to the server.
    pub(super) largest: AtomicU64,
    _gap4: [AtomicU8; 56],
}

const _: () = {
    assert!(offset_of!(Words, written) == 0, "the layout is fixed");
    assert!(offset_of!(Words, cpu) == 8, "the layout is fixed");
    assert!(offset_of!(Words, state) == 12, "the layout is fixed");
    assert!(offset_of!(Words, origin) == 16, "the layout is fixed");
    assert!(offset_of!(Words, read) == 128, "the layout is fixed");
    assert!(offset_of!(Words, data_sleep) == 256, "the layout is fixed");
    assert!(offset_of!(Words, space_sleep) == 384, "the layout is fixed");
    assert!(offset_of!(Words, largest) == 448, "the layout is fixed");
    assert!(size_of::<Words>() == 512, "the layout is fixed");
};

/// Bytes of ring that a record with this much payload takes.
#[inline]
pub(crate) fn record_size(payload: u32) -> u64 {
    u64::from(payload).next_multiple_of(UNIT) + UNIT
}

/// Records begin and end at multiples of this, which is also the size of a header.
pub(crate) const UNIT: u64 = 32;

/// Bytes of the first page, and of the part of each ring that is never given back.
pub(super) const PAGE: u32 = 4096;

/// State of a ring whose producer's end still serves.
pub(super) const OPEN: u32 = 0;
/// State of a ring whose producer's end takes nothing new.
pub(super) const CLOSING: u32 = 1;
