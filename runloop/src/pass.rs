//! One pass of the loop, as a list of phases.

use std::io;

use smallvec::SmallVec;

use crate::activity::Activity;
use crate::arena::Key;
use crate::batch::Batch;
use crate::clock::Tick;
use crate::core::{Closure, Core, RunLoop, Tables};
use crate::deadlines::Deadline;
use crate::limit::{Outcome, ReturnAfter};
use crate::member::SourceFlags;
use crate::mode::Mode;
use crate::plan::Plan;
use crate::readiness::{Ready, Stage};
use crate::shared::{STOP, WAKE};

impl RunLoop {
    /// Looks at everything once, in the order of CoreFoundation, and says with what the run ends, if it does.
    pub(crate) fn pass(&self, plan: &Plan) -> io::Result<Option<Outcome>> {
        self.begin(plan.mode);
        self.notify(plan.mode, Activity::BEFORE_TIMERS);
        self.notify(plan.mode, Activity::BEFORE_SOURCES);
        self.run_closures(plan.mode);
        let mut handled = self.perform_signalled(plan);
        if handled {
            self.run_closures(plan.mode);
        }
        let batch = self.wait(plan, handled)?;
        self.perform_due(plan.mode);
        handled |= self.perform_ready(plan, batch);
        handled |= self.perform_rung(plan, handled);
        self.run_closures(plan.mode);
        Ok(self.decide(plan, handled))
    }

    /// Takes in what has come since the last look. This pass is the one that a wake-up sent until now has asked for.
    fn begin(&self, mode: Mode) {
        self.core.count(|statistics| statistics.passes += 1);
        self.core.shared.take_order(WAKE);
        self.collect();
        if self.core.hot_count.get() > 0 {
            self.ask_hot(mode, Stage::Look);
        }
    }

    /// Runs the closures that were there when the phase began. Each leaves its queue just before it runs, so a nested
    /// run goes on with the rest.
    pub(crate) fn run_closures(&self, mode: Mode) {
        let last = self.core.with(|tables| tables.counter);
        while let Some(closure) = self.core.with(|tables| tables.next_closure(mode, last)) {
            self.core.shared.release_closure();
            let span = tracing::trace_span!("closure", mode = mode.name());
            span.in_scope(|| match closure {
                Closure::Local(closure) => closure(self),
                Closure::Sent(job) => job(),
            });
        }
    }

    /// Performs the sources of the mode that are signalled now, lowest order first.
    fn perform_signalled(&self, plan: &Plan) -> bool {
        let found = self.core.with(|tables| tables.signalled_in(plan.mode));
        self.perform_each(plan, found)
    }

    /// Performs the sources whose bells the look of a run that only looks has heard: nothing would in another pass.
    fn perform_rung(&self, plan: &Plan, handled: bool) -> bool {
        if !plan.only_looks() || (handled && plan.return_after == ReturnAfter::FirstSource) {
            return false;
        }
        let mut found = self.core.with(|tables| tables.signalled_in(plan.mode));
        found.retain(|&mut (_, key)| self.core.with(|tables| tables.is_rung(key)));
        self.perform_each(plan, found)
    }

    fn perform_each(&self, plan: &Plan, found: Found) -> bool {
        let mut handled = false;
        for (_, key) in found {
            let claimed = self
                .core
                .with(|tables| tables.claim_signalled(key, plan.mode));
            let Some(rung) = claimed else {
                continue;
            };
            handled |= self.perform_source(key, Ready::signal(rung));
            if handled && plan.return_after == ReturnAfter::FirstSource {
                break;
            }
        }
        handled
    }

    /// Performs the sources of the mode whose deadline has passed, the earliest first.
    fn perform_due(&self, mode: Mode) {
        if self
            .core
            .with(|tables| tables.first_deadline(mode))
            .is_none()
        {
            return;
        }
        let now = Tick::now();
        let serving = Serving {
            core: &self.core,
            before: self.core.serving.replace(Some(now)),
        };
        while let Some((key, at)) = self.core.with(|tables| tables.claim_due(mode, now)) {
            self.perform_source(key, Ready::deadline(at.to_instant()));
        }
        drop(serving);
    }

    /// Performs the sources whose descriptors the wait found ready, lowest order first, each with all of its own.
    ///
    /// A run that returns after one source takes one here, even when a signalled source has had its turn in this pass:
    /// otherwise a source that always signals itself would keep every descriptor waiting.
    fn perform_ready(&self, plan: &Plan, batch: Option<Batch>) -> bool {
        let Some(mut batch) = batch else { return false };
        let one = plan.return_after == ReturnAfter::FirstSource;
        let mut performed = false;
        let mut at = 0;
        while at < batch.items.len() && !(one && performed) {
            let source = batch.items[at].source;
            let end = batch.items[at..]
                .iter()
                .position(|item| item.source != source);
            let end = end.map_or(batch.items.len(), |count| at + count);
            if self
                .core
                .with(|tables| tables.claim_ready(&mut batch, at..end, plan.mode))
            {
                performed |= self.perform_source(source, Ready::fds(&batch.fds));
                self.silence(source, &batch.barren);
            }
            at = end;
        }
        self.core.with(|tables| tables.keep_batch(batch));
        performed
    }

    fn decide(&self, plan: &Plan, handled: bool) -> Option<Outcome> {
        if handled && plan.return_after == ReturnAfter::FirstSource {
            return Some(Outcome::HandledSource);
        }
        if plan.only_looks() || (plan.deadline != Tick::NEVER && plan.deadline <= Tick::now()) {
            return Some(Outcome::TimedOut);
        }
        if self.is_stopped() {
            return Some(Outcome::Stopped);
        }
        if !plan.when_empty && self.is_empty(plan.mode) && !self.collect() {
            return Some(Outcome::Finished);
        }
        None
    }

    /// Whether the innermost run was asked to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        let ordered = self.core.shared.take_order(STOP);
        self.core.with(|tables| {
            let Some(activation) = tables.activations.last_mut() else {
                return ordered;
            };
            activation.stopped |= ordered;
            activation.stopped
        })
    }

    /// Whether the mode has nothing that a run could wait for or do.
    pub(crate) fn is_empty(&self, mode: Mode) -> bool {
        self.core.with(|tables| {
            tables.mode(mode).is_none_or(|entry| entry.lively == 0) && !tables.has_closures(mode)
        })
    }

    /// Signals a source of this loop from its own thread.
    pub(crate) fn signal_source(&self, key: Key) {
        self.core.with(|tables| {
            let Some(entry) = tables.sources.get(key) else {
                return;
            };
            if entry.state.is_valid() {
                entry.state.set_signalled();
                tables.list(key);
            }
        });
    }

    /// Sets, moves or clears the deadline of a source.
    ///
    /// While deadlines are being served, one that has passed already waits for the next pass: a source that is always
    /// due is served once a phase like everything else.
    pub(crate) fn move_deadline(&self, key: Key, mut deadline: Deadline) {
        if let Some(serving) = self.core.serving.get() {
            deadline = deadline.not_before(Tick(serving.0.saturating_add(1)));
        }
        self.core.with(|tables| tables.set_deadline(key, deadline));
    }
}

/// Restores, also on the way of a panic, which due phase is in progress.
struct Serving<'a> {
    core: &'a Core,
    before: Option<Tick>,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.core.serving.set(self.before);
    }
}

/// Signalled sources with their orders.
type Found = SmallVec<[(i32, Key); 4]>;

impl Tables {
    /// The oldest closure for this mode that is not newer than `last`.
    fn next_closure(&mut self, mode: Mode, last: u64) -> Option<Closure> {
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

    /// The signalled sources that can be performed in this mode, lowest order first, equal ones by their signals. They
    /// stay on the list until each is claimed; those that cannot be performed move to the shelf.
    fn signalled_in(&mut self, mode: Mode) -> Found {
        self.clear_shelf();
        let mut found = Found::new();
        if self.signalled.is_empty() {
            return found;
        }
        let Self {
            sources,
            signalled,
            shelf,
            ..
        } = self;
        signalled.retain(|&key| {
            let Some(entry) = sources.get_mut(key) else {
                return false;
            };
            let rung = entry.flags.contains(SourceFlags::RUNG);
            if !entry.state.is_signalled() && !rung {
                entry.flags.remove(SourceFlags::LISTED);
                return false;
            }
            if !entry.is_in(mode) || entry.is_engaged() {
                shelf.push(key);
                return false;
            }
            found.push((entry.state.order, key));
            true
        });
        found.sort_by_key(|&(order, _)| order);
        found
    }

    /// Whether a bell of a source has rung that it has not been performed for.
    fn is_rung(&self, key: Key) -> bool {
        let entry = self.sources.get(key);
        entry.is_some_and(|entry| entry.flags.contains(SourceFlags::RUNG))
    }

    /// Takes a source off the list, if it is still there and can still be performed; says whether a bell of it has rung.
    fn claim_signalled(&mut self, key: Key, mode: Mode) -> Option<bool> {
        // An earlier perform may have run another mode, in which this one was shelved.
        self.clear_shelf();
        let entry = self.sources.get_mut(key)?;
        if !entry.is_in(mode) || entry.is_engaged() {
            self.shelf_changed = true;
            return None;
        }
        let place = self.signalled.iter().position(|&listed| listed == key)?;
        let rung = entry.flags.contains(SourceFlags::RUNG);
        entry.flags.remove(SourceFlags::LISTED | SourceFlags::RUNG);
        self.signalled.remove(place);
        Some(rung)
    }

    /// Takes the earliest deadline that is due; one whose source is being performed waits for the end of that.
    fn claim_due(&mut self, mode: Mode, now: Tick) -> Option<(Key, Tick)> {
        loop {
            let (at, index) = self.mode(mode)?.deadlines.first()?;
            if at > now {
                return None;
            }
            let key = self.sources.key_at(index)?;
            if self.sources.get(key)?.is_engaged() {
                self.park_deadline(key, mode);
                continue;
            }
            self.set_deadline(key, Deadline::NEVER);
            return Some((key, at));
        }
    }

    /// Collects what is still true of the events of one source, and says whether it can be performed with them.
    fn claim_ready(
        &mut self,
        batch: &mut Batch,
        items: std::ops::Range<usize>,
        mode: Mode,
    ) -> bool {
        batch.fds.clear();
        batch.barren.clear();
        for item in &batch.items[items] {
            let Some(entry) = self.sources.get(item.source) else {
                return false;
            };
            if !entry.is_in(mode) {
                return false;
            }
            let engaged = entry.is_engaged();
            let Some(watch) = self.watches.get_mut(item.watch) else {
                continue;
            };
            if watch.served > batch.wait || watch.parked {
                continue;
            }
            let readiness = item.readiness.wanted_by(watch.interest);
            if readiness.is_empty() || watch.interest.is_empty() {
                continue;
            }
            if engaged {
                self.park(item.watch);
                continue;
            }
            watch.served = self.waits_made;
            if watch.is_barren(readiness) {
                batch.barren.push(watch.token);
            }
            batch.fds.push((watch.token, readiness));
        }
        !batch.fds.is_empty()
    }
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
