//! Two byte rings in memory that two ends share: records go in at one side and come out, in order, at the other.
//!
//! For the link, which gives each end's producer and consumer to one thread at a time. A ring knows positions, records
//! and who sleeps; it does not know sockets, bells, what a message is, nor how long anybody is ready to wait. All that
//! the other end writes is taken for hostile: each word is loaded once and that copy checked, each header copied out and
//! then judged, and a lie ends the use of the ring at this end for good.
//!
//! - [`Layout`](layout::Layout), [`Words`](layout::Words): where everything stands;
//! - [`Memory`](memory::Memory): the mapping, and all `unsafe` of the ring;
//! - [`Alarm`](sleep::Alarm): how one end falls asleep and the other wakes it;
//! - [`Producer`], [`Consumer`]: the two sides of one ring;
//! - [`Page`]: the words that need no turn: processors, closing, progress.

mod layout;
mod memfd;
mod memory;
mod sleep;
mod lie;
mod producer;
mod consumer;
mod page;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

pub(crate) use consumer::{Consumer, Record};
pub(crate) use layout::{Direction, Layout, RingSize, UNIT, record_size};
pub(crate) use lie::Lie;
pub(crate) use memfd::AdoptError;
pub(crate) use page::{Page, Progress};
pub(crate) use producer::{Producer, Room};

use memory::Memory;

/// One end's share of the memory between two ends.
#[derive(Debug)]
pub(crate) struct End {
    /// The side of its own ring that it writes.
    pub(crate) producer: Producer,
    /// The side of the other end's ring that it reads.
    pub(crate) consumer: Consumer,
    /// The words that any thread may look at.
    pub(crate) page: Page,
}

impl End {
    /// Makes the memory of a new link: the client's end, and the descriptor by which the server adopts it.
    ///
    /// # Errors
    ///
    /// What the system answered: no descriptors, no memory.
    pub(crate) fn create(layout: Layout) -> io::Result<(Self, OwnedFd)> {
        let file = memfd::create(layout)?;
        let memory = Memory::map(&file, layout)?;
        Ok((Self::new(memory, Direction::ToServer), file))
    }

    /// Takes a share in memory that a client made: the server's end. The descriptor is no longer needed afterwards.
    ///
    /// # Errors
    ///
    /// [`AdoptError`] when the memory is not such that the client can do no harm with it.
    pub(crate) fn adopt(file: BorrowedFd<'_>, layout: Layout) -> Result<Self, AdoptError> {
        memfd::check(file, layout)?;
        let memory = Memory::map(file, layout).map_err(AdoptError::System)?;
        Ok(Self::new(memory, Direction::ToClient))
    }

    fn new(memory: Memory, out: Direction) -> Self {
        let memory = Arc::new(memory);
        Self {
            producer: Producer::new(Arc::clone(&memory), out),
            consumer: Consumer::new(Arc::clone(&memory), out.reverse()),
            page: Page::new(memory, out),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
