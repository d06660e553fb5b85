//! Running a loop: one activation from its entry to its exit, alone or inside another.

use std::time::Duration;

use crate::activity::Activity;
use crate::clock::Tick;
use crate::core::RunLoop;
use crate::error::RunError;
use crate::limit::{Limit, Outcome};
use crate::mode::Mode;
use crate::plan::Plan;
use crate::wake::STOP;

impl RunLoop {
    /// Runs one activation.
    pub(crate) fn activate(&self, plan: &Plan) -> Result<Outcome, RunError> {
        self.core.shared.reachable()?;
        if plan.mode == Mode::COMMON {
            return Err(RunError::CommonMode);
        }
        let up = self.get_up();
        let outcome = self.activate_awake(plan);
        up.lie_down();
        outcome
    }

    fn activate_awake(&self, plan: &Plan) -> Result<Outcome, RunError> {
        if plan.when_empty {
            let made = self
                .core
                .with(|tables| tables.ensure_devices(&self.core.shared));
            made.map_err(RunError::Wait)?;
        }
        self.collect();
        let stopped = self.core.stop_kept.take() | self.core.shared.take_order(STOP);
        // A poll around an embedded mode may have been woken for what is gone by now: that has to be seen.
        let looks = plan.only_looks() && self.core.with(|tables| tables.is_embedded(plan.mode));
        if !plan.when_empty && !looks && self.is_empty(plan.mode) {
            return Ok(if stopped {
                Outcome::Stopped
            } else {
                Outcome::Finished
            });
        }
        // Whoever looks before sleep in the run around this one is not looked at from here on.
        if let Some(around) = self.core.with(|tables| tables.running()) {
            self.announce(around);
        }
        let activated = Activated::new(self, plan.mode, stopped);
        self.notify(plan.mode, Activity::ENTRY);
        let outcome = self.passes(plan);
        self.notify(plan.mode, Activity::EXIT);
        self.announce(plan.mode);
        drop(activated);
        let outcome = outcome?;
        if outcome == Outcome::Stopped {
            // What has just ended is what was to be stopped.
            self.core.stop_kept.set(false);
        }
        Ok(outcome)
    }

    fn passes(&self, plan: &Plan) -> Result<Outcome, RunError> {
        if self.is_stopped() {
            return Ok(Outcome::Stopped);
        }
        loop {
            let outcome = self
                .pass(plan)
                .map_err(|error| match self.core.shared.reachable() {
                    Err(why) => RunError::from(why),
                    Ok(()) => RunError::Wait(error),
                })?;
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
    }
}

/// An activation on the stack of its loop; it leaves the stack also on the way of a panic.
struct Activated<'a> {
    run_loop: &'a RunLoop,
    /// Whether the one around it was asked to stop.
    around_stopped: bool,
    /// Whether it was begun inside a callback that is timed.
    inside: bool,
}

impl<'a> Activated<'a> {
    fn new(run_loop: &'a RunLoop, mode: Mode, stopped: bool) -> Self {
        run_loop.core.with(|tables| {
            tables.activations.push(mode);
            tables.shelf_changed = true;
        });
        Self {
            run_loop,
            around_stopped: run_loop.core.stopped.replace(stopped),
            inside: run_loop.core.timing.enter(),
        }
    }
}

impl Drop for Activated<'_> {
    fn drop(&mut self) {
        let core = &self.run_loop.core;
        core.timing.leave(self.inside);
        core.with(|tables| {
            tables.activations.pop();
            tables.shelf_changed = true;
        });
        // A stop that something else outvoted is kept for the next run.
        if core.stopped.replace(self.around_stopped) {
            core.stop_kept.set(true);
        }
    }
}

/// From this moment on, as the loop of this thread measures it.
impl From<Duration> for Limit {
    fn from(after: Duration) -> Self {
        if after.is_zero() {
            return Self::Now;
        }
        match Tick::now().after(after) {
            Tick::NEVER => Self::Never,
            at => Self::At(at.to_instant()),
        }
    }
}

impl Limit {
    /// As the moment a plan has.
    pub(crate) fn deadline(self) -> Tick {
        match self {
            Self::Now => Tick(0),
            Self::At(at) => Tick::from_instant(at).max(Tick(1)),
            Self::Never => Tick::NEVER,
        }
    }
}
