//! The model's sources that look before sleep: who is asked, and what follows from the answers.

use crate::model::{Go, Model, Named, Stopped};
use crate::program::{Answer, In, Trait};

impl Model {
    /// Has a source asked before the next sleep.
    pub(crate) fn heat(&mut self, id: usize) {
        let source = &self.sources[id];
        let named = (id, source.life);
        if source.known && source.ending.is_none() && !self.hot.contains(&named) {
            self.hot.push(named);
        }
    }

    /// Has it not asked any more.
    pub(crate) fn cool(&mut self, id: usize) {
        self.hot.retain(|hot| hot.0 != id);
    }

    /// Asks the sources of a mode; those that have work are signalled. Says whether there is one.
    pub(crate) fn ask_hot(&mut self, mode: In) -> Go<bool> {
        let mut ready = false;
        for named in self.hot_in(mode) {
            if self.ask(named, "Look")? == Answer::Ready {
                self.signal_known(named);
                ready = true;
            }
        }
        Ok(ready)
    }

    /// Has the sources of a mode announce that they will not be asked any more; says whether one has work after all.
    pub(crate) fn announce(&mut self, mode: In) -> Go<bool> {
        let found = self.hot_in(mode);
        for &(id, _) in &found {
            self.sources[id].alive += 1;
        }
        let mut ready = Ok(false);
        for named in found {
            if let Ok(any) = ready {
                ready = self.ask(named, "Announce").map(|answer| {
                    self.take_announcement(named, answer);
                    any || answer == Answer::Ready
                });
            }
            self.sources[named.0].alive -= 1;
            self.bury(named.0);
        }
        ready
    }

    fn take_announcement(&mut self, named: Named, answer: Answer) {
        if answer == Answer::Ready {
            return self.signal_known(named);
        }
        self.hot.retain(|&hot| hot != named);
        let source = &self.sources[named.0];
        if source.known && source.life == named.1 && !self.slept.contains(&named) {
            self.slept.push(named);
        }
    }

    /// Tells those that have announced that the loop has slept, the last first.
    pub(crate) fn tell_woken(&mut self) -> Go {
        while let Some(named) = self.slept.pop() {
            if self.ask(named, "Woken")? == Answer::Ready {
                self.signal_known(named);
            }
        }
        Ok(())
    }

    fn hot_in(&self, mode: In) -> Vec<Named> {
        let hot = self.hot.iter().copied();
        hot.filter(|&(id, _)| self.sources[id].is_in(mode) && !self.sources[id].is_held())
            .collect()
    }

    fn signal_known(&mut self, (id, life): Named) {
        if self.sources[id].known && self.sources[id].life == life {
            self.signal(id);
            // Also if another thread has signalled it, whose notice is on its way.
            self.list(id);
        }
    }

    fn ask(&mut self, (id, life): Named, stage: &str) -> Go<Answer> {
        let source = &mut self.sources[id];
        if !source.known || source.life != life || !source.valid {
            return Ok(Answer::Idle);
        }
        self.burn()?;
        let source = &mut self.sources[id];
        source.alive += 1;
        source.asking += 1;
        source.asked += 1;
        let asked = source.def.asked.0.get(source.asked - 1).cloned();
        self.say(format!(
            "s{id} {stage} in {:?} at {}",
            self.mode(),
            self.now
        ));
        let (script, answer) = asked.unwrap_or((Default::default(), Answer::Idle));
        let done = self.follow(&script);
        self.sources[id].asking -= 1;
        if done == Err(Stopped::Panicked) && !self.sources[id].has(Trait::KeptOnPanic) {
            self.sources[id].valid = false;
            self.tear_down(id, "Panicked");
        }
        self.settle(id);
        self.sources[id].alive -= 1;
        self.bury(id);
        done.map(|()| answer)
    }
}
