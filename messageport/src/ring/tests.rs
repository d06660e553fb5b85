//! The rings with both ends in one process, each with a mapping of its own; and what the other tests borrow.

mod hostile;
mod memory;
mod records;
mod scribbler;
mod waking;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::{End, Layout, RingSize};
use crate::wire::{Head, Header, Kind, Place};
pub(crate) use scribbler::Scribbler;

/// A client's and a server's end of one link with rings of this size, and the file between them.
pub(crate) fn pair(size: RingSize) -> (End, End, OwnedFd) {
    let layout = Layout::new(size, size);
    let (client, file) = End::create(layout).unwrap();
    let server = End::adopt(file.as_fd(), layout).unwrap();
    (client, server, file)
}

/// Numbers that look random and are the same in every run (xorshift64).
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn word(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap()
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % end
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// Ends the process if it is not dropped in time: a test that hangs fails instead.
pub(crate) struct Watchdog(#[expect(dead_code, reason = "hanging up is the message")] Sender<()>);

impl Watchdog {
    pub(crate) fn new() -> Self {
        let (off_duty, waiting) = channel();
        std::thread::spawn(move || {
            if waiting.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
                std::process::abort();
            }
        });
        Self(off_duty)
    }
}

/// The header of a message that is one record.
pub(crate) fn one_way(conversation: u64, len: usize) -> Header {
    let head = Head {
        kind: Kind::OneWay,
        msgid: 0,
        aux: 0,
        conversation,
        nfds: 0,
    };
    let len = u32::try_from(len).unwrap();
    Header {
        len,
        place: Place::Whole,
        total: u64::from(len),
        head,
    }
}

/// The bytes of a header as they stand in memory.
pub(super) fn bytes(header: &Header) -> [u8; 32] {
    let words = header.encode().map(u64::to_le_bytes);
    words.as_flattened().try_into().unwrap()
}
