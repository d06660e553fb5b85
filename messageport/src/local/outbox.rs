//! What a client is owed: replies that wait for room, and requests that have no reply yet.

use crate::link::Link;
use crate::message::{After, Reply};
use crate::ring::Lie;
use crate::transfer::{Descriptors, Sending, Step};
use crate::wire::{Head, Kind, Status};
use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a client is owed.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) replies: VecDeque<Departing>,
    /// What they weigh.
    bytes: usize,
    /// Requests that have no reply yet, oldest first.
    pub(super) open: SmallVec<[Open; 2]>,
}

/// A request that has no reply yet.
pub(super) struct Open {
    pub(super) conversation: u64,
    pub(super) who: Who,
    /// Nobody waits for its reply any more.
    pub(super) cancelled: bool,
    /// What is called when that becomes so.
    pub(super) on_cancel: Option<OnCancel>,
}

/// Who is to answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The handler, which is running.
    Handler,
    /// A responder; the handler is still running.
    ResponderInside,
    /// A responder; the handler has returned.
    Responder,
}

/// What is called when nobody waits for a reply any more.
pub(super) type OnCancel = Box<dyn FnOnce() + Send>;

/// A reply on its way.
#[derive(Debug)]
pub(super) struct Departing {
    pub(super) sending: Sending<Bytes>,
    pub(super) descriptors: Descriptors,
    /// What is called when it is gone.
    pub(super) after: Option<After>,
}

/// What a look at the outbox has brought.
#[derive(Default)]
pub(super) struct Flushed {
    /// Replies that are sent.
    pub(super) sent: SmallVec<[Departing; 2]>,
    /// Replies that cannot be.
    pub(super) unsent: Vec<Departing>,
    pub(super) progress: Progress,
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

impl Progress {
    /// Something went, and nothing is in the way.
    pub(super) fn moved() -> Self {
        Self {
            moved: true,
            clogged: false,
        }
    }
}

impl Departing {
    pub(super) fn new(request: Head, status: Status, reply: Reply) -> Self {
        let head = Head {
            kind: Kind::Reply,
            msgid: request.msgid,
            aux: status.aux(),
            conversation: request.conversation,
            nfds: u16::try_from(reply.descriptors.len()).unwrap_or(u16::MAX),
        };
        Self {
            sending: Sending::new(head, reply.bytes),
            descriptors: reply.descriptors,
            after: reply.after,
        }
    }

    /// Writes as much of it as there is room for.
    pub(super) fn step(&mut self, link: &Link) -> Result<Step, Lie> {
        let descriptors = self.descriptors.as_slice();
        link.step(link.outgoing(), &mut self.sending, descriptors)
    }

    /// It is gone: lets go of what it was made of, and then calls whoever wants to know. For a caller without a lock.
    pub(super) fn depart(self) {
        drop((self.sending.into_payload(), self.descriptors));
        if let Some(after) = self.after {
            after.sent();
        }
    }

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

    /// A request that has no reply yet.
    pub(super) fn find(&mut self, conversation: u64) -> Option<&mut Open> {
        let mut open = self.open.iter_mut();
        open.find(|open| open.conversation == conversation)
    }

    /// Takes a request out, which is being answered.
    pub(super) fn remove(&mut self, conversation: u64) -> Option<Open> {
        let mut open = self.open.iter();
        let place = open.position(|open| open.conversation == conversation)?;
        Some(self.open.remove(place))
    }

    /// Puts a reply behind the others.
    pub(super) fn put(&mut self, reply: Departing) {
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
        self.put(Departing::new(
            *reply.sending.head(),
            status,
            Reply::empty(),
        ));
        self.replies.rotate_right(1);
        Some(reply)
    }

    /// Sends what there is room for.
    pub(super) fn flush(&mut self, link: &Link) -> Flushed {
        let mut flushed = Flushed::default();
        while let Some(reply) = self.replies.front_mut() {
            match reply.step(link) {
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

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("conversation", &self.conversation)
            .field("who", &self.who)
            .field("cancelled", &self.cancelled)
            .finish_non_exhaustive()
    }
}

/// The outbox of a client, locked. When it is given back, everybody sees whether something is in it.
pub(super) struct OpenOutbox<'a> {
    outbox: MutexGuard<'a, Outbox>,
    owed: &'a AtomicUsize,
}

impl<'a> OpenOutbox<'a> {
    pub(super) fn new(outbox: MutexGuard<'a, Outbox>, owed: &'a AtomicUsize) -> Self {
        Self { outbox, owed }
    }

    /// Lets everybody see how much is in it.
    pub(super) fn publish(&self) {
        self.owed.store(self.outbox.len(), Ordering::Release);
    }
}

impl Deref for OpenOutbox<'_> {
    type Target = Outbox;

    fn deref(&self) -> &Outbox {
        &self.outbox
    }
}

impl DerefMut for OpenOutbox<'_> {
    fn deref_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }
}

impl Drop for OpenOutbox<'_> {
    fn drop(&mut self) {
        self.publish();
    }
}

/// What a waiting reply weighs beside its bytes, so that empty ones are not for nothing.
const OVERHEAD: usize = 4_096;
/// What each of its descriptors weighs: a client that reads nothing keeps few of this process's open.
const DESCRIPTOR_OVERHEAD: usize = 16 << 10;
