//! The receiving side: records out of the ring, judged, copied, and gathered into messages.
//!
//! One record is taken in each call, its bytes copied and its space given back before anybody sees the message, so that a
//! handler may take the next one of the same link. A buffer grows with what has arrived, never with what is claimed; a
//! message over the limit is dropped as it arrives. Everything that a correct sender never does ends the link.

use std::collections::TryReserveError;
use std::os::fd::OwnedFd;

use smallvec::SmallVec;

use super::descriptors::Descriptors;
use super::order::{Breach, Order, Verdict};
use crate::ring::{Consumer, Record};
use crate::wire::{Head, Kind};

/// The receiving side of one ring.
#[derive(Debug)]
pub(crate) struct Incoming {
    ring: Consumer,
    order: Order,
    /// What has arrived of the message that is in pieces.
    pub(super) gathered: Vec<u8>,
    /// The descriptors of the record that is being taken.
    claimed: Descriptors,
    /// Those of the message that is in pieces.
    kept: Descriptors,
    breach: Option<Breach>,
}

impl Incoming {
    /// Takes messages of at most `limit` bytes.
    pub(crate) fn new(ring: Consumer, limit: u64) -> Self {
        let order = Order::new(ring.direction(), limit);
        Self {
            ring,
            order,
            gathered: Vec::new(),
            claimed: Descriptors::default(),
            kept: Descriptors::default(),
            breach: None,
        }
    }

    /// Takes one record, if there is one. For a record with descriptors they are claimed first; one whose descriptors
    /// cannot be had now stays the next.
    ///
    /// # Errors
    ///
    /// A [`Breach`] of the rules by the sender, now or earlier; nothing more is taken from it.
    #[inline]
    pub(crate) fn next_with(&mut self, claim: &dyn Fn(&Head) -> Claim) -> Result<Arrival, Breach> {
        self.breach.map_or(Ok(()), Err)?;
        let arrival = self.take(claim);
        if let Err(breach) = &arrival {
            self.breach = Some(*breach);
            self.gathered = Vec::new();
            self.claimed = Descriptors::default();
            self.kept = Descriptors::default();
        }
        arrival
    }

    /// Takes nothing more, ever, and lets go of what has come of a message in pieces.
    #[must_use = "it is dropped with nothing locked"]
    pub(crate) fn end(&mut self) -> (Vec<u8>, Descriptors) {
        self.breach.get_or_insert(Breach::Over);
        (
            std::mem::take(&mut self.gathered),
            std::mem::take(&mut self.kept),
        )
    }

    /// As [`next_with`](Self::next_with), for messages without descriptors.
    #[cfg(test)]
    pub(crate) fn next(&mut self) -> Result<Arrival, Breach> {
        self.next_with(&|_| Claim::Taken(Vec::new()))
    }

    /// Whether the next record is a cancellation.
    pub(crate) fn is_cancel_next(&mut self) -> bool {
        let record = self.ring.record();
        matches!(record, Ok(Some(record)) if record.header().head.kind == Kind::Cancel)
    }

    /// Whether there is something to take; see [`Consumer::has_data`].
    #[cfg(test)]
    pub(crate) fn has_data(&self) -> bool {
        self.ring.has_data()
    }

    /// Says that this side is about to sleep, and looks again; see [`Consumer::announce`].
    pub(crate) fn announce(&mut self) -> bool {
        self.ring.announce()
    }

    /// Whether the sender sleeps until there is as much room as there is now; see [`Consumer::must_ring`].
    pub(crate) fn must_ring(&self) -> bool {
        self.ring.must_ring()
    }

    #[inline]
    fn take(&mut self, claim: &dyn Fn(&Head) -> Claim) -> Result<Arrival, Breach> {
        let Self {
            ring,
            order,
            gathered,
            claimed,
            kept,
            ..
        } = self;
        let Some(record) = ring.record()? else {
            return Ok(Arrival::Nothing);
        };
        let head = record.header().head;
        let total = record.header().total;
        if head.nfds > 0 {
            if let Some(unclaimed) = claim_for(head, claim, claimed) {
                return unclaimed;
            }
        }
        let arrival = match order.judge(record.header())? {
            // What nearly every record is: on its way out from here, since each further move of it costs.
            Verdict::Whole => match whole(&record) {
                Ok(payload) => {
                    record.release();
                    return Ok(Arrival::message(head, payload, std::mem::take(claimed)));
                }
                Err(no_memory) => Err(no_memory),
            },
            Verdict::Begins => {
                *kept = std::mem::take(claimed);
                gather(&record, gathered, total).map(|()| Arrival::Begun(head))
            }
            Verdict::Continues => gather(&record, gathered, total).map(|()| Arrival::Piece),
            Verdict::Ends(head) => gather(&record, gathered, total).map(|()| {
                let payload = Payload::from_vec(std::mem::take(gathered));
                Arrival::message(head, payload, std::mem::take(kept))
            }),
            Verdict::Aborted(head) => {
                *gathered = Vec::new();
                *kept = Descriptors::default();
                Ok(Arrival::Aborted(head))
            }
            Verdict::TooLarge => {
                *claimed = Descriptors::default();
                Ok(Arrival::TooLarge(head))
            }
            Verdict::Unwanted => Ok(Arrival::Piece),
        };
        record.release();
        Ok(arrival.unwrap_or_else(|_| {
            // There is no memory for it, which to its sender is the same as a limit.
            *gathered = Vec::new();
            *kept = Descriptors::default();
            Arrival::TooLarge(order.drop_rest().unwrap_or(head))
        }))
    }
}

/// Claims the descriptors of a message; what is the answer instead of it, if they cannot be had.
#[cold]
fn claim_for(
    head: Head,
    claim: &dyn Fn(&Head) -> Claim,
    claimed: &mut Descriptors,
) -> Option<Result<Arrival, Breach>> {
    match claim(&head) {
        Claim::Taken(descriptors) => *claimed = descriptors.into(),
        Claim::NoRoom => return Some(Ok(Arrival::Held(head))),
        Claim::Missing => return Some(Err(Breach::Descriptors(head.nfds))),
    }
    None
}

/// What became of the descriptors that a record says it has.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Here they are.
    Taken(Vec<OwnedFd>),
    /// They are there, but this process has no room for them now.
    NoRoom,
    /// They are not there, which no correct sender does.
    Missing,
}

/// What a look at the ring has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The ring is empty.
    Nothing,
    /// The next record, of this message, has descriptors for which there is no room now; it is still there.
    Held(Head),
    /// A whole message, or a cancellation.
    Message(Inbound),
    /// The first piece of this message; its descriptors, if it has any, come with the whole.
    Begun(Head),
    /// A further piece of some message.
    Piece,
    /// This message, which had begun, will not come.
    Aborted(Head),
    /// This message is larger than is taken. It is said once, when it begins or when memory runs out, and nothing more is
    /// heard of the message.
    TooLarge(Head),
}

impl Arrival {
    fn message(head: Head, payload: Payload, descriptors: Descriptors) -> Self {
        Self::Message(Inbound {
            head,
            payload,
            descriptors,
        })
    }
}

/// A message that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inbound {
    /// What it says of itself.
    pub(crate) head: Head,
    /// Its bytes.
    pub(crate) payload: Payload,
    /// What came beside it.
    pub(crate) descriptors: Descriptors,
}

/// The bytes of a message; small ones without an allocation.
pub(crate) type Payload = SmallVec<[u8; SMALL]>;

/// Copies a record that is a whole message.
#[inline]
fn whole(record: &Record<'_>) -> Result<Payload, TryReserveError> {
    if record.len() <= SMALL {
        let mut small = Payload::from_buf_and_len([0; SMALL], record.len());
        record.copy_to(&mut small);
        return Ok(small);
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(record.len())?;
    record.append_to(&mut bytes);
    Ok(Payload::from_vec(bytes))
}

/// Copies a record that is a piece behind those that were gathered.
fn gather(record: &Record<'_>, gathered: &mut Vec<u8>, total: u64) -> Result<(), TryReserveError> {
    let arrived = gathered.len() + record.len();
    if gathered.capacity() < arrived {
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let wanted = arrived.saturating_mul(GROWTH).min(total);
        gathered.try_reserve_exact(wanted - gathered.len())?;
    }
    record.append_to(gathered);
    Ok(())
}

/// Messages up to this long need no allocation.
const SMALL: usize = 64;

/// How many times as much memory as has arrived is taken for a message that is longer still.
const GROWTH: usize = 2;
