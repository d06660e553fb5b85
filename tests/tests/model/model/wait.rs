//! The model's wait, which never waits: time goes to where the loop would have woken.

use crate::model::pass::{AFTER_WAITING, BEFORE_WAITING, Batch, Plan};
use crate::model::{Go, MS, Model, Stopped};
use crate::program::In;

impl Model {
    pub(crate) fn wait(&mut self, plan: Plan, handled: bool) -> Go<Option<Batch>> {
        if plan.only_looks {
            return Ok(self.poll(plan.mode));
        }
        if handled || self.is_stopped() {
            return Ok(self.glance(plan.mode));
        }
        self.notify(plan.mode, BEFORE_WAITING)?;
        let batch = self.sleep(plan)?;
        self.notify(plan.mode, AFTER_WAITING)?;
        Ok(batch)
    }

    fn sleep(&mut self, plan: Plan) -> Go<Option<Batch>> {
        if self.has_work(plan)
            || self.collect()
            || self.stop_ordered
            || self.wake_ordered
            || self.has_work(plan)
        {
            return Ok(self.glance(plan.mode));
        }
        let batch = self.poll(plan.mode);
        if batch.is_some()
            || self
                .first_due(plan.mode)
                .is_some_and(|first| first.0.at <= self.now)
        {
            return Ok(batch);
        }
        // Time stands still, so instead of sleeping the loop goes where it would have woken.
        let limit = self.limit(plan.mode).into_iter().chain(plan.until).min();
        self.now = self.now.max(limit.ok_or(Stopped::Endless)?);
        Ok(None)
    }

    fn has_work(&mut self, plan: Plan) -> bool {
        let closures = self
            .closures
            .iter()
            .any(|closure| self.fits(closure.mode, plan.mode));
        let signals = !self.signalled_in(plan.mode).is_empty();
        let empty = !plan.when_empty && self.is_empty(plan.mode);
        closures || signals || empty || self.is_stopped()
    }

    /// Asks the kernel, unless it was asked so lately that this can be left out.
    fn glance(&mut self, mode: In) -> Option<Batch> {
        self.skipped += 1;
        if self.skipped == 8 {
            self.skipping_since = self.now;
        }
        let long = self.skipped % 8 == 0 && self.now >= self.skipping_since + MS / 20;
        if self.skipped >= 64 || (long && self.skipped > 8) {
            return self.poll(mode);
        }
        None
    }

    /// What is ready, lowest order first.
    fn poll(&mut self, mode: In) -> Option<Batch> {
        self.skipped = 0;
        self.waits += 1;
        let mut ready = Vec::new();
        for (id, source) in self.sources.iter().enumerate() {
            for (token, watch) in source.watches.iter().enumerate() {
                let watched = source.is_in(mode) && watch.wanted && !watch.parked;
                let (readable, hung) = self.events[watch.event];
                if watched && (readable || hung) {
                    ready.push((id, source.attachment, (token, readable, hung)));
                }
            }
        }
        ready.sort_by_key(|&(id, _, _)| (self.sources[id].def.order, id));
        (!ready.is_empty()).then_some((self.waits, ready))
    }
}
