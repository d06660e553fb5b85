//! The model's run, pass and wait.

use crate::model::{Go, MS, Model, Stopped};
use crate::program::{For, How, In, Trait};

/// How a run was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) mode: In,
    /// `None` for a run without a limit.
    pub(crate) until: Option<i64>,
    pub(crate) only_looks: bool,
    pub(crate) one: bool,
    pub(crate) when_empty: bool,
}

/// What is reported of a descriptor: its token, whether it can be read, and whether its other end is closed.
pub(crate) type Report = (usize, bool, bool);

/// A ready descriptor of a source: whose, in which attachment of its, and what is reported.
pub(crate) type Ready = (usize, u32, Report);

/// What a wait found, and its number.
pub(crate) type Batch = (u64, Vec<Ready>);

/// Why a source is performed.
#[derive(Clone, Debug)]
enum Why {
    Signal,
    Deadline,
    Descriptors(Vec<Report>),
}

impl Model {
    /// Runs a mode; says with what that ended.
    pub(crate) fn run(&mut self, mode: In, limit: For, how: How) -> Go<&'static str> {
        let plan = Plan {
            mode,
            until: match limit {
                For::Millis(millis) if millis > 0 => Some(self.now + millis * MS),
                _ => None,
            },
            only_looks: matches!(limit, For::APass | For::Millis(0)),
            one: how == How::One,
            when_empty: how == How::WhenEmpty,
        };
        if mode == In::Common {
            return Ok("refused");
        }
        self.collect();
        let stopped = std::mem::take(&mut self.stop_kept) | std::mem::take(&mut self.stop_ordered);
        if !plan.when_empty && self.is_empty(mode) {
            return Ok(if stopped { "Stopped" } else { "Finished" });
        }
        if let Some(around) = self.mode() {
            self.announce(around)?;
        }
        self.runs.push((mode, stopped));
        let outcome = self.activation(plan);
        let (_, stopped) = self.runs.pop().expect("it was pushed");
        // A stop that something else outvoted is for the next run.
        self.stop_kept |= stopped;
        if outcome == Ok("Stopped") {
            self.stop_kept = false;
        }
        outcome
    }

    fn activation(&mut self, plan: Plan) -> Go<&'static str> {
        self.notify(plan.mode, ENTRY)?;
        let outcome = if self.is_stopped() {
            "Stopped"
        } else {
            loop {
                if let Some(outcome) = self.pass(plan)? {
                    break outcome;
                }
            }
        };
        self.notify(plan.mode, EXIT)?;
        self.announce(plan.mode)?;
        Ok(outcome)
    }

    fn pass(&mut self, plan: Plan) -> Go<Option<&'static str>> {
        self.burn()?;
        self.wake_ordered = false;
        self.collect();
        self.ask_hot(plan.mode)?;
        self.notify(plan.mode, BEFORE_TIMERS)?;
        self.notify(plan.mode, BEFORE_SOURCES)?;
        self.run_closures(plan.mode)?;
        let mut handled = self.perform_signalled(plan)?;
        if handled {
            self.run_closures(plan.mode)?;
        }
        let batch = self.wait(plan, handled)?;
        self.perform_due(plan.mode)?;
        handled |= self.perform_ready(plan, batch)?;
        self.run_closures(plan.mode)?;
        Ok(self.decide(plan, handled))
    }

    fn decide(&mut self, plan: Plan, handled: bool) -> Option<&'static str> {
        if handled && plan.one {
            Some("HandledSource")
        } else if plan.only_looks || plan.until.is_some_and(|until| until <= self.now) {
            Some("TimedOut")
        } else if self.is_stopped() {
            Some("Stopped")
        } else if !plan.when_empty && self.is_empty(plan.mode) && !self.collect() {
            Some("Finished")
        } else {
            None
        }
    }

    pub(crate) fn is_stopped(&mut self) -> bool {
        let run = self.runs.last_mut().expect("a run is in progress");
        run.1 |= std::mem::take(&mut self.stop_ordered);
        run.1
    }

    // The phases.

    /// Those that are there when the phase begins.
    fn run_closures(&mut self, mode: In) -> Go {
        let last = self.next();
        loop {
            let mut closures = self.closures.iter();
            let next =
                closures.position(|closure| closure.number < last && self.fits(closure.mode, mode));
            let Some(closure) = next.and_then(|place| self.closures.remove(place)) else {
                return Ok(());
            };
            self.burn()?;
            self.say(format!("closure in {:?}", self.mode()));
            self.follow(&closure.script)?;
        }
    }

    fn perform_signalled(&mut self, plan: Plan) -> Go<bool> {
        let mut handled = false;
        for (id, life) in self.signalled_in(plan.mode) {
            let source = &mut self.sources[id];
            let still = source.known && source.life == life && source.listed.is_some();
            if !still || !source.is_in(plan.mode) || self.must_wait(id) {
                continue;
            }
            self.sources[id].listed = None;
            handled |= self.perform(id, &Why::Signal)?;
            if handled && plan.one {
                break;
            }
        }
        Ok(handled)
    }

    fn perform_due(&mut self, mode: In) -> Go {
        if self.first_due(mode).is_none() {
            return Ok(());
        }
        let before = self.serving.replace(self.now);
        let done = self.perform_due_until(mode, self.now);
        self.serving = before;
        done
    }

    fn perform_due_until(&mut self, mode: In, now: i64) -> Go {
        while let Some((_, id)) = self.first_due(mode).filter(|first| first.0.at <= now) {
            let source = &mut self.sources[id];
            if source.pace.rests {
                self.end_rest(id);
                continue;
            }
            if source.is_engaged() {
                for member in source
                    .members
                    .iter_mut()
                    .filter(|member| member.mode == mode)
                {
                    member.parked = true;
                }
                continue;
            }
            if self.must_wait(id) {
                continue;
            }
            self.no_due(id);
            self.perform(id, &Why::Deadline)?;
        }
        Ok(())
    }

    fn perform_ready(&mut self, plan: Plan, batch: Option<Batch>) -> Go<bool> {
        let Some((wait, ready)) = batch else {
            return Ok(false);
        };
        let mut performed = false;
        for group in ready.chunk_by(|one, other| one.0 == other.0) {
            if performed && plan.one {
                break;
            }
            let tokens = self.claim_ready(group, wait, plan.mode);
            if !tokens.is_empty() {
                performed |= self.perform(group[0].0, &Why::Descriptors(tokens))?;
            }
        }
        Ok(performed)
    }

    /// What is still true of the descriptors of a source.
    fn claim_ready(&mut self, group: &[Ready], wait: u64, mode: In) -> Vec<Report> {
        let mut tokens = Vec::new();
        for &(id, attachment, report) in group {
            let source = &self.sources[id];
            if !source.attached || source.attachment != attachment || !source.is_in(mode) {
                continue;
            }
            let watch = source.watches[report.0];
            if watch.served > wait || watch.parked || !watch.wanted {
                continue;
            }
            if self.must_wait(id) {
                self.sources[id].watches[report.0].parked = true;
                continue;
            }
            self.sources[id].watches[report.0].served = self.waits;
            tokens.push(report);
        }
        tokens
    }

    fn perform(&mut self, id: usize, why: &Why) -> Go<bool> {
        let source = &mut self.sources[id];
        if !source.valid {
            self.tear_down(id, "Asked");
            return Ok(false);
        }
        self.burn()?;
        let source = &mut self.sources[id];
        source.firing += 1;
        source.alive += 1;
        source.pace.performs += 1;
        if matches!(why, Why::Signal) {
            source.signalled = false;
        }
        let done = self.call(id, why);
        let source = &mut self.sources[id];
        source.firing -= 1;
        if source.firing == 0 {
            if !source.pace.rests {
                source.unpark();
            }
            self.settle(id);
        }
        if done == Err(Stopped::Panicked) && !self.sources[id].has(Trait::KeptOnPanic) {
            self.sources[id].valid = false;
            self.tear_down(id, "Panicked");
        }
        self.sources[id].alive -= 1;
        self.bury(id);
        done.map(|()| true)
    }

    fn call(&mut self, id: usize, why: &Why) -> Go {
        let what = match why {
            Why::Signal => "signalled".to_owned(),
            Why::Deadline => "deadline".to_owned(),
            Why::Descriptors(tokens) => format!("ready {tokens:?}"),
        };
        self.say(format!("s{id} {what} in {:?} at {}", self.mode(), self.now));
        let source = &mut self.sources[id];
        source.calls += 1;
        let script = source.def.calls.0.get(source.calls - 1).cloned();
        let keeps = script.as_ref().is_some_and(|script| script.keeps());
        if let (Why::Descriptors(tokens), false) = (why, keeps) {
            for &(token, _, hung) in tokens {
                self.events[source.watches[token].event].0 = false;
                source.watches[token].wanted &= !hung;
            }
        }
        script.map_or(Ok(()), |script| self.follow(&script))
    }

    pub(crate) fn notify(&mut self, mode: In, moment: u8) -> Go {
        let observers = self.observers.iter().enumerate();
        let found = observers.filter(|(_, observer)| observer.def.moments & moment != 0);
        let mut found: Vec<_> = found
            .filter_map(|(id, observer)| {
                let seat = observer.seats.iter().find(|seat| seat.mode == mode)?;
                Some((observer.def.order, seat.since, id))
            })
            .collect();
        found.sort_unstable();
        for (_, since, id) in found {
            let observer = &mut self.observers[id];
            let seated = observer
                .seats
                .iter()
                .any(|seat| seat.mode == mode && seat.since == since);
            if !seated || observer.running {
                continue;
            }
            self.burn()?;
            self.observe(id, moment)?;
        }
        Ok(())
    }

    fn observe(&mut self, id: usize, moment: u8) -> Go {
        self.say(format!("o{id} {moment} in {:?}", self.mode()));
        let observer = &mut self.observers[id];
        observer.running = true;
        observer.calls += 1;
        let script = observer.def.calls.0.get(observer.calls - 1).cloned();
        let once = observer.def.once;
        let done = script.map_or(Ok(()), |script| self.follow(&script));
        self.observers[id].running = false;
        if once || done == Err(Stopped::Panicked) {
            self.invalidate_observer(id);
        }
        done
    }

    /// A program whose end is not in sight is given up.
    pub(crate) fn burn(&mut self) -> Go {
        self.fuel = self.fuel.checked_sub(1).ok_or(Stopped::Endless)?;
        Ok(())
    }
}

const ENTRY: u8 = 1;
const BEFORE_TIMERS: u8 = 2;
const BEFORE_SOURCES: u8 = 4;
pub(crate) const BEFORE_WAITING: u8 = 32;
pub(crate) const AFTER_WAITING: u8 = 64;
const EXIT: u8 = 128;
