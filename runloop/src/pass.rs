//! One pass of the loop, as a list of phases.

use std::io;

use crate::activity::Activity;
use crate::arena::Key;
use crate::batch::Batch;
use crate::claim::{Due, Found};
use crate::clock::Tick;
use crate::core::{Closure, Core, RunLoop, Tables};
use crate::deadlines::Deadline;
use crate::limit::{Outcome, ReturnAfter};
use crate::mode::Mode;
use crate::plan::Plan;
use crate::readiness::{Ready, Stage};
use crate::trace::Call;
use crate::wake::{STOP, WAKE};

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
        let last = self
            .core
            .with(|tables| tables.has_closures(mode).then_some(tables.counter));
        let Some(last) = last else { return };
        while let Some(closure) = self.core.with(|tables| tables.next_closure(mode, last)) {
            self.core.shared.release_closure();
            self.call(Call::Closure, || match closure {
                Closure::Local(closure) => closure(self),
                Closure::Sent(job) => job(),
            });
        }
    }

    /// Performs the sources of the mode that are signalled now, lowest order first.
    fn perform_signalled(&self, plan: &Plan) -> bool {
        if !self.core.with(Tables::has_signals) {
            return false;
        }
        let found = self.core.with(|tables| tables.signalled_in(plan.mode));
        self.perform_each(plan, found)
    }

    /// Performs the sources whose bells the look of a run that only looks has heard: nothing would in another pass.
    fn perform_rung(&self, plan: &Plan, handled: bool) -> bool {
        if !plan.only_looks() || (handled && plan.return_after == ReturnAfter::FirstSource) {
            return false;
        }
        if !self.core.with(Tables::has_signals) {
            return false;
        }
        let mut found = self.core.with(|tables| tables.signalled_in(plan.mode));
        found.retain(|&mut (_, _, key)| self.core.with(|tables| tables.is_rung(key)));
        self.perform_each(plan, found)
    }

    fn perform_each(&self, plan: &Plan, found: Found) -> bool {
        let mut handled = false;
        for (_, _, key) in found {
            let claimed = self.core.with(|tables| {
                let rung = tables.claim_signalled(key, plan.mode)?;
                Some((rung, tables.engage(key)?))
            });
            let Some((rung, engaged)) = claimed else {
                continue;
            };
            handled |= self.perform_source(key, engaged, Ready::signal(rung));
            if handled && plan.return_after == ReturnAfter::FirstSource {
                break;
            }
        }
        handled
    }

    /// Performs the sources of the mode whose deadline has passed, the earliest first. Those whose rest is over go on: what
    /// was kept for them is found from here on.
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
        while let Some(due) = self.core.with(|tables| tables.claim_due(mode, now)) {
            match due {
                Due::Deadline(key, at, engaged) => {
                    self.perform_source(key, engaged, Ready::deadline(at.to_instant()));
                }
                Due::Rested(key) => self.go_on(key),
            }
        }
        drop(serving);
    }

    /// Performs the sources whose descriptors the wait found ready, lowest order first, each with all of its own.
    ///
    /// A run that returns after one source takes one here, even when a signalled source has had its turn in this pass:
    /// otherwise a source that always signals itself would keep every descriptor waiting.
    fn perform_ready(&self, plan: &Plan, batch: Option<Box<Batch>>) -> bool {
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
            let claimed = self.core.with(|tables| {
                let claimed = tables.claim_ready(&mut batch, at..end, plan.mode);
                claimed.then(|| tables.engage(source)).flatten()
            });
            if let Some(engaged) = claimed {
                performed |= self.perform_source(source, engaged, Ready::fds(&batch.fds));
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
        if self.core.shared.take_order(STOP) {
            self.core.stopped.set(true);
        }
        self.core.stopped.get()
    }

    /// Whether the mode has nothing that a run could wait for or do.
    pub(crate) fn is_empty(&self, mode: Mode) -> bool {
        self.core.with(|tables| tables.is_empty(mode))
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
