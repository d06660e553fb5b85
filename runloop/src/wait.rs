//! The wait phase: whether to sleep at all, going to sleep without missing anything, and making sense of what ended it.

use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::activity::Activity;
use crate::arena::Key;
use crate::batch::{Batch, Item};
use crate::clock::{self, Tick};
use crate::core::{RunLoop, Tables};
use crate::devices::Heard;
use crate::limit::ReturnAfter;
use crate::member::SourceFlags;
use crate::mode::Mode;
use crate::plan::Plan;
use crate::sys::poller::{Events, Patience};
use crate::wake::Sleep;

impl RunLoop {
    /// Asks the kernel what is ready, sleeping if there is nothing else to do. `None`: the kernel was not asked, or had
    /// nothing to tell.
    pub(crate) fn wait(&self, plan: &Plan, handled: bool) -> io::Result<Option<Box<Batch>>> {
        // A callback may have forked, and this may be the child: the poll set and the alarm are its parent's.
        if let Err(why) = self.core.shared.reachable() {
            return Err(io::Error::other(why));
        }
        if plan.only_looks() {
            return self.poll(plan, Patience::Look);
        }
        if handled || self.is_stopped() {
            return self.look(plan);
        }
        self.notify(plan.mode, Activity::BEFORE_WAITING);
        let batch = self.sleep(plan);
        self.notify(plan.mode, Activity::AFTER_WAITING);
        batch
    }

    /// Whether a pass whose work came from memory may do without the kernel: not too often in a row, and not for longer
    /// than a descriptor may reasonably wait. The clock is only read now and then.
    fn may_skip_the_kernel(&self) -> bool {
        let passes = self.core.memory_passes.get() + 1;
        self.core.memory_passes.set(passes);
        if passes >= MEMORY_PASSES_MAX {
            return false;
        }
        if passes % MEMORY_PASSES_PER_CLOCK != 0 {
            return true;
        }
        let now = Tick::now();
        if passes == MEMORY_PASSES_PER_CLOCK {
            self.core.kernel_asked.set(now);
            return true;
        }
        now < self.core.kernel_asked.get().after(MEMORY_TIME_MAX)
    }

    /// Asks the kernel without sleeping, unless it has been asked so recently that this can be left out.
    fn look(&self, plan: &Plan) -> io::Result<Option<Box<Batch>>> {
        if self.may_skip_the_kernel() {
            Ok(None)
        } else {
            self.poll(plan, Patience::Look)
        }
    }

    fn sleep(&self, plan: &Plan) -> io::Result<Option<Box<Batch>>> {
        loop {
            // What hot sources are told may make them bring work from this thread, too.
            let told = self.core.hot_count.get() > 0;
            if self.has_work(plan)
                || self.spin(plan)
                || self.stand_aside()
                || self.announce(plan.mode)
            {
                return self.look(plan);
            }
            let asleep = Asleep::announce(&self.core.shared.sleep);
            if self.collect() || self.core.shared.has_orders() || (told && self.has_work(plan)) {
                drop(asleep);
                return self.look(plan);
            }
            let batch = self
                .arm(plan)
                .and_then(|patience| self.slumber(|| self.poll(plan, patience)));
            drop(asleep);
            let batch = batch?;
            self.tell_woken();
            // A wake-up that is stale, or an alarm for a deadline that has moved, is nobody's business but ours.
            let awaited = self.collect() | self.core.shared.has_orders();
            if awaited || batch.is_some() || self.has_work(plan) || self.is_due(plan) {
                return Ok(batch);
            }
            if self.slumber(|| self.jump(plan)) {
                return Ok(None);
            }
        }
    }

    /// Lets other threads run if one of them is likely to bring more; says whether something has come.
    fn stand_aside(&self) -> bool {
        let aside = &self.core.aside;
        if !aside.is_due() || !self.core.spinning.get() || clock::standing().is_some() {
            return false;
        }
        let begun = Tick::now();
        std::thread::yield_now();
        let took = begun.until(Tick::now());
        self.core.count(|statistics| statistics.yields += 1);
        let found = self.collect() || self.core.shared.has_orders();
        aside.learn(took, found);
        found
    }

    /// Whether there is something to do that the kernel knows nothing of.
    fn has_work(&self, plan: &Plan) -> bool {
        self.core.with(|tables| tables.has_work(plan.mode))
            || self.is_stopped()
            || (!plan.when_empty && self.is_empty(plan.mode))
    }

    /// Asks the kernel, once.
    fn poll(&self, plan: &Plan, patience: Patience) -> io::Result<Option<Box<Batch>>> {
        self.core.memory_passes.set(0);
        let few = plan.return_after == ReturnAfter::FirstSource;
        let found = self.core.with(|tables| {
            let poller = Rc::clone(tables.poller(plan.mode)?);
            let spare = tables.spare_batches[usize::from(few)].pop();
            Some((poller, spare.unwrap_or_else(|| Box::new(Batch::new(few)))))
        });
        let Some((poller, mut batch)) = found else {
            return Ok(None);
        };
        poller.wait(&mut batch.events, patience)?;
        self.core.count(|statistics| statistics.waits += 1);
        let heard = self.core.with(|tables| {
            tables.waits_made += 1;
            tables.sort_out(&mut batch, plan.mode)
        });
        if heard.contains(Heard::ALARM) {
            self.core.armed.set(Tick::NEVER);
        }
        if std::mem::take(&mut batch.stray) && !STRAY_TOLD.swap(true, Ordering::Relaxed) {
            // The types rule it out; should it happen all the same, a loop that never sleeps is easier to explain so.
            tracing::warn!("an event of a descriptor that no source watches is dropped");
        }
        if batch.items.is_empty() {
            self.core.with(|tables| tables.keep_batch(batch));
            return Ok(None);
        }
        Ok(Some(batch))
    }
}

/// The announcement of sleep; it is taken back also on the way of a panic.
struct Asleep<'a>(&'a Sleep);

impl<'a> Asleep<'a> {
    fn announce(sleep: &'a Sleep) -> Self {
        sleep.announce();
        Self(sleep)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Batch {
    fn new(few: bool) -> Self {
        let most = if few { EVENTS_FEW } else { EVENTS_MOST };
        let events = Events::with_capacity(most);
        Self {
            wait: 0,
            few,
            events,
            stray: false,
            items: Vec::new(),
            fds: Vec::new(),
            barren: Vec::new(),
        }
    }
}

impl Tables {
    /// Keeps the memory of a batch for the next wait.
    pub(crate) fn keep_batch(&mut self, batch: Box<Batch>) {
        self.spare_batches[usize::from(batch.few)].push(batch);
    }

    /// Whether a closure or a signalled source waits for this mode.
    pub(crate) fn has_work(&mut self, mode: Mode) -> bool {
        // An observer of the wait may have run another mode, in which a signal for this one was shelved.
        let signalled = self.has_signals();
        self.has_closures(mode)
            || signalled
                && self.signalled.iter().any(|&(_, key)| {
                    let entry = self.sources.get(key);
                    entry.is_some_and(|entry| entry.is_in(mode) && !entry.is_held())
                })
    }

    /// Finds the source of each event and puts them in the order in which they will be performed; says which of the
    /// loop's own descriptors were ready.
    fn sort_out(&mut self, batch: &mut Batch, mode: Mode) -> Heard {
        let wait = self.waits_made;
        batch.wait = wait;
        batch.items.clear();
        let mut heard = Heard::empty();
        let mut sorted = true;
        for (word, readiness) in batch.events.iter() {
            if let Some(device) = Heard::from_key(word) {
                heard |= device;
                continue;
            }
            let watch = Key::unpack(word);
            let found = self
                .watches
                .get(watch)
                .map(|watch| (watch.source, watch.edge));
            let Some((source, edge)) = found else {
                batch.stray = true;
                continue;
            };
            let Some(entry) = self.sources.get_mut(source) else {
                continue;
            };
            if edge {
                // An edge is told once. As a signal it cannot be lost with a batch that is abandoned.
                entry.state.set_signalled();
                entry.flags.insert(SourceFlags::RUNG);
                self.list(source);
                continue;
            }
            // A place that another source has, or nobody yet, is left over from an earlier batch.
            let first = batch.items.get(entry.place as usize);
            if first.is_none_or(|first| first.source != source) {
                entry.place = u32::try_from(batch.items.len()).unwrap_or(u32::MAX);
            }
            let item = Item {
                order: entry.state.order(),
                place: entry.place,
                source,
                watch,
                readiness,
            };
            let before = batch.items.last().map(Item::rank);
            sorted &= before.is_none_or(|before| before <= item.rank());
            batch.items.push(item);
        }
        if !sorted {
            batch.items.sort_by_key(Item::rank);
        }
        if let Some(beacon) = self.mode(mode).and_then(|entry| entry.beacon.as_ref()) {
            beacon.seen(heard);
        }
        heard
    }
}

impl Item {
    const fn rank(&self) -> (i32, u32) {
        (self.order, self.place)
    }
}

/// Whether the process has been told of a stray event: it may come again and again.
static STRAY_TOLD: AtomicBool = AtomicBool::new(false);

/// How many passes in a row may leave the kernel out.
const MEMORY_PASSES_MAX: u32 = 64;
/// How many such passes are made between two looks at the clock.
const MEMORY_PASSES_PER_CLOCK: u32 = 8;
/// For how long such passes may go on.
const MEMORY_TIME_MAX: Duration = Duration::from_micros(50);
/// How many events a wait takes from the kernel.
const EVENTS_MOST: usize = 256;
/// How many when the run returns after one source: what is taken and not served has to be found again.
const EVENTS_FEW: usize = 8;

#[cfg(test)]
mod tests;
