//! How a wait ends by itself: the next deadline or the limit of the run, and the alarm that is set for it.

use std::io;

use crate::clock::{self, Tick};
use crate::core::RunLoop;
use crate::plan::Plan;
use crate::sys::poller::Patience;

impl RunLoop {
    /// Sees to it that a wait ends in time, and says how long the kernel may take over it.
    ///
    /// The alarm is set for the next deadline, unless it is set for that or an earlier moment already. Where time stands
    /// still no alarm is of any use: the kernel is only asked, and [`jump`](Self::jump) does the rest.
    pub(crate) fn arm(&self, plan: &Plan) -> io::Result<Patience> {
        let next = self.next_moment(plan);
        if clock::standing().is_some() {
            return Ok(if next == Tick::NEVER {
                Patience::Forever
            } else {
                Patience::Look
            });
        }
        if next >= self.core.armed.get() {
            return Ok(Patience::Forever);
        }
        let devices = self.core.with(|tables| tables.devices.clone());
        if let Some(devices) = devices {
            devices.alarm.keeper().set(next.0)?;
            self.core.count(|statistics| statistics.alarms += 1);
            self.core.armed.set(next);
        }
        Ok(Patience::Forever)
    }

    /// Whether a deadline of the mode or the limit of the run has passed.
    pub(crate) fn is_due(&self, plan: &Plan) -> bool {
        let next = self.next_moment(plan);
        next != Tick::NEVER && next <= Tick::now()
    }

    /// Where time stands still and nothing else is left to do: moves it to the next deadline or limit. Says whether it did.
    pub(crate) fn jump(&self, plan: &Plan) -> bool {
        let next = self.next_moment(plan);
        if clock::standing().is_none() || next == Tick::NEVER {
            return false;
        }
        clock::jump_to(next);
        true
    }

    /// The next deadline or the limit of the run, whichever comes first.
    fn next_moment(&self, plan: &Plan) -> Tick {
        let first = self.core.with(|tables| tables.first_deadline(plan.mode));
        first.unwrap_or(Tick::NEVER).min(plan.deadline)
    }
}
