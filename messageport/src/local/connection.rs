//! One client of a port: its link, the replies that wait for room, and how far it has come.

use crate::hello::Peer;
use crate::link::Link;
use crate::transfer::{Arrival, Breach, Sending, Step};
use crate::wire::{Head, Kind, Status};
use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// A client, from the moment it was accepted.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Which of the port's connections this is.
    pub(crate) key: u64,
    /// Until the link exists; afterwards the link has it.
    greeter: Mutex<Option<Peer>>,
    /// From the hello on.
    link: OnceLock<Link>,
    /// When a connection that has sent no hello is given up.
    pub(crate) patience: Instant,
    outbox: Mutex<Outbox>,
    /// Handlers that are running for it.
    running: AtomicU32,
    /// It is in the port's ready list.
    pub(crate) listed: AtomicBool,
    /// Wake-ups in a row that brought nothing.
    barren: AtomicU32,
}

/// Replies that found no room.
#[derive(Debug, Default)]
struct Outbox {
    replies: VecDeque<Sending<Bytes>>,
    /// What they weigh.
    bytes: usize,
}

/// What a look at the outbox has brought.
#[derive(Default)]
struct Flushed {
    /// The bytes of replies that are sent.
    sent: SmallVec<[Bytes; 4]>,
    /// Something found room.
    moved: bool,
}

impl Connection {
    pub(crate) fn new(key: u64, peer: Peer, patience: Instant) -> Self {
        Self {
            key,
            greeter: Mutex::new(Some(peer)),
            link: OnceLock::new(),
            patience,
            outbox: Mutex::default(),
            running: AtomicU32::new(0),
            listed: AtomicBool::new(false),
            barren: AtomicU32::new(0),
        }
    }

    /// The link, once the hello has been read.
    pub(crate) fn link(&self) -> Option<&Link> {
        self.link.get()
    }

    /// Lets somebody look at the peer that has not been introduced yet.
    pub(crate) fn greet<R>(&self, look: impl FnOnce(&Peer) -> R) -> Option<R> {
        self.greeter().as_ref().map(look)
    }

    /// The peer, for the link that is about to be made.
    pub(crate) fn take_greeter(&self) -> Option<Peer> {
        self.greeter().take()
    }

    /// The hello was read and is good.
    pub(crate) fn introduce(&self, link: Link) {
        if let Err(link) = self.link.set(link) {
            debug_assert!(false, "a connection is introduced once");
            link.hang_up();
        }
    }

    /// Takes the next record of the client.
    pub(crate) fn take(&self) -> Result<Arrival, Breach> {
        let Some(link) = self.link() else {
            return Ok(Arrival::Nothing);
        };
        let arrival = link.take();
        if !matches!(arrival, Ok(Arrival::Nothing)) {
            self.barren.store(0, Ordering::Relaxed);
        }
        arrival
    }

    /// The bell was rung; says whether it has been rung for nothing too often.
    pub(crate) fn was_rung(&self) -> bool {
        self.barren.fetch_add(1, Ordering::Relaxed) >= BARREN_MAX
    }

    /// Whether further requests are left where they are, because the client does not read its replies.
    pub(crate) fn is_choked(&self) -> bool {
        self.outbox().bytes > OUTBOX_BYTES
    }

    /// Whether replies wait for room.
    pub(crate) fn owes(&self) -> bool {
        !self.outbox().replies.is_empty()
    }

    /// Sends a reply, or keeps it until there is room; never waits.
    pub(crate) fn answer(&self, request: Head, status: Status, payload: Bytes) {
        let Some(link) = self.link().filter(|link| !link.is_dead()) else {
            return;
        };
        let head = Head {
            kind: Kind::Reply,
            msgid: request.msgid,
            aux: status.aux(),
            conversation: request.conversation,
            nfds: 0,
        };
        link.tidy();
        let mut outbox = self.outbox();
        outbox.bytes += payload.len() + OVERHEAD;
        outbox.replies.push_back(Sending::new(head, payload));
        let sent = self.flush_locked(link, &mut outbox);
        drop(outbox);
        // What a reply is made of may be a user's, who is not called under a lock.
        drop(sent);
    }

    /// Sends what has room of the replies that wait; says whether there was any. Those of a client that is gone are
    /// dropped.
    pub(crate) fn flush(&self) -> bool {
        let mut outbox = self.outbox();
        let Some(link) = self.link().filter(|_| !outbox.replies.is_empty()) else {
            return false;
        };
        if link.is_dead() {
            let replies = std::mem::take(&mut *outbox);
            drop(outbox);
            drop(replies);
            return false;
        }
        let sent = self.flush_locked(link, &mut outbox);
        drop(outbox);
        sent.moved
    }

    /// A handler begins to run for this client.
    pub(crate) fn begin(&self) {
        // In one order with the port's becoming invalid: one of the two sees the other.
        self.running.fetch_add(1, Ordering::SeqCst);
    }

    /// A handler has ended; says whether it was the last one running.
    pub(crate) fn end(&self) -> bool {
        self.running.fetch_sub(1, Ordering::SeqCst) == 1
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst) > 0
    }

    /// Ends the connection.
    pub(crate) fn hang_up(&self) {
        if let Some(link) = self.link() {
            link.hang_up();
        }
        self.greet(Peer::hang_up);
        let replies = std::mem::take(&mut *self.outbox());
        drop(replies);
    }

    fn flush_locked(&self, link: &Link, outbox: &mut Outbox) -> Flushed {
        let mut flushed = Flushed::default();
        while let Some(reply) = outbox.replies.front_mut() {
            match link.step(link.outgoing(), reply) {
                Ok(Step::Whole) => {
                    flushed.moved = true;
                    if let Some(sent) = outbox.replies.pop_front() {
                        let sent = sent.into_payload();
                        outbox.bytes -= sent.len() + OVERHEAD;
                        flushed.sent.push(sent);
                    }
                }
                Ok(Step::Piece { .. }) => flushed.moved = true,
                Ok(Step::NoRoom | Step::Busy) => match link.outgoing().announce(reply) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) => {
                        link.set_dead();
                        break;
                    }
                },
                Err(_) => {
                    link.set_dead();
                    break;
                }
            }
        }
        if flushed.moved {
            // The client has made room: its ring was not for nothing.
            self.barren.store(0, Ordering::Relaxed);
        }
        flushed
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn greeter(&self) -> MutexGuard<'_, Option<Peer>> {
        self.greeter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waiting replies of more than this stop the reading of requests.
const OUTBOX_BYTES: usize = 1 << 20;
/// What a waiting reply weighs beside its bytes, so that empty ones are not for nothing.
const OVERHEAD: usize = 4_096;
/// How often a bell may be rung in a row without a record before the link is ended.
const BARREN_MAX: u32 = 1_000;
