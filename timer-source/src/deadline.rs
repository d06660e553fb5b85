//! Where the next date of a timer lies on the clock of its loop, and telling the loop.

use std::time::Instant;

use runloop::SourceHandle;

use crate::moment::{self, Moment};
use crate::shared::Shared;

/// When the loop has to look at the timer: at its date, or at once if a firing is asked for. For the timer's own thread.
pub(crate) fn deadline<M: Moment>(timer: &Shared) -> Option<Instant> {
    if timer.is_asked() {
        return Some(moment::past());
    }
    moment::moment::<M>(timer.date())?.to_instant()
}

/// As `deadline`, when the clock may have been set since the date was.
pub(crate) fn deadline_anew<M: Moment>(timer: &Shared) -> Option<Instant> {
    if !M::STEADY {
        timer.draw_near(moment::now::<M>());
    }
    deadline::<M>(timer)
}

/// Has the loop follow the date and the tolerance that are set, from any thread.
pub(crate) fn follow<M: Moment>(handle: &SourceHandle, timer: &Shared) {
    if timer.is_here() {
        handle.set_deadline_within(deadline::<M>(timer), timer.tolerance());
    } else {
        // Requests of several threads may reach the loop in another order than their dates were set in. So the loop is not
        // told a date, only to look at the one that is set by then.
        handle.set_deadline(Some(moment::past()));
    }
}
