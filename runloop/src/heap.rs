//! Deadlines in order: a heap from which any entry can be taken or moved without a search.
//!
//! Pure arithmetic; the present moment is passed in by whoever asks. Equal deadlines come out in the order in which they
//! were put in.

use crate::clock::Tick;

/// Names an entry of a [`Heap`] until it is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl Slot {
    /// The slot of something that is in no heap.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// Deadlines with a small value each, the earliest first.
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
    /// The order of insertion, for ties.
    inserted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    at: Tick,
    inserted: u64,
    slot: u32,
    value: u32,
}

impl Item {
    fn is_before(&self, other: &Self) -> bool {
        (self.at, self.inserted) < (other.at, other.inserted)
    }
}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self {
            items: Vec::new(),
            places: Vec::new(),
            free: u32::MAX,
            inserted: 0,
        }
    }

    /// The earliest deadline and its value.
    pub(crate) fn first(&self) -> Option<(Tick, u32)> {
        self.items.first().map(|item| (item.at, item.value))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn insert(&mut self, at: Tick, value: u32) -> Slot {
        let slot = self.take_slot();
        self.inserted += 1;
        self.items.push(Item {
            at,
            inserted: self.inserted,
            slot,
            value,
        });
        self.rise(self.items.len() - 1);
        Slot(slot)
    }

    /// Moves an entry; among equals it is the last again.
    pub(crate) fn update(&mut self, slot: Slot, at: Tick) {
        let place = self.places[slot.0 as usize] as usize;
        self.inserted += 1;
        self.items[place].at = at;
        self.items[place].inserted = self.inserted;
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
            if !item.is_before(&self.items[parent]) {
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
            if !self.items[child].is_before(&item) {
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
            if self.items[child].is_before(&self.items[earliest]) {
                earliest = child;
            }
        }
        (first < end).then_some(earliest)
    }
}

/// Four children a node: half the depth of two, and the four lie in one or two cache lines.
const CHILDREN: usize = 4;

#[cfg(test)]
mod tests {
    use super::{Heap, Slot};
    use crate::clock::Tick;
    use std::collections::BTreeMap;

    #[test]
    fn equal_deadlines_come_out_in_the_order_they_were_put_in() {
        let mut heap = Heap::new();
        let slots: Vec<Slot> = (0..50).map(|value| heap.insert(Tick(7), value)).collect();
        for (value, slot) in (0..).zip(slots) {
            assert_eq!(heap.first(), Some((Tick(7), value)), "first in, first out");
            heap.remove(slot);
        }
        assert_eq!(heap.first(), None, "empty");
    }

    #[test]
    fn a_moved_deadline_is_the_last_among_its_equals() {
        let mut heap = Heap::new();
        let moved = heap.insert(Tick(1), 1);
        heap.insert(Tick(5), 2);
        heap.update(moved, Tick(5));
        assert_eq!(
            heap.first(),
            Some((Tick(5), 2)),
            "the one that was there already"
        );
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
        for step in 1..20_000_u64 {
            let at = next(100);
            match next(5) {
                0 | 1 => {
                    let value = u32::try_from(step).unwrap();
                    live.push((heap.insert(Tick(at), value), (at, step)));
                    model.insert((at, step), value);
                }
                2 | 3 if !live.is_empty() => {
                    let chosen = usize::try_from(next(live.len() as u64)).unwrap();
                    let (slot, old) = live[chosen];
                    heap.update(slot, Tick(at));
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
                .map(|(key, value)| (Tick(key.0), *value));
            assert_eq!(heap.first(), expected, "step {step}");
            assert_eq!(heap.len(), model.len(), "step {step}");
        }
    }
}
