//! The requests of a client that have no reply yet: who is to answer each, and whether anybody still waits for it.

use crate::link::Tick;
use crate::local::connection::Connection;
use crate::local::outbox::{OnCancel, Open, Progress, Who};
use crate::message::Reply;
use crate::wire::{DESCRIPTORS_MAX, Head, Status};

/// Why a reply is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untaken {
    Cancelled,
    Invalid,
    Overload,
    TooManyDescriptors,
}

impl Connection {
    /// A request is about to be handled.
    pub(super) fn open_request(&self, conversation: u64) {
        self.outbox().open.push(Open {
            conversation,
            who: Who::Handler,
            cancelled: false,
            on_cancel: None,
        });
    }

    /// The handler leaves a request to a responder; says whether it was its to leave.
    pub(super) fn defer(&self, conversation: u64) -> bool {
        let mut outbox = self.outbox();
        match outbox.find(conversation).map(|open| &mut open.who) {
            Some(who) if *who == Who::Handler => {
                *who = Who::ResponderInside;
                true
            }
            _ => false,
        }
    }

    /// A handler has returned, with a reply unless it panicked. `valid` says whether its port takes further replies.
    pub(super) fn conclude(
        &self,
        request: Head,
        reply: Option<Reply>,
        valid: impl FnOnce() -> bool,
    ) -> Progress {
        let mut outbox = self.outbox();
        let Some(open) = outbox.find(request.conversation) else {
            // A responder was quicker.
            drop(outbox);
            drop(reply);
            return Progress::default();
        };
        let deferred = open.who != Who::Handler;
        // Looked at under the lock, so that whoever ends the port either is seen here or sees what is written here.
        if deferred && reply.is_some() && valid() {
            open.who = Who::Responder;
            drop(outbox);
            drop(reply);
            return Progress::default();
        }
        let open = outbox.remove(request.conversation);
        let progress = match reply {
            Some(reply) if !deferred => self.answer_from(outbox, request, Status::Ok, reply),
            // It panicked, or its port is no more.
            reply => {
                drop(outbox);
                drop(reply);
                self.answer(request, Status::Invalidated, Reply::empty())
            }
        };
        drop(open);
        progress
    }

    /// A responder answers, if it still may, and there is not too much under way already.
    pub(super) fn respond(
        &self,
        request: Head,
        reply: Reply,
        most: usize,
    ) -> Result<Progress, (Untaken, Reply, Progress)> {
        let gone = self.link().is_none_or(crate::link::Link::is_dead);
        let mut outbox = self.outbox();
        let bytes = outbox.bytes();
        let open = outbox.remove(request.conversation);
        drop(outbox);
        let untaken = match &open {
            _ if gone => Some(Untaken::Cancelled),
            None => Some(Untaken::Invalid),
            Some(open) if open.cancelled => Some(Untaken::Cancelled),
            Some(_) if bytes.saturating_add(reply.bytes.len()) > most => Some(Untaken::Overload),
            Some(_) if reply.descriptors.len() > DESCRIPTORS_MAX.into() => {
                Some(Untaken::TooManyDescriptors)
            }
            Some(_) => None,
        };
        drop(open);
        let told = match untaken {
            None => return Ok(self.answer(request, Status::Ok, reply)),
            Some(Untaken::Overload) => Some(Status::Overload),
            Some(Untaken::TooManyDescriptors) => Some(Status::Unpassable),
            Some(Untaken::Cancelled | Untaken::Invalid) => None,
        };
        let told = told.map(|status| self.answer(request, status, Reply::empty()));
        Err((
            untaken.unwrap_or(Untaken::Invalid),
            reply,
            told.unwrap_or_default(),
        ))
    }

    /// Whether anybody still waits for the reply to a request, as far as is known here.
    pub(super) fn is_awaited(&self, conversation: u64) -> bool {
        let Some(link) = self.link().filter(|link| link.is_alive(Tick::now())) else {
            return false;
        };
        // Whoever runs a handler takes nothing in, but this much can be seen.
        while let Some(other) = link.take_cancel() {
            self.cancel(other);
        }
        let mut outbox = self.outbox();
        outbox
            .find(conversation)
            .is_some_and(|open| !open.cancelled)
    }

    /// Has something called when nobody waits for a reply any more; comes back if that is so already.
    pub(super) fn on_cancel(&self, conversation: u64, call: OnCancel) -> Option<OnCancel> {
        if !self.is_awaited(conversation) {
            return Some(call);
        }
        let mut outbox = self.outbox();
        let former = match outbox.find(conversation) {
            Some(open) if !open.cancelled => open.on_cancel.replace(call),
            _ => return Some(call),
        };
        drop(outbox);
        drop(former);
        None
    }

    /// Nobody waits for the reply to a request any more.
    pub(crate) fn cancel(&self, conversation: u64) {
        let mut outbox = self.outbox();
        let Some(open) = outbox.find(conversation) else {
            return;
        };
        open.cancelled = true;
        let call = open.on_cancel.take();
        drop(outbox);
        if let Some(call) = call {
            call();
        }
    }

    /// The client is gone: nobody waits for anything.
    pub(crate) fn abandon_requests(&self) {
        loop {
            let mut outbox = self.outbox();
            let next = outbox.open.iter_mut().find(|open| !open.cancelled);
            let Some(open) = next else { return };
            open.cancelled = true;
            let call = open.on_cancel.take();
            drop(outbox);
            if let Some(call) = call {
                call();
            }
        }
    }

    /// The port has ended: what only a responder could answer fails now, unless its handler is running.
    pub(crate) fn fail_deferred(&self) {
        loop {
            let mut outbox = self.outbox();
            let left = outbox
                .open
                .iter()
                .position(|open| open.who == Who::Responder);
            let Some(place) = left else { return };
            let open = outbox.open.remove(place);
            drop(outbox);
            let request = Head {
                kind: crate::wire::Kind::Request,
                msgid: 0,
                aux: 0,
                conversation: open.conversation,
                nfds: 0,
            };
            drop(open);
            // What is left of a port that has ended is seen to by whoever takes leave of its clients.
            let _left = self.answer(request, Status::Invalidated, Reply::empty());
        }
    }
}
