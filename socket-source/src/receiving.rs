//! How datagrams are received: one by one, or several together that wait for their turn.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;

use bytes::BytesMut;

use crate::datagram::Datagram;
use crate::pieces::{self, BUFFER_BYTES};
use crate::shared::Shared;
use crate::sys::{self, Family, Headers, Received};

/// The datagrams of one socket that have been received and not delivered.
pub(crate) struct Arrivals {
    /// Those of one call at most.
    waiting: VecDeque<Datagram>,
    /// Whether the last call had room for more than there was.
    is_drained: bool,
    /// How many one call receives.
    per_call: usize,
    /// `None` if they can only be received one by one.
    family: Option<Family>,
}

impl Arrivals {
    pub(crate) fn new(native: &socket2::Socket, per_call: usize) -> Self {
        let family = (per_call > 1).then(|| Family::of(native)).flatten();
        Self {
            waiting: VecDeque::new(),
            is_drained: false,
            per_call,
            family,
        }
    }

    /// The next one, of which so many are wanted. When this returns, the socket knows whether others wait, since a
    /// callback is about to begin, and another thread may pause and resume the socket meanwhile.
    pub(crate) fn next(&mut self, shared: &Shared, left: usize) -> io::Result<Datagram> {
        if self.waiting.is_empty() {
            self.is_drained = false;
            let most = left.min(self.per_call);
            let Some(family) = self.family.filter(|_| most > 1) else {
                return one(shared);
            };
            match several(shared, family, most, &mut self.waiting) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.family = None;
                    return one(shared);
                }
                received => received?,
            }
            self.is_drained = self.waiting.len() < most;
        }
        let next = self.waiting.pop_front();
        shared.set_undelivered(!self.waiting.is_empty());
        next.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Whether there is no need to ask the system again: it had no more, and all of it is delivered.
    pub(crate) fn is_over(&self) -> bool {
        self.is_drained && self.waiting.is_empty()
    }
}

/// Receives one datagram, straight from the system.
fn one(shared: &Shared) -> io::Result<Datagram> {
    let mut found = None;
    let bytes = pieces::receive_whole(|room| {
        let received = shared.with(|native| sys::receive_datagram(native, room));
        let received = received.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))?;
        let count = received.whole.min(room.len());
        found = Some(received);
        Ok(count)
    })?;
    let (from, whole) = found.map_or((None, 0), |received| (received.from, received.whole));
    Ok(Datagram::new(bytes, from, whole))
}

/// Receives several datagrams with one call of the system.
fn several(
    shared: &Shared,
    family: Family,
    most: usize,
    into: &mut VecDeque<Datagram>,
) -> io::Result<()> {
    // A thread that is near its end has no memory for it any more, and pays for it anew.
    let mut memory = MEMORY
        .try_with(Cell::take)
        .ok()
        .flatten()
        .unwrap_or_default();
    if memory.rooms.len() < most {
        memory.rooms.resize_with(most, BytesMut::new);
    }
    let rooms = &mut memory.rooms[..most];
    for room in &mut *rooms {
        pieces::make_room(room, BUFFER_BYTES);
    }
    let (headers, received) = (&mut memory.headers, &mut memory.received);
    let asked =
        shared.with(|native| sys::receive_several(native, family, headers, rooms, received));
    for (room, Received { whole, from }) in memory.rooms.iter_mut().zip(memory.received.drain(..)) {
        let bytes = pieces::cut(room, whole.min(BUFFER_BYTES));
        into.push_back(Datagram::new(bytes, from, whole));
    }
    // Where there is no place to keep it, it goes.
    let _kept = MEMORY.try_with(|kept| kept.set(Some(memory)));
    asked.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
}

/// What several datagrams are received into. It belongs to the thread and not to the socket.
#[derive(Default)]
struct Memory {
    rooms: Vec<BytesMut>,
    headers: Headers,
    received: Vec<Received>,
}

thread_local! {
    static MEMORY: Cell<Option<Box<Memory>>> = const { Cell::new(None) };
}
