//! The side of a ring that writes: where a record goes, whether there is room, and who is to be woken.
//!
//! For one thread at a time. Its own position is kept here and only ever copied to the shared page; of the other side's it
//! keeps the last one it has checked, and looks again when that does not suffice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::layout::{Direction, PAGE, UNIT, record_size};
use super::lie::Lie;
use super::memory::Memory;
use super::sleep::Alarm;
use crate::wire::Header;

/// The writing side of one ring.
#[derive(Debug)]
pub(crate) struct Producer {
    memory: Arc<Memory>,
    direction: Direction,
    /// Bytes of the ring.
    capacity: u64,
    /// Bytes ever written.
    written: u64,
    /// What was written when the ring was last begun again, which is at its offset 0.
    origin: u64,
    /// Bytes ever read, when last looked at.
    seen: u64,
    /// Up to where in the ring pages may be resident.
    touched: u64,
    /// What the other side was caught at.
    lie: Option<Lie>,
}

impl Producer {
    pub(super) fn new(memory: Arc<Memory>, direction: Direction) -> Self {
        let capacity = u64::from(memory.layout().ring_len(direction));
        Self {
            memory,
            direction,
            capacity,
            written: 0,
            origin: 0,
            seen: 0,
            touched: 0,
            lie: None,
        }
    }

    /// Writes a record and lets the other side see it, if there is [`Room`]; the answer is where it stands. Else nothing is
    /// written.
    ///
    /// In an empty ring the record goes to the beginning again before it would reach into a further page. So small
    /// messages never use more than one, and large ones the same few, which the caches still know. All of the ring is free
    /// then.
    ///
    /// # Errors
    ///
    /// A [`Lie`] about how far the ring was read, now or earlier.
    #[inline]
    pub(crate) fn put(
        &mut self,
        header: &Header,
        payload: &[u8],
        room: Room,
    ) -> Result<Option<u64>, Lie> {
        let size = record_size(header.len);
        if self.should_rewind(size, room)? {
            self.rewind();
            return Ok(Some(self.write(0, header, payload)));
        }
        let need = self.need(size, room);
        if self.free(need)? < need {
            return Ok(None);
        }
        Ok(Some(self.write(self.skip_before(size), header, payload)))
    }

    /// Whether [`put`](Self::put) would write a record with this much payload.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub(crate) fn fits(&mut self, len: u32, room: Room) -> Result<bool, Lie> {
        let size = record_size(len);
        if self.should_rewind(size, room)? {
            return Ok(true);
        }
        let need = self.need(size, room);
        Ok(self.free(need)? >= need)
    }

    /// How many bytes must be free for a record of this size, its header included.
    #[inline]
    pub(crate) fn need(&self, size: u64, room: Room) -> u64 {
        self.skip_before(size) + size + room.behind
    }

    /// Bytes from here to the ring's end, at least those of a header.
    #[inline]
    pub(crate) fn contiguous(&self) -> u64 {
        self.capacity - self.offset()
    }

    /// Bytes of the ring.
    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Whether the other side sleeps until something is written, and so must be woken now: exactly one question gets a
    /// yes for each time it has lain down. To be asked after the last record that it should find.
    #[inline]
    pub(crate) fn must_ring(&self) -> bool {
        self.data().must_ring(|_| true)
    }

    /// Says that this side is about to sleep until `wish` bytes are free, and looks again: the answer is how many are.
    ///
    /// If they suffice, it does not sleep, and [withdraws](Self::withdraw). The other side may ring when fewer are free
    /// than wished, but always does so when all are.
    ///
    /// # Errors
    ///
    /// A [`Lie`] about how far the ring was read, now or earlier.
    pub(crate) fn announce(&mut self, wish: u64) -> Result<u64, Lie> {
        self.lie.map_or(Ok(()), Err)?;
        let units = wish.min(self.capacity).div_ceil(UNIT).max(1);
        let read = self
            .space()
            .announce(u32::try_from(units).unwrap_or(u32::MAX));
        self.accept(read)?;
        Ok(self.capacity - (self.written - self.seen))
    }

    /// Says that this side does not sleep after all.
    pub(crate) fn withdraw(&self) {
        self.space().withdraw();
    }

    /// Gives the memory of past bursts back, but for one page; only while the ring is empty. Costs nothing if there is
    /// none. The answer is whether memory was given back.
    ///
    /// # Errors
    ///
    /// A [`Lie`] about how far the ring was read, now or earlier.
    pub(crate) fn trim(&mut self) -> Result<bool, Lie> {
        if self.touched <= u64::from(PAGE) || self.free(self.capacity)? < self.capacity {
            return Ok(false);
        }
        let given_back = self.memory.discard(self.direction);
        self.touched = 0;
        if let Err(error) = &given_back {
            tracing::debug!(%error, "the memory of a ring could not be given back");
        }
        Ok(given_back.is_ok())
    }

    /// Where in the ring the next byte goes.
    #[inline]
    fn offset(&self) -> u64 {
        // The capacity is a power of two.
        (self.written - self.origin) & (self.capacity - 1)
    }

    /// How many bytes must be skipped so that a record of this size does not reach past the ring's end.
    #[inline]
    fn skip_before(&self, size: u64) -> u64 {
        let rest = self.contiguous();
        if size > rest { rest } else { 0 }
    }

    /// Whether a record of this size should stand at the ring's beginning although there is room behind the last one.
    #[inline]
    fn should_rewind(&mut self, size: u64, room: Room) -> Result<bool, Lie> {
        let (offset, page) = (self.offset(), u64::from(PAGE));
        // The end counts as well, since the next header stands there. Only a step into a further page is worth asking the
        // other side's position, which costs a cache miss while that side is at work.
        let opens_page = offset / page != (offset + size) / page;
        let Some(keep) = room.at_start.filter(|_| opens_page && offset > 0) else {
            return Ok(false);
        };
        let fits = size + keep <= self.capacity;
        Ok(fits && self.free(self.capacity)? == self.capacity)
    }

    /// Begins the ring again, which is empty. The other side, which has read everything, finds where when it next looks for
    /// something written: a word tells it, not a record, so that nothing of the ring is in use meanwhile.
    #[inline]
    fn rewind(&mut self) {
        self.origin = self.written;
        let words = self.memory.words(self.direction);
        words.origin.store(self.origin, Ordering::Relaxed);
    }

    /// Writes a record behind `skip` bytes and publishes both; there is room.
    #[inline]
    fn write(&mut self, skip: u64, header: &Header, payload: &[u8]) -> u64 {
        debug_assert!(
            u64::from(header.len) == u64::try_from(payload.len()).unwrap_or(u64::MAX),
            "a record says how much it holds"
        );
        if skip > 0 {
            let len = u32::try_from(skip - UNIT).unwrap_or(u32::MAX);
            self.memory
                .set_header(self.direction, self.offset(), &Header::skip(len).encode());
            self.touched = self.touched.max(self.offset() + UNIT);
            self.written += skip;
        }
        let (at, offset) = (self.written, self.offset());
        self.memory
            .set_header(self.direction, offset, &header.encode());
        self.memory.copy_in(self.direction, offset + UNIT, payload);
        let size = record_size(header.len);
        self.written += size;
        self.touched = self.touched.max(offset + size);
        self.data().publish(self.written);
        at
    }

    /// How many bytes are free; looks at the other side's position only if as many as are `wanted` are not known to be.
    #[inline]
    fn free(&mut self, wanted: u64) -> Result<u64, Lie> {
        self.lie.map_or(Ok(()), Err)?;
        if self.capacity - (self.written - self.seen) < wanted {
            let read = self
                .memory
                .words(self.direction)
                .read
                .load(Ordering::Acquire);
            self.accept(read)?;
        }
        Ok(self.capacity - (self.written - self.seen))
    }

    /// Checks a position that the other side wrote, and believes it.
    #[inline]
    fn accept(&mut self, read: u64) -> Result<(), Lie> {
        if read < self.seen || read > self.written || read % UNIT != 0 {
            self.lie = Some(Lie::Read);
            return Err(Lie::Read);
        }
        self.seen = read;
        Ok(())
    }

    /// What the consumer waits for, and whether it does.
    #[inline]
    fn data(&self) -> Alarm<'_, AtomicU64, AtomicU32> {
        let words = self.memory.words(self.direction);
        Alarm {
            position: &words.written,
            flag: &words.data_sleep,
        }
    }

    /// What this side waits for, and whether it does.
    #[inline]
    fn space(&self) -> Alarm<'_, AtomicU64, AtomicU32> {
        let words = self.memory.words(self.direction);
        Alarm {
            position: &words.read,
            flag: &words.space_sleep,
        }
    }
}

/// What must be left free when a record has been written, so that there is room for what has to follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// If it stands behind the last record.
    pub(crate) behind: u64,
    /// If the ring is empty and is begun again with it; `None` if it may not be.
    pub(crate) at_start: Option<u64>,
}

impl Room {
    /// As much room is left wherever the record stands.
    #[inline]
    pub(crate) fn anywhere(keep: u64) -> Self {
        Self {
            behind: keep,
            at_start: Some(keep),
        }
    }

    /// The record stands behind the last one, where its room was kept.
    #[inline]
    pub(crate) fn behind(keep: u64) -> Self {
        Self {
            behind: keep,
            at_start: None,
        }
    }
}
