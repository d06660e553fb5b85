//! Standing aside: giving the processor to other threads once before the loop sleeps, where that has paid.
//!
//! A thread that shares the loop's processor cannot send anything while the loop looks for more. If the loop sleeps, each
//! thing that is sent costs two system calls and two changes of the thread; if it stands aside, the sender goes on until
//! its queue is full or its time is over, and rings no bell for any of that. Pure policy: times are passed in.

use std::cell::Cell;
use std::time::Duration;

/// Whether it pays to stand aside, as far as is known.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Other threads have sent something since the loop last was about to sleep.
    visited: Cell<bool>,
    /// How many sleeps after a visit are left until it is tried again.
    pause: Cell<u32>,
}

impl Aside {
    /// Something has come from another thread.
    pub(crate) fn visit(&self) {
        self.visited.set(true);
    }

    /// The loop is about to sleep: whether it should stand aside first.
    pub(crate) fn is_due(&self) -> bool {
        if !self.visited.take() {
            return false;
        }
        let pause = self.pause.get();
        self.pause.set(pause.saturating_sub(1));
        pause == 0
    }

    /// It has stood aside: for how long, and whether something has come meanwhile.
    ///
    /// If others keep the processor for long they are not about to send anything: then a bell, which takes it away from
    /// them, serves the loop better.
    pub(crate) fn learn(&self, took: Duration, found: bool) {
        self.pause.set(match found {
            _ if took > LONG => PAUSE_LONG,
            true => 0,
            false => PAUSE,
        });
    }
}

/// What a sender may take to fill a queue; a thread that computes takes some milliseconds.
const LONG: Duration = Duration::from_micros(200);
/// How many sleeps to leave out when nothing came.
const PAUSE: u32 = 15;
/// How many when it also took long.
const PAUSE_LONG: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::{Aside, LONG, PAUSE, PAUSE_LONG};
    use std::time::Duration;

    /// How many sleeps, each after a visit, pass until the loop stands aside again.
    fn sleeps_until_due(aside: &Aside) -> u32 {
        let sleeps = 0..;
        let due = |_: &u32| {
            aside.visit();
            aside.is_due()
        };
        sleeps.into_iter().find(due).unwrap()
    }

    #[test]
    fn a_loop_that_nobody_visits_never_stands_aside() {
        let aside = Aside::default();
        assert!(!aside.is_due(), "nothing was sent");
        aside.visit();
        assert!(aside.is_due() && !aside.is_due(), "once for a visit");
    }

    #[test]
    fn it_stands_aside_again_at_once_where_that_paid_and_rarely_where_it_did_not() {
        let aside = Aside::default();
        for (took, found, sleeps) in [
            (Duration::ZERO, true, 0),
            (Duration::ZERO, false, PAUSE),
            (LONG * 2, true, PAUSE_LONG),
            (LONG * 2, false, PAUSE_LONG),
            (LONG, true, 0),
        ] {
            aside.learn(took, found);
            assert_eq!(sleeps_until_due(&aside), sleeps, "{took:?}, {found}");
        }
    }
}
