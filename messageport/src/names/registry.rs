//! The names that this process owns, and the right to open lock files.
//!
//! For the rest of `names`. Closing any descriptor of a record-locked file drops this process's
//! lock on it, so a lock file may be opened only by whoever holds this registry's mutex and has
//! found that the file is none of ours. Functions that open one therefore take the registry.

use super::directory::{Directory, FileId};
use super::port_name::PortName;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The names that this process owns.
#[derive(Debug)]
pub(super) struct Registry {
    /// One entry for each, in the order in which they were claimed.
    entries: Vec<Entry>,
    /// The number of the next one.
    next: u64,
}

/// One name that this process owns.
#[derive(Debug)]
struct Entry {
    /// Whose entry this is; a name that was given up and taken again has a new one.
    id: ClaimId,
    /// The directory of the name.
    directory: FileId,
    /// The name.
    name: PortName,
    /// The lock file, which must not be opened a second time.
    lock: FileId,
}

/// Which claim of this process: different for every one there has ever been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClaimId(u64);

impl Registry {
    /// The registry of this process, for as long as the guard lives.
    pub(super) fn hold() -> MutexGuard<'static, Self> {
        // A panic leaves nothing half done here: each change below is one statement.
        REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that this process owns `name`.
    pub(super) fn add(&mut self, directory: &Directory, name: &PortName, lock: FileId) -> ClaimId {
        let id = ClaimId(self.next);
        self.next += 1;
        self.entries.push(Entry {
            id,
            directory: directory.id(),
            name: name.clone(),
            lock,
        });
        id
    }

    /// Notes that the claim `id` is for `name` from now on.
    pub(super) fn change(&mut self, id: ClaimId, name: &PortName, lock: FileId) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.name = name.clone();
            entry.lock = lock;
        }
    }

    /// Forgets the claim `id`, and only that: its name may be owned anew by then.
    pub(super) fn remove(&mut self, id: ClaimId) {
        self.entries.retain(|entry| entry.id != id);
    }

    /// The claim of this process to `name`.
    pub(super) fn find(&self, directory: &Directory, name: &PortName) -> Option<ClaimId> {
        let directory = directory.id();
        self.entries
            .iter()
            .find(|entry| entry.directory == directory && entry.name == *name)
            .map(|entry| entry.id)
    }

    /// The name for which this process has locked the file `lock`.
    pub(super) fn locked_for(&self, lock: FileId) -> Option<&PortName> {
        self.entries
            .iter()
            .find(|entry| entry.lock == lock)
            .map(|entry| &entry.name)
    }
}

/// The claim of this process to `name` in `directory`, if it has one.
pub(crate) fn find(directory: &Directory, name: &PortName) -> Option<ClaimId> {
    Registry::hold().find(directory, name)
}

/// The names of this process.
static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    entries: Vec::new(),
    next: 1,
});
