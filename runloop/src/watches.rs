//! Changes to the tables: what is watched, and the poll sets that mirror it.
//!
//! Nothing here calls anything of a user. Whatever leaves the tables is handed back, for the caller to drop once they
//! are free.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::arena::Key;
use crate::core::{ModeEntry, Owner, SourceEntry, Tables, Watch};
use crate::devices::Devices;
use crate::member::SourceFlags;
use crate::mode::Mode;
use crate::readiness::{Interest, Readiness, Token};
use crate::shared::Shared;
use crate::sys::poller::{Held, Poller};

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
        // A bell rings or is silent; there is nothing else to hear of it.
        let to = if watch.edge {
            to & Interest::READABLE
        } else {
            to
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

    /// Takes the interest away from a watch that is still barren; says whether it was.
    pub(crate) fn silence(&mut self, source: Key, token: Token) -> bool {
        let watch = self.find_watch(source, token);
        let watch = watch.and_then(|key| self.watches.get(key));
        let barren = watch.is_some_and(|watch| watch.barren >= BARREN_MAX);
        barren && self.set_interest(source, token, Interest::empty()).is_ok()
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

    /// Puts back what was parked, unless the source has to rest.
    pub(crate) fn unpark(&mut self, source: Key) -> io::Result<()> {
        let entry = self.sources.get(source);
        if entry.is_none_or(SourceEntry::is_resting) {
            return Ok(());
        }
        let modes = self.modes_of(source);
        for key in self.watches_of(source) {
            let Some(watch) = self.watches.get_mut(key) else {
                continue;
            };
            if std::mem::take(&mut watch.parked) {
                for (done, &mode) in modes.iter().enumerate() {
                    if let Err(error) = self.enroll(key, mode, &modes[..done]) {
                        self.give_up_interest(key, &modes[..done]);
                        return Err(error);
                    }
                }
            }
        }
        let (sources, mut modes) = self.parts();
        let Some(entry) = sources.get_mut(source) else {
            return Ok(());
        };
        entry.flags.remove(SourceFlags::PARKED);
        for member in &mut entry.members {
            if !member.queued && !entry.deadline.is_never() {
                if let Some(mode) = modes.at(member.mode) {
                    let number = entry.deadline_set;
                    mode.deadlines.insert(entry.deadline, number, source.index);
                    member.queued = true;
                }
            }
        }
        Ok(())
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
        let devices = Devices::new()?;
        // Only the loop's thread gets here, so nobody else can have set it.
        drop(shared.bell.set(Arc::clone(devices.bell.keeper())));
        self.devices = Some(Rc::new(devices));
        Ok(())
    }

    /// The poll set that a mode waits on.
    pub(crate) fn poller(&self, mode: Mode) -> Option<&Rc<Poller>> {
        let own = self.mode(mode).and_then(|mode| mode.poller.as_ref());
        own.or_else(|| self.devices.as_ref().map(|devices| &devices.bare))
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
    pub(crate) fn enroll(&mut self, key: Key, mode: Mode, done: &[Mode]) -> io::Result<()> {
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
        match watch.enroll(&poller, key) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.duplicate(key, done)?;
                let Some(watch) = self.watches.get(key) else {
                    return Ok(());
                };
                watch.enroll(&poller, key)
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
        for (changed, &mode) in done.iter().enumerate() {
            let Some(poller) = self.poller(mode) else {
                continue;
            };
            if let Err(error) = watch.enroll_as(&fd, poller, key) {
                // A registration outlives its descriptor while another names the same file: it is taken back by name.
                for poller in done[..changed].iter().filter_map(|&mode| self.poller(mode)) {
                    poller.delete(&fd)?;
                }
                return Err(error);
            }
        }
        for poller in done.iter().filter_map(|&mode| self.poller(mode)) {
            poller.delete(&watch.fd)?;
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

    pub(crate) fn withdraw(&self, key: Key, mode: Mode) {
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

    /// The poll set of a mode alone, which is made if this is its first.
    pub(crate) fn own_poller(&mut self, mode: Mode) -> io::Result<Rc<Poller>> {
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

impl Watch {
    /// Registers it with a poll set.
    fn enroll(&self, poller: &Poller, key: Key) -> io::Result<()> {
        self.enroll_as(&self.fd, poller, key)
    }

    /// Registers it under another descriptor of the same file.
    fn enroll_as(&self, fd: &Held<Owner>, poller: &Poller, key: Key) -> io::Result<()> {
        if self.edge {
            return poller.add_edge(fd, key.pack());
        }
        poller.add(fd, key.pack(), self.interest)
    }
}

impl Watch {
    /// Counts a report of nothing but hang-up or error; says whether that is one too many.
    pub(crate) fn is_barren(&mut self, readiness: Readiness) -> bool {
        if (Readiness::HANGUP | Readiness::ERROR).contains(readiness) {
            self.barren = self.barren.saturating_add(1);
        } else {
            self.barren = 0;
        }
        self.barren >= BARREN_MAX
    }
}

/// How often in a row a descriptor may report nothing but hang-up or error while its interest stays as it is. Whoever cares
/// has read, closed or disabled it long before; the rest would keep the loop from sleeping for ever.
const BARREN_MAX: u16 = 1_000;
