//! When it is worth looking again instead of sleeping: only for a peer that is at work, on another processor.

use crate::ring::{Page, Progress};
use runloop::Prepared;
use std::time::Duration;

/// What a source knows of its chances when it looks for a peer's answer.
///
/// For one thread at a time: a source that several loops perform has one chance among them, and the worst that a mistake
/// costs is a look too many.
pub(crate) struct Spin {
    allowed: bool,
    state: std::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The link on which something is expected.
    page: Option<Page>,
    /// What its peer had done when last looked at.
    seen: Option<Progress>,
}

impl Spin {
    /// Where it is not `allowed`, it is never worth it.
    pub(crate) fn new(allowed: bool) -> Self {
        Self {
            allowed,
            state: std::sync::Mutex::default(),
        }
    }

    /// Nothing is expected.
    pub(crate) fn begin(&self) {
        let mut state = self.lock();
        state.page = None;
        state.seen = None;
    }

    /// The peer of this link was heard of just now, and may soon be again.
    pub(crate) fn expect(&self, page: &Page) {
        // On a machine with one processor the peer is never elsewhere.
        if !self.allowed || !page.peer_is_elsewhere() {
            return;
        }
        let mut state = self.lock();
        state.page = Some(page.clone());
        state.seen = None;
    }

    /// Whether to go on looking: for a while after each sign of work at the other side.
    pub(crate) fn look(&self) -> Prepared {
        let mut state = self.lock();
        let State { page, seen } = &mut *state;
        let Some(page) = page else {
            return Prepared::Idle;
        };
        let progress = page.peer_progress();
        if *seen == Some(progress) {
            return Prepared::Idle;
        }
        *seen = Some(progress);
        Prepared::Spin(LIMIT)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// For how long a peer that was seen at work is looked for: more than a wake-up costs.
const LIMIT: Duration = Duration::from_micros(50);
