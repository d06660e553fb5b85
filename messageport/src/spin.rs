//! When it is worth looking again instead of sleeping: only for a peer that is at work, on another processor.

use crate::ring::{Page, Progress};
use runloop::Prepared;
use std::time::{Duration, Instant};

/// What a source knows of its chances when it looks for a peer's answer.
///
/// For one thread at a time: a source that several loops perform has one chance among them, and the worst that a mistake
/// costs is a look too many.
pub(crate) struct Spin {
    allowed: bool,
    state: std::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The link on which something is expected.
    page: Option<Page>,
    /// What its peer had done when last looked at.
    seen: Option<Progress>,
}

impl Spin {
    /// Where it is not `allowed`, it is never worth it.
    pub(crate) fn new(allowed: bool) -> Self {
        Self {
            allowed,
            state: std::sync::Mutex::default(),
        }
    }

    /// Nothing is expected.
    pub(crate) fn begin(&self) {
        let mut state = self.lock();
        state.page = None;
        state.seen = None;
    }

    /// Whether the peer of a link can be at work at this moment. On a machine with one processor it never is.
    pub(crate) fn is_worth_it(&self, page: &Page) -> bool {
        self.allowed && page.peer_is_elsewhere()
    }

    /// The peer of this link was heard of just now, and may soon be again.
    pub(crate) fn expect(&self, page: &Page) {
        if !self.is_worth_it(page) {
            return;
        }
        let mut state = self.lock();
        state.page = Some(page.clone());
        state.seen = None;
    }

    /// Looks until there is something on this link, `enough` says that there need be nothing any more, or its peer has shown
    /// no sign of work for a while, and never for long. For a thread that waits for nothing else.
    pub(crate) fn look_closely(&self, page: &Page, mut enough: impl FnMut() -> bool) {
        if !self.is_worth_it(page) {
            return;
        }
        let mut seen = page.peer_progress();
        let begun = Instant::now();
        let mut since = begun;
        while !enough() {
            for _ in 0..LOOKS_PER_CLOCK {
                if page.has_data() {
                    return;
                }
                std::hint::spin_loop();
            }
            let (progress, now) = (page.peer_progress(), Instant::now());
            if progress != seen {
                (seen, since) = (progress, now);
            }
            if now.duration_since(since) >= LIMIT || now.duration_since(begun) >= LONGEST {
                return;
            }
        }
    }

    /// Whether to go on looking: for a while after each sign of work at the other side.
    pub(crate) fn look(&self) -> Prepared {
        let mut state = self.lock();
        let State { page, seen } = &mut *state;
        let Some(page) = page else {
            return Prepared::Idle;
        };
        let progress = page.peer_progress();
        if *seen == Some(progress) {
            return Prepared::Idle;
        }
        *seen = Some(progress);
        Prepared::Spin(LIMIT)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// For how long a peer that was seen at work is looked for: more than a wake-up costs.
const LIMIT: Duration = Duration::from_micros(50);
/// For how long it is looked for at most, whatever it does: what is at work for others need not be at work for this thread.
const LONGEST: Duration = Duration::from_micros(250);
/// How many looks are taken between two at the clock.
const LOOKS_PER_CLOCK: u32 = 64;

#[cfg(test)]
mod tests {
    use super::Spin;
    use crate::ring::Direction;
    use crate::ring::Room;
    use crate::ring::tests::{Scribbler, one_way};
    use runloop::Prepared;
    use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};

    /// Keeps this thread on the processor on which it is.
    fn stay() {
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        sched_setaffinity(None, &here).unwrap();
    }

    #[test]
    fn a_peer_on_the_same_processor_is_not_looked_for() {
        let (client, server, _) = Scribbler::between();
        let spin = Spin::new(true);
        spin.expect(&server.page);
        assert_eq!(spin.look(), Prepared::Idle, "it has never said where it is");
        stay();
        client.page.set_processor();
        spin.expect(&server.page);
        assert_eq!(spin.look(), Prepared::Idle, "it is here");
    }

    #[test]
    fn a_close_look_ends_although_the_peer_is_at_work_all_the_time() {
        let (mut client, mut server, third) = Scribbler::between();
        third.claim_processor(Direction::ToServer, 4_000);
        let mut put = |number| {
            let record = one_way(number, 0);
            let put = server.producer.put(&record, &[], Room::anywhere(32));
            put.unwrap()
        };
        let written = (1..).take_while(|&number| put(number).is_some()).count();
        let mut left = written;
        Spin::new(true).look_closely(&server.page, || {
            let record = client.consumer.record().unwrap();
            record.is_none_or(|record| {
                record.release();
                left -= 1;
                false
            })
        });
        assert!(0 < left && left < written, "{left} of {written} are left");
        assert!(
            !server.page.has_data(),
            "it was not for something that came"
        );
    }

    #[test]
    fn a_close_look_ends_with_what_comes_and_is_not_taken_at_a_peer_on_the_same_processor() {
        let (mut client, server, third) = Scribbler::between();
        let spin = Spin::new(true);
        spin.look_closely(&server.page, || panic!("it has never said where it is"));
        third.claim_processor(Direction::ToServer, 4_000);
        let mut asked = 0;
        spin.look_closely(&server.page, || {
            asked += 1;
            let put = client
                .producer
                .put(&one_way(asked, 0), &[], Room::anywhere(32));
            assert!(put.unwrap().is_some(), "there is room");
            false
        });
        assert_eq!(asked, 1, "it looks before it asks again");
        spin.look_closely(&server.page, || true);
    }

    #[test]
    fn a_peer_is_looked_for_anew_after_each_sign_of_work_and_not_for_ever() {
        let (mut client, server, third) = Scribbler::between();
        third.claim_processor(Direction::ToServer, 4_000);
        let spin = Spin::new(true);
        spin.expect(&server.page);
        for turn in 1..3 {
            let wished = spin.look();
            assert!(matches!(wished, Prepared::Spin(_)), "it may be at work");
            assert_eq!(spin.look(), Prepared::Idle, "nothing has happened since");
            let put = client
                .producer
                .put(&one_way(turn, 0), &[], Room::anywhere(32));
            assert!(put.unwrap().is_some(), "a sign of work");
        }
        spin.begin();
        assert_eq!(spin.look(), Prepared::Idle, "nothing is expected");
    }
}
