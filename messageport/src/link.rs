//! One end of a link between two processes, or two threads: the rings, the bells, and whether the peer is there.
//!
//! Shared by the threads of its process. It moves single records and steps of messages, each under a lock that is held for
//! one copy; what messages mean, and who waits for what, is the business of remotes and ports above.

mod passing;

use crate::bell::Bell;
use crate::hello::Peer;
use crate::ring::{End, Lie, Page};
use crate::statistics::Counters;
use crate::transfer::{Arrival, Breach, Claim, Incoming, Outgoing, Sending, Step};
use crate::wire::Head;
use rustix::time::{ClockId, clock_gettime};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One end of a link.
#[derive(Debug)]
pub(crate) struct Link {
    peer: Peer,
    outgoing: Mutex<Outgoing>,
    incoming: Mutex<Incoming>,
    page: Page,
    /// Rung by the peer.
    ours: Bell,
    /// Wakes the peer.
    theirs: Bell,
    /// The peer has hung up, or its process has ended. What it sent may still be there.
    dead: AtomicBool,
    /// The tick in which the peer was last seen alive.
    seen_alive: AtomicU64,
    /// The tick in which something was last sent.
    sent: AtomicU64,
    counters: Arc<Counters>,
    /// Held by whoever takes packets off the socket.
    socket_turn: Mutex<()>,
}

impl Link {
    /// An end of a link; what it does is added to `counters`.
    pub(crate) fn new(
        peer: Peer,
        end: End,
        [ours, theirs]: [Bell; 2],
        largest: u64,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            peer,
            outgoing: Mutex::new(Outgoing::new(end.producer)),
            incoming: Mutex::new(Incoming::new(end.consumer, largest)),
            page: end.page,
            ours,
            theirs,
            dead: AtomicBool::new(false),
            seen_alive: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            counters,
            socket_turn: Mutex::default(),
        }
    }

    /// What this end has done, and others that are counted together with it.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What rings here.
    pub(crate) fn bell(&self) -> &Bell {
        &self.ours
    }

    /// The words that need no lock.
    pub(crate) fn page(&self) -> &Page {
        &self.page
    }

    /// Whether the peer is known to be gone.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Writes down that the peer is gone.
    pub(crate) fn set_dead(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Asks the system whether the peer is there.
    pub(crate) fn look(&self) -> bool {
        if !self.is_dead() {
            self.counters.looks.count();
            if self.peer.is_dead() {
                self.set_dead();
            }
        }
        self.seen_alive.store(Tick::now().0, Ordering::Relaxed);
        !self.is_dead()
    }

    /// Whether the peer is there, as seen in this tick: what is written into the ring of a dead peer would look as if it
    /// had been sent.
    pub(crate) fn is_alive(&self, now: Tick) -> bool {
        !self.is_dead() && (self.seen_alive.load(Ordering::Relaxed) == now.0 || self.look())
    }

    /// To be called before something is sent: after a pause, the memory of a burst before it is given back.
    pub(crate) fn tidy(&self, now: Tick) {
        let before = self.sent.load(Ordering::Relaxed);
        if now.0 == before {
            return;
        }
        self.sent.store(now.0, Ordering::Relaxed);
        if now.0.saturating_sub(before) >= IDLE_MICROS && before != 0 {
            // A lie is found again by whoever sends.
            self.outgoing().trim().ok();
        }
    }

    /// The writing side, for one step.
    pub(crate) fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the next step of a message and wakes the peer if that is called for.
    ///
    /// # Errors
    ///
    /// The peer lied about what it has read; the link is of no more use.
    pub(crate) fn step<P: AsRef<[u8]>>(
        &self,
        mut outgoing: MutexGuard<'_, Outgoing>,
        sending: &mut Sending<P>,
        descriptors: &[impl AsFd],
    ) -> Result<Step, Lie> {
        let written = self.write(&mut outgoing, sending, descriptors)?;
        drop(outgoing);
        Ok(self.follow(written))
    }

    /// Writes the next step of a message, with its descriptors ahead of the first. What it says is to be
    /// [followed](Self::follow) when the lock has been given back.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub(crate) fn write<P: AsRef<[u8]>>(
        &self,
        outgoing: &mut Outgoing,
        sending: &mut Sending<P>,
        descriptors: &[impl AsFd],
    ) -> Result<Written, Lie> {
        self.page.set_processor();
        if !descriptors.is_empty() {
            if let Some(step) = self.pass(outgoing, sending, descriptors)? {
                let must_ring = outgoing.must_ring(step, || false);
                return Ok(Written { step, must_ring });
            }
        }
        let step = outgoing.step(sending)?;
        let must_ring = outgoing.must_ring(step, || self.page.peer_is_elsewhere());
        Ok(Written { step, must_ring })
    }

    /// Wakes the peer if that is called for by what was written.
    pub(crate) fn follow(&self, written: Written) -> Step {
        if written.must_ring {
            self.ring();
        }
        written.step
    }

    /// Wakes the peer. One that cannot be woken is gone, and is hung up on: it may sleep on and live, and so may other
    /// threads of this end, who learn of it by the hang-up.
    pub(crate) fn ring(&self) {
        self.counters.rings.count();
        if self.theirs.ring().is_err() {
            self.hang_up();
        }
    }

    /// The same end, with another way of waking the peer.
    #[cfg(test)]
    pub(crate) fn with_bell(self, theirs: Bell) -> Self {
        Self { theirs, ..self }
    }

    /// Wakes the peer if it sleeps, for something that is not a message.
    pub(crate) fn ring_sleeper(&self) {
        let must_ring = self.outgoing().must_ring_now();
        if must_ring {
            self.ring();
        }
    }

    /// Takes one record, and wakes the peer if it sleeps for want of the room that this makes.
    ///
    /// # Errors
    ///
    /// The peer broke the rules; the link is of no more use.
    #[inline]
    pub(crate) fn take(&self) -> Result<Arrival, Breach> {
        self.take_with(&|head| self.claim(head))
    }

    #[inline]
    fn take_with(&self, claim: &dyn Fn(&Head) -> Claim) -> Result<Arrival, Breach> {
        let mut incoming = self.incoming();
        let arrival = incoming.next_with(claim)?;
        let must_ring =
            !matches!(arrival, Arrival::Nothing | Arrival::Held(_)) && incoming.must_ring();
        drop(incoming);
        if must_ring {
            self.ring();
        }
        Ok(arrival)
    }

    /// Takes the next record if it is a cancellation, and says of what; a lie is left for whoever takes it next.
    pub(crate) fn take_cancel(&self) -> Option<u64> {
        let mut incoming = self.incoming();
        if !incoming.is_cancel_next() {
            return None;
        }
        match incoming.next_with(&|_| Claim::Missing) {
            Ok(Arrival::Message(inbound)) => Some(inbound.head.conversation),
            _ => None,
        }
    }

    /// Says that nobody here looks for records from now on, so that the peer rings; the answer is whether there is one
    /// after all.
    pub(crate) fn announce(&self) -> bool {
        self.incoming().announce()
    }

    /// Whether there is a record: one look, without a lock.
    pub(crate) fn has_data(&self) -> bool {
        self.page.has_data()
    }

    /// Hangs up, for good.
    pub(crate) fn hang_up(&self) {
        self.set_dead();
        self.peer.hang_up();
    }

    fn incoming(&self) -> MutexGuard<'_, Incoming> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has come of a step.
#[derive(Clone, Copy, Debug)]
#[must_use = "the peer may have to be woken"]
pub(crate) struct Written {
    /// How far the message has come.
    step: Step,
    /// The peer sleeps, and counts on being woken.
    must_ring: bool,
}

impl Written {
    /// Whether something of the message is in the ring now.
    pub(crate) fn has_begun(self) -> bool {
        matches!(self.step, Step::Whole | Step::Piece { .. })
    }
}

/// The time as of the system's latest tick, some milliseconds ago at most, in microseconds. The exact time costs ten times as
/// much to ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick(u64);

impl Tick {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::MonotonicCoarse);
        let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
        Self(
            seconds
                .unwrap_or(0)
                .saturating_mul(1_000_000)
                .saturating_add(nanos.unwrap_or(0) / 1_000),
        )
    }
}

/// After how long without sending anything memory is given back.
const IDLE_MICROS: u64 = 1_000_000;
