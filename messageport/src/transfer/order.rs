//! Which record may follow which: the rules of a direction, judged by headers alone.
//!
//! For the receiving side. It copies nothing and knows no bytes, so a sender that breaks the rules is found before any of
//! its payload is touched.

use crate::ring::{Direction, Lie};
use crate::wire::{Head, Header, Kind, Place};

/// What has come so far in one direction.
#[derive(Debug)]
pub(super) struct Order {
    direction: Direction,
    /// The largest message that is taken.
    limit: u64,
    /// The latest conversation that has begun.
    newest: u64,
    /// The message that is in pieces.
    open: Option<Open>,
}

impl Order {
    pub(super) fn new(direction: Direction, limit: u64) -> Self {
        Self {
            direction,
            limit,
            newest: 0,
            open: None,
        }
    }

    /// What is to be done with the next record.
    ///
    /// # Errors
    ///
    /// The [`Breach`], if the record may not come now.
    #[inline]
    pub(super) fn judge(&mut self, header: &Header) -> Result<Verdict, Breach> {
        let kind = header.head.kind;
        let allowed = match self.direction {
            Direction::ToServer => kind != Kind::Reply,
            Direction::ToClient => matches!(kind, Kind::Reply | Kind::Abort),
        };
        if !allowed {
            return Err(Breach::Kind(kind));
        }
        if matches!(kind, Kind::OneWay | Kind::Request) && header.place.is_first() {
            let conversation = header.head.conversation;
            if conversation <= self.newest {
                return Err(Breach::Conversation {
                    newest: self.newest,
                    conversation,
                });
            }
            self.newest = conversation;
        }
        match header.place {
            _ if kind == Kind::Abort => self.abort(header.head.conversation),
            Place::Whole if header.total > self.limit => Ok(Verdict::TooLarge),
            Place::Whole => Ok(Verdict::Whole),
            Place::First => self.begin(header),
            Place::Middle | Place::Last => self.go_on(header),
        }
    }

    /// The rest of the message that is in pieces is not wanted; the answer is which that is.
    pub(super) fn drop_rest(&mut self) -> Option<Head> {
        let open = self.open.as_mut()?;
        open.fate = Fate::Dropped;
        Some(open.head)
    }

    fn begin(&mut self, header: &Header) -> Result<Verdict, Breach> {
        if self.open.is_some() {
            return Err(Breach::SecondOpen);
        }
        let (fate, verdict) = if header.total > self.limit {
            (Fate::Dropped, Verdict::TooLarge)
        } else {
            (Fate::Gathered, Verdict::Begins)
        };
        let Header {
            head, total, len, ..
        } = *header;
        self.open = Some(Open {
            head,
            total,
            arrived: u64::from(len),
            fate,
        });
        Ok(verdict)
    }

    fn go_on(&mut self, header: &Header) -> Result<Verdict, Breach> {
        let Some(open) = &mut self.open else {
            return Err(Breach::Stray);
        };
        let same = (open.head.kind, open.head.conversation, open.total)
            == (header.head.kind, header.head.conversation, header.total);
        if !same {
            return Err(Breach::Stray);
        }
        // Neither can overflow: a piece is smaller than the message, and what has arrived is too.
        let missing = open.total - open.arrived;
        let len = u64::from(header.len);
        let ends = header.place == Place::Last;
        if len > missing || ends != (len == missing) {
            return Err(Breach::Sum);
        }
        open.arrived += len;
        let verdict = match open.fate {
            Fate::Dropped => Verdict::Unwanted,
            Fate::Gathered if ends => Verdict::Ends(open.head),
            Fate::Gathered => Verdict::Continues,
        };
        if ends {
            self.open = None;
        }
        Ok(verdict)
    }

    fn abort(&mut self, conversation: u64) -> Result<Verdict, Breach> {
        match self.open.take() {
            Some(open) if open.head.conversation == conversation => Ok(match open.fate {
                Fate::Gathered => Verdict::Aborted(open.head),
                Fate::Dropped => Verdict::Unwanted,
            }),
            _ => Err(Breach::Stray),
        }
    }
}

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is a message.
    Whole,
    /// It is the first piece of a message.
    Begins,
    /// It is a further piece, and not the last.
    Continues,
    /// It is the last piece of this message.
    Ends(Head),
    /// It ends this message, of which the rest will not come.
    Aborted(Head),
    /// It begins a message that is larger than is taken.
    TooLarge,
    /// It belongs to a message that is not taken.
    Unwanted,
}

/// What the sender of a link did against the rules. It ends the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    /// The ring itself holds something impossible.
    #[error("the other end wrote something impossible into the shared memory")]
    Ring(#[from] Lie),
    /// A record that does not belong into this direction.
    #[error("a record of the kind {0:?} came from the wrong end")]
    Kind(Kind),
    /// A conversation was begun twice, or out of order.
    #[error("conversation {conversation} begins after conversation {newest}")]
    Conversation {
        /// The latest that had begun.
        newest: u64,
        /// The one that began then.
        conversation: u64,
    },
    /// A message in pieces began while another one was.
    #[error("two messages are in pieces at the same time")]
    SecondOpen,
    /// A piece, or an abort, of a message that is not in pieces.
    #[error("a piece does not belong to the message that is in pieces")]
    Stray,
    /// The pieces are more or less than was said.
    #[error("the pieces of a message do not add up to its length")]
    Sum,
    /// The descriptors that a record says it has are not on the socket.
    #[error("the {0} descriptors of a record did not come with it")]
    Descriptors(u16),
    /// None: the link is over on this side, and nothing more is taken.
    #[error("the link is over")]
    Over,
}

/// The message that is in pieces.
#[derive(Debug)]
struct Open {
    head: Head,
    /// Bytes it is to have.
    total: u64,
    /// Bytes of it that have come; fewer than `total`.
    arrived: u64,
    fate: Fate,
}

/// What becomes of the pieces.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Gathered,
    Dropped,
}

#[cfg(test)]
mod tests;
