//! What a program does, done to the model.

use crate::model::{Go, MS, Model, Stopped};
use crate::program::{Action, How, In, Script};

impl Script {
    /// Whether the call for descriptors that follows this script leaves them ready.
    pub(crate) fn keeps(&self) -> bool {
        matches!(self.0.first(), Some(Action::Keep))
    }
}

impl Model {
    pub(crate) fn follow(&mut self, script: &Script) -> Go {
        script.0.iter().try_for_each(|action| self.act(action))
    }

    pub(crate) fn act(&mut self, action: &Action) -> Go {
        match action {
            Action::Perform(mode, script) => {
                self.collect();
                let sent = if self.has_room() { "taken" } else { "full" };
                if sent == "taken" {
                    self.queue(*mode, script.clone());
                }
                self.say(format!("{action:?} -> {sent}"));
            }
            Action::AddCommon(mode) => {
                let added = self.add_common(*mode);
                self.answer(action, added);
            }
            Action::AddObserver(id, mode) => {
                let added = self.add_observer(*id, *mode);
                self.answer(action, added);
            }
            Action::RemoveObserver(id, mode) => {
                let removed = self.remove_observer(*id, *mode);
                self.answer(action, Some(removed));
            }
            Action::InvalidateObserver(id) => self.invalidate_observer(*id),
            Action::Run(mode, limit, how) => {
                self.say(format!("{action:?}"));
                let outcome = match self.run(*mode, *limit, *how) {
                    Err(Stopped::Panicked) if *how == How::Catching => "panicked",
                    outcome => outcome?,
                };
                self.say(format!("{outcome} at {}", self.now));
            }
            Action::Panic => return Err(Stopped::Panicked),
            Action::ClosureLimit(most) => self.closure_limit = *most,
            Action::Stop => match self.runs.last_mut() {
                Some(run) => run.1 = true,
                None => self.stop_kept = true,
            },
            Action::Write(event) => {
                let (ready, hung) = &mut self.events[*event];
                *ready |= !*hung;
            }
            Action::Read(event) => self.events[*event].0 = false,
            Action::HangUp(event) => self.events[*event].1 = true,
            Action::Advance(millis) => self.now += millis * MS,
            Action::Elsewhere(inner) => self.elsewhere(inner),
            Action::Send(..) | Action::SendStop | Action::WakeUp => self.elsewhere(action),
            Action::Keep => {}
            Action::Look => self.look(),
            _ => self.act_on_source(action),
        }
        Ok(())
    }

    fn act_on_source(&mut self, action: &Action) {
        let (Action::Add(id, _)
        | Action::Remove(id, _)
        | Action::Adopt(id)
        | Action::Invalidate(id)
        | Action::Drop(id)
        | Action::Signal(id)
        | Action::Due(id, _)
        | Action::DueWithin(id, _, _)
        | Action::LookBeforeSleep(id)
        | Action::Watch(id, _, _)) = action
        else {
            return;
        };
        let id = *id;
        if !self.sources[id].held {
            return;
        }
        match action {
            Action::Add(_, mode) => {
                let added = self.add(id, *mode);
                self.answer(action, added);
            }
            Action::Remove(_, mode) => {
                let removed = self.sources[id].known && self.remove(id, *mode);
                self.answer(action, Some(removed));
            }
            Action::Adopt(_) => self.adopt(id),
            Action::Invalidate(_) => self.invalidate(id),
            Action::Drop(_) => self.drop_hold(id),
            Action::Signal(_) => self.signal(id),
            Action::LookBeforeSleep(_) => self.heat(id),
            Action::Due(_, millis) => {
                self.grant_wishes(id);
                self.set_due(id, millis.map(|millis| self.within(millis, 0)));
            }
            Action::DueWithin(_, millis, tolerance) => {
                self.grant_wishes(id);
                self.set_due(id, Some(self.within(*millis, *tolerance)));
            }
            Action::Watch(_, token, on) => {
                self.grant_wishes(id);
                self.watch(id, *token, *on);
            }
            _ => {}
        }
    }

    fn answer(&mut self, action: &Action, answer: Option<bool>) {
        let answer = answer.map_or_else(|| "refused".to_owned(), |answer| answer.to_string());
        self.say(format!("{action:?} -> {answer}"));
    }

    fn look(&mut self) {
        for id in 0..self.sources.len() {
            let source = &self.sources[id];
            if source.held {
                let within = |mode| source.is_in(mode) || (mode == In::Common && source.in_common);
                let (valid, signalled) = (source.valid, source.signalled);
                let modes = In::ALL.map(within);
                self.say(format!(
                    "s{id} valid {valid} signalled {signalled} in {modes:?}"
                ));
            }
        }
        for id in 0..self.observers.len() {
            let observer = &self.observers[id];
            let common = self.common_observers.contains(&id);
            let seated = |mode| observer.seats.iter().any(|seat| seat.mode == mode);
            let modes = In::ALL.map(|mode| seated(mode) || (mode == In::Common && common));
            self.say(format!("o{id} valid {} in {modes:?}", observer.valid));
        }
        let due = [In::A, In::B, In::C].map(|mode| self.first_due(mode).map(|(due, _)| due.at));
        self.say(format!("{:?} at {} due {due:?}", self.mode(), self.now));
    }
}
