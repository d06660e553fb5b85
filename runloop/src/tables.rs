//! Changes to the tables: watches, deadlines, memberships.
//!
//! Nothing here calls anything of a user. Whatever leaves the tables is handed back, for the caller to drop once they
//! are free.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::arena::Key;
use crate::clock::Tick;
use crate::core::{
    Devices, How, Member, ModeEntry, Owner, SourceEntry, SourceFlags, Tables, Watch,
};
use crate::heap::Slot;
use crate::mode::Mode;
use crate::readiness::{Interest, Token};
use crate::shared::Shared;
use crate::sys::poller::{Held, Poller};
use crate::sys::{Alarm, Doorbell};

/// The modes of a source, copied so that the tables can be changed meanwhile.
type Modes = SmallVec<[Mode; 4]>;

impl Tables {
    /// Starts watching a descriptor in every mode of the source. On failure nothing is watched, and the watch comes back.
    pub(crate) fn add_watch(&mut self, watch: Watch) -> Result<(), (io::Error, Watch)> {
        let source = watch.source;
        if self.sources.get(source).is_none() {
            return Err((io::Error::from(io::ErrorKind::NotFound), watch));
        }
        if self.find_watch(source, watch.token).is_some() {
            return Err((io::Error::from(io::ErrorKind::AlreadyExists), watch));
        }
        let modes = self.modes_of(source);
        let key = self.watches.insert(watch);
        for (done, &mode) in modes.iter().enumerate() {
            if let Err(error) = self.enroll(key, mode, &modes[..done]) {
                for &earlier in &modes[..done] {
                    self.withdraw(key, earlier);
                }
                let watch = self.watches.remove(key).expect("it was just put in");
                return Err((error, watch));
            }
        }
        if let (Some(entry), Some(watch)) =
            (self.sources.get_mut(source), self.watches.get_mut(key))
        {
            watch.next = entry.first_watch;
            entry.first_watch = key.index;
        }
        Ok(())
    }

    /// Stops watching a descriptor.
    pub(crate) fn remove_watch(&mut self, source: Key, token: Token) -> Option<Watch> {
        let key = self.find_watch(source, token)?;
        for mode in self.modes_of(source) {
            self.withdraw(key, mode);
        }
        let next = self.watches.get(key)?.next;
        let entry = self.sources.get_mut(source)?;
        if entry.first_watch == key.index {
            entry.first_watch = next;
        } else {
            let before = self.watches_of(source).into_iter().find(|&other| {
                self.watches
                    .get(other)
                    .is_some_and(|watch| watch.next == key.index)
            })?;
            self.watches.get_mut(before)?.next = next;
        }
        self.watches.remove(key)
    }

    /// Changes what a descriptor is watched for, in every mode of the source.
    pub(crate) fn set_interest(
        &mut self,
        source: Key,
        token: Token,
        to: Interest,
    ) -> io::Result<()> {
        let found = self.find_watch(source, token);
        let key = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let modes = self.modes_of(source);
        let Some(watch) = self.watches.get_mut(key) else {
            return Ok(());
        };
        let from = std::mem::replace(&mut watch.interest, to);
        watch.barren = 0;
        if from == to || watch.parked {
            return Ok(());
        }
        for (done, &mode) in modes.iter().enumerate() {
            if from.is_empty() {
                if let Err(error) = self.enroll(key, mode, &modes[..done]) {
                    self.give_up_interest(key, &modes[..done]);
                    return Err(error);
                }
            } else if to.is_empty() {
                self.withdraw_as(key, mode, from);
            } else if let (Some(watch), Some(poller)) = (self.watches.get(key), self.poller(mode)) {
                poller.modify(&watch.fd, key.pack(), to)?;
            }
        }
        Ok(())
    }

    /// Takes back an interest that not every mode's poll set would take.
    fn give_up_interest(&mut self, key: Key, done: &[Mode]) {
        for &mode in done {
            self.withdraw(key, mode);
        }
        if let Some(watch) = self.watches.get_mut(key) {
            watch.interest = Interest::empty();
        }
    }

    /// Takes a watch out of the poll sets until its source is no longer being performed.
    pub(crate) fn park(&mut self, key: Key) {
        let Some(source) = self.watches.get(key).map(|watch| watch.source) else {
            return;
        };
        for mode in self.modes_of(source) {
            self.withdraw(key, mode);
        }
        if let (Some(watch), Some(entry)) =
            (self.watches.get_mut(key), self.sources.get_mut(source))
        {
            watch.parked = true;
            entry.flags.insert(SourceFlags::PARKED);
        }
    }

    /// Puts back what was parked.
    pub(crate) fn unpark(&mut self, source: Key) -> io::Result<()> {
        let modes = self.modes_of(source);
        for key in self.watches_of(source) {
            let Some(watch) = self.watches.get_mut(key) else {
                continue;
            };
            if std::mem::take(&mut watch.parked) {
                for (done, &mode) in modes.iter().enumerate() {
                    self.enroll(key, mode, &modes[..done])?;
                }
            }
        }
        let Some((entry, mut modes)) = self.source_and_modes(source) else {
            return Ok(());
        };
        entry.flags.remove(SourceFlags::PARKED);
        for member in &mut entry.members {
            if member.slot == Slot::NONE && entry.deadline != Tick::NEVER {
                if let Some(mode) = modes.at(member.mode) {
                    member.slot = mode.deadlines.insert(entry.deadline, source.index);
                }
            }
        }
        Ok(())
    }

    /// Sets, moves or clears the deadline of a source in every mode it is in.
    pub(crate) fn set_deadline(&mut self, source: Key, at: Tick) {
        let Some((entry, mut modes)) = self.source_and_modes(source) else {
            return;
        };
        entry.deadline = at;
        for member in &mut entry.members {
            let Some(mode) = modes.at(member.mode) else {
                continue;
            };
            match (member.slot == Slot::NONE, at == Tick::NEVER) {
                (true, false) => member.slot = mode.deadlines.insert(at, source.index),
                (false, false) => mode.deadlines.update(member.slot, at),
                (false, true) => {
                    mode.deadlines.remove(member.slot);
                    member.slot = Slot::NONE;
                }
                (true, true) => {}
            }
        }
    }

    /// Takes a deadline out of one mode although it is still set: its source is being performed.
    pub(crate) fn park_deadline(&mut self, source: Key, mode: Mode) {
        let Some((entry, mut modes)) = self.source_and_modes(source) else {
            return;
        };
        let member = entry.members.iter_mut().find(|member| member.mode == mode);
        if let (Some(member), Some(mode)) = (member, modes.at(mode)) {
            if member.slot != Slot::NONE {
                mode.deadlines.remove(member.slot);
                member.slot = Slot::NONE;
                entry.flags.insert(SourceFlags::PARKED);
            }
        }
    }

    /// Puts a source into a mode; says whether it was not there before. On failure nothing has changed.
    pub(crate) fn join(&mut self, source: Key, mode: Mode, how: How) -> io::Result<bool> {
        self.mode_or_new(mode);
        let Some((entry, mut modes)) = self.source_and_modes(source) else {
            return Ok(false);
        };
        if let Some(member) = entry.members.iter_mut().find(|member| member.mode == mode) {
            member.how |= how;
            return Ok(false);
        }
        let Some(at) = modes.at(mode) else {
            return Ok(false);
        };
        let mut slot = Slot::NONE;
        if entry.deadline != Tick::NEVER {
            slot = at.deadlines.insert(entry.deadline, source.index);
        }
        at.members += 1;
        at.lively += usize::from(!entry.state.traits.passive);
        entry.members.push(Member { mode, slot, how });
        if entry.state.is_signalled() {
            self.shelf_changed = true;
        }
        let modes = self.modes_of(source);
        let watches = self.watches_of(source);
        for (done, &key) in watches.iter().enumerate() {
            if let Err(error) = self.enroll(key, mode, &modes[..modes.len() - 1]) {
                for &earlier in &watches[..done] {
                    self.withdraw(earlier, mode);
                }
                self.strike(source, mode);
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Takes one reason away why a source is in a mode; says whether it has left the mode.
    pub(crate) fn leave(&mut self, source: Key, mode: Mode, how: How) -> bool {
        let Some(entry) = self.sources.get_mut(source) else {
            return false;
        };
        let Some(member) = entry.members.iter_mut().find(|member| member.mode == mode) else {
            return false;
        };
        member.how.remove(how);
        let gone = member.how.is_empty();
        if gone {
            self.part(source, mode);
        }
        gone
    }

    /// Takes a source out of a mode, whatever brought it there.
    pub(crate) fn part(&mut self, source: Key, mode: Mode) {
        for key in self.watches_of(source) {
            self.withdraw(key, mode);
        }
        self.strike(source, mode);
    }

    /// Strikes a source off the list of a mode, whose poll set has forgotten its watches.
    fn strike(&mut self, source: Key, mode: Mode) {
        let Some((entry, mut modes)) = self.source_and_modes(source) else {
            return;
        };
        let place = entry.members.iter().position(|member| member.mode == mode);
        let (Some(place), Some(mode)) = (place, modes.at(mode)) else {
            return;
        };
        let member = entry.members.remove(place);
        if member.slot != Slot::NONE {
            mode.deadlines.remove(member.slot);
        }
        mode.members -= 1;
        mode.lively -= usize::from(!entry.state.traits.passive);
    }

    /// Takes out every watch of a source that is in no mode any more.
    pub(crate) fn drop_watches(&mut self, source: Key) -> Vec<Watch> {
        let keys = self.watches_of(source);
        if let Some(entry) = self.sources.get_mut(source) {
            debug_assert!(
                entry.members.is_empty(),
                "a watch is forgotten by its modes first"
            );
            entry.first_watch = u32::MAX;
        }
        keys.into_iter()
            .filter_map(|key| self.watches.remove(key))
            .collect()
    }

    /// Makes the loop's own descriptors, which the first `add` needs.
    pub(crate) fn ensure_devices(&mut self, shared: &Shared) -> io::Result<()> {
        if self.devices.is_some() {
            return Ok(());
        }
        let bell = Arc::new(Doorbell::new()?);
        let alarm = Arc::new(Alarm::new()?);
        let devices = Devices {
            bare: Rc::new(Poller::new()?),
            bell: Held::new(bell.as_fd(), Arc::clone(&bell)),
            alarm: Held::new(alarm.as_fd(), Arc::clone(&alarm)),
        };
        devices.join(&devices.bare)?;
        // Only the loop's thread gets here, so nobody else can have set it.
        drop(shared.bell.set(bell));
        self.devices = Some(Rc::new(devices));
        Ok(())
    }

    /// Whether a source is in a mode, or in the common set.
    pub(crate) fn contains(&self, source: Key, mode: Mode) -> bool {
        self.sources.get(source).is_some_and(|entry| {
            entry.is_in(mode) || (mode == Mode::COMMON && entry.flags.contains(SourceFlags::COMMON))
        })
    }

    /// The poll set that a mode waits on.
    pub(crate) fn poller(&self, mode: Mode) -> Option<&Rc<Poller>> {
        let own = self.mode(mode).and_then(|mode| mode.poller.as_ref());
        own.or_else(|| self.devices.as_ref().map(|devices| &devices.bare))
    }

    pub(crate) fn modes_of(&self, source: Key) -> Modes {
        let entry = self.sources.get(source);
        entry
            .into_iter()
            .flat_map(|entry| &entry.members)
            .map(|member| member.mode)
            .collect()
    }

    pub(crate) fn watches_of(&self, source: Key) -> SmallVec<[Key; 4]> {
        let mut keys = SmallVec::new();
        let mut next = self
            .sources
            .get(source)
            .map_or(u32::MAX, |entry| entry.first_watch);
        while let Some(key) = self.watches.key_at(next) {
            keys.push(key);
            next = self.watches.get(key).map_or(u32::MAX, |watch| watch.next);
        }
        keys
    }

    pub(crate) fn find_watch(&self, source: Key, token: Token) -> Option<Key> {
        let mut keys = self.watches_of(source).into_iter();
        keys.find(|&key| {
            self.watches
                .get(key)
                .is_some_and(|watch| watch.token == token)
        })
    }

    /// Registers a watch with the poll set of a mode, which is made if this is its first. `done` are the modes in which
    /// the watch is registered already.
    fn enroll(&mut self, key: Key, mode: Mode, done: &[Mode]) -> io::Result<()> {
        let Some(watch) = self.watches.get(key) else {
            return Ok(());
        };
        if watch.interest.is_empty() || watch.parked {
            return Ok(());
        }
        let poller = self.own_poller(mode)?;
        let Some(watch) = self.watches.get(key) else {
            return Ok(());
        };
        match poller.add(&watch.fd, key.pack(), watch.interest) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.duplicate(key, done)?;
                let Some(watch) = self.watches.get(key) else {
                    return Ok(());
                };
                poller.add(&watch.fd, key.pack(), watch.interest)
            }
            other => other,
        }
    }

    /// Gives a watch a descriptor of its own, since another watch has registered the one it came with.
    fn duplicate(&mut self, key: Key, done: &[Mode]) -> io::Result<()> {
        let Some(watch) = self.watches.get(key) else {
            return Ok(());
        };
        let copy: Arc<OwnedFd> = Arc::new(watch.fd.borrow().try_clone_to_owned()?);
        let mut fd = Held::new(copy.as_fd(), Owner::Duplicate(Arc::clone(&copy), None));
        for &mode in done {
            if let Some(poller) = self.poller(mode) {
                poller.add(&fd, key.pack(), watch.interest)?;
                poller.delete(&watch.fd)?;
            }
        }
        if let Some(watch) = self.watches.get_mut(key) {
            // The first owner is kept too: it may be the last to hold something whose destructor is a user's.
            std::mem::swap(&mut watch.fd, &mut fd);
            watch.fd.keep_also(|owner| {
                if let Owner::Duplicate(_, original) = owner {
                    *original = Some(Box::new(fd));
                }
            });
        }
        Ok(())
    }

    fn withdraw(&self, key: Key, mode: Mode) {
        if let Some(watch) = self.watches.get(key) {
            self.withdraw_as(key, mode, watch.interest);
        }
    }

    /// Takes a watch that was registered with this interest out of the poll set of a mode.
    fn withdraw_as(&self, key: Key, mode: Mode, interest: Interest) {
        let (Some(watch), Some(poller)) = (self.watches.get(key), self.poller(mode)) else {
            return;
        };
        if !interest.is_empty() && !watch.parked {
            let deleted = poller.delete(&watch.fd);
            debug_assert!(
                deleted.is_ok(),
                "what was registered can be deleted: {deleted:?}"
            );
        }
    }

    fn own_poller(&mut self, mode: Mode) -> io::Result<Rc<Poller>> {
        let devices = self.devices.clone();
        let entry: &mut ModeEntry = self.mode_or_new(mode);
        if let Some(poller) = &entry.poller {
            return Ok(Rc::clone(poller));
        }
        let poller = Rc::new(Poller::new()?);
        if let Some(devices) = devices {
            devices.join(&poller)?;
        }
        entry.poller = Some(Rc::clone(&poller));
        Ok(poller)
    }
}

impl Devices {
    fn join(&self, poller: &Poller) -> io::Result<()> {
        poller.add_edge(&self.bell, BELL_KEY)?;
        poller.add_edge(&self.alarm, ALARM_KEY)
    }
}

impl SourceEntry {
    /// Whether it may not be performed now because it is being performed.
    pub(crate) fn is_engaged(&self) -> bool {
        self.firing > 0 && !self.state.traits.reentrant
    }

    pub(crate) fn is_in(&self, mode: Mode) -> bool {
        self.members.iter().any(|member| member.mode == mode)
    }
}

/// The doorbell's key in every poll set; the upper half is no index of a watch.
pub(crate) const BELL_KEY: u64 = 0xffff_ffff_0000_0000;
/// The timer descriptor's.
pub(crate) const ALARM_KEY: u64 = 0xffff_ffff_0000_0001;
