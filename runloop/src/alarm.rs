//! How a wait ends by itself: the deadlines of the mode and the limit of the run, and the alarm that is set for them.

use std::io;

use crate::clock::{self, Tick};
use crate::core::{RunLoop, Tables};
use crate::mode::Mode;
use crate::plan::Plan;
use crate::sys::poller::Patience;

impl RunLoop {
    /// Sees to it that a wait ends in time, and says how long the kernel may take over it.
    ///
    /// The alarm is set for the last moment that every deadline tolerates, unless it is set for that or an earlier one
    /// already. Where time stands still no alarm is of any use: the kernel is only asked, and [`jump`](Self::jump) does
    /// the rest.
    pub(crate) fn arm(&self, plan: &Plan) -> io::Result<Patience> {
        let latest = self.latest_moment(plan);
        // The loop is awake: what has passed and would tolerate more is served now, and not by a wake-up of its own. The
        // clock is only read where there is a tolerance.
        if self.next_moment(plan) < latest && self.is_due(plan) {
            return Ok(Patience::Look);
        }
        if clock::standing().is_some() {
            return Ok(if latest == Tick::NEVER {
                Patience::Forever
            } else {
                Patience::Look
            });
        }
        if latest >= self.core.armed.get() {
            return Ok(Patience::Forever);
        }
        let devices = self.core.with(|tables| tables.devices.clone());
        if let Some(devices) = devices {
            devices.alarm.keeper().set(latest.0)?;
            self.core.count(|statistics| statistics.alarms += 1);
            self.core.armed.set(latest);
        }
        Ok(Patience::Forever)
    }

    /// Whether a deadline of the mode or the limit of the run has passed.
    pub(crate) fn is_due(&self, plan: &Plan) -> bool {
        let next = self.next_moment(plan);
        next != Tick::NEVER && next <= Tick::now()
    }

    /// Where time stands still and nothing else is left to do: moves it to where the alarm would have gone off. Says
    /// whether it did.
    pub(crate) fn jump(&self, plan: &Plan) -> bool {
        let latest = self.latest_moment(plan);
        if clock::standing().is_none() || latest == Tick::NEVER {
            return false;
        }
        clock::jump_to(latest);
        true
    }

    /// The next deadline or the limit of the run, whichever comes first.
    fn next_moment(&self, plan: &Plan) -> Tick {
        let first = self.core.with(|tables| tables.first_deadline(plan.mode));
        first.unwrap_or(Tick::NEVER).min(plan.deadline)
    }

    /// The moment until which every deadline tolerates that the loop sleeps, or the limit of the run if that comes first.
    fn latest_moment(&self, plan: &Plan) -> Tick {
        let limit = self.core.with(|tables| tables.limit_of(plan.mode));
        limit.unwrap_or(Tick::NEVER).min(plan.deadline)
    }
}

impl Tables {
    /// The earliest deadline of a mode.
    pub(crate) fn first_deadline(&mut self, mode: Mode) -> Option<Tick> {
        self.first_due(mode).map(|(at, _)| at)
    }
}
