//! The calls that wait on a link, on whatever threads: what each waits for, and how it is woken.

use crate::message::Payload;
use crate::transfer::Descriptors;
use crate::wire::Status;
use runloop::SourceHandle;
use std::collections::VecDeque;

/// The calls that wait, and the sources by which they are woken.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Requests without their reply. Few: one for each thread, unless handlers send in turn.
    pub(super) waiting: Vec<Waiting>,
    /// Writers that wait for room, in order.
    pub(crate) writers: VecDeque<Writer>,
    /// The message that is in pieces, by its conversation, and its writer, who does not wait in the queue.
    pub(crate) in_pieces: Option<(u64, SourceHandle)>,
    /// Every thread's source for this link, numbered.
    pub(super) sources: Vec<(u64, SourceHandle)>,
}

/// A request that waits for its reply.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) conversation: u64,
    pub(super) owner: SourceHandle,
    pub(super) answer: Option<Answer>,
}

/// A writer that waits for room.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) ticket: u64,
    pub(crate) owner: SourceHandle,
}

/// How a request was answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// With these bytes, and what came beside them.
    Reply(Payload, Descriptors),
    /// Not at all, for this reason.
    Status(Status),
    /// With more than is taken.
    TooLarge,
}

impl Calls {
    /// A request is about to be sent.
    pub(crate) fn expect(&mut self, conversation: u64, owner: SourceHandle) {
        self.waiting.push(Waiting {
            conversation,
            owner,
            answer: None,
        });
    }

    /// Whether somebody waits for the answer to this request, which has not come.
    pub(super) fn expects(&self, conversation: u64) -> bool {
        self.waiting
            .iter()
            .any(|waiting| waiting.conversation == conversation && waiting.answer.is_none())
    }

    /// The answer to a request, if it is there.
    pub(crate) fn take_answer(&mut self, conversation: u64) -> Option<Answer> {
        let place = self
            .waiting
            .iter()
            .position(|waiting| waiting.conversation == conversation)?;
        let answer = self.waiting[place].answer.take()?;
        self.waiting.swap_remove(place);
        Some(answer)
    }

    /// Whether the answer to a request is there.
    pub(crate) fn is_answered(&self, conversation: u64) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|waiting| waiting.conversation == conversation && waiting.answer.is_some())
    }

    /// Nobody waits for this any more.
    pub(crate) fn give_up(&mut self, conversation: u64) {
        self.waiting
            .retain(|waiting| waiting.conversation != conversation);
    }

    /// Whether somebody waits for an answer that has not come.
    pub(crate) fn are_waiting(&self) -> bool {
        let unanswered = self.waiting.iter().any(|waiting| waiting.answer.is_none());
        unanswered || !self.writers.is_empty() || self.in_pieces.is_some()
    }

    /// Whether another thread than that of `own` waits, for an answer or for room: whoever waits for room has to hear of the
    /// port's end, too, and to take in what keeps the port from reading.
    pub(super) fn others_wait(&self, own: Option<&SourceHandle>) -> bool {
        let unanswered = self
            .waiting
            .iter()
            .filter(|waiting| waiting.answer.is_none());
        let writers = self.writers.iter().map(|writer| &writer.owner);
        let in_pieces = self.in_pieces.iter().map(|(_, owner)| owner);
        unanswered
            .map(|waiting| &waiting.owner)
            .chain(writers)
            .chain(in_pieces)
            .any(|owner| Some(owner) != own)
    }

    /// The sources of all that wait.
    pub(super) fn owners(&self) -> Vec<SourceHandle> {
        let waiting = self.waiting.iter().map(|waiting| waiting.owner.clone());
        let writers = self.writers.iter().map(|writer| writer.owner.clone());
        waiting
            .chain(writers)
            .chain(self.in_pieces.iter().map(|(_, owner)| owner.clone()))
            .collect()
    }

    /// Whether no call is in progress.
    pub(crate) fn are_idle(&self) -> bool {
        self.waiting.is_empty() && self.writers.is_empty() && self.in_pieces.is_none()
    }
}
