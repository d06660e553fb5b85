//! The words of the first page that need no turn: where each end runs, whether it is closing, how far it has come.
//!
//! For any thread of an end, at any time. Nothing here is checked, because nothing here can do harm: a peer that lies
//! about these words is served later, or is thought to run elsewhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::layout::{CLOSING, Direction, OPEN};
use super::memory::Memory;

/// What both ends of a link can see of each other at any time.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    memory: Arc<Memory>,
    /// The ring that this end writes.
    out: Direction,
}

impl Page {
    pub(super) fn new(memory: Arc<Memory>, out: Direction) -> Self {
        Self { memory, out }
    }

    /// Says on which processor this end runs; free unless that has changed.
    pub(crate) fn set_processor(&self) -> Processor {
        let here = here();
        let cpu = &self.memory.words(self.out).cpu;
        if cpu.load(Ordering::Relaxed) != here.0 {
            cpu.store(here.0, Ordering::Relaxed);
        }
        here
    }

    /// On which processor the other end was when it last said so; `None` if it never has.
    pub(crate) fn peer_processor(&self) -> Option<Processor> {
        match self
            .memory
            .words(self.out.reverse())
            .cpu
            .load(Ordering::Relaxed)
        {
            0 => None,
            cpu => Some(Processor(cpu)),
        }
    }

    /// Whether the other end last ran on another processor than this thread does now. Not if it has never said.
    pub(crate) fn peer_is_elsewhere(&self) -> bool {
        self.peer_processor().is_some_and(|peer| peer != here())
    }

    /// Says that this end takes nothing new. The other end is to be woken afterwards, if it
    /// [sleeps](super::Producer::must_ring).
    pub(crate) fn set_closing(&self) {
        self.memory
            .words(self.out)
            .state
            .store(CLOSING, Ordering::Release);
    }

    /// Whether the other end takes nothing new. To be asked again between announcing sleep and sleeping.
    pub(crate) fn peer_is_closing(&self) -> bool {
        self.memory
            .words(self.out.reverse())
            .state
            .load(Ordering::Acquire)
            != OPEN
    }

    /// The server says what is the largest message it takes.
    pub(crate) fn set_largest(&self, bytes: u64) {
        self.memory
            .words(Direction::ToServer)
            .largest
            .store(bytes, Ordering::Release);
    }

    /// The largest message that the server takes; `None` until it has accepted the link.
    pub(crate) fn largest(&self) -> Option<u64> {
        match self
            .memory
            .words(Direction::ToServer)
            .largest
            .load(Ordering::Acquire)
        {
            0 => None,
            bytes => Some(bytes),
        }
    }

    /// Whether there is something to read: one look, which a thread may repeat while it spins. Also true when the other
    /// side lies, which the [consumer](super::Consumer::record) then finds.
    #[inline]
    pub(crate) fn has_data(&self) -> bool {
        let written = &self.memory.words(self.out.reverse()).written;
        written.load(Ordering::Acquire) != self.memory.taken.load(Ordering::Relaxed)
    }

    /// How far the other end has come, to see whether it is at work.
    pub(crate) fn peer_progress(&self) -> Progress {
        Progress {
            written: self
                .memory
                .words(self.out.reverse())
                .written
                .load(Ordering::Relaxed),
            read: self.memory.words(self.out).read.load(Ordering::Relaxed),
        }
    }

    /// Whether the other end has taken the record that this end wrote at a position.
    pub(crate) fn is_taken(&self, position: u64) -> bool {
        self.memory.words(self.out).read.load(Ordering::Acquire) > position
    }
}

/// How far an end has come with writing and reading; unequal to an earlier one if it has done anything since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    written: u64,
    read: u64,
}

/// A processor of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Processor(
    /// One more than the system's number, so that 0 says nothing.
    u32,
);

/// The processor on which this thread runs.
fn here() -> Processor {
    let number = u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(u32::MAX);
    Processor(number.saturating_add(1))
}
