//! Events of files in their order, the two halves of a move found for each other.
//!
//! Pure: the present is passed in, and nobody is asked for anything. A move between two watched directories comes as two
//! events with one cookie. The kernel puts them into its queue one after the other, but not in one step: the second may
//! be missing when the first is read, or others' events may be between. So a first half is held for a moment, and all that
//! came after it with it, since the order tells what a name means.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::time::{Duration, Instant};

use rustix::fs::inotify::ReadFlags;

/// One event as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) number: i32,
    pub(crate) what: ReadFlags,
    pub(crate) cookie: u32,
    pub(crate) name: Option<Box<OsStr>>,
    /// When it was read; several are read in one moment.
    pub(crate) read: Instant,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Tell of this one.
    One(Event),
    /// Tell of this move.
    Move(Event, Event),
    /// Read on; if there is nothing to read, wait until this moment.
    Hold(Instant),
    /// Read on.
    Empty,
}

/// Events that were read and not yet told of.
#[derive(Default)]
pub(crate) struct Queue(VecDeque<Event>);

impl Queue {
    pub(crate) fn push(&mut self, event: Event) {
        self.0.push_back(event);
    }

    /// Puts one back at the place from which it came.
    pub(crate) fn put_back(&mut self, event: Event) {
        self.0.push_front(event);
    }

    /// Takes what is to be told of next.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        let Some(first) = self.0.pop_front() else {
            return Step::Empty;
        };
        if !first.what.contains(ReadFlags::MOVED_FROM) {
            return Step::One(first);
        }
        // At the place of the first half: both directories are locked from the move until both halves are in the queue,
        // so what is between them has no part in it, or came after.
        if let Some(second) = self.second_half(first.cookie) {
            return Step::Move(first, second);
        }
        let until = first.read + PATIENCE;
        let lost = self
            .0
            .iter()
            .any(|event| event.what.contains(ReadFlags::QUEUE_OVERFLOW));
        if now >= until || lost || self.0.len() >= HELD_MAX {
            return Step::One(first);
        }
        self.0.push_front(first);
        Step::Hold(until)
    }

    fn second_half(&mut self, cookie: u32) -> Option<Event> {
        let place = self
            .0
            .iter()
            .position(|event| event.cookie == cookie && event.what.contains(ReadFlags::MOVED_TO))?;
        self.0.remove(place)
    }
}

/// How long the second half of a move is waited for; the kernel takes microseconds, unless it is interrupted.
pub(crate) const PATIENCE: Duration = Duration::from_millis(10);
/// How many events are held behind a first half before it is told of alone.
pub(crate) const HELD_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: ReadFlags, cookie: u32, read: Instant) -> Event {
        Event {
            number: 1,
            what,
            cookie,
            name: None,
            read,
        }
    }

    fn queue(events: &[&Event]) -> Queue {
        Queue(events.iter().copied().cloned().collect())
    }

    #[test]
    fn the_halves_of_a_move_are_told_of_at_the_place_of_the_first() {
        let now = Instant::now();
        let from = event(ReadFlags::MOVED_FROM, 7, now);
        let between = event(ReadFlags::MODIFY, 0, now);
        let to = event(ReadFlags::MOVED_TO, 7, now);
        let mut queue = queue(&[&from, &between, &to]);
        assert_eq!(queue.next(now), Step::Move(from, to), "the pair");
        assert_eq!(queue.next(now), Step::One(between), "what was between");
        assert_eq!(queue.next(now), Step::Empty, "and that is all");
    }

    #[test]
    fn a_first_half_and_all_behind_it_wait_for_the_second_until_patience_ends() {
        let now = Instant::now();
        let from = event(ReadFlags::MOVED_FROM, 7, now);
        let behind = event(ReadFlags::CREATE, 0, now);
        let mut queue = queue(&[&from, &behind]);
        let until = now + PATIENCE;
        let almost = now + PATIENCE.mul_f32(0.9);
        assert_eq!(queue.next(almost), Step::Hold(until), "not yet");
        assert_eq!(queue.next(until), Step::One(from), "alone");
        assert_eq!(queue.next(until), Step::One(behind), "in order");
    }

    #[test]
    fn moves_to_elsewhere_that_were_read_together_do_not_wait_one_after_the_other() {
        let now = Instant::now();
        let (first, second) = (
            event(ReadFlags::MOVED_FROM, 7, now),
            event(ReadFlags::MOVED_FROM, 8, now),
        );
        let mut queue = queue(&[&first, &second]);
        let until = now + PATIENCE;
        assert_eq!(queue.next(until), Step::One(first), "at its time");
        assert_eq!(queue.next(until), Step::One(second), "at the same time");
    }

    #[test]
    fn moves_whose_halves_cross_keep_their_own() {
        let now = Instant::now();
        let from = [7, 8].map(|cookie| event(ReadFlags::MOVED_FROM, cookie, now));
        let to = [7, 8].map(|cookie| event(ReadFlags::MOVED_TO, cookie, now));
        let mut queue = queue(&[&from[0], &from[1], &to[1], &to[0]]);
        let [from_7, from_8] = from;
        let [to_7, to_8] = to;
        assert_eq!(queue.next(now), Step::Move(from_7, to_7), "by their cookie");
        assert_eq!(queue.next(now), Step::Move(from_8, to_8), "by their cookie");
    }

    #[test]
    fn a_first_half_before_a_loss_or_before_too_much_is_told_of_alone() {
        let now = Instant::now();
        let from = event(ReadFlags::MOVED_FROM, 7, now);
        let loss = event(ReadFlags::QUEUE_OVERFLOW, 0, now);
        let mut lost = queue(&[&from, &loss]);
        assert_eq!(lost.next(now), Step::One(from.clone()), "the rest is lost");
        let behind = event(ReadFlags::MODIFY, 0, now);
        let mut full = queue(&vec![&behind; HELD_MAX]);
        full.put_back(from.clone());
        assert_eq!(full.next(now), Step::One(from), "a queue has a bound");
    }

    #[test]
    fn a_second_half_without_a_first_is_told_of_at_once() {
        let now = Instant::now();
        let to = event(ReadFlags::MOVED_TO, 7, now);
        assert_eq!(queue(&[&to]).next(now), Step::One(to), "it is here");
    }
}
