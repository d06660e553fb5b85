//! What a hostile peer is to do, read from a string of bytes that anybody may have written.

use std::collections::VecDeque;

/// The rest of a script; whoever finds it at its end stops.
#[derive(Debug)]
pub(super) struct Script(VecDeque<u8>);

impl Script {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.iter().copied().collect())
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.0.pop_front()
    }

    /// A choice of so many.
    pub(super) fn below(&mut self, choices: u8) -> Option<u8> {
        Some(self.byte()? % choices)
    }

    pub(super) fn word(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    /// Up to so many bytes.
    pub(super) fn bytes(&mut self, most: usize) -> Vec<u8> {
        self.0.drain(..most.min(self.0.len())).collect()
    }

    /// A number near `usual`, or one that is a boundary of something, or any.
    pub(super) fn number(&mut self, usual: u64) -> Option<u64> {
        Some(match self.below(12)? {
            0 => 0,
            1 => 1,
            2 => usual.wrapping_add(1),
            3 => usual.wrapping_sub(1),
            4 => usual.wrapping_add(32),
            5 => usual.wrapping_sub(32),
            6 => usual.wrapping_add(64 << 10),
            7 => usual.wrapping_sub(64 << 10),
            8 => u64::MAX - u64::from(self.byte()?),
            9 => 1 << (self.byte()? % 64),
            10 => u64::from(self.word()?),
            _ => usual,
        })
    }
}
