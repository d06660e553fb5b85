//! The sending side: which part of a message goes into the ring now, and what must stay free for the rest.
//!
//! Each call copies at most one step, so that whoever holds a lock around it holds it for microseconds. A message that fits
//! half the ring begins only when there is room for all of it, and nobody else gets that room; a larger one takes its
//! chances piece by piece. What begins always leaves a header's worth of room, so that an abort never waits.

use super::sending::{Sending, Stage, Step};
use crate::ring::{Lie, Producer, Room, UNIT, record_size};
use crate::wire::{Head, Header, Place};

/// The sending side of one ring.
#[derive(Debug)]
pub(crate) struct Outgoing {
    ring: Producer,
    /// The message that is in pieces.
    open: Option<Open>,
    /// The highest conversation that has begun here.
    newest: u64,
}

impl Outgoing {
    pub(crate) fn new(ring: Producer) -> Self {
        Self {
            ring,
            open: None,
            newest: 0,
        }
    }

    /// The number under which the next conversation begins; it stays the next until its first record is in.
    pub(crate) fn next_conversation(&self) -> u64 {
        self.newest + 1
    }

    /// Writes the next step of a message, or all of it if it is no more than one, and lets the other side see it.
    ///
    /// Once a message is in [pieces](Step::Piece), this is called until it is [whole](Step::Whole), or it is
    /// [aborted](Self::abort); until then no other message can be in pieces.
    ///
    /// # Errors
    ///
    /// A [`Lie`] of the other side, now or earlier.
    pub(crate) fn step<P: AsRef<[u8]>>(&mut self, sending: &mut Sending<P>) -> Result<Step, Lie> {
        let plan = match self.plan(sending) {
            Ok(plan) => plan,
            Err(unplanned) => return Ok(unplanned),
        };
        let part = &sending.payload.as_ref()[sending.sent..sending.sent + plan.take];
        let place = match (plan.begins, plan.ends) {
            (true, true) => Place::Whole,
            (true, false) => Place::First,
            (false, false) => Place::Middle,
            (false, true) => Place::Last,
        };
        let head = Head {
            nfds: if plan.begins { sending.head.nfds } else { 0 },
            ..sending.head
        };
        let header = Header {
            len: length(plan.take),
            place,
            total: sending.total(),
            head,
        };
        let at = self.ring.put(&header, part, plan.room)?;
        let Some(at) = at else {
            return Ok(Step::NoRoom);
        };
        sending.position = at;
        sending.sent += plan.take;
        Ok(self.follow(sending, &plan))
    }

    /// Whether the next [`step`](Self::step) of a message would write something, or what else it would do.
    ///
    /// # Errors
    ///
    /// A [`Lie`] of the other side, now or earlier.
    pub(crate) fn look<P: AsRef<[u8]>>(
        &mut self,
        sending: &Sending<P>,
    ) -> Result<Option<Step>, Lie> {
        let plan = match self.plan(sending) {
            Ok(plan) => plan,
            Err(unplanned) => return Ok(Some(unplanned)),
        };
        let fits = self.ring.fits(length(plan.take), plan.room)?;
        Ok((!fits).then_some(Step::NoRoom))
    }

    /// Ends a message that is in pieces before its last one; there is always room for that. Of a message that has not
    /// begun nothing was written, and nothing is.
    ///
    /// The other side is to be woken afterwards as after a whole message.
    ///
    /// # Errors
    ///
    /// A [`Lie`] of the other side, now or earlier.
    pub(crate) fn abort<P>(&mut self, sending: &mut Sending<P>) -> Result<(), Lie> {
        if sending.stage == Stage::InPieces {
            let abort = Header::abort(sending.head.conversation);
            let put = self.ring.put(&abort, &[], Room::behind(0))?;
            debug_assert!(
                put.is_some(),
                "the last header's worth of the ring is kept for this"
            );
            self.open = None;
        }
        sending.stage = Stage::Over;
        Ok(())
    }

    /// Whether the other side sleeps and must be woken, after a step of a message had this outcome.
    ///
    /// It is asked after every step, but wakes as late as it can: on the same processor a bell stops the sender in the
    /// middle of its message. Only a receiver that can work at the same time, `peer_is_elsewhere`, is woken by the first
    /// piece.
    pub(crate) fn must_ring(&self, step: Step, peer_is_elsewhere: impl FnOnce() -> bool) -> bool {
        let worthwhile = match step {
            Step::Whole | Step::NoRoom | Step::Clogged => true,
            Step::Piece { first } => first && peer_is_elsewhere(),
            Step::Busy | Step::Unpassable => false,
        };
        worthwhile && self.ring.must_ring()
    }

    /// Says that the writer of this message is about to sleep until there is room for its next step, and looks again: the
    /// answer is whether there is room after all, so that it must not sleep.
    ///
    /// A writer that has found no room once is not woken for the least that would do, but for enough to be worth it.
    /// At its deadline it should try once more. One that is kept from beginning by another's message in pieces waits for
    /// that other writer; nothing is announced for it, and the answer is no.
    ///
    /// # Errors
    ///
    /// A [`Lie`] of the other side, now or earlier.
    pub(crate) fn announce<P: AsRef<[u8]>>(&mut self, sending: &Sending<P>) -> Result<bool, Lie> {
        let plan = match self.plan(sending) {
            Ok(plan) => plan,
            Err(unplanned) => return Ok(unplanned == Step::Whole),
        };
        let need = self.ring.need(record_size(length(plan.take)), plan.room);
        let wish = if plan.ends {
            WORTHWHILE
        } else {
            room_for(sending.rest(), self.step_max()) + RESERVE
        };
        let free = self
            .ring
            .announce(wish.min(self.ring.capacity() / 2).max(need))?;
        if free < need {
            return Ok(false);
        }
        self.ring.withdraw();
        Ok(true)
    }

    /// Wakes the other side if it sleeps, for something that is not a message: that this end is closing.
    pub(crate) fn must_ring_now(&self) -> bool {
        self.ring.must_ring()
    }

    /// Gives the memory of past bursts back; see [`Producer::trim`].
    ///
    /// # Errors
    ///
    /// A [`Lie`] of the other side, now or earlier.
    pub(crate) fn trim(&mut self) -> Result<bool, Lie> {
        self.ring.trim()
    }

    /// What the next step of a message is; or the answer, if there is none.
    fn plan<P: AsRef<[u8]>>(&self, sending: &Sending<P>) -> Result<Plan, Step> {
        let (rest, most) = (sending.rest(), self.step_max());
        let begins = match sending.stage {
            Stage::Over => return Err(Step::Whole),
            Stage::InPieces => false,
            Stage::Waiting => true,
        };
        if begins && rest <= most {
            let room = Room::anywhere(RESERVE + self.open.as_ref().map_or(0, |open| open.kept));
            return Ok(Plan {
                begins,
                ends: true,
                take: rest,
                room,
                kept: 0,
            });
        }
        if begins && self.open.is_some() {
            return Err(Step::Busy);
        }
        let take = rest.min(most).min(self.until_end());
        let keeps_room = match &self.open {
            Some(open) => open.kept > 0,
            None => room_for(rest, most) <= self.ring.capacity() / 2,
        };
        // What follows a first piece has its room already. Until the last is in, an abort finds room in theirs.
        let kept = if keeps_room {
            room_for(rest - take, most)
        } else {
            0
        };
        let room = match (keeps_room, begins) {
            (true, true) => Room {
                behind: RESERVE + kept,
                at_start: Some(kept),
            },
            (true, false) => Room::behind(0),
            (false, _) => Room::anywhere(RESERVE),
        };
        Ok(Plan {
            begins,
            ends: take == rest,
            take,
            room,
            kept,
        })
    }

    /// What has changed now that a planned step is in the ring.
    fn follow<P>(&mut self, sending: &mut Sending<P>, plan: &Plan) -> Step {
        if plan.begins {
            self.newest = self.newest.max(sending.head.conversation);
        }
        if plan.ends {
            // A whole record may have gone between the pieces of another message, which stays open then.
            if sending.stage == Stage::InPieces {
                self.open = None;
            }
            sending.stage = Stage::Over;
            return Step::Whole;
        }
        sending.stage = Stage::InPieces;
        self.open = Some(Open { kept: plan.kept });
        Step::Piece { first: plan.begins }
    }

    /// The most payload that is copied in one step.
    fn step_max(&self) -> usize {
        STEP_MAX.min(usize::try_from(self.ring.capacity() / 4).unwrap_or(STEP_MAX))
    }

    /// The payload that fits before the ring's end, so that pieces need not skip there.
    fn until_end(&self) -> usize {
        let contiguous = self.ring.contiguous();
        // With room for no more than a header, the piece goes to the beginning and is as long as any.
        if contiguous == UNIT {
            return usize::MAX;
        }
        usize::try_from(contiguous - UNIT).unwrap_or(usize::MAX)
    }
}

/// The message that is in pieces.
#[derive(Debug)]
struct Open {
    /// Room that is kept for the rest of it; 0 for one that has to find its room piece by piece.
    kept: u64,
}

/// The next step of a message.
#[derive(Debug)]
struct Plan {
    /// It is the first step.
    begins: bool,
    /// It is the last step.
    ends: bool,
    /// Bytes of payload.
    take: usize,
    /// Room that must be left when it is written.
    room: Room,
    /// Room that belongs to the rest of this message then.
    kept: u64,
}

/// The room that this much payload needs in pieces, a header for each. Where the ring's end cuts one there is one more
/// header, which may stand in the reserve.
fn room_for(payload: usize, step: usize) -> u64 {
    let bytes = u64::try_from(payload)
        .unwrap_or(u64::MAX / 2)
        .next_multiple_of(UNIT);
    let pieces = u64::try_from(payload.div_ceil(step)).unwrap_or(u64::MAX / 4);
    bytes.saturating_add(pieces.saturating_mul(UNIT))
}

/// A length that a step has bounded.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The most payload of one record. Large enough that what each record costs is lost in the copy, small enough that the
/// receiver's copy overlaps with the sender's, and that a lock held for it is short.
const STEP_MAX: usize = 64 << 10;

/// Kept free so that a message in pieces can always be aborted.
const RESERVE: u64 = UNIT;

/// Room for which it is worth waking a writer of small messages: on one processor each wake costs two switches, which
/// some hundreds of messages must share.
const WORTHWHILE: u64 = 64 << 10;
