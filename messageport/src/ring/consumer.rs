//! The side of a ring that reads: the next record, its bytes, and the space it gives back.
//!
//! For one thread at a time. Its own position is kept here and only ever copied to the shared page; the other side's
//! position and every header are copied out and checked before they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::layout::{Direction, UNIT, record_size};
use super::lie::Lie;
use super::memory::Memory;
use super::sleep::Alarm;
use crate::wire::{Header, Kind};

/// The reading side of one ring.
#[derive(Debug)]
pub(crate) struct Consumer {
    memory: Arc<Memory>,
    direction: Direction,
    /// Bytes of the ring.
    capacity: u64,
    /// Bytes ever read.
    read: u64,
    /// What was read when the ring was last begun again, which is at its offset 0.
    origin: u64,
    /// Bytes ever written, when last looked at.
    seen: u64,
    /// What the other side was caught at.
    lie: Option<Lie>,
}

impl Consumer {
    pub(super) fn new(memory: Arc<Memory>, direction: Direction) -> Self {
        let capacity = u64::from(memory.layout().ring_len(direction));
        Self {
            memory,
            direction,
            capacity,
            read: 0,
            origin: 0,
            seen: 0,
            lie: None,
        }
    }

    /// Which of the two rings this is.
    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }

    /// The next record, if there is one. It stays the next until it is [released](Record::release).
    ///
    /// # Errors
    ///
    /// A [`Lie`] about what was written, now or earlier.
    #[inline]
    pub(crate) fn record(&mut self) -> Result<Option<Record<'_>>, Lie> {
        self.lie.map_or(Ok(()), Err)?;
        match self.header_after_skip() {
            Ok(Some(header)) => Ok(Some(Record {
                consumer: self,
                header,
            })),
            Ok(None) => Ok(None),
            Err(lie) => {
                self.lie = Some(lie);
                Err(lie)
            }
        }
    }

    /// Whether there is something to read: one look, which a thread may repeat while it spins. Also true when the other
    /// side lies, which [`record`](Self::record) then finds.
    #[inline]
    #[cfg(test)]
    pub(crate) fn has_data(&self) -> bool {
        self.seen != self.read || self.written() != self.read
    }

    /// Says that this side is about to sleep until something is written, and looks again: the answer is whether there is
    /// something after all. Then it does not sleep, and is not rung for.
    pub(crate) fn announce(&mut self) -> bool {
        let data = self.data();
        let found = data.announce(1) != self.read;
        if found {
            data.withdraw();
        }
        found
    }

    /// Whether the other side sleeps until as much is free as now is, and so must be woken: exactly one question gets a
    /// yes for each time it has lain down. To be asked after a record was released, before this side does anything
    /// long; once for many records will do.
    #[inline]
    pub(crate) fn must_ring(&self) -> bool {
        self.space().must_ring(|wish| {
            // If that is a lie, only the liar goes without its bell.
            let unread = self.written().wrapping_sub(self.read);
            u64::from(wish) <= self.capacity.saturating_sub(unread) / UNIT
        })
    }

    /// The header of the next record that is not a skip.
    #[inline]
    fn header_after_skip(&mut self) -> Result<Option<Header>, Lie> {
        loop {
            match self.header()? {
                // A skip leads to the ring's beginning, and none may stand there, so this cannot go on.
                Some(skip) if skip.head.kind == Kind::Skip => self.advance(record_size(skip.len)),
                other => return Ok(other),
            }
        }
    }

    /// The header at the present position, checked against what is written and where the ring ends.
    #[inline]
    fn header(&mut self) -> Result<Option<Header>, Lie> {
        if self.read == self.seen {
            let written = self.written();
            if written < self.read || written - self.read > self.capacity || written % UNIT != 0 {
                return Err(Lie::Written);
            }
            self.seen = written;
            if self.read == self.seen {
                return Ok(None);
            }
            self.follow_origin();
        }
        let offset = self.offset();
        let header = self.memory.header(self.direction, offset);
        let header = Header::decode(&header).map_err(Lie::Header)?;
        let (size, rest) = (record_size(header.len), self.capacity - offset);
        let skips_less = header.head.kind == Kind::Skip && (offset == 0 || size != rest);
        if size > self.seen - self.read || size > rest || skips_less {
            return Err(Lie::Extent);
        }
        Ok(Some(header))
    }

    /// Where in the ring the next record begins.
    #[inline]
    fn offset(&self) -> u64 {
        // The capacity is a power of two.
        (self.read - self.origin) & (self.capacity - 1)
    }

    /// Begins the ring again where the producer has, which it does in an empty ring only: so it is always the next record
    /// that stands at the beginning. A producer that says so at another time garbles what it has written itself.
    #[inline]
    fn follow_origin(&mut self) {
        let words = self.memory.words(self.direction);
        if words.origin.load(Ordering::Relaxed) == self.read {
            self.origin = self.read;
        }
    }

    /// Gives back the space of `size` bytes that were checked.
    #[inline]
    fn advance(&mut self, size: u64) {
        self.read += size;
        self.memory.taken.store(self.read, Ordering::Relaxed);
        self.space().publish(self.read);
    }

    #[inline]
    fn written(&self) -> u64 {
        self.memory
            .words(self.direction)
            .written
            .load(Ordering::Acquire)
    }

    /// What this side waits for, and whether it does.
    #[inline]
    fn data(&self) -> Alarm<'_, AtomicU64, AtomicU32> {
        let words = self.memory.words(self.direction);
        Alarm {
            position: &words.written,
            flag: &words.data_sleep,
        }
    }

    /// What the producer waits for, and whether it does.
    #[inline]
    fn space(&self) -> Alarm<'_, AtomicU64, AtomicU32> {
        let words = self.memory.words(self.direction);
        Alarm {
            position: &words.read,
            flag: &words.space_sleep,
        }
    }
}

/// The next record of a ring.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    consumer: &'a mut Consumer,
    /// A checked copy; what stands in the ring may have changed since.
    header: Header,
}

impl Record<'_> {
    /// What the record says of itself.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Appends the payload to a buffer.
    #[inline]
    pub(crate) fn append_to(&self, buffer: &mut Vec<u8>) {
        let Consumer {
            memory, direction, ..
        } = &*self.consumer;
        memory.append(*direction, self.payload(), self.len(), buffer);
    }

    /// Copies the payload to the beginning of a buffer, which must have room for it; the answer is how long it is.
    #[inline]
    pub(crate) fn copy_to(&self, buffer: &mut [u8]) -> usize {
        let Consumer {
            memory, direction, ..
        } = &*self.consumer;
        memory.copy_out(*direction, self.payload(), &mut buffer[..self.len()]);
        self.len()
    }

    /// Bytes of payload.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.header.len).unwrap_or(usize::MAX)
    }

    /// Gives the space of the record back.
    #[inline]
    pub(crate) fn release(self) {
        self.consumer.advance(record_size(self.header.len));
    }

    /// Where in the ring the payload begins.
    #[inline]
    fn payload(&self) -> u64 {
        self.consumer.offset() + UNIT
    }
}
