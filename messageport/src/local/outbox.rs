//! What a client is owed: replies that wait for room, and requests that have no reply yet.

use crate::link::Link;
use crate::local::connection::Connection;
use crate::local::requests::Open;
use crate::message::{After, Reply};
use crate::transfer::{Sending, Step};
use crate::wire::{Head, Kind, Status};
use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::MutexGuard;
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
    /// What is called when it is gone.
    after: Option<After>,
}

/// What a look at the outbox has brought.
#[derive(Default)]
struct Flushed {
    /// Replies that are sent: their bytes, and what is called now.
    sent: SmallVec<[(Bytes, Option<After>); 2]>,
    /// Something found room.
    moved: bool,
}

impl Outbox {
    /// What the replies in it weigh.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts a reply behind the others.
    pub(super) fn put(&mut self, request: Head, status: Status, reply: Reply) {
        let head = Head {
            kind: Kind::Reply,
            msgid: request.msgid,
            aux: status.aux(),
            conversation: request.conversation,
            nfds: 0,
        };
        self.bytes += reply.bytes.len() + OVERHEAD;
        self.replies.push_back(Departing {
            sending: Sending::new(head, reply.bytes),
            after: reply.after,
        });
    }

    /// Empties it of replies, for a client that is gone.
    #[must_use = "what replies are made of is dropped with nothing locked"]
    pub(super) fn take_replies(&mut self) -> VecDeque<Departing> {
        self.bytes = 0;
        std::mem::take(&mut self.replies)
    }

    fn flush(&mut self, link: &Link) -> Flushed {
        let mut flushed = Flushed::default();
        while let Some(reply) = self.replies.front_mut() {
            match link.step(link.outgoing(), &mut reply.sending) {
                Ok(Step::Whole) => {
                    flushed.moved = true;
                    link.counters().sent.count();
                    if let Some(Departing { sending, after }) = self.replies.pop_front() {
                        let sent = sending.into_payload();
                        self.bytes -= sent.len() + OVERHEAD;
                        flushed.sent.push((sent, after));
                    }
                }
                Ok(Step::Piece { .. }) => flushed.moved = true,
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
        let outbox = self.outbox();
        let much = outbox.bytes > OUTBOX_BYTES || outbox.open.len() >= self.requests_max;
        much && self.link().is_some_and(|link| !link.is_dead())
    }

    /// Whether replies wait for room.
    pub(crate) fn owes(&self) -> bool {
        !self.outbox().replies.is_empty()
    }

    /// Sends a reply, or keeps it until there is room; never waits.
    pub(crate) fn answer(&self, request: Head, status: Status, reply: Reply) {
        self.answer_from(self.outbox(), request, status, reply);
    }

    /// As [`answer`](Self::answer), with the outbox locked already.
    pub(super) fn answer_from(
        &self,
        mut outbox: MutexGuard<'_, Outbox>,
        request: Head,
        status: Status,
        reply: Reply,
    ) {
        // A client that is gone gets nothing, and what the reply wanted to have called hears of it.
        let Some(link) = self.link().filter(|link| !link.is_dead()) else {
            drop(outbox);
            if let Some(link) = self.link() {
                link.counters().discarded.count();
            }
            return drop(reply);
        };
        let size = u64::try_from(reply.bytes.len()).unwrap_or(u64::MAX);
        let mut unsent = None;
        let (status, reply) = if size > self.largest_reply.load(Ordering::Relaxed) {
            unsent = Some(reply);
            link.counters().discarded.count();
            (Status::TooLarge, Reply::empty())
        } else {
            (status, reply)
        };
        link.tidy();
        outbox.put(request, status, reply);
        let flushed = outbox.flush(link);
        drop(outbox);
        drop(unsent);
        self.follow(flushed);
    }

    /// Sends what has room of the replies that wait; says whether there was any. Those of a client that is gone are
    /// dropped.
    pub(crate) fn flush(&self) -> bool {
        let mut outbox = self.outbox();
        let Some(link) = self.link().filter(|_| !outbox.replies.is_empty()) else {
            return false;
        };
        if link.is_dead() {
            let replies = outbox.take_replies();
            drop(outbox);
            self.discard(replies);
            return false;
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
    fn follow(&self, flushed: Flushed) -> bool {
        if flushed.moved {
            // The client has made room: its ring was not for nothing.
            self.barren.store(0, Ordering::Relaxed);
        }
        for (bytes, after) in flushed.sent {
            drop(bytes);
            if let Some(after) = after {
                after.sent();
            }
        }
        flushed.moved
    }
}

/// Waiting replies of more than this stop the reading of requests.
const OUTBOX_BYTES: usize = 1 << 20;
/// What a waiting reply weighs beside its bytes, so that empty ones are not for nothing.
const OVERHEAD: usize = 4_096;
