//! A table whose keys never come back: an index that is reused, and a generation that is not.
//!
//! A key that outlived its value finds nothing, however often the slot was filled since. A slot whose generations are
//! used up is retired.

use slab::Slab;

/// Names a value of an [`Arena`], and none that comes after it in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Key {
    /// As one word, for the poller's events. The upper half is the index, which is never all ones.
    pub(crate) fn pack(self) -> u64 {
        (u64::from(self.index) << 32) | u64::from(self.generation)
    }

    pub(crate) fn unpack(word: u64) -> Self {
        let [index, generation] = [word >> 32, word & u64::from(u32::MAX)]
            .map(|half| u32::try_from(half).unwrap_or(u32::MAX));
        Self { index, generation }
    }
}

/// Values under keys that are never given out twice.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    /// Values with their generations; `None` in a retired slot only.
    slots: Slab<Option<(u32, T)>>,
    /// The generation of the value that is, or will next be, in each slot. Only looked at when one comes or goes.
    generations: Vec<u32>,
}

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Slab::new(),
            generations: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        let slot = self.slots.vacant_key();
        if slot == self.generations.len() {
            self.generations.push(0);
        }
        let index = u32::try_from(slot).expect("fewer than four billion values");
        let generation = self.generations[slot];
        self.slots.insert(Some((generation, value)));
        Key { index, generation }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let (generation, value) = self.slots.get(key.index as usize)?.as_ref()?;
        (*generation == key.generation).then_some(value)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (generation, value) = self.slots.get_mut(key.index as usize)?.as_mut()?;
        (*generation == key.generation).then_some(value)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let slot = key.index as usize;
        let removed = match self.generations[slot].checked_add(1) {
            Some(next) => {
                self.generations[slot] = next;
                self.slots.remove(slot)
            }
            // The slot stays taken and empty: no key of it is ever valid again.
            None => self.slots.get_mut(slot)?.take(),
        };
        removed.map(|(_, value)| value)
    }

    /// What is in this slot now.
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.as_ref().map(|slot| &slot.1)
    }

    /// The key of what is in this slot now.
    pub(crate) fn key_at(&self, index: u32) -> Option<Key> {
        let &(generation, _) = self.slots.get(index as usize)?.as_ref()?;
        Some(Key { index, generation })
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        let indices = self
            .slots
            .iter()
            .filter_map(|(slot, _)| u32::try_from(slot).ok());
        indices.filter_map(|index| self.key_at(index)).collect()
    }

    #[cfg(test)]
    fn age(&mut self, slot: usize, generation: u32) {
        self.generations[slot] = generation;
    }
}

#[cfg(test)]
mod tests {
    use super::{Arena, Key};

    #[test]
    fn an_old_key_finds_nothing_however_often_its_slot_is_reused() {
        let mut arena = Arena::new();
        let old = arena.insert("first");
        arena.remove(old);
        // More often than a generation of 16 bits has numbers; an interpreter would take an hour.
        let reuses = if cfg!(miri) { 300 } else { 70_000 };
        for _ in 0..reuses {
            let key = arena.insert("later");
            assert_eq!(key.index, old.index, "the slot is reused");
            assert!(arena.get(old).is_none(), "the key is not");
            arena.remove(key);
        }
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_retired() {
        let mut arena = Arena::new();
        let first = arena.insert(1);
        arena.remove(first);
        arena.age(0, u32::MAX);
        let last = arena.insert(2);
        assert_eq!(
            (last.index, last.generation),
            (0, u32::MAX),
            "the last key of the slot"
        );
        assert_eq!(arena.remove(last), Some(2), "removed");
        assert_eq!(arena.get(last), None, "and gone");
        assert_eq!(arena.remove(last), None, "once");
        assert_eq!(arena.insert(3).index, 1, "the next value lives elsewhere");
    }

    #[test]
    fn a_key_survives_packing() {
        for key in [
            Key {
                index: 0,
                generation: u32::MAX,
            },
            Key {
                index: 70_000,
                generation: 1,
            },
        ] {
            assert_eq!(Key::unpack(key.pack()), key, "both halves");
        }
    }
}
