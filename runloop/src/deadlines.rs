//! The deadlines of one mode: which is the earliest, and how long the loop may sleep in spite of them.
//!
//! A deadline may have a tolerance: then it has passed at its date, but is no reason to wake before the end of that. Pure
//! arithmetic; the present moment is passed in by whoever asks.

use std::time::{Duration, Instant};

use crate::clock::Tick;
use crate::heap::{Heap, Slot};

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

/// Deadlines with a small value each.
///
/// The loop asks two things, and each answer is at the top of a heap: which date comes first, and which limit. Where there
/// is no tolerance both are the same, so only tolerant deadlines are in two heaps.
///
/// # Invariant
///
/// `dates` and `limits` hold the same entries and are changed in step, so that an entry has the same slot in both.
#[derive(Debug)]
pub(crate) struct Deadlines {
    /// Those without a tolerance.
    strict: Heap,
    /// The dates of those with one.
    dates: Heap,
    /// Their limits.
    limits: Heap,
}

impl Deadlines {
    pub(crate) const fn new() -> Self {
        Self {
            strict: Heap::new(),
            dates: Heap::new(),
            limits: Heap::new(),
        }
    }

    /// The earliest date and its value; the one that was set first among equals.
    pub(crate) fn first(&self) -> Option<(Tick, u32)> {
        let first = match (self.strict.first(), self.dates.first()) {
            (Some(strict), Some(tolerant)) => strict.min(tolerant),
            (strict, tolerant) => strict.or(tolerant)?,
        };
        Some((first.0.0, first.1))
    }

    /// For how long nobody minds if the loop sleeps: the earliest of all limits.
    pub(crate) fn limit(&self) -> Option<Tick> {
        let firsts = [self.strict.first(), self.limits.first()];
        firsts.into_iter().flatten().map(|first| first.0.0).min()
    }

    /// Puts in a deadline, with the number of its setting: among equals the lower number is first.
    pub(crate) fn insert(&mut self, deadline: Deadline, number: u64, value: u32) -> Slot {
        let rank = (deadline.at, number);
        if !deadline.is_tolerant() {
            return self.strict.insert(rank, value);
        }
        let slot = self.dates.insert(rank, value);
        let same = self.limits.insert((deadline.limit, number), value);
        debug_assert_eq!(slot, same, "the two heaps are changed in step");
        Slot(slot.0 | TOLERANT)
    }

    /// Moves an entry, which may have another slot then.
    pub(crate) fn update(
        &mut self,
        slot: Slot,
        deadline: Deadline,
        number: u64,
        value: u32,
    ) -> Slot {
        match (strip(slot), deadline.is_tolerant()) {
            (Ok(strict), false) => {
                self.strict.update(strict, (deadline.at, number));
                slot
            }
            (Err(tolerant), true) => {
                self.dates.update(tolerant, (deadline.at, number));
                self.limits.update(tolerant, (deadline.limit, number));
                slot
            }
            _ => {
                self.remove(slot);
                self.insert(deadline, number, value)
            }
        }
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        match strip(slot) {
            Ok(strict) => self.strict.remove(strict),
            Err(tolerant) => {
                self.dates.remove(tolerant);
                self.limits.remove(tolerant);
            }
        }
    }
}

/// The slot in the heap of the strict deadlines, or else in the two of the tolerant ones.
const fn strip(slot: Slot) -> Result<Slot, Slot> {
    if slot.0 & TOLERANT == 0 {
        Ok(slot)
    } else {
        Err(Slot(slot.0 & !TOLERANT))
    }
}

/// Marks the slot of a tolerant deadline: there is no memory for so many that a heap would need the bit.
const TOLERANT: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::{Deadline, Deadlines};
    use crate::clock::Tick;
    use crate::heap::Slot;
    use std::collections::BTreeMap;

    const fn within(at: u64, limit: u64) -> Deadline {
        Deadline {
            at: Tick(at),
            limit: Tick(limit),
        }
    }

    #[test]
    fn equal_dates_come_out_in_the_order_of_their_numbers_whatever_their_tolerance() {
        let mut deadlines = Deadlines::new();
        let limit = |value: u32| 7 + u64::from(value % 3);
        // Put in last to first: what came first is told by the number alone.
        let values = (0..50_u32).rev();
        let slots: Vec<Slot> = values
            .map(|value| deadlines.insert(within(7, limit(value)), u64::from(value), value))
            .collect();
        for (value, slot) in (0..).zip(slots.into_iter().rev()) {
            assert_eq!(deadlines.first(), Some((Tick(7), value)), "in their order");
            deadlines.remove(slot);
        }
        assert_eq!((deadlines.first(), deadlines.limit()), (None, None));
    }

    #[test]
    fn a_moved_deadline_has_the_place_of_its_new_number() {
        for limit in [5, 9] {
            let mut deadlines = Deadlines::new();
            let moved = deadlines.insert(within(1, 1), 1, 1);
            deadlines.insert(within(5, 5), 2, 2);
            deadlines.update(moved, within(5, limit), 3, 1);
            let expected = Some((Tick(5), 2));
            assert_eq!(deadlines.first(), expected, "the one that was there");
        }
    }

    #[test]
    fn the_loop_may_sleep_until_the_earliest_limit_and_not_until_the_earliest_date() {
        let mut deadlines = Deadlines::new();
        deadlines.insert(within(10, 100), 1, 0);
        assert_eq!(deadlines.limit(), Some(Tick(100)), "the only one");
        let sooner = deadlines.insert(within(20, 50), 2, 1);
        let strict = deadlines.insert(within(30, 30), 3, 2);
        assert_eq!(deadlines.limit(), Some(Tick(30)), "no tolerance");
        assert_eq!(deadlines.first(), Some((Tick(10), 0)), "due before that");
        deadlines.remove(strict);
        assert_eq!(deadlines.limit(), Some(Tick(50)), "the smaller tolerance");
        deadlines.remove(sooner);
        assert_eq!(deadlines.limit(), Some(Tick(100)), "the first again");
    }

    #[test]
    fn random_changes_agree_with_a_list_that_is_searched() {
        let mut deadlines = Deadlines::new();
        let mut model: BTreeMap<u32, (Deadline, u64, Slot)> = BTreeMap::new();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let steps = if cfg!(miri) { 300 } else { 20_000_u64 };
        for step in 1..steps {
            let value = u32::try_from(next(64)).unwrap();
            let at = next(100);
            let deadline = within(at, at + next(3) * next(50));
            match (model.get(&value).copied(), next(3)) {
                (None, _) => {
                    let slot = deadlines.insert(deadline, step, value);
                    model.insert(value, (deadline, step, slot));
                }
                (Some((_, _, slot)), 0) => {
                    deadlines.remove(slot);
                    model.remove(&value);
                }
                (Some((_, _, slot)), _) => {
                    let slot = deadlines.update(slot, deadline, step, value);
                    model.insert(value, (deadline, step, slot));
                }
            }
            let dates = model
                .iter()
                .map(|(value, (d, step, _))| (d.at, *step, *value));
            let first = dates.min().map(|(at, _, value)| (at, value));
            let limit = model.values().map(|(deadline, ..)| deadline.limit).min();
            assert_eq!(deadlines.first(), first, "step {step}");
            assert_eq!(deadlines.limit(), limit, "step {step}");
        }
    }
}
