//! What a client is owed: replies that wait for room, and requests that have no reply yet.

use crate::link::Link;
use crate::local::connection::{Connection, OpenOutbox};
use crate::local::requests::Open;
use crate::message::{After, Reply};
use crate::transfer::{Descriptors, Sending, Step};
use crate::wire::{DESCRIPTORS_MAX, Head, Kind, Status};
use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// What a client is owed.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    replies: VecDeque<Departing>,
    /// What they weigh.
    bytes: usize,
    /// Requests that have no reply yet, oldest first.
    pub(super) open: SmallVec<[Open; 2]>,
}

/// A reply on its way.
#[derive(Debug)]
pub(super) struct Departing {
    sending: Sending<Bytes>,
    descriptors: Descriptors,
    /// What is called when it is gone.
    after: Option<After>,
}

/// What a look at the outbox has brought.
#[derive(Default)]
struct Flushed {
    /// Replies that are sent.
    sent: SmallVec<[Departing; 2]>,
    /// Replies that cannot be.
    unsent: Vec<Departing>,
    progress: Progress,
}

/// What has become of the replies that waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "whoever waits for room of which nobody tells is to be looked at later"]
pub(crate) struct Progress {
    /// Some found room.
    pub(crate) moved: bool,
    /// The first that is left waits for room for its descriptors, of which nobody tells.
    pub(crate) clogged: bool,
}

impl Departing {
    fn weight(&self) -> usize {
        self.sending.len() + OVERHEAD + self.descriptors.len() * DESCRIPTOR_OVERHEAD
    }
}

impl Outbox {
    /// What the replies in it weigh.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many replies wait in it, and requests for theirs.
    pub(super) fn len(&self) -> usize {
        self.replies.len() + self.open.len()
    }

    /// Puts a reply behind the others.
    pub(super) fn put(&mut self, request: Head, status: Status, reply: Reply) {
        let head = Head {
            kind: Kind::Reply,
            msgid: request.msgid,
            aux: status.aux(),
            conversation: request.conversation,
            nfds: u16::try_from(reply.descriptors.len()).unwrap_or(u16::MAX),
        };
        let reply = Departing {
            sending: Sending::new(head, reply.bytes),
            descriptors: reply.descriptors,
            after: reply.after,
        };
        self.bytes += reply.weight();
        self.replies.push_back(reply);
    }

    /// Empties it of replies, for a client that is gone.
    #[must_use = "what replies are made of is dropped with nothing locked"]
    pub(super) fn take_replies(&mut self) -> VecDeque<Departing> {
        self.bytes = 0;
        std::mem::take(&mut self.replies)
    }

    /// Takes the first reply out.
    fn pop(&mut self) -> Option<Departing> {
        let reply = self.replies.pop_front()?;
        self.bytes -= reply.weight();
        Some(reply)
    }

    /// Puts a status in place of the first reply.
    fn replace(&mut self, status: Status) -> Option<Departing> {
        let reply = self.pop()?;
        self.put(*reply.sending.head(), status, Reply::empty());
        self.replies.rotate_right(1);
        Some(reply)
    }

    fn flush(&mut self, link: &Link) -> Flushed {
        let mut flushed = Flushed::default();
        while let Some(reply) = self.replies.front_mut() {
            match link.step(
                link.outgoing(),
                &mut reply.sending,
                reply.descriptors.as_slice(),
            ) {
                Ok(Step::Whole) => {
                    flushed.progress.moved = true;
                    link.counters().sent.count();
                    flushed.sent.extend(self.pop());
                }
                Ok(Step::Piece { .. }) => flushed.progress.moved = true,
                Ok(Step::Clogged) => {
                    flushed.progress.clogged = true;
                    break;
                }
                Ok(Step::Unpassable) => {
                    link.counters().discarded.count();
                    flushed.unsent.extend(self.replace(Status::Unpassable));
                }
                Ok(Step::NoRoom | Step::Busy) => match link.outgoing().announce(&reply.sending) {
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
        flushed
    }
}

impl Connection {
    /// Whether further requests are left where they are: the client does not read its replies, or is owed too many. Of a
    /// client that is gone, what it has sent is still served.
    pub(crate) fn is_choked(&self) -> bool {
        if self.is_quit() {
            return false;
        }
        let outbox = self.outbox();
        let much = outbox.bytes > OUTBOX_BYTES || outbox.open.len() >= self.requests_max;
        much && self.link().is_some_and(|link| !link.is_dead())
    }

    /// Whether replies wait for room.
    pub(crate) fn owes(&self) -> bool {
        !self.outbox().replies.is_empty()
    }

    /// Sends a reply, or keeps it until there is room; never waits.
    pub(crate) fn answer(&self, request: Head, status: Status, reply: Reply) -> Progress {
        self.answer_from(self.outbox(), request, status, reply)
    }

    /// As [`answer`](Self::answer), with the outbox locked already.
    pub(super) fn answer_from(
        &self,
        mut outbox: OpenOutbox<'_>,
        request: Head,
        status: Status,
        reply: Reply,
    ) -> Progress {
        // A client that is gone gets nothing, and what the reply wanted to have called hears of it.
        let Some(link) = self.link().filter(|link| !link.is_dead()) else {
            drop(outbox);
            if let Some(link) = self.link() {
                link.counters().discarded.count();
            }
            drop(reply);
            return Progress::default();
        };
        let size = u64::try_from(reply.bytes.len()).unwrap_or(u64::MAX);
        let mut unsent = None;
        let (status, reply) = if size > self.largest_reply.load(Ordering::Relaxed) {
            unsent = Some(reply);
            link.counters().discarded.count();
            (Status::TooLarge, Reply::empty())
        } else if reply.descriptors.len() > usize::from(DESCRIPTORS_MAX) {
            unsent = Some(reply);
            link.counters().discarded.count();
            (Status::Unpassable, Reply::empty())
        } else {
            (status, reply)
        };
        link.tidy();
        outbox.put(request, status, reply);
        // Before the client is asked to ring for it.
        outbox.publish();
        let flushed = outbox.flush(link);
        drop(outbox);
        drop(unsent);
        self.follow(flushed)
    }

    /// Sends what has room of the replies that wait. Those of a client that is gone are dropped.
    pub(crate) fn flush(&self) -> Progress {
        // A reply that waits for room was published before its client was asked to ring.
        if self.is_quit() {
            return Progress::default();
        }
        let mut outbox = self.outbox();
        let Some(link) = self.link().filter(|_| !outbox.replies.is_empty()) else {
            return Progress::default();
        };
        if link.is_dead() {
            let replies = outbox.take_replies();
            drop(outbox);
            self.discard(replies);
            return Progress::default();
        }
        let flushed = outbox.flush(link);
        drop(outbox);
        self.follow(flushed)
    }

    /// Drops replies that nobody will get, with nothing locked.
    pub(super) fn discard(&self, replies: VecDeque<Departing>) {
        if let Some(link) = self.link() {
            let count = u64::try_from(replies.len()).unwrap_or(u64::MAX);
            link.counters().discarded.add(count);
        }
        drop(replies);
    }

    /// Does what a look at the outbox has brought, with nothing locked: what a reply is made of may be a user's.
    fn follow(&self, flushed: Flushed) -> Progress {
        if flushed.progress.moved {
            // The client has made room: its ring was not for nothing.
            self.barren.store(0, Ordering::Relaxed);
        }
        drop(flushed.unsent);
        for reply in flushed.sent {
            drop((reply.sending.into_payload(), reply.descriptors));
            if let Some(after) = reply.after {
                after.sent();
            }
        }
        flushed.progress
    }
}

/// Waiting replies of more than this stop the reading of requests.
const OUTBOX_BYTES: usize = 1 << 20;
/// What a waiting reply weighs beside its bytes, so that empty ones are not for nothing.
const OVERHEAD: usize = 4_096;
/// What each of its descriptors weighs: a client that reads nothing keeps few of this process's open.
const DESCRIPTOR_OVERHEAD: usize = 16 << 10;
