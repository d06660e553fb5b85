//! The model's rate limits: sources that rest, and what waits for the end of that.

use crate::model::{Due, MS, Model, Source};

impl Source {
    /// Whether it may not be performed, whatever is found for it.
    pub(crate) fn is_held(&self) -> bool {
        self.is_engaged() || self.pace.rests
    }

    /// When its modes have to look at it.
    pub(crate) fn alarm(&self) -> Option<Due> {
        if !self.pace.rests {
            return self.due;
        }
        let at = self.rest_ends()?;
        Some(Due {
            at,
            number: self.due_set,
            limit: at,
        })
    }

    /// What waited for the end of its call, or of its rest, is found again.
    pub(crate) fn unpark(&mut self) {
        for watch in &mut self.watches {
            watch.parked = false;
        }
        for member in &mut self.members {
            member.parked = false;
        }
    }

    /// When the stretch in progress is over, if it ever is.
    fn rest_ends(&self) -> Option<i64> {
        let (_, per) = self.def.limit?;
        Some(self.pace.begun + per? * MS)
    }
}

impl Model {
    /// Whether a source may not be performed now; one that has been performed as often as it may begins its rest.
    pub(crate) fn must_wait(&mut self, id: usize) -> bool {
        let now = self.now;
        let source = &mut self.sources[id];
        if source.is_held() {
            return true;
        }
        let Some((most, _)) = source.def.limit else {
            return false;
        };
        if source.rest_ends().is_some_and(|end| end <= now) {
            source.pace.performs = 0;
        }
        if source.pace.performs == 0 {
            source.pace.begun = now;
        }
        if source.pace.performs < most {
            return false;
        }
        source.pace.rests = true;
        for member in &mut source.members {
            member.parked = false;
        }
        true
    }

    pub(crate) fn end_rest(&mut self, id: usize) {
        self.sources[id].pace.rests = false;
        self.sources[id].unpark();
    }
}
