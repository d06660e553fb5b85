//! The model's signals, deadlines, inbox, observers and closures.

use crate::model::{Closure, Due, MS, Message, Model, Observer, Seat, Source, Wish};
use crate::program::{Action, In, Script};

impl Source {
    pub(crate) fn is_in(&self, mode: In) -> bool {
        self.members.iter().any(|member| member.mode == mode)
    }

    /// Whether it may not be performed because it is being performed.
    pub(crate) fn is_engaged(&self) -> bool {
        self.firing > 0 && !self.has(crate::program::Trait::Reentrant)
    }

    pub(crate) fn has(&self, what: crate::program::Trait) -> bool {
        self.def.traits.0.contains(&what)
    }
}

impl Model {
    // Signals.

    pub(crate) fn signal(&mut self, id: usize) {
        let source = &mut self.sources[id];
        if source.valid && !std::mem::replace(&mut source.signalled, true) {
            self.list(id);
        }
    }

    /// Gives a signalled source its place among the signals that the loop knows of.
    pub(crate) fn list(&mut self, id: usize) {
        let source = &self.sources[id];
        if source.known && source.signalled && source.listed.is_none() {
            self.sources[id].listed = Some(self.next());
        }
    }

    /// The signalled sources that can be performed in a mode, lowest order first, equal ones by their signals.
    pub(crate) fn signalled_in(&self, mode: In) -> Vec<(usize, u32)> {
        let sources = self.sources.iter().enumerate();
        let found = sources.filter(|(_, source)| source.is_in(mode) && !source.is_held());
        let mut found: Vec<_> = found
            .filter_map(|(id, source)| Some((source.def.order, source.listed?, id, source.life)))
            .collect();
        found.sort_unstable();
        found
            .into_iter()
            .map(|(_, _, id, life)| (id, life))
            .collect()
    }

    // Deadlines.

    /// A moment and its tolerance, both from the present in milliseconds, as two moments.
    pub(crate) fn within(&self, millis: i64, tolerance: i64) -> (i64, i64) {
        let at = self.now + millis * MS;
        (at, at + tolerance * MS)
    }

    /// Sets a deadline and its limit. While deadlines are served, one that has passed waits for the next pass.
    pub(crate) fn set_due(&mut self, id: usize, due: Option<(i64, i64)>) {
        let earliest = self.serving.map_or(i64::MIN, |serving| serving + 1);
        let number = self.next();
        let source = &mut self.sources[id];
        if source.known {
            source.due_set = number;
            source.due = due.map(|(at, limit)| Due {
                at: at.max(earliest),
                number,
                limit: limit.max(earliest),
            });
            for member in &mut source.members {
                member.parked = false;
            }
        }
    }

    /// Takes the deadline of a source away.
    pub(crate) fn no_due(&mut self, id: usize) {
        self.sources[id].due = None;
        self.sources[id].due_set = self.next();
    }

    /// The deadlines of a mode, or the ends of rests in place of them, and whose they are.
    fn dues_in(&self, mode: In) -> impl Iterator<Item = (Due, usize)> {
        let sources = self.sources.iter().enumerate();
        sources.filter_map(move |(id, source)| {
            let mut members = source.members.iter();
            let member = members.find(|member| member.mode == mode)?;
            (!member.parked).then_some((source.alarm()?, id))
        })
    }

    /// The earliest deadline of a mode, and whose it is.
    pub(crate) fn first_due(&self, mode: In) -> Option<(Due, usize)> {
        self.dues_in(mode).min()
    }

    /// Until when nobody minds if the loop sleeps.
    pub(crate) fn limit(&self, mode: In) -> Option<i64> {
        self.dues_in(mode).map(|(due, _)| due.limit).min()
    }

    // What comes from other threads.

    /// Does something as another thread would.
    pub(crate) fn elsewhere(&mut self, action: &Action) {
        match action {
            Action::Signal(id) => {
                let source = &mut self.sources[*id];
                if source.held && source.valid && !std::mem::replace(&mut source.signalled, true) {
                    self.notice(*id);
                }
            }
            Action::Invalidate(id) => {
                let source = &mut self.sources[*id];
                if source.held && std::mem::take(&mut source.valid) {
                    self.notice(*id);
                }
            }
            Action::Due(id, millis) => {
                let due = millis.map(|millis| self.within(millis, 0));
                self.wish(*id, Wish::Due(due));
            }
            Action::DueWithin(id, millis, tolerance) => {
                let due = self.within(*millis, *tolerance);
                self.wish(*id, Wish::Due(Some(due)));
            }
            Action::Watch(id, token, on) => self.wish(*id, Wish::Watch(*token, *on)),
            Action::Send(mode, script) => {
                let sent = if self.has_room() { "taken" } else { "full" };
                if sent == "taken" {
                    self.inbox
                        .push_back(Message::Perform(*mode, script.clone()));
                }
                self.say(format!("{action:?} -> {sent}"));
            }
            Action::SendStop => self.stop_ordered = true,
            Action::WakeUp => self.wake_ordered = true,
            _ => {}
        }
    }

    fn wish(&mut self, id: usize, wish: Wish) {
        let source = &mut self.sources[id];
        if !source.held || !source.known {
            return;
        }
        source.wishes.retain(|old| match (old, wish) {
            (Wish::Due(_), Wish::Due(_)) => false,
            (Wish::Watch(old, _), Wish::Watch(new, _)) => *old != new,
            _ => true,
        });
        source.wishes.push(wish);
        self.notice(id);
    }

    fn notice(&mut self, id: usize) {
        let source = &mut self.sources[id];
        if source.known && !std::mem::replace(&mut source.noticed, true) {
            self.inbox.push_back(Message::Notice(id, source.life));
        }
    }

    /// Takes in what other threads have sent; says whether there was anything.
    pub(crate) fn collect(&mut self) -> bool {
        let any = !self.inbox.is_empty();
        while let Some(message) = self.inbox.pop_front() {
            match message {
                Message::Perform(mode, script) => self.queue(mode, script),
                Message::Notice(id, life) => self.take_notice(id, life),
            }
        }
        any
    }

    fn take_notice(&mut self, id: usize, life: u32) {
        let source = &mut self.sources[id];
        if !source.known || source.life != life {
            return;
        }
        source.noticed = false;
        self.list(id);
        if !self.sources[id].valid {
            return self.tear_down(id, "Asked");
        }
        self.grant_wishes(id);
        self.settle(id);
    }

    pub(crate) fn grant_wishes(&mut self, id: usize) {
        for wish in std::mem::take(&mut self.sources[id].wishes) {
            match wish {
                Wish::Due(at) => self.set_due(id, at),
                Wish::Watch(token, on) => self.watch(id, token, on),
            }
        }
    }

    pub(crate) fn watch(&mut self, id: usize, token: usize, on: bool) {
        if let Some(watch) = self.sources[id].watches.get_mut(token) {
            watch.wanted = on;
        }
    }

    // Closures.

    /// Whether another closure may wait.
    pub(crate) fn has_room(&self) -> bool {
        let sent = |message: &&Message| matches!(message, Message::Perform(..));
        let waiting = self.closures.len() + self.inbox.iter().filter(sent).count();
        waiting < self.closure_limit
    }

    pub(crate) fn queue(&mut self, mode: In, script: Script) {
        let number = self.next();
        self.closures.push_back(Closure {
            number,
            mode,
            script,
        });
    }

    /// Whether a closure that is named for one mode runs in another.
    pub(crate) fn fits(&self, named: In, mode: In) -> bool {
        named == mode || (named == In::Common && self.common.contains(&mode))
    }

    /// Whether a mode has nothing that a run could wait for or do.
    pub(crate) fn is_empty(&self, mode: In) -> bool {
        let passive = crate::program::Trait::Passive;
        let lively = self
            .sources
            .iter()
            .any(|source| source.is_in(mode) && !source.has(passive));
        !lively
            && !self
                .closures
                .iter()
                .any(|closure| self.fits(closure.mode, mode))
    }

    // Observers.

    pub(crate) fn add_observer(&mut self, id: usize, mode: In) -> Option<bool> {
        if !self.observers[id].valid {
            return None;
        }
        let mut changed = false;
        for concrete in self.concrete(mode) {
            changed |= self.seat_in(id, concrete, mode == In::Common);
        }
        if mode == In::Common && !self.common_observers.contains(&id) {
            self.common_observers.push(id);
            changed = true;
        }
        Some(changed)
    }

    /// Whether anything is new.
    pub(crate) fn seat_in(&mut self, id: usize, mode: In, by_common: bool) -> bool {
        let since = self.next();
        let observer: &mut Observer = &mut self.observers[id];
        if let Some(seat) = observer.seats.iter_mut().find(|seat| seat.mode == mode) {
            let new = !if by_common {
                seat.by_common
            } else {
                seat.by_itself
            };
            seat.by_common |= by_common;
            seat.by_itself |= !by_common;
            return new;
        }
        observer.seats.push(Seat {
            mode,
            since,
            by_itself: !by_common,
            by_common,
        });
        true
    }

    pub(crate) fn remove_observer(&mut self, id: usize, mode: In) -> bool {
        let was_common = self.common_observers.contains(&id);
        let observer = &mut self.observers[id];
        let before = observer.seats.len();
        if mode == In::Common {
            if !was_common {
                return false;
            }
            self.common_observers.retain(|&other| other != id);
            for seat in &mut observer.seats {
                seat.by_common = false;
            }
            observer.seats.retain(|seat| seat.by_itself);
            return true;
        }
        observer.seats.retain(|seat| seat.mode != mode);
        observer.seats.len() < before
    }

    pub(crate) fn invalidate_observer(&mut self, id: usize) {
        self.observers[id].valid = false;
        self.observers[id].seats.clear();
        self.common_observers.retain(|&other| other != id);
    }
}
