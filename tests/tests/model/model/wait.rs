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
        loop {
            self.burn()?;
            if self.has_work(plan) || self.ask_hot(plan.mode)? || self.announce(plan.mode)? {
                return Ok(self.glance(plan.mode));
            }
            if self.collect() || self.stop_ordered || self.wake_ordered || self.has_work(plan) {
                return Ok(self.glance(plan.mode));
            }
            let batch = self.poll(plan.mode);
            let latest = self.latest(plan);
            if batch.is_none() && latest.is_none() {
                return Err(Stopped::Endless);
            }
            self.tell_woken()?;
            let awaited = self.collect() || self.stop_ordered || self.wake_ordered;
            if awaited || batch.is_some() || self.has_work(plan) || self.is_due(plan) {
                return Ok(batch);
            }
            // Time stands still, so instead of sleeping the loop goes where it would have woken.
            if let Some(latest) = self.latest(plan) {
                self.now = self.now.max(latest);
                return Ok(None);
            }
        }
    }

    /// Until when a sleep may last.
    fn latest(&self, plan: Plan) -> Option<i64> {
        self.limit(plan.mode).into_iter().chain(plan.until).min()
    }

    fn is_due(&self, plan: Plan) -> bool {
        let first = self.first_due(plan.mode).map(|(due, _)| due.at);
        let next = first.into_iter().chain(plan.until).min();
        next.is_some_and(|next| next <= self.now)
    }

    fn has_work(&mut self, plan: Plan) -> bool {
        let closures = self
            .closures
            .iter()
            .any(|closure| self.fits(closure.mode, plan.mode));
        let signals = !self.signalled_in(plan.mode).is_empty();
        let empty = !plan.when_empty && self.is_empty(plan.mode);
        // Whether an order to stop is taken here decides which run it stops.
        closures || signals || self.is_stopped() || empty
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
