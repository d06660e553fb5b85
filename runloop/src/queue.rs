//! Moments in order: the near ones in a heap, the far ones in piles that nobody looks through before they come near.
//!
//! Most deadlines are moved or taken back long before they come. So putting one in is a push onto a pile, taking it back is
//! nothing at all (whoever asks for the first one says which entries still hold), and the order of a pile is found out
//! when it is the next. Pure arithmetic; it knows neither what the moments mean nor the present one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Tick;

/// A moment with a small value. Equal moments come out in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    pub(crate) at: Tick,
    pub(crate) number: u64,
    pub(crate) value: u32,
}

/// Moments, the earliest first.
///
/// # Invariant
///
/// What is not later than `horizon` is in `near`, and everything later in the pile of the highest bit in which it differs
/// from `horizon`. So each pile is later than all before it, and when one of them is spread, with a horizon in its midst,
/// the later ones stay as they are: an item is moved at most once for each bit.
#[derive(Debug)]
pub(crate) struct Queue {
    near: BinaryHeap<Reverse<Item>>,
    horizon: u64,
    piles: Vec<Vec<Item>>,
    /// How many items are in the piles.
    far: usize,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            near: BinaryHeap::new(),
            horizon: 0,
            piles: Vec::new(),
            far: 0,
        }
    }

    pub(crate) fn insert(&mut self, item: Item) {
        #[cfg(test)]
        tests::INSERTS.set(tests::INSERTS.get() + 1);
        if item.at.0 <= self.horizon {
            self.near.push(Reverse(item));
            return;
        }
        let pile = (item.at.0 ^ self.horizon).ilog2() as usize;
        if self.piles.len() <= pile {
            self.piles.resize_with(pile + 1, Vec::new);
        }
        self.piles[pile].push(item);
        self.far += 1;
    }

    /// The earliest item that still holds. Those before it are forgotten.
    pub(crate) fn first(&mut self, holds: impl Fn(&Item) -> bool) -> Option<Item> {
        loop {
            while let Some(&Reverse(item)) = self.near.peek() {
                if holds(&item) {
                    return Some(item);
                }
                self.near.pop();
            }
            if self.far == 0 {
                return None;
            }
            self.come_near();
        }
    }

    /// Forgets every item that holds no longer.
    pub(crate) fn sweep(&mut self, holds: impl Fn(&Item) -> bool) {
        self.near.retain(|Reverse(item)| holds(item));
        self.near.shrink_to(2 * self.near.len());
        for pile in &mut self.piles {
            pile.retain(&holds);
            pile.shrink_to(2 * pile.len());
        }
        self.far = self.piles.iter().map(Vec::len).sum();
    }

    /// How many items there are, whether they hold or not.
    pub(crate) fn len(&self) -> usize {
        self.near.len() + self.far
    }

    /// Moves the horizon into the earliest pile, of which the first items come near and the others spread over the piles
    /// before it; a small pile comes near as a whole.
    fn come_near(&mut self) {
        let Some(place) = self.piles.iter().position(|pile| !pile.is_empty()) else {
            return;
        };
        let mut pile = std::mem::take(&mut self.piles[place]);
        let moments = pile.iter().map(|item| item.at.0);
        let horizon = if pile.len() <= SMALL {
            moments.max()
        } else {
            moments.min()
        };
        self.horizon = horizon.unwrap_or(self.horizon);
        self.far -= pile.len();
        for item in pile.drain(..) {
            self.insert(item);
        }
        // None has come back to this pile. What it needs again and again it keeps.
        pile.shrink_to(KEPT);
        self.piles[place] = pile;
    }
}

/// How many items are put in order by the heap alone.
const SMALL: usize = 64;
/// For how many items an empty pile keeps its memory.
const KEPT: usize = 8;

#[cfg(test)]
mod tests {
    use super::{Item, Queue, SMALL};
    use crate::clock::Tick;
    use std::cell::Cell;
    use std::collections::{BTreeMap, BTreeSet};

    thread_local! {
        /// How often an item was put somewhere.
        pub(super) static INSERTS: Cell<u64> = const { Cell::new(0) };
    }

    const fn item(at: u64, number: u64) -> Item {
        Item {
            at: Tick(at),
            number,
            value: 0,
        }
    }

    /// Takes out everything, in order.
    fn drain(queue: &mut Queue) -> Vec<Item> {
        let mut gone = BTreeSet::new();
        std::iter::from_fn(|| {
            let first = queue.first(|item| !gone.contains(item))?;
            gone.insert(first);
            Some(first)
        })
        .collect()
    }

    #[test]
    fn what_was_put_in_comes_out_in_order_whether_it_lies_near_or_far() {
        let mut queue = Queue::new();
        let scattered = |n: u64| item(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (n % 60), n);
        let count = if cfg!(miri) { 200 } else { 20_000 };
        let mut expected: Vec<Item> = (0..count).map(scattered).collect();
        for &item in &expected {
            queue.insert(item);
        }
        expected.sort();
        assert_eq!(drain(&mut queue), expected, "in order");
    }

    #[test]
    fn an_item_is_moved_as_often_as_halving_takes_and_is_never_searched_for() {
        let mut queue = Queue::new();
        let count = if cfg!(miri) { 200 } else { 20_000_u64 };
        for n in 0..count {
            queue.insert(item(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n));
        }
        let before = INSERTS.get();
        assert_eq!(drain(&mut queue).len() as u64, count, "all of them");
        let most = count * u64::from(count.ilog2());
        let moves = INSERTS.get() - before;
        assert!(moves <= most, "{moves} of at most {most}");
    }

    #[test]
    fn equal_moments_come_out_in_the_order_of_their_numbers() {
        let mut queue = Queue::new();
        let count = 3 * SMALL as u64;
        for number in (0..count).rev() {
            queue.insert(item(7, number));
        }
        let numbers: Vec<u64> = drain(&mut queue).iter().map(|item| item.number).collect();
        assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "in their order");
    }

    #[test]
    fn random_changes_agree_with_a_list_that_is_searched() {
        let mut queue = Queue::new();
        let mut model: BTreeMap<u32, Item> = BTreeMap::new();
        let mut random = fastrand::Rng::with_seed(1);
        let mut next = |below: u64| random.u64(..below);
        let steps = if cfg!(miri) { 500 } else { 50_000 };
        for number in 1..steps {
            let value = u32::try_from(next(300)).unwrap();
            let at = Tick(number * 50 + (next(1 << 20) >> next(20)));
            let holds = |model: &BTreeMap<u32, Item>, item: &Item| {
                model.get(&item.value).is_some_and(|held| held == item)
            };
            model.remove(&value);
            if next(500) == 0 {
                queue.sweep(|item| holds(&model, item));
                assert_eq!(queue.len(), model.len(), "what holds");
            }
            if next(3) > 0 {
                let item = Item { at, number, value };
                queue.insert(item);
                model.insert(value, item);
            }
            if next(4) == 0 {
                let expected = model.values().min().copied();
                let first = queue.first(|item| holds(&model, item));
                assert_eq!(first, expected, "step {number}");
            }
        }
    }
}
