//! A third party with the same memory, who writes into it what a hostile end would.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Noise, bytes, one_way, pair};
use crate::ring::layout::Direction;
use crate::ring::memory::Memory;
use crate::ring::{End, Layout, RingSize};

/// Somebody who writes where it hurts, into the smallest of rings.
pub(crate) struct Scribbler(pub(super) Memory);

impl Scribbler {
    /// A client's and a server's end, and who will do ill to them.
    pub(crate) fn between() -> (End, End, Self) {
        let (client, server, file) = pair(RingSize::MIN);
        let memory = Memory::map(&file, Layout::new(RingSize::MIN, RingSize::MIN)).unwrap();
        (client, server, Self(memory))
    }

    /// Says in an end's name where it runs.
    pub(crate) fn claim_processor(&self, direction: Direction, number: u32) {
        let words = self.0.words(direction);
        words.cpu.store(number, Ordering::Relaxed);
    }

    /// Writes garbage, anywhere, but mostly such that it is nearly right.
    pub(crate) fn scribble(&self, noise: &mut Noise) {
        let direction = if noise.below(2) == 0 {
            Direction::ToServer
        } else {
            Direction::ToClient
        };
        let words = self.0.words(direction);
        let position = match noise.below(4) {
            0 => noise.next(),
            1 => noise.next() % (2 * RING),
            _ => noise.next() % (2 * RING) / 32 * 32,
        };
        match noise.below(8) {
            0 => words.written.store(position, Ordering::Release),
            1 => words.read.store(position, Ordering::Release),
            2 => words.data_sleep.store(noise.word(), Ordering::Release),
            3 => words.space_sleep.store(noise.word(), Ordering::Release),
            4 => words.state.store(noise.word(), Ordering::Release),
            5 => words.cpu.store(noise.word(), Ordering::Release),
            6 => {
                let mut header = bytes(&one_way(1 + noise.next() % 4, noise.below(300)));
                header[noise.below(32)] = noise.word().to_le_bytes()[0];
                self.0
                    .copy_in(direction, position % RING / 32 * 32, &header);
            }
            _ => {
                let len = 1 + noise.below(256);
                let garbage = noise.bytes(len);
                self.0
                    .copy_in(direction, noise.next() % (RING - 256), &garbage);
            }
        }
    }

    /// Scribbles until it is told to stop.
    pub(crate) fn scribble_until(&self, over: &AtomicBool, seed: u64) {
        let mut noise = Noise::new(seed);
        while !over.load(Ordering::Relaxed) {
            self.scribble(&mut noise);
        }
    }
}

/// Bytes of the smallest ring.
pub(super) const RING: u64 = 64 << 10;
