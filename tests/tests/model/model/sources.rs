//! The model's sources: how they come into modes and leave them, and how they end.

use crate::model::{MS, Member, Model, Pace, Watch};
use crate::program::{In, Trait};

impl Model {
    pub(crate) fn add(&mut self, id: usize, mode: In) -> Option<bool> {
        if !self.sources[id].valid {
            return None;
        }
        self.enter(id);
        let (mut joined, mut changed) = (Vec::new(), false);
        for concrete in self.concrete(mode) {
            let (came, new) = self.join(id, concrete, mode == In::Common);
            if came {
                joined.push(concrete);
            }
            changed |= new;
        }
        if mode == In::Common {
            changed |= !self.sources[id].in_common;
            self.sources[id].in_common = true;
        }
        self.list(id);
        self.attach(id);
        for mode in joined {
            self.say(format!("s{id} schedule {mode:?}"));
        }
        Some(changed)
    }

    pub(crate) fn enter(&mut self, id: usize) {
        let source = &mut self.sources[id];
        if !source.known {
            source.known = true;
            source.life += 1;
            source.pace = Pace::default();
            source.due_set = 0;
        }
    }

    /// Whether it was not in the mode before, and whether it was not for that reason.
    pub(crate) fn join(&mut self, id: usize, mode: In, by_common: bool) -> (bool, bool) {
        let members = &mut self.sources[id].members;
        let known = members.iter_mut().find(|member| member.mode == mode);
        if let Some(member) = known {
            let new = !if by_common {
                member.by_common
            } else {
                member.by_itself
            };
            member.by_common |= by_common;
            member.by_itself |= !by_common;
            return (false, new);
        }
        members.push(Member {
            mode,
            by_itself: !by_common,
            by_common,
            parked: false,
        });
        (true, true)
    }

    pub(crate) fn attach(&mut self, id: usize) {
        if self.sources[id].attached {
            return;
        }
        self.say(format!("s{id} attach"));
        let source = &mut self.sources[id];
        source.attached = true;
        source.attachment += 1;
        let watches = source.def.watches.0.iter().map(|&event| Watch {
            event,
            wanted: true,
            parked: false,
            served: 0,
        });
        source.watches = watches.collect();
        if let Some(millis) = source.def.due {
            let at = self.now + millis * MS;
            self.set_due(id, Some((at, at)));
        }
        if self.sources[id].has(Trait::Looks) {
            self.heat(id);
        }
    }

    pub(crate) fn remove(&mut self, id: usize, mode: In) -> bool {
        let source = &mut self.sources[id];
        let changed = if mode == In::Common {
            std::mem::take(&mut source.in_common)
        } else {
            source.is_in(mode)
        };
        let mut left = Vec::new();
        for member in &mut source.members {
            if mode == In::Common && changed {
                member.by_common = false;
            } else if mode == member.mode {
                (member.by_common, member.by_itself) = (false, false);
            }
            if !member.by_common && !member.by_itself {
                left.push(member.mode);
            }
        }
        source
            .members
            .retain(|member| member.by_common || member.by_itself);
        for mode in left {
            self.say(format!("s{id} cancel {mode:?}"));
        }
        if self.sources[id].members.is_empty() {
            self.detach(id);
        }
        self.settle(id);
        changed
    }

    pub(crate) fn detach(&mut self, id: usize) {
        let source = &mut self.sources[id];
        if std::mem::take(&mut source.attached) {
            source.watches.clear();
            self.no_due(id);
            self.cool(id);
            self.say(format!("s{id} detach"));
        }
    }

    pub(crate) fn add_common(&mut self, mode: In) -> Option<bool> {
        if mode == In::Common {
            return None;
        }
        if self.common.contains(&mode) {
            return Some(false);
        }
        self.common.push(mode);
        for id in self.common_observers.clone() {
            self.seat_in(id, mode, true);
        }
        let before = self.log.len();
        for id in 0..self.sources.len() {
            if self.sources[id].in_common && self.join(id, mode, true).0 {
                self.attach(id);
                self.say(format!("s{id} schedule {mode:?}"));
            }
        }
        self.log[before..].sort();
        Some(true)
    }

    // The end of a source.

    /// Ends a source whose loop, if any, knows at once.
    pub(crate) fn invalidate(&mut self, id: usize) {
        self.sources[id].valid = false;
        if self.sources[id].known {
            self.tear_down(id, "Asked");
        } else {
            self.tell(id, "Asked");
        }
    }

    pub(crate) fn tear_down(&mut self, id: usize, why: &'static str) {
        let source = &mut self.sources[id];
        if !source.known || source.ending.is_some() {
            return;
        }
        source.ending = Some(why);
        source.in_common = false;
        for member in std::mem::take(&mut source.members) {
            self.say(format!("s{id} cancel {:?}", member.mode));
        }
        self.detach(id);
        self.settle(id);
    }

    pub(crate) fn tell(&mut self, id: usize, why: &str) {
        if !std::mem::replace(&mut self.sources[id].told, true) {
            self.say(format!("s{id} invalidated {why}"));
        }
    }

    /// Forgets a source that nothing keeps in the loop.
    pub(crate) fn settle(&mut self, id: usize) {
        let source = &mut self.sources[id];
        let stays =
            !source.members.is_empty() || source.in_common || (source.adopted && source.held);
        let running = source.firing > 0 || (source.ending.is_some() && source.asking > 0);
        if !source.known || running || (source.ending.is_none() && stays) {
            return;
        }
        source.known = false;
        source.due = None;
        source.adopted = false;
        source.listed = None;
        source.noticed = false;
        source.wishes.clear();
        self.cool(id);
        if let Some(why) = self.sources[id].ending {
            self.tell(id, why);
        }
        self.bury(id);
    }

    /// Drops the value of a source that nobody holds any more.
    pub(crate) fn bury(&mut self, id: usize) {
        let source = &mut self.sources[id];
        if !source.held && !source.known && source.alive == 0 && !source.dropped {
            source.dropped = true;
            self.say(format!("s{id} dropped"));
        }
    }

    pub(crate) fn drop_hold(&mut self, id: usize) {
        self.sources[id].held = false;
        self.settle(id);
        self.bury(id);
    }

    pub(crate) fn adopt(&mut self, id: usize) {
        if self.sources[id].held && self.sources[id].valid {
            self.enter(id);
            self.sources[id].adopted = true;
        }
    }

    /// The thread ends.
    pub(crate) fn say_goodbye(&mut self, id: usize) {
        if !self.sources[id].known {
            return;
        }
        for member in std::mem::take(&mut self.sources[id].members) {
            self.say(format!("s{id} cancel {:?}", member.mode));
        }
        self.detach(id);
        if !self.sources[id].valid {
            let why = self.sources[id].ending.unwrap_or("Asked");
            self.tell(id, why);
        }
        self.sources[id].known = false;
        self.bury(id);
    }
}
