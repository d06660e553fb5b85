//! One message on its way into the ring of a link: its turn among the writers, and what is undone if it gives up.

use crate::remote::calls::Writer;
use crate::remote::client::{Client, End};
use crate::ring::Lie;
use crate::transfer::{Sending, Step};
use crate::wire::Head;
use runloop::SourceHandle;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// A message on its way. However that ends, also by a panic, nothing of it stays behind: a message that stops in the
/// middle is taken back, and the next writer has its turn.
pub(super) struct Writing<'a> {
    client: &'a Client,
    sending: Sending<&'a [u8]>,
    descriptors: &'a [BorrowedFd<'a>],
    /// Its place in the queue for room, if it stands there.
    ticket: Option<u64>,
    /// It is written down as the message that is in pieces.
    in_pieces: bool,
    /// The answer that is expected for it, until somebody else sees to that.
    expected: Option<u64>,
}

/// The descriptors of most messages.
pub(super) const NONE: &[BorrowedFd<'_>] = &[];

/// A message that is wholly in the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) conversation: u64,
    /// Where its last record stands.
    pub(super) position: u64,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        client: &'a Client,
        head: Head,
        data: &'a [u8],
        descriptors: &'a [BorrowedFd<'a>],
    ) -> Self {
        Self {
            client,
            sending: Sending::new(head, data),
            descriptors,
            ticket: None,
            in_pieces: false,
            expected: None,
        }
    }

    /// Writes the next step, if it is this writer's turn. `asker` is the source to wake when a request is answered.
    ///
    /// # Errors
    ///
    /// The port lied about what it has read.
    pub(super) fn step(&mut self, asker: Option<&SourceHandle>) -> Result<Step, Lie> {
        let link = &self.client.link;
        let mut outgoing = link.outgoing();
        if self.sending.is_in_pieces() {
            return link.step(outgoing, &mut self.sending, NONE);
        }
        // The number is settled in the moment of writing, so that the numbers of a link ascend.
        let conversation = outgoing.next_conversation();
        if asker.is_some() || self.client.have_writers() {
            let mut calls = self.client.calls();
            let first = calls.writers.front();
            if first.is_some_and(|writer| Some(writer.ticket) != self.ticket) {
                return Ok(Step::Busy);
            }
            if let Some(asker) = asker {
                calls.expect(conversation, asker.clone());
                self.expected = Some(conversation);
            }
        }
        self.sending.set_conversation(conversation);
        let written = link.write(&mut outgoing, &mut self.sending, self.descriptors);
        let begun = matches!(&written, Ok(written) if written.has_begun());
        if let Some(unused) = self.expected.take_if(|_| !begun) {
            // While the ring is still ours, because the next message has the same number.
            self.client.calls().give_up(unused);
        }
        drop(outgoing);
        Ok(link.follow(written?))
    }

    /// The first piece is in: whole records of others may go between this one and the next. `owner` is woken for room.
    pub(super) fn go_on_in_pieces(&mut self, owner: &SourceHandle) {
        let conversation = self.sending.head().conversation;
        self.client.calls().in_pieces = Some((conversation, owner.clone()));
        self.in_pieces = true;
        self.leave_queue();
        self.client.wake_writers(Some(owner));
    }

    /// Says that its writer is about to sleep until there is room; the answer is whether there is after all.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub(super) fn announce(&self) -> Result<bool, Lie> {
        self.client.link.outgoing().announce(&self.sending)
    }

    /// Takes a place in the queue for room, unless it has one or is past that; says whether it has just taken it. Then the
    /// next step is to be tried at once: whoever was in its way may have gone before anybody stood there to be woken.
    pub(super) fn join_queue(&mut self, owner: &SourceHandle) -> bool {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if self.ticket.is_none() && !self.sending.is_in_pieces() {
            let ticket = NEXT.fetch_add(1, Ordering::Relaxed);
            let owner = owner.clone();
            let mut calls = self.client.calls();
            calls.writers.push_back(Writer { ticket, owner });
            self.client.count_writers(&calls);
            self.ticket = Some(ticket);
            return true;
        }
        false
    }

    /// What has been sent, when it is whole. Whoever asks sees to the answer from now on.
    pub(super) fn finish(mut self) -> Sent {
        self.expected = None;
        self.client.link.counters().sent.count();
        let conversation = self.sending.head().conversation;
        Sent {
            conversation,
            position: self.sending.position(),
        }
    }

    fn leave_queue(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut calls = self.client.calls();
            calls.writers.retain(|writer| writer.ticket != ticket);
            self.client.count_writers(&calls);
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if self.client.is_forked() {
            return;
        }
        if self.sending.is_in_pieces() && self.client.end() == End::Open {
            let aborted = self.client.link.outgoing().abort(&mut self.sending);
            if aborted.is_ok() {
                self.client.link.ring_sleeper();
            }
        }
        if let Some(conversation) = self.expected {
            self.client.calls().give_up(conversation);
        }
        if self.ticket.is_some() || self.in_pieces {
            self.leave_queue();
            if self.in_pieces {
                // The next message in pieces may be written down already.
                let own = self.sending.head().conversation;
                let mut calls = self.client.calls();
                calls.in_pieces.take_if(|(other, _)| *other == own);
            }
            // The room that this one waited for, or was wished for in place of another's wish, may be theirs.
            self.client.wake_writers(None);
        }
    }
}
