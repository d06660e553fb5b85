//! The inside of a remote: its link, and the calls that are waiting on it, on whatever threads.
//!
//! There is no leader among the waiting threads: whoever wakes takes in everything that has come, hands it to its owners
//! and wakes them, and sees to it that the port rings for those who go on sleeping.

use crate::bell::{BellKind, Rest};
use crate::hello::{Packet, Refusal, peek, take_off};
use crate::hub::Hub;
use crate::link::Link;
use crate::local::PortCore;
use crate::message::Payload;
use crate::names::PortName;
use crate::remote::calls::{Answer, Calls};
use crate::remote::ending::Notice;
use crate::remote::settings::Settings;
use crate::transfer::{Arrival, Inbound};
use crate::wire::{Head, Kind, Status};
use runloop::{ForkGuard, Mode, SourceHandle};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// The inside of a remote.
#[derive(Debug)]
pub(crate) struct Client {
    /// Distinguishes this link from all others of the process.
    pub(crate) id: u64,
    pub(crate) name: PortName,
    pub(crate) link: Link,
    pub(crate) hub: Hub,
    fork: ForkGuard,
    /// `OPEN`, or how it ended.
    pub(super) ended: AtomicU8,
    /// Somebody has been told, or has seen, that the port takes nothing more.
    known_to_end: AtomicBool,
    calls: Mutex<Calls>,
    /// How many writers wait for room, to be looked at before the calls are locked for nothing.
    writers: AtomicUsize,
    late_replies: AtomicU64,
    /// Those who wait have been woken because the port is closing.
    closing_told: AtomicBool,
    /// The next record waits for room for its descriptors.
    held: AtomicBool,
    /// Why the port does not serve this link.
    refusal: OnceLock<Refusal>,
    /// The port itself, if it is one of this process.
    neighbour: Option<Weak<PortCore>>,
    /// Who is told of the end, and where.
    pub(super) notice: Notice,
    pub(super) settings: Settings,
}

/// Whether, and how, a link has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has not.
    Open,
    /// This side has invalidated it.
    Invalidated,
    /// The port is gone.
    Gone,
    /// The other side broke the rules.
    Broken,
}

impl Client {
    pub(crate) fn new(
        name: PortName,
        link: Link,
        hub: Hub,
        neighbour: Option<Weak<PortCore>>,
        settings: Settings,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name,
            link,
            hub,
            fork: ForkGuard::new(),
            ended: AtomicU8::new(OPEN),
            known_to_end: AtomicBool::new(false),
            calls: Mutex::default(),
            writers: AtomicUsize::new(0),
            late_replies: AtomicU64::new(0),
            closing_told: AtomicBool::new(false),
            held: AtomicBool::new(false),
            refusal: OnceLock::new(),
            neighbour,
            notice: Notice::default(),
            settings,
        }
    }

    /// How it stands.
    pub(crate) fn end(&self) -> End {
        if self.fork.is_forked() {
            return End::Invalidated;
        }
        match self.ended.load(Ordering::Acquire) {
            OPEN if self.link.is_dead() => End::Gone,
            OPEN => End::Open,
            INVALIDATED => End::Invalidated,
            GONE => End::Gone,
            _ => End::Broken,
        }
    }

    /// Whether this is a forked child, which has the memory of the link no more.
    pub(crate) fn is_forked(&self) -> bool {
        self.fork.is_forked()
    }

    /// Whether the link is of use, as seen by asking the system.
    pub(crate) fn check(&self) -> bool {
        if self.fork.is_forked() || self.ended.load(Ordering::Acquire) != OPEN {
            return false;
        }
        let alive = self.link.look();
        if alive && !self.link.page().peer_is_closing() {
            return true;
        }
        self.known_to_end.store(true, Ordering::Release);
        // What had been answered before the end is still handed over, and what a closing port is at work on still comes.
        self.take_in(None);
        self.read_refusal();
        if !alive || self.calls().are_idle() {
            self.finish(GONE);
        }
        false
    }

    /// Whether it has been noticed before that the port takes nothing more.
    pub(crate) fn is_known_to_end(&self) -> bool {
        self.known_to_end.load(Ordering::Acquire)
    }

    pub(crate) fn late_replies(&self) -> u64 {
        self.late_replies.load(Ordering::Relaxed)
    }

    /// Lets go of the threads' sources once the link has ended and no call is in progress.
    pub(crate) fn part_with_sources(&self) {
        let mut calls = self.calls();
        if !calls.are_idle() {
            return;
        }
        let sources = std::mem::take(&mut calls.sources);
        drop(calls);
        if self.ended.load(Ordering::Acquire) != OPEN {
            self.link.let_go();
        }
        sources.iter().for_each(|(_, source)| source.invalidate());
    }

    /// Why the port does not serve this link, if it said so.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get().copied()
    }

    /// Reads what the port has said before it hung up.
    fn read_refusal(&self) {
        let socket = self.link.peer().socket();
        let mut bytes = [0; Packet::SIZE];
        let _turn = self.link.socket_turn();
        for _ in 0..LAST_WORDS_MAX {
            match peek(socket.as_fd(), &mut bytes) {
                Ok(peeked) if peeked.length > 0 => match Packet::decode(&bytes[..peeked.length]) {
                    Some(Packet::Refused(why)) => {
                        self.refusal.set(why).ok();
                    }
                    // Of a reply for which there is no room yet: it was served, and not refused.
                    Some(Packet::Descriptors { .. }) => return,
                    None => {}
                },
                // A reset is told once, before what was sent ahead of it.
                Err(rustix::io::Errno::CONNRESET) => continue,
                _ => return,
            }
            if take_off(socket.as_fd()).is_err() {
                return;
            }
        }
    }

    /// Whether the port is served by this thread alone, and not in the mode in which it would wait for the reply.
    pub(crate) fn is_served_only_here(&self, mode: Mode) -> bool {
        let Some(port) = self.neighbour.as_ref().and_then(Weak::upgrade) else {
            return false;
        };
        port.is_served_only_here(mode)
    }

    pub(crate) fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waits for room.
    pub(super) fn have_writers(&self) -> bool {
        self.writers.load(Ordering::Acquire) > 0
    }

    /// Writes down how many wait for room now.
    pub(super) fn count_writers(&self, calls: &Calls) {
        self.writers.store(calls.writers.len(), Ordering::Release);
    }

    /// Writes down a thread's source, to be invalidated with the link.
    pub(crate) fn add_source(&self, number: u64, source: SourceHandle) {
        self.calls().sources.push((number, source));
    }

    /// Forgets the source of a thread that has ended.
    pub(crate) fn forget_source(&self, number: u64) {
        let mut calls = self.calls();
        let place = calls.sources.iter().position(|&(other, _)| other == number);
        let gone = place.map(|place| calls.sources.swap_remove(place));
        drop(calls);
        drop(gone);
    }

    /// Takes what the hub has to tell: rings, and the end of the port.
    pub(crate) fn take_events(&self) {
        if self.fork.is_forked() {
            return;
        }
        self.link.counters().wakes.count();
        let taken = self.hub.take();
        for (key, gone) in taken.iter() {
            if gone || key == PROCESS {
                self.link.set_dead();
            }
        }
        let bell = self.link.bell();
        if bell.kind() == BellKind::Socket && matches!(self.link.drain(), Ok(Rest::Closed) | Err(_))
        {
            self.link.set_dead();
        }
    }

    /// Whether the next record waits for room for its descriptors; nobody is told of that room, so whoever waits for the
    /// record has to [look again](Self::take_in).
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Takes in everything that has come, hands it to its owners, and wakes those of other threads; `own` is the source of
    /// this one. Says whether something was for this thread.
    pub(crate) fn take_in(&self, own: Option<&SourceHandle>) -> bool {
        let (mut ours, mut held, mut unwanted) = (false, false, None);
        for taken in 0.. {
            let arrival = match unwanted.take() {
                Some(conversation) => self.link.take_unopened(conversation),
                None => self.link.take(),
            };
            match arrival {
                // Whoever looks announces on behalf of those who sleep: their bell may have been rung in vain.
                Ok(Arrival::Nothing) if self.calls().others_wait(own) && self.link.announce() => {}
                Ok(Arrival::Nothing) => break,
                Ok(Arrival::Held(head)) if self.calls().expects(head.conversation) => {
                    held = true;
                    break;
                }
                Ok(Arrival::Held(head)) => unwanted = Some(head.conversation),
                Ok(Arrival::Message(inbound)) => ours |= self.hand_over(inbound, own),
                Ok(Arrival::TooLarge(head)) => ours |= self.settle(head, Answer::TooLarge, own),
                Ok(Arrival::Begun(_) | Arrival::Piece | Arrival::Aborted(_)) => {}
                Err(breach) => {
                    self.set_broken(&breach);
                    return ours;
                }
            }
            if taken == RECORDS_PER_PASS {
                // A port that never stops answering keeps nobody from looking at a clock. This thread may be about to
                // leave, and nobody is rung for what it leaves there: all go on.
                let all = self.calls().owners();
                all.iter().chain(own).for_each(SourceHandle::signal);
                break;
            }
        }
        self.note_held(held, own);
        self.wake_writers(own);
        self.tell_closing(own);
        ours
    }

    /// Writes down whether the next record waits for room for its descriptors. All who wait are woken when it begins to, so
    /// that each looks again by itself: nothing rings for them until then.
    fn note_held(&self, held: bool, own: Option<&SourceHandle>) {
        if self.is_held() == held {
            return;
        }
        self.held.store(held, Ordering::Release);
        if held {
            self.wake_others(own);
        }
    }

    /// Wakes everybody once the port is closing: of several threads that share a bell on the socket only one hears it.
    fn tell_closing(&self, own: Option<&SourceHandle>) {
        if !self.link.page().peer_is_closing() || self.closing_told.swap(true, Ordering::AcqRel) {
            return;
        }
        self.wake_others(own);
    }

    fn wake_others(&self, own: Option<&SourceHandle>) {
        let others = self.calls().owners();
        others
            .iter()
            .filter(|&owner| Some(owner) != own)
            .for_each(SourceHandle::signal);
    }

    /// Lets those who wait for room try again.
    pub(crate) fn wake_writers(&self, own: Option<&SourceHandle>) {
        let calls = self.calls();
        let first = calls.writers.front().map(|writer| &writer.owner);
        let in_pieces = calls.in_pieces.iter().map(|(_, owner)| owner);
        let others: Vec<_> = first.into_iter().chain(in_pieces).cloned().collect();
        drop(calls);
        others
            .iter()
            .filter(|&owner| Some(owner) != own)
            .for_each(SourceHandle::signal);
    }

    fn hand_over(&self, inbound: Inbound, own: Option<&SourceHandle>) -> bool {
        let Inbound {
            head,
            payload,
            descriptors,
        } = inbound;
        let answer = match Status::from_aux(head.aux) {
            Some(Status::Ok) => Answer::Reply(Payload(payload), descriptors),
            Some(status) => Answer::Status(status),
            None => return false,
        };
        self.settle(head, answer, own)
    }

    /// Gives an answer to the request it belongs to, and says whether that is one of this thread. One that nobody waits for
    /// any more is dropped, and counted.
    fn settle(&self, head: Head, answer: Answer, own: Option<&SourceHandle>) -> bool {
        debug_assert!(head.kind == Kind::Reply, "nothing else comes from a port");
        let mut calls = self.calls();
        let owed = calls
            .waiting
            .iter_mut()
            .find(|w| w.conversation == head.conversation);
        let Some(waiting) = owed.filter(|waiting| waiting.answer.is_none()) else {
            drop(calls);
            self.late_replies.fetch_add(1, Ordering::Relaxed);
            self.link.counters().discarded.count();
            return false;
        };
        waiting.answer = Some(answer);
        self.link.counters().received.count();
        let owner = (Some(&waiting.owner) != own).then(|| waiting.owner.clone());
        drop(calls);
        owner.iter().for_each(SourceHandle::signal);
        owner.is_none()
    }
}

/// The key of the port's process in the hub; the socket and the bell have others.
pub(crate) const PROCESS: u64 = 1;
/// How many records are taken in at once.
const RECORDS_PER_PASS: u32 = 1_024;
/// How many packets are read of a port that has hung up.
const LAST_WORDS_MAX: usize = 64;
/// The link is of use.
pub(super) const OPEN: u8 = 0;
/// This side ended it.
pub(super) const INVALIDATED: u8 = 1;
/// The port went away.
pub(super) const GONE: u8 = 2;
/// The other side broke the rules.
pub(super) const BROKEN: u8 = 3;
