//! The deadlines of one mode: which is the earliest, and how long the loop may sleep in spite of them.
//!
//! A deadline may have a tolerance: then it has passed at its date, but is no reason to wake before the end of that. Pure
//! arithmetic; the present moment is passed in by whoever asks.

use std::time::{Duration, Instant};

use crate::clock::Tick;
use crate::queue::{Item, Queue};

/// When a source wants to be performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// Not before this moment.
    pub(crate) at: Tick,
    /// A sleeping loop wakes for it at this moment at the latest; never earlier than `at`.
    pub(crate) limit: Tick,
}

impl Deadline {
    /// None at all.
    pub(crate) const NEVER: Self = Self::new(Tick::NEVER);

    /// One without a tolerance.
    pub(crate) const fn new(at: Tick) -> Self {
        Self { at, limit: at }
    }

    /// What callers ask for; a moment too far away is none.
    pub(crate) fn within(at: Option<Instant>, tolerance: Duration) -> Self {
        let at = at.map_or(Tick::NEVER, Tick::from_instant);
        Self {
            at,
            limit: at.after(tolerance),
        }
    }

    pub(crate) fn is_never(self) -> bool {
        self.at == Tick::NEVER
    }

    /// The same, but not before `earliest`.
    pub(crate) fn not_before(self, earliest: Tick) -> Self {
        Self {
            at: self.at.max(earliest),
            limit: self.limit.max(earliest),
        }
    }

    const fn is_tolerant(self) -> bool {
        self.limit.0 > self.at.0
    }
}

/// The deadline that is set for a value, and the number of its setting.
pub(crate) type Set = (Deadline, u64);

/// Deadlines with a small value each.
///
/// The loop asks two things, and each answer comes first in a queue: which date is the earliest, and which limit. Where
/// there is no tolerance both are the same, so only tolerant deadlines are in two queues.
///
/// What is taken back or moved stays in its queue for a while. So whoever asks says what is set for a value, if anything is:
/// an entry with another moment or another number holds no longer.
#[derive(Debug)]
pub(crate) struct Deadlines {
    /// Those without a tolerance.
    strict: Queue,
    /// The dates of those with one.
    dates: Queue,
    /// Their limits.
    limits: Queue,
    /// How many have been given up since the last sweep.
    given_up: usize,
}

impl Deadlines {
    pub(crate) const fn new() -> Self {
        Self {
            strict: Queue::new(),
            dates: Queue::new(),
            limits: Queue::new(),
            given_up: 0,
        }
    }

    /// Whether nothing is in it, not even what holds no longer.
    pub(crate) fn is_empty(&self) -> bool {
        self.strict.len() == 0 && self.dates.len() == 0
    }

    /// The earliest date and its value; the one that was set first among equals.
    pub(crate) fn first(&mut self, set: impl Fn(u32) -> Option<Set>) -> Option<(Tick, u32)> {
        let holds = |item: &Item| is_date(item, set(item.value));
        let first = match (self.strict.first(holds), self.dates.first(holds)) {
            (Some(strict), Some(tolerant)) => strict.min(tolerant),
            (strict, tolerant) => strict.or(tolerant)?,
        };
        Some((first.at, first.value))
    }

    /// For how long nobody minds if the loop sleeps: the earliest of all limits.
    pub(crate) fn limit(&mut self, set: impl Fn(u32) -> Option<Set>) -> Option<Tick> {
        let strict = self.strict.first(|item| is_date(item, set(item.value)));
        let tolerant = self.limits.first(|item| is_limit(item, set(item.value)));
        let firsts = [strict, tolerant].into_iter().flatten();
        firsts.map(|first| first.at).min()
    }

    /// Puts in a deadline, with the number of its setting: among equals the lower number is first.
    pub(crate) fn insert(&mut self, deadline: Deadline, number: u64, value: u32) {
        let item = |at| Item { at, number, value };
        if !deadline.is_tolerant() {
            return self.strict.insert(item(deadline.at));
        }
        self.dates.insert(item(deadline.at));
        self.limits.insert(item(deadline.limit));
    }

    /// A deadline that was put in holds no longer. Once that may be so of half of them all such are forgotten, so
    /// that they take no more memory than those that hold, and forgetting them no more time than putting them in has.
    pub(crate) fn give_up(&mut self, set: impl Fn(u32) -> Option<Set>) {
        self.given_up += 1;
        let all = self.strict.len() + self.dates.len();
        if self.given_up > GIVEN_UP_MIN + all / 2 {
            self.given_up = 0;
            self.strict.sweep(|item| is_date(item, set(item.value)));
            self.dates.sweep(|item| is_date(item, set(item.value)));
            self.limits.sweep(|item| is_limit(item, set(item.value)));
        }
    }
}

fn is_date(item: &Item, set: Option<Set>) -> bool {
    set.is_some_and(|(deadline, number)| (deadline.at, number) == (item.at, item.number))
}

fn is_limit(item: &Item, set: Option<Set>) -> bool {
    set.is_some_and(|(deadline, number)| (deadline.limit, number) == (item.at, item.number))
}

/// How many may have been given up whatever there is beside them.
const GIVEN_UP_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::{Deadline, Deadlines, GIVEN_UP_MIN, Set};
    use crate::clock::Tick;
    use std::collections::BTreeMap;

    const fn within(at: u64, limit: u64) -> Deadline {
        Deadline {
            at: Tick(at),
            limit: Tick(limit),
        }
    }

    /// Deadlines, and what is set.
    struct Stage {
        deadlines: Deadlines,
        set: BTreeMap<u32, Set>,
    }

    impl Stage {
        fn new() -> Self {
            Self {
                deadlines: Deadlines::new(),
                set: BTreeMap::new(),
            }
        }

        fn put(&mut self, value: u32, deadline: Deadline, number: u64) {
            self.give_up(value);
            self.set.insert(value, (deadline, number));
            self.deadlines.insert(deadline, number, value);
        }

        fn give_up(&mut self, value: u32) {
            if self.set.remove(&value).is_some() {
                self.deadlines
                    .give_up(|value| self.set.get(&value).copied());
            }
        }

        fn first(&mut self) -> Option<(Tick, u32)> {
            self.deadlines.first(|value| self.set.get(&value).copied())
        }

        fn limit(&mut self) -> Option<Tick> {
            self.deadlines.limit(|value| self.set.get(&value).copied())
        }
    }

    #[test]
    fn equal_dates_come_out_in_the_order_of_their_numbers_whatever_their_tolerance() {
        let mut stage = Stage::new();
        // Put in last to first: what came first is told by the number alone.
        for value in (0..50_u32).rev() {
            stage.put(value, within(7, 7 + u64::from(value % 3)), u64::from(value));
        }
        for value in 0..50 {
            assert_eq!(stage.first(), Some((Tick(7), value)), "in their order");
            stage.give_up(value);
        }
        assert_eq!((stage.first(), stage.limit()), (None, None));
    }

    #[test]
    fn a_moved_deadline_has_the_place_of_its_new_number() {
        for limit in [5, 9] {
            let mut stage = Stage::new();
            stage.put(1, within(1, 1), 1);
            stage.put(2, within(5, 5), 2);
            stage.put(1, within(5, limit), 3);
            let expected = Some((Tick(5), 2));
            assert_eq!(stage.first(), expected, "the one that was there");
        }
    }

    #[test]
    fn the_loop_may_sleep_until_the_earliest_limit_and_not_until_the_earliest_date() {
        let mut stage = Stage::new();
        stage.put(0, within(10, 100), 1);
        assert_eq!(stage.limit(), Some(Tick(100)), "the only one");
        stage.put(1, within(20, 50), 2);
        stage.put(2, within(30, 30), 3);
        assert_eq!(stage.limit(), Some(Tick(30)), "no tolerance");
        assert_eq!(stage.first(), Some((Tick(10), 0)), "due before that");
        stage.give_up(2);
        assert_eq!(stage.limit(), Some(Tick(50)), "the smaller tolerance");
        stage.give_up(1);
        assert_eq!(stage.limit(), Some(Tick(100)), "the first again");
    }

    #[test]
    fn what_is_given_up_takes_no_more_memory_than_what_is_not() {
        let mut stage = Stage::new();
        for number in 0..10_000 {
            // One of each kind, moved again and again, which nobody asks for.
            stage.put(0, within(1 << 40, 1 << 40), 2 * number);
            stage.put(1, within(1 << 40, 1 << 41), 2 * number + 1);
        }
        let Deadlines {
            strict,
            dates,
            limits,
            ..
        } = &stage.deadlines;
        let most = strict.len().max(dates.len()).max(limits.len());
        assert!(most <= 2 * GIVEN_UP_MIN, "{most} are left");
        assert_eq!(stage.first(), Some((Tick(1 << 40), 0)), "the last");
    }

    #[test]
    fn random_changes_agree_with_a_list_that_is_searched() {
        let mut stage = Stage::new();
        let mut random = fastrand::Rng::with_seed(1);
        let mut next = |below: u64| random.u64(..below);
        let steps = if cfg!(miri) { 300 } else { 20_000_u64 };
        for step in 1..steps {
            let value = u32::try_from(next(64)).unwrap();
            let at = next(100);
            if next(3) == 0 {
                stage.give_up(value);
            } else {
                stage.put(value, within(at, at + next(3) * next(50)), step);
            }
            let set = stage.set.iter();
            let dates = set.map(|(value, (deadline, step))| (deadline.at, *step, *value));
            let first = dates.min().map(|(at, _, value)| (at, value));
            let limit = stage.set.values().map(|(deadline, _)| deadline.limit).min();
            assert_eq!(stage.first(), first, "step {step}");
            assert_eq!(stage.limit(), limit, "step {step}");
        }
    }
}
