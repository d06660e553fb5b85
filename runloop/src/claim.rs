//! Claiming: what of what was found for a source is still true at its turn.
//!
//! A source may have been performed by a nested run meanwhile, have left the mode, be being performed, or have to rest: then
//! what was found for it is left where it is, or put aside until it can be performed.

use smallvec::SmallVec;

use crate::arena::Key;
use crate::batch::Batch;
use crate::callout::Engaged;
use crate::clock::Tick;
use crate::core::{Closure, Tables};
use crate::deadlines::Deadline;
use crate::member::SourceFlags;
use crate::mode::Mode;

/// Signalled sources with their orders and the numbers of their signals.
pub(crate) type Found = SmallVec<[(i32, u64, Key); 4]>;

impl Tables {
    /// The oldest closure for this mode that is not newer than `last`.
    pub(crate) fn next_closure(&mut self, mode: Mode, last: u64) -> Option<Closure> {
        let entry = self.mode(mode)?;
        let common = entry.common;
        let own = entry.closures.front().map_or(u64::MAX, |closure| closure.0);
        let shared = self
            .common_closures
            .front()
            .map_or(u64::MAX, |closure| closure.0);
        let shared = if common { shared } else { u64::MAX };
        if own.min(shared) > last {
            return None;
        }
        if shared < own {
            return self.common_closures.pop_front().map(|closure| closure.1);
        }
        self.mode_mut(mode)?
            .closures
            .pop_front()
            .map(|closure| closure.1)
    }

    /// Whether any source is signalled that could perhaps be performed.
    pub(crate) fn has_signals(&mut self) -> bool {
        self.clear_shelf();
        !self.signalled.is_empty()
    }

    /// The signalled sources that can be performed in this mode, lowest order first, equal ones by their signals. They
    /// stay on the list until each is claimed; those that cannot be performed move to the shelf.
    pub(crate) fn signalled_in(&mut self, mode: Mode) -> Found {
        let mut found = Found::new();
        let Self {
            sources,
            signalled,
            shelf,
            ..
        } = self;
        signalled.retain(|&(number, key)| {
            let Some(entry) = sources.get_mut(key) else {
                return false;
            };
            let rung = entry.flags.contains(SourceFlags::RUNG);
            if !entry.state.is_signalled() && !rung {
                entry.flags.remove(SourceFlags::LISTED);
                return false;
            }
            if !entry.is_in(mode) || entry.is_held() {
                shelf.push((number, key));
                return false;
            }
            found.push((entry.state.order(), number, key));
            true
        });
        // The numbers make all different, so this is as good as a stable sort, which would take memory.
        found.sort_unstable_by_key(|&(order, number, _)| (order, number));
        found
    }

    /// Whether a bell of a source has rung that it has not been performed for.
    pub(crate) fn is_rung(&self, key: Key) -> bool {
        let entry = self.sources.get(key);
        entry.is_some_and(|entry| entry.flags.contains(SourceFlags::RUNG))
    }

    /// Takes a source off the list, if it is still there and can still be performed; says whether a bell of it has rung.
    pub(crate) fn claim_signalled(&mut self, key: Key, mode: Mode) -> Option<bool> {
        // An earlier perform may have run another mode, in which this one was shelved.
        self.clear_shelf();
        let entry = self.sources.get(key)?;
        if !entry.flags.contains(SourceFlags::LISTED) {
            // It may also have performed this source: nothing is left that it would have to rest for.
            return None;
        }
        if !entry.is_in(mode) || self.must_wait(key) {
            self.shelf_changed = true;
            return None;
        }
        let entry = self.sources.get_mut(key)?;
        let place = self
            .signalled
            .iter()
            .position(|&(_, listed)| listed == key)?;
        let rung = entry.flags.contains(SourceFlags::RUNG);
        entry.flags.remove(SourceFlags::LISTED | SourceFlags::RUNG);
        self.signalled.remove(place);
        Some(rung)
    }

    /// Takes the earliest deadline that is due, or finds a source whose rest is over. The deadline of a source that is being
    /// performed, or has to rest, waits for the end of that.
    pub(crate) fn claim_due(&mut self, mode: Mode, now: Tick) -> Option<Due> {
        loop {
            let (at, index) = self.first_due(mode)?;
            if at > now {
                return None;
            }
            let key = self.sources.key_at(index)?;
            let entry = self.sources.get(key)?;
            if entry.is_resting() {
                return Some(Due::Rested(key));
            }
            if entry.is_engaged() {
                self.park_deadline(key, mode);
                continue;
            }
            if self.must_wait(key) {
                continue;
            }
            self.set_deadline(key, Deadline::NEVER);
            return Some(Due::Deadline(key, at, self.engage(key)?));
        }
    }

    /// Collects what is still true of the events of one source, and says whether it can be performed with them.
    pub(crate) fn claim_ready(
        &mut self,
        batch: &mut Batch,
        items: std::ops::Range<usize>,
        mode: Mode,
    ) -> bool {
        batch.fds.clear();
        batch.barren.clear();
        let Some(source) = batch.items.get(items.start).map(|item| item.source) else {
            return false;
        };
        if !self
            .sources
            .get(source)
            .is_some_and(|entry| entry.is_in(mode))
        {
            return false;
        }
        let mut waits = None;
        for item in &batch.items[items] {
            let Some(watch) = self.watches.get(item.watch) else {
                continue;
            };
            if watch.served > batch.wait || watch.parked {
                continue;
            }
            let readiness = item.readiness.wanted_by(watch.interest);
            if readiness.is_empty() || watch.interest.is_empty() {
                continue;
            }
            // Only now: a source for which nothing is left has nothing to rest for.
            if *waits.get_or_insert_with(|| self.must_wait(source)) {
                self.park(item.watch);
                continue;
            }
            let Some(watch) = self.watches.get_mut(item.watch) else {
                continue;
            };
            watch.served = self.waits_made;
            if watch.is_barren(readiness) {
                batch.barren.push(watch.token);
            }
            batch.fds.push((watch.token, readiness));
        }
        !batch.fds.is_empty()
    }
}

/// What is due in a mode.
pub(crate) enum Due {
    /// A source, for its deadline.
    Deadline(Key, Tick, Engaged),
    /// A source that has rested.
    Rested(Key),
}

#[cfg(test)]
mod tests {
    use crate::readiness::{Interest, Readiness};

    #[test]
    fn hang_up_counts_whatever_the_interest_is() {
        let all = Readiness::all();
        assert_eq!(
            all.wanted_by(Interest::WRITABLE),
            Readiness::WRITABLE | Readiness::HANGUP | Readiness::ERROR,
            "no reading for a writer"
        );
    }
}
