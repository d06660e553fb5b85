//! Sources that look before sleep: asking them, spinning for them, and telling them when the loop sleeps and wakes.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::arena::Key;
use crate::clock::Tick;
use crate::core::{Callee, RunLoop, Tables};
use crate::member::SourceFlags;
use crate::mode::Mode;
use crate::plan::Plan;
use crate::readiness::{Prepared, Stage};
use crate::state::State;

impl RunLoop {
    /// Asks the sources that look before sleep; one that has work is signalled. Says whether one has; how long
    /// the others would rather look again than sleep is kept until that is decided.
    pub(crate) fn ask_hot(&self, mode: Mode, stage: Stage) -> Prepared {
        let mut answer = Prepared::Idle;
        for key in self.core.with(|tables| tables.hot_in(mode)) {
            match self.ask(key, stage) {
                Prepared::Ready => {
                    self.signal_source(key);
                    answer = Prepared::Ready;
                }
                Prepared::Spin(more) => {
                    let wish = self.core.spin_wish.get().max(more);
                    self.core.spin_wish.set(wish);
                }
                Prepared::Idle => {}
            }
        }
        answer
    }

    /// Looks again and again for as long as the hot sources ask for it; says whether there is something to do.
    pub(crate) fn spin(&self, plan: &Plan) -> bool {
        if self.core.hot_count.get() == 0 {
            return false;
        }
        if self.ask_hot(plan.mode, Stage::Look) == Prepared::Ready {
            return true;
        }
        // What the sources wished for at any look since the last sleep; they say it once.
        let mut more = self.core.spin_wish.take();
        if more.is_zero() || !self.may_spin() {
            return false;
        }
        let hot = self.core.with(|tables| tables.hot_callees(plan.mode));
        let mut now = Tick::now();
        let mut until = now;
        let longest = now.after(SPIN_MAX);
        let latest = self.core.with(|tables| tables.first_deadline(plan.mode));
        let latest = latest.unwrap_or(Tick::NEVER).min(plan.deadline);
        loop {
            until = until.max(now.after(more)).min(latest);
            more = Duration::ZERO;
            for _ in 0..LOOKS_PER_CLOCK {
                std::hint::spin_loop();
                for (key, callee, state) in &hot {
                    match self.ask_this(*key, (callee, state), Stage::Look) {
                        Prepared::Ready => {
                            self.signal_source(*key);
                            return true;
                        }
                        Prepared::Spin(longer) => more = more.max(longer),
                        Prepared::Idle => {}
                    }
                }
            }
            if self.collect() || self.core.shared.has_orders() {
                return true;
            }
            now = Tick::now();
            if now >= latest {
                return true;
            }
            if now >= longest || (now >= until && more.is_zero()) {
                return false;
            }
        }
    }

    /// Puts a source on the hot list.
    pub(crate) fn heat(&self, key: Key) {
        let hot = self.core.with(|tables| tables.heat(key));
        self.core.hot_count.set(hot);
    }

    /// Lets the hot sources of a mode announce that the loop will not look any more; says whether one has work after
    /// all.
    #[inline]
    pub(crate) fn announce(&self, mode: Mode) -> bool {
        self.core.hot_count.get() > 0 && self.announce_to_hot(mode)
    }

    fn announce_to_hot(&self, mode: Mode) -> bool {
        let mut ready = false;
        for key in self.core.with(|tables| tables.hot_in(mode)) {
            match self.ask(key, Stage::Announce) {
                Prepared::Ready => {
                    self.signal_source(key);
                    ready = true;
                }
                Prepared::Idle | Prepared::Spin(_) => {
                    let hot = self.core.with(|tables| tables.cool(key));
                    self.core.hot_count.set(hot);
                }
            }
        }
        ready
    }

    /// Tells the sources that announced sleep that it is over.
    pub(crate) fn tell_woken(&self) {
        while let Some(key) = self.core.with(|tables| tables.slept.pop()) {
            if self.ask(key, Stage::Woken) == Prepared::Ready {
                self.signal_source(key);
            }
        }
    }
}

/// A source, ready to be asked without looking it up.
type HotCallee = (Key, Arc<dyn Callee>, Arc<State>);

impl Tables {
    /// The hot sources of a mode.
    fn hot_in(&self, mode: Mode) -> SmallVec<[Key; 4]> {
        let hot = self.hot.iter().copied();
        hot.filter(|&key| {
            let entry = self.sources.get(key);
            entry.is_some_and(|entry| entry.is_in(mode) && !entry.is_held())
        })
        .collect()
    }

    fn hot_callees(&self, mode: Mode) -> SmallVec<[HotCallee; 2]> {
        let hot = self
            .hot
            .iter()
            .filter_map(|&key| Some((key, self.sources.get(key)?)));
        let hot = hot.filter(|(_, entry)| entry.is_in(mode) && !entry.is_held());
        hot.map(|(key, entry)| (key, Arc::clone(&entry.callee), Arc::clone(&entry.state)))
            .collect()
    }

    /// Whether some source of a mode is to be asked before the loop sleeps.
    pub(crate) fn is_hot(&self, mode: Mode) -> bool {
        let mut hot = self.hot.iter().filter_map(|&key| self.sources.get(key));
        hot.any(|entry| entry.is_in(mode) && !entry.is_resting())
    }

    /// Puts a source on the hot list; says how many are on it.
    fn heat(&mut self, key: Key) -> usize {
        if let Some(entry) = self.sources.get_mut(key) {
            if !entry.flags.contains(SourceFlags::HOT) && entry.ending.is_none() {
                entry.flags.insert(SourceFlags::HOT);
                self.hot.push(key);
            }
        }
        self.stir(key, Tick(0));
        self.hot.len()
    }

    /// Takes a source off the hot list, to be told when the loop wakes; says how many are left.
    fn cool(&mut self, key: Key) -> usize {
        let left = self.forget_hot(key);
        if let Some(entry) = self.sources.get_mut(key) {
            entry.flags.remove(SourceFlags::HOT);
            // A loop that never sleeps itself would tell it of many announcements.
            if !self.slept.contains(&key) {
                self.slept.push(key);
            }
        }
        left
    }

    /// Takes a source off the hot list; says how many are left.
    pub(crate) fn forget_hot(&mut self, key: Key) -> usize {
        self.hot.retain(|&hot| hot != key);
        self.hot.len()
    }
}

/// For how long a loop spins before it sleeps after all, whatever is asked for: meanwhile it hears of no descriptor.
const SPIN_MAX: Duration = Duration::from_micros(250);
/// How many looks a spin makes between two looks at the clock.
const LOOKS_PER_CLOCK: u32 = 16;
