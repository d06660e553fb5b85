//! One client of a port: its link, the replies that wait for room, and how far it has come.

use crate::hello::Peer;
use crate::link::Link;
use crate::local::limits::{LARGEST, Limits};
use crate::local::outbox::{OpenOutbox, Outbox};
use crate::pidfd::Credentials;
use crate::transfer::{Arrival, Breach};
use crate::wire::{Head, Kind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// A client, from the moment it was accepted.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Which of the port's connections this is.
    pub(crate) key: u64,
    /// Who called.
    client: Credentials,
    /// Until the link exists; afterwards the link has it.
    greeter: Mutex<Option<Peer>>,
    /// From the hello on.
    link: OnceLock<Link>,
    /// When a connection that has sent no hello is given up.
    pub(crate) patience: Instant,
    /// Its hello is there, and waits for room here.
    pub(crate) kept_waiting: AtomicBool,
    outbox: Mutex<Outbox>,
    /// How much is in the outbox: replies, and requests without one. To be looked at before it is locked for nothing.
    owed: AtomicUsize,
    /// It is left alone until some of its requests are answered.
    pub(super) choked: AtomicBool,
    /// How many requests may be without a reply.
    pub(super) requests_max: usize,
    /// The largest reply that the client takes, in bytes.
    pub(super) largest_reply: AtomicU64,
    /// Handlers that are running for it.
    running: AtomicU32,
    /// It is in the port's ready list.
    pub(crate) listed: AtomicBool,
    /// It is to be looked at later, without being heard of.
    pub(super) held: AtomicBool,
    /// Wake-ups in a row that brought nothing.
    pub(super) barren: AtomicU32,
}

impl Connection {
    pub(crate) fn new(key: u64, peer: Peer, patience: Instant, limits: &Limits) -> Self {
        Self {
            key,
            client: peer.credentials(),
            greeter: Mutex::new(Some(peer)),
            link: OnceLock::new(),
            patience,
            kept_waiting: AtomicBool::new(false),
            outbox: Mutex::default(),
            owed: AtomicUsize::new(0),
            choked: AtomicBool::new(false),
            requests_max: limits.requests_per_client,
            largest_reply: AtomicU64::new(LARGEST),
            running: AtomicU32::new(0),
            listed: AtomicBool::new(false),
            held: AtomicBool::new(false),
            barren: AtomicU32::new(0),
        }
    }

    /// Who called.
    pub(crate) fn client(&self) -> Credentials {
        self.client
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

    /// What the client says of the replies that it takes.
    pub(crate) fn set_largest_reply(&self, bytes: u64) {
        self.largest_reply.store(bytes, Ordering::Relaxed);
    }

    /// Takes the next record of the client.
    #[inline]
    pub(crate) fn take(&self) -> Result<Arrival, Breach> {
        let Some(link) = self.link() else {
            return Ok(Arrival::Nothing);
        };
        let arrival = link.take();
        if !matches!(arrival, Ok(Arrival::Nothing | Arrival::Held(_))) {
            self.barren.store(0, Ordering::Relaxed);
        }
        arrival
    }

    /// Whether it is on the ready list, for a thread that knows that nobody else is about to change that.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// The bell was rung; says whether it has been rung for nothing too often.
    pub(crate) fn was_rung(&self) -> bool {
        self.barren.fetch_add(1, Ordering::Relaxed) >= BARREN_MAX
    }

    /// A handler begins to run for this client.
    pub(crate) fn begin(&self, message: Head) {
        if message.kind == Kind::Request {
            self.open_request(message.conversation);
        }
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
            link.let_go();
        }
        self.greet(Peer::hang_up);
        let replies = self.outbox().take_replies();
        self.discard(replies);
    }

    pub(super) fn outbox(&self) -> OpenOutbox<'_> {
        let outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        OpenOutbox::new(outbox, &self.owed)
    }

    /// Whether the client is owed nothing at all.
    #[inline]
    pub(super) fn is_quit(&self) -> bool {
        self.owed.load(Ordering::Acquire) == 0
    }

    fn greeter(&self) -> MutexGuard<'_, Option<Peer>> {
        self.greeter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often a bell may be rung in a row without a record before the link is ended.
const BARREN_MAX: u32 = 1_000;
