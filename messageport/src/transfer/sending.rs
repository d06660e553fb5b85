//! A message on its way into a ring, how far it has come, and what each step towards that did.

use crate::wire::Head;

/// A message on its way into the ring.
#[derive(Debug)]
pub(crate) struct Sending<P> {
    pub(super) head: Head,
    pub(super) payload: P,
    /// Bytes of it that are in the ring.
    pub(super) sent: usize,
    pub(super) stage: Stage,
    /// Where its latest record stands.
    pub(super) position: u64,
}

impl<P> Sending<P> {
    /// A message of which nothing is written. Its conversation is one that exists, or the
    /// [next](super::Outgoing::next_conversation).
    pub(crate) fn new(head: Head, payload: P) -> Self {
        Self {
            head,
            payload,
            sent: 0,
            stage: Stage::Waiting,
            position: 0,
        }
    }

    /// Settles the conversation of a message of which nothing is written yet: another writer may have been first.
    pub(crate) fn set_conversation(&mut self, conversation: u64) {
        debug_assert!(
            self.stage == Stage::Waiting,
            "a message that has begun has its number"
        );
        self.head.conversation = conversation;
    }

    /// What the message says of itself.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Whether its first record, beside which its descriptors travel, is still to be written.
    pub(crate) fn is_waiting(&self) -> bool {
        self.stage == Stage::Waiting
    }

    /// Whether a part of it is in the ring, and not all.
    pub(crate) fn is_in_pieces(&self) -> bool {
        self.stage == Stage::InPieces
    }

    /// Where its latest record stands; once it is whole, the other side has it when it has
    /// [taken](crate::ring::Page::is_taken) that.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The payload back.
    pub(crate) fn into_payload(self) -> P {
        self.payload
    }
}

impl<P: AsRef<[u8]>> Sending<P> {
    /// The bytes of its payload.
    pub(crate) fn len(&self) -> usize {
        self.payload.as_ref().len()
    }

    pub(super) fn rest(&self) -> usize {
        self.payload.as_ref().len() - self.sent
    }

    pub(super) fn total(&self) -> u64 {
        u64::try_from(self.payload.as_ref().len()).unwrap_or(u64::MAX)
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The message is wholly in the ring.
    Whole,
    /// One piece more is in, and more are to come.
    Piece {
        /// It was the first one.
        first: bool,
    },
    /// Nothing was written: there is no room.
    NoRoom,
    /// Nothing was written: the message must go in pieces, and another one is.
    Busy,
    /// Nothing was written: there is no room for its descriptors.
    Clogged,
    /// Nothing was written: its descriptors cannot travel.
    Unpassable,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    InPieces,
    Over,
}
