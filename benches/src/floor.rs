//! What the machine itself costs, by which absolute targets are scaled: a wait with nothing ready, and copying memory.

use crate::{Result, Rounds};
use rustix::event::{Timespec, epoll};
use std::hint::black_box;
use std::time::Instant;

/// What the machine itself costs.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// `epoll_wait` with nothing ready, in nanoseconds.
    pub wait_ns: f64,
    /// Copying within a pool of 4 MiB, 1 MiB at a time, in gigabytes a second.
    pub copy_gbs: f64,
}

impl Reference {
    /// Measures it, in a quarter of a second.
    pub fn measure() -> Result<Self> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut events = Vec::with_capacity(8);
        let (mut waits, mut copies) = (Rounds::default(), Rounds::default());
        let mut pool = vec![1_u8; POOL];
        let mut copy = vec![2_u8; PIECE];
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            for _ in 0..WAITS {
                events.clear();
                epoll::wait(
                    &set,
                    rustix::buffer::spare_capacity(&mut events),
                    Some(&Timespec::default()),
                )?;
            }
            waits.add(begun.elapsed().as_secs_f64() * 1e9 / f64::from(WAITS));
            let begun = Instant::now();
            for number in 0..COPIES {
                let piece = number % (POOL / PIECE) * PIECE;
                black_box(&mut copy).copy_from_slice(&pool[piece..piece + PIECE]);
                pool[piece] = pool[piece].wrapping_add(copy[0]);
            }
            let bytes = u32::try_from(COPIES * PIECE)?;
            copies.add(f64::from(bytes) / begun.elapsed().as_secs_f64() / 1e9);
        }
        Ok(Self {
            wait_ns: waits.median(),
            copy_gbs: copies.median(),
        })
    }

    /// By what an absolute time target for one processor's work is multiplied on this machine.
    pub fn scale(&self) -> f64 {
        self.wait_ns / WAIT_NS_THERE
    }
}

const ROUNDS: u32 = 9;
const WAITS: u32 = 20_000;
const COPIES: usize = 400;
const POOL: usize = 4 << 20;
const PIECE: usize = 1 << 20;
/// What the wait costs on the machine for which the absolute targets were written.
const WAIT_NS_THERE: f64 = 220.0;
