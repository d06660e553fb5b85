//! Answering a client: sending replies, or keeping them until there is room.

use crate::link::Tick;
use crate::local::connection::Connection;
use crate::local::outbox::{Departing, Flushed, OpenOutbox, Progress};
use crate::message::Reply;
use crate::transfer::Step;
use crate::wire::{DESCRIPTORS_MAX, Head, Status};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

impl Connection {
    /// Whether further requests are left where they are: the client does not read its replies, or is owed too many. Of a
    /// client that is gone, what it has sent is still served.
    pub(crate) fn is_choked(&self) -> bool {
        if self.is_quit() {
            return false;
        }
        let outbox = self.outbox();
        let much = outbox.bytes() > OUTBOX_BYTES || outbox.open.len() >= self.requests_max;
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
        link.tidy(Tick::now());
        let mut reply = Departing::new(request, status, reply);
        // Most replies have room at once and nobody before them.
        let first = outbox.replies.is_empty().then(|| reply.step(link));
        if matches!(first, Some(Ok(Step::Whole))) {
            drop(outbox);
            drop(unsent);
            link.counters().sent.count();
            self.barren.store(0, Ordering::Relaxed);
            reply.depart();
            return Progress::moved();
        }
        outbox.put(reply);
        // Before the client is asked to ring for it.
        outbox.publish();
        let mut flushed = outbox.flush(link);
        flushed.progress.moved |= matches!(first, Some(Ok(Step::Piece { .. })));
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
        flushed.sent.into_iter().for_each(Departing::depart);
        flushed.progress
    }
}

/// Waiting replies of more than this stop the reading of requests.
const OUTBOX_BYTES: usize = 1 << 20;
