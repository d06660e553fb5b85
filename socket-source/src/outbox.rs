//! What is still to be sent on a socket: a bounded queue, and what is to be said about its pieces.
//!
//! Nothing here knows a socket or a system; `C` is whatever is to be called when a piece has gone.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use socket2::SockAddr;

/// Pieces that wait to be sent, in their order.
#[derive(Debug)]
pub(crate) struct Outbox<C> {
    pieces: VecDeque<Piece<C>>,
    /// The weight of all pieces.
    weight: usize,
    /// Pieces that have gone, or never will, and of which somebody is to be told.
    told: VecDeque<Told<C>>,
    marks: Marks,
    /// Whether somebody was refused, so that the low mark is to be reported.
    full: bool,
    gate: Gate,
}

/// One piece.
#[derive(Debug)]
pub(crate) struct Piece<C> {
    pub(crate) bytes: Bytes,
    /// For a datagram that goes to somebody else than the socket is connected to.
    pub(crate) to: Option<SockAddr>,
    /// Whom to tell when it has gone.
    pub(crate) then: Option<C>,
}

/// What became of a piece: gone, or refused with this error number.
#[derive(Debug)]
pub(crate) struct Told<C> {
    pub(crate) then: Option<C>,
    pub(crate) outcome: Result<(), i32>,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// Where the callback is told that there is room.
    pub(crate) low: usize,
    /// Where nothing more is taken.
    pub(crate) high: usize,
}

/// What may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Nothing yet: there is no connection. Pieces are taken.
    Connecting,
    /// Nothing yet and no further pieces: our side ends when there is a connection and what waits has gone.
    FinishingLater,
    Open,
    /// What waits goes, and then our side of the stream ends.
    Finishing,
    /// Our side has ended, or never sends.
    Finished,
    /// The other side is gone; the error number that said so.
    Broken(i32),
}

impl<C> Outbox<C> {
    pub(crate) fn new(marks: Marks, gate: Gate) -> Self {
        Self {
            pieces: VecDeque::new(),
            weight: 0,
            told: VecDeque::new(),
            marks,
            full: false,
            gate,
        }
    }

    pub(crate) fn gate(&self) -> Gate {
        self.gate
    }

    /// Our side has ended.
    pub(crate) fn finished(&mut self) {
        self.gate = Gate::Finished;
    }

    /// There is a connection: what waits may go.
    pub(crate) fn connected(&mut self) {
        self.gate = match self.gate {
            Gate::Connecting => Gate::Open,
            Gate::FinishingLater => Gate::Finishing,
            other => other,
        };
    }

    /// Takes nothing more, and has our side end when the rest has gone.
    pub(crate) fn finish(&mut self) {
        self.gate = match self.gate {
            Gate::Connecting => Gate::FinishingLater,
            Gate::Open => Gate::Finishing,
            other => other,
        };
    }

    /// Whether another piece is taken. From here on a refused sender is told when there is room again.
    pub(crate) fn has_room(&mut self) -> bool {
        let has_room = self.kept() < self.marks.high;
        self.full |= !has_room;
        has_room
    }

    pub(crate) fn push(&mut self, piece: Piece<C>) {
        self.weight += weight(&piece.bytes);
        self.pieces.push_back(piece);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether nothing waits, and nothing is to be told.
    pub(crate) fn is_done(&self) -> bool {
        self.pieces.is_empty() && self.told.is_empty()
    }

    /// How much waits: the bytes, and for each piece what it takes to keep it.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// What waits, and what it takes to keep the news of what has gone: they are as much in the way if nobody hears them.
    fn kept(&self) -> usize {
        self.weight + self.told.len() * PIECE_BYTES
    }

    /// Whether nothing lies above the low mark.
    pub(crate) fn is_low(&self) -> bool {
        self.kept() <= self.marks.low
    }

    /// Whether somebody was refused, and has not been told since that there is room.
    pub(crate) fn is_awaited(&self) -> bool {
        self.full
    }

    /// Says that whoever waits for room is being told.
    pub(crate) fn room_was_told(&mut self) {
        self.full = false;
    }

    /// The first pieces as one vector, as far as it holds them.
    pub(crate) fn slices<'a, const N: usize>(&'a self, into: &mut [IoSlice<'a>; N]) -> usize {
        let pieces = self.pieces.iter().zip(into.iter_mut());
        pieces
            .map(|(piece, slot)| *slot = IoSlice::new(&piece.bytes))
            .count()
    }

    /// Takes this many bytes off the front; what has gone is put into `spent`, to be dropped where no lock is held.
    pub(crate) fn advance(&mut self, mut count: usize, spent: &mut Vec<Bytes>) {
        while let Some(first) = self.pieces.front_mut() {
            if first.bytes.len() > count {
                first.bytes.advance(count);
                self.weight -= count;
                return;
            }
            count -= first.bytes.len();
            spent.extend(self.pop(Ok(())));
        }
        debug_assert_eq!(count, 0, "no more goes than was there");
    }

    /// The first piece, for sockets that send them one by one.
    pub(crate) fn first(&self) -> Option<&Piece<C>> {
        self.pieces.front()
    }

    /// Takes the first piece off, and hands back its bytes, to be dropped where no lock is held.
    pub(crate) fn pop(&mut self, outcome: Result<(), i32>) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.weight -= weight(&piece.bytes);
        self.tell(piece.then, outcome);
        Some(piece.bytes)
    }

    /// Remembers what is to be told of a piece; of one that has gone, only if somebody wants to know.
    pub(crate) fn tell(&mut self, then: Option<C>, outcome: Result<(), i32>) {
        if then.is_some() || outcome.is_err() {
            self.told.push_back(Told { then, outcome });
        }
    }

    /// Gives up: nothing of what waits will go.
    pub(crate) fn break_off(&mut self, errno: i32, spent: &mut Vec<Bytes>) {
        self.gate = Gate::Broken(errno);
        while !self.pieces.is_empty() {
            spent.extend(self.pop(Err(errno)));
        }
    }

    /// The next thing to be told.
    pub(crate) fn next_told(&mut self) -> Option<Told<C>> {
        self.told.pop_front()
    }

    pub(crate) fn has_told(&self) -> bool {
        !self.told.is_empty()
    }
}

fn weight(bytes: &Bytes) -> usize {
    bytes.len().saturating_add(PIECE_BYTES)
}

/// What it takes to keep a piece, so that a million empty ones do not count as nothing.
const PIECE_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use bytes::Bytes;

    use super::{Gate, Marks, Outbox, PIECE_BYTES, Piece};

    fn outbox() -> Outbox<u32> {
        let marks = Marks {
            low: 300,
            high: 1_000,
        };
        Outbox::new(marks, Gate::Open)
    }

    fn push(outbox: &mut Outbox<u32>, count: usize, then: Option<u32>) {
        let bytes = Bytes::from(vec![7; count]);
        outbox.push(Piece {
            bytes,
            to: None,
            then,
        });
    }

    fn told(outbox: &mut Outbox<u32>) -> Vec<(Option<u32>, Result<(), i32>)> {
        std::iter::from_fn(|| outbox.next_told())
            .map(|told| (told.then, told.outcome))
            .collect()
    }

    #[test]
    fn pieces_are_told_of_when_their_last_byte_has_gone() {
        let (mut outbox, mut spent) = (outbox(), Vec::new());
        for (count, then) in [(3, Some(1)), (0, Some(2)), (2, None), (4, Some(3))] {
            push(&mut outbox, count, then);
        }
        outbox.advance(2, &mut spent);
        assert_eq!(told(&mut outbox), [], "a part is not a whole");
        outbox.advance(3, &mut spent);
        assert_eq!(told(&mut outbox), [(Some(1), Ok(())), (Some(2), Ok(()))]);
        outbox.advance(3, &mut spent);
        assert_eq!(told(&mut outbox), [], "one byte is left");
        outbox.advance(1, &mut spent);
        assert_eq!(told(&mut outbox), [(Some(3), Ok(()))]);
        assert!(outbox.is_empty(), "all of it");
        assert_eq!(outbox.weight(), 0, "and nothing is left of its weight");
    }

    #[test]
    fn room_ends_at_the_high_mark_and_is_told_of_at_the_low_one() {
        let (mut outbox, mut spent) = (outbox(), Vec::new());
        push(&mut outbox, 500, None);
        assert!(outbox.has_room() && !outbox.is_awaited(), "below the mark");
        push(&mut outbox, 5_000, None);
        assert!(!outbox.has_room(), "above it");
        outbox.advance(5_200, &mut spent);
        assert!(outbox.is_awaited() && !outbox.is_low(), "not low yet");
        outbox.advance(200, &mut spent);
        assert!(outbox.is_awaited() && outbox.is_low(), "low");
        outbox.room_was_told();
        assert!(!outbox.is_awaited(), "once");
    }

    #[test]
    fn empty_pieces_weigh_something() {
        let mut outbox = outbox();
        let mut count = 0;
        while outbox.has_room() {
            push(&mut outbox, 0, None);
            count += 1;
        }
        assert_eq!(count, 1_000 / PIECE_BYTES + 1, "a bounded number");
    }

    #[test]
    fn what_is_broken_off_is_told_in_order() {
        let (mut outbox, mut spent) = (outbox(), Vec::new());
        push(&mut outbox, 10, Some(1));
        push(&mut outbox, 10, None);
        outbox.advance(3, &mut spent);
        outbox.break_off(32, &mut spent);
        assert_eq!(told(&mut outbox), [(Some(1), Err(32)), (None, Err(32))]);
        assert_eq!(outbox.gate(), Gate::Broken(32));
    }

    #[test]
    fn a_vector_holds_as_many_pieces_as_it_has_room_for() {
        let mut outbox = outbox();
        for count in [1, 2, 3] {
            push(&mut outbox, count, None);
        }
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(outbox.slices(&mut slices), 2);
        assert_eq!(slices.map(|slice| slice.len()), [1, 2]);
    }
}
