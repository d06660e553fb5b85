//! Moments in order: a heap from which any entry can be taken or moved without a search.
//!
//! Pure arithmetic; it knows neither what the moments mean nor the present one. Equal moments come out in the order that
//! whoever puts them in gives them.

use crate::clock::Tick;

/// Names an entry of a [`Heap`] until it is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    /// The slot of something that is in no heap.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// Moments with a small value each, the earliest first.
///
/// # Invariant
///
/// `places[item.slot]` is the place of `item` in `items`, for every item; each item is not later than its children, the
/// up to four items from `4 * place + 1` on.
#[derive(Debug)]
pub(crate) struct Heap {
    items: Vec<Item>,
    /// The place of each slot's item; in a free slot the next free one.
    places: Vec<u32>,
    /// The first free slot, or `u32::MAX`.
    free: u32,
}

/// A moment, and a number that decides among equal ones.
pub(crate) type Rank = (Tick, u64);

#[derive(Clone, Copy, Debug)]
struct Item {
    rank: Rank,
    slot: u32,
    value: u32,
}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self {
            items: Vec::new(),
            places: Vec::new(),
            free: u32::MAX,
        }
    }

    /// The earliest entry and its value.
    pub(crate) fn first(&self) -> Option<(Rank, u32)> {
        self.items.first().map(|item| (item.rank, item.value))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn insert(&mut self, rank: Rank, value: u32) -> Slot {
        let slot = self.take_slot();
        self.items.push(Item { rank, slot, value });
        self.rise(self.items.len() - 1);
        Slot(slot)
    }

    pub(crate) fn update(&mut self, slot: Slot, rank: Rank) {
        let place = self.places[slot.0 as usize] as usize;
        self.items[place].rank = rank;
        let place = self.rise(place);
        self.sink(place);
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        let place = self.places[slot.0 as usize] as usize;
        let last = self.items.len() - 1;
        self.items.swap_remove(place);
        if place != last {
            self.note(place);
            let place = self.rise(place);
            self.sink(place);
        }
        self.places[slot.0 as usize] = self.free;
        self.free = slot.0;
    }

    fn take_slot(&mut self) -> u32 {
        if self.free == u32::MAX {
            let slot = u32::try_from(self.places.len()).expect("fewer than four billion deadlines");
            self.places.push(0);
            return slot;
        }
        let slot = self.free;
        self.free = self.places[slot as usize];
        slot
    }

    /// Writes down where the item at `place` is.
    fn note(&mut self, place: usize) {
        let slot = self.items[place].slot as usize;
        self.places[slot] = u32::try_from(place).unwrap_or(u32::MAX);
    }

    fn rise(&mut self, mut place: usize) -> usize {
        let item = self.items[place];
        while place > 0 {
            let parent = (place - 1) / CHILDREN;
            if !is_earlier(&item, &self.items[parent]) {
                break;
            }
            self.items[place] = self.items[parent];
            self.note(place);
            place = parent;
        }
        self.items[place] = item;
        self.note(place);
        place
    }

    fn sink(&mut self, mut place: usize) {
        let item = self.items[place];
        while let Some(child) = self.earliest_child(place) {
            if !is_earlier(&self.items[child], &item) {
                break;
            }
            self.items[place] = self.items[child];
            self.note(place);
            place = child;
        }
        self.items[place] = item;
        self.note(place);
    }

    fn earliest_child(&self, place: usize) -> Option<usize> {
        let first = place * CHILDREN + 1;
        let end = self.items.len().min(first + CHILDREN);
        let mut earliest = first;
        for child in first + 1..end {
            if is_earlier(&self.items[child], &self.items[earliest]) {
                earliest = child;
            }
        }
        (first < end).then_some(earliest)
    }
}

/// The only comparison there is, so that a test can count what an operation takes.
fn is_earlier(one: &Item, other: &Item) -> bool {
    #[cfg(test)]
    tests::COMPARISONS.set(tests::COMPARISONS.get() + 1);
    one.rank < other.rank
}

/// Four children a node: half the depth of two, and the four lie in one or two cache lines.
const CHILDREN: usize = 4;

#[cfg(test)]
mod tests {
    use super::{Heap, Slot};
    use crate::clock::Tick;
    use std::cell::Cell;
    use std::collections::BTreeMap;

    thread_local! {
        pub(super) static COMPARISONS: Cell<u64> = const { Cell::new(0) };
    }

    /// How many comparisons one operation takes at the most.
    fn most_comparisons(
        operations: impl Iterator<Item = impl FnOnce(&mut Heap)>,
        heap: &mut Heap,
    ) -> u64 {
        let each = operations.map(|operation| {
            let before = COMPARISONS.get();
            operation(heap);
            COMPARISONS.get() - before
        });
        each.max().unwrap_or(0)
    }

    #[test]
    fn no_operation_is_a_search() {
        let count = if cfg!(miri) { 500_u32 } else { 50_000 };
        // One comparison on the way up and four on the way down, for each of the levels of four children.
        let bound = 5 * (u64::from(count.ilog2()) / 2 + 2);
        let scattered = |n: u32| (Tick(u64::from(n) * 7_919 % 100_003), u64::from(n));
        let mut heap = Heap::new();
        let mut slots = Vec::new();
        for n in 0..count {
            slots.push(heap.insert(scattered(n), n));
        }
        let to_the_front = slots
            .iter()
            .rev()
            .map(|&slot| move |heap: &mut Heap| heap.update(slot, (Tick(0), 0)));
        assert!(most_comparisons(to_the_front, &mut heap) <= bound, "moving");
        let removals = slots
            .iter()
            .map(|&slot| move |heap: &mut Heap| heap.remove(slot));
        assert!(most_comparisons(removals, &mut heap) <= bound, "removing");
    }

    #[test]
    fn random_inserts_moves_and_removals_agree_with_a_sorted_map() {
        let mut heap = Heap::new();
        let mut model: BTreeMap<(u64, u64), u32> = BTreeMap::new();
        let mut live: Vec<(Slot, (u64, u64))> = Vec::new();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let steps = if cfg!(miri) { 300 } else { 20_000_u64 };
        for step in 1..steps {
            let at = next(100);
            match next(5) {
                0 | 1 => {
                    let value = u32::try_from(step).unwrap();
                    live.push((heap.insert((Tick(at), step), value), (at, step)));
                    model.insert((at, step), value);
                }
                2 | 3 if !live.is_empty() => {
                    let chosen = usize::try_from(next(live.len() as u64)).unwrap();
                    let (slot, old) = live[chosen];
                    heap.update(slot, (Tick(at), step));
                    let value = model.remove(&old).unwrap();
                    model.insert((at, step), value);
                    live[chosen].1 = (at, step);
                }
                _ if !live.is_empty() => {
                    let chosen = usize::try_from(next(live.len() as u64)).unwrap();
                    let (slot, old) = live.swap_remove(chosen);
                    heap.remove(slot);
                    model.remove(&old);
                }
                _ => {}
            }
            let expected = model
                .iter()
                .next()
                .map(|(key, value)| ((Tick(key.0), key.1), *value));
            assert_eq!(heap.first(), expected, "step {step}");
            assert_eq!(heap.len(), model.len(), "step {step}");
        }
    }
}
