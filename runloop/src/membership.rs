//! Adding sources to modes, removing them, and the end of a source: the order in which hooks are called and things are
//! let go of.

use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::arena::Key;
use crate::clock::Tick;
use crate::core::{Callee, RunLoop, SourceEntry, Tables};
use crate::deadlines::Deadline;
use crate::error::AddError;
use crate::member::{How, SourceFlags};
use crate::mode::Mode;
use crate::pace::Pace;
use crate::readiness::Why;
use crate::state::State;
use crate::trace::Call;

impl RunLoop {
    /// Puts a source into a mode, or into every common one. `value` is needed if the source is not in this loop yet.
    pub(crate) fn add_source(
        &self,
        state: &Arc<State>,
        value: Option<Arc<dyn Callee>>,
        mode: Mode,
    ) -> Result<bool, AddError> {
        self.core.shared.reachable()?;
        if !state.is_valid() {
            return Err(AddError::Invalid);
        }
        let key = self.enter(state, value)?;
        let joined = self
            .join_modes(key, mode)
            .inspect_err(|_| self.settle(key))?;
        let (joined, changed) = joined;
        self.attach(key, &joined).map_err(AddError::Attach)?;
        self.schedule(key, &joined);
        if !state.is_valid() {
            // Another thread has invalidated it meanwhile, perhaps before it could know of this loop.
            self.tear_down(key, Why::Asked);
        }
        Ok(changed)
    }

    /// Takes a source out of a mode, or out of the common set; says whether something changed.
    pub(crate) fn remove_source(&self, key: Key, mode: Mode) -> bool {
        let (left, changed) = self.core.with(|tables| {
            if mode != Mode::COMMON {
                let left = tables.leave(key, mode, How::all());
                return (left.then_some(mode).into_iter().collect(), left);
            }
            let Some(entry) = tables.sources.get_mut(key) else {
                return (SmallVec::new(), false);
            };
            let was = entry.flags.contains(SourceFlags::COMMON);
            entry.flags.remove(SourceFlags::COMMON);
            let mut modes: SmallVec<[Mode; 4]> = tables.modes_of(key);
            modes.retain(|&mut mode| was && tables.leave(key, mode, How::COMMON));
            (modes, was)
        });
        self.unschedule(key, &left);
        changed
    }

    /// Puts every source of the common set into a mode that has just joined the set.
    pub(crate) fn join_common_sources(&self, mode: Mode) -> io::Result<()> {
        let keys = self.core.with(|tables| {
            let mut keys = tables.sources.keys();
            keys.retain(|&key| {
                let entry = tables.sources.get(key);
                entry.is_some_and(|entry| entry.flags.contains(SourceFlags::COMMON))
            });
            keys
        });
        let mut refused = Ok(());
        for key in keys {
            match self.core.with(|tables| tables.join(key, mode, How::COMMON)) {
                Ok(true) => match self.attach(key, &[mode]) {
                    Ok(()) => self.schedule(key, &[mode]),
                    Err(error) => refused = refused.and(Err(error)),
                },
                Ok(false) => {}
                Err(error) => refused = refused.and(Err(error)),
            }
        }
        refused
    }

    /// Ends a source in this loop: it leaves every mode, is told so, and goes. Its state is already invalid.
    pub(crate) fn tear_down(&self, key: Key, why: Why) {
        let taken = self.core.with(|tables| {
            let entry = tables.sources.get_mut(key)?;
            if entry.ending.is_some() {
                return None;
            }
            entry.ending = Some(why);
            let attached = entry.flags.contains(SourceFlags::ATTACHED);
            let (callee, state) = entry.both();
            Some((callee, state, attached))
        });
        let Some((callee, state, attached)) = taken else {
            return;
        };
        let (modes, watches) = self.leave_all(key);
        let mut panic = None;
        for mode in modes {
            let call = Call::Source("cancel", &callee, &state);
            self.tell(&mut panic, call, || callee.cancel(self, mode));
        }
        self.hook(&mut panic, || drop(watches));
        if attached {
            let call = Call::Source("detach", &callee, &state);
            self.tell(&mut panic, call, || callee.detach(self));
        }
        self.hook(&mut panic, || self.settle(key));
        self.hook(&mut panic, || drop(callee));
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Lets go of a source that nothing keeps in the table any more.
    pub(crate) fn settle(&self, key: Key) {
        let gone = self.core.with(|tables| {
            let entry = tables.sources.get(key)?;
            // An invalid source is told so when no callback of it is running, and so not inside its own `prepare`.
            if entry.is_kept() || (entry.ending.is_some() && self.is_asking(key)) {
                None
            } else {
                tables.shelf_changed |= entry.flags.contains(SourceFlags::LISTED);
                tables.sources.remove(key)
            }
        });
        let Some(entry) = gone else { return };
        if entry.flags.contains(SourceFlags::HOT) {
            let hot = self.core.with(|tables| tables.forget_hot(key));
            self.core.hot_count.set(hot);
        }
        let last = entry.state.leave(self.core.shared.id);
        let mut panic = None;
        let why = entry.ending.filter(|_| last && entry.state.claim_end());
        if let Some(why) = why {
            let call = Call::Source("invalidated", &entry.callee, &entry.state);
            self.tell(&mut panic, call, || entry.callee.invalidated(why));
        }
        self.hook(&mut panic, || drop(entry));
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Invalidates a source that failed where nobody could be given an error.
    pub(crate) fn fail(&self, key: Key, error: &(dyn std::error::Error + 'static)) {
        let state = self
            .core
            .with(|t| t.sources.get(key).map(|entry| Arc::clone(&entry.state)));
        let Some(state) = state else { return };
        tracing::warn!(
            source = state.name(),
            error,
            "a source failed and is invalidated"
        );
        state.clear_valid();
        state.notify_others(self.core.shared.id);
        self.tear_down(key, Why::Failed);
    }

    /// Keeps a source in this loop's table, without a mode, as long as there are handles to it.
    pub(crate) fn adopt_source(&self, state: &Arc<State>, value: Arc<dyn Callee>) {
        if self.core.shared.reachable().is_err() {
            return;
        }
        if let Ok(key) = self.enter(state, Some(value)) {
            self.core.with(|tables| {
                if let Some(entry) = tables.sources.get_mut(key) {
                    entry.flags.insert(SourceFlags::ADOPTED);
                }
            });
        }
    }

    /// The key of a source that is in this loop already, or is put into its table.
    fn enter(&self, state: &Arc<State>, value: Option<Arc<dyn Callee>>) -> Result<Key, AddError> {
        if let Some(key) = self.find(state) {
            return Ok(key);
        }
        let callee = value.ok_or(AddError::OtherLoop)?;
        let entry = SourceEntry {
            callee,
            state: Arc::clone(state),
            deadline: Deadline::NEVER,
            deadline_set: 0,
            members: SmallVec::new(),
            first_watch: u32::MAX,
            firing: 0,
            pace: state.rate_limit().map(|limit| Box::new(Pace::new(limit))),
            flags: SourceFlags::empty(),
            ending: None,
            place: 0,
        };
        let key = self.core.with(|tables| tables.sources.insert(entry));
        if state.join(&self.core.shared, key) {
            return Ok(key);
        }
        let refused = self.core.with(|tables| tables.sources.remove(key));
        drop(refused);
        Err(AddError::OtherLoop)
    }

    /// The key of a source in this loop.
    pub(crate) fn find(&self, state: &State) -> Option<Key> {
        let id = self.core.shared.id;
        if let Some(index) = state.index_in(id) {
            return self.core.with(|tables| tables.sources.key_at(index));
        }
        if state.traits().reentrant {
            state.key_in(id)
        } else {
            None
        }
    }

    /// The modes that the source has newly come into, and whether anything has changed.
    fn join_modes(&self, key: Key, mode: Mode) -> Result<(SmallVec<[Mode; 4]>, bool), AddError> {
        let joined = self.core.with(|tables| {
            tables.ensure_devices(&self.core.shared)?;
            tables.join_all(key, mode)
        });
        joined.map_err(AddError::PollSet)
    }
}

impl SourceEntry {
    /// Whether it stays in the table: it is being performed, in some mode, or in somebody's hands.
    pub(crate) fn is_kept(&self) -> bool {
        self.firing > 0 || (self.ending.is_none() && (self.is_somewhere() || self.is_adopted()))
    }

    fn is_somewhere(&self) -> bool {
        !self.members.is_empty() || self.flags.contains(SourceFlags::COMMON)
    }

    fn is_adopted(&self) -> bool {
        self.flags.contains(SourceFlags::ADOPTED) && self.state.has_handles()
    }
}

impl Tables {
    /// Puts a source into every mode that `mode` stands for, or into none.
    fn join_all(&mut self, key: Key, mode: Mode) -> io::Result<(SmallVec<[Mode; 4]>, bool)> {
        let how = if mode == Mode::COMMON {
            How::COMMON
        } else {
            How::INDIVIDUAL
        };
        let (mut joined, mut gained) = (SmallVec::new(), SmallVec::<[Mode; 4]>::new());
        for concrete in self.concrete(mode) {
            if self.is_member(key, concrete, how) {
                continue;
            }
            match self.join(key, concrete, how) {
                Ok(true) => joined.push(concrete),
                Ok(false) => {}
                Err(error) => {
                    for earlier in gained {
                        self.leave(key, earlier, how);
                    }
                    return Err(error);
                }
            }
            gained.push(concrete);
        }
        let mut changed = !gained.is_empty();
        if let Some(entry) = self.sources.get_mut(key) {
            if mode == Mode::COMMON {
                changed |= !entry.flags.contains(SourceFlags::COMMON);
                entry.flags.insert(SourceFlags::COMMON);
            }
            if entry.state.is_signalled() {
                self.list(key);
            }
        }
        Ok((joined, changed))
    }

    fn is_member(&self, key: Key, mode: Mode, how: How) -> bool {
        let entry = self.sources.get(key);
        let mut members = entry.into_iter().flat_map(|entry| &entry.members);
        members.any(|member| member.mode == mode && member.how.contains(how))
    }

    /// Puts what is on the shelf back on the list, if things have changed. The signals are numbered, so it does not matter
    /// where on the list.
    pub(crate) fn clear_shelf(&mut self) {
        if std::mem::take(&mut self.shelf_changed) && !self.shelf.is_empty() {
            self.signalled.extend(self.shelf.drain(..));
        }
    }

    /// Puts a signalled source on the list that the sources phase goes through.
    pub(crate) fn list(&mut self, key: Key) {
        let number = self.count();
        let Some(entry) = self.sources.get_mut(key) else {
            return;
        };
        if !entry.flags.contains(SourceFlags::LISTED) {
            entry.flags.insert(SourceFlags::LISTED);
            self.signalled.push_back((number, key));
        }
        self.stir(key, Tick(0));
    }
}
