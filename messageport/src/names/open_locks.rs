//! The lock files that this process has open, whichever part of it has opened them.
//!
//! For `lock`. A process may contain this library twice, each copy with a registry of its own that
//! knows nothing of the other's names; but both have their lock files open in one table.

use super::directory::FileId;
use super::registry::Registry;
use super::stem::Stem;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, open, readlinkat, statat};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The lock files that are open in this process, as seen when it was last looked.
#[derive(Debug, Default)]
pub(super) struct OpenLocks {
    /// What was seen.
    seen: Vec<FileId>,
    /// For how many questions more it is believed.
    good_for: u32,
}

impl OpenLocks {
    /// Whether `file` is open. While the registry is held no other thread has somebody else's lock
    /// file open, which would be taken for one of ours.
    pub(super) fn contain(&mut self, held: &Registry, file: FileId) -> io::Result<bool> {
        if self.good_for == 0 {
            self.seen = look(held)?;
            self.good_for = QUESTIONS_MAX;
        }
        self.good_for -= 1;
        Ok(self.seen.contains(&file))
    }
}

/// Looks at all descriptors of this process.
///
/// Linux, `proc_pid_fd(5)`.
fn look(_held: &Registry) -> io::Result<Vec<FileId>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let table = open("/proc/self/fd", flags, Mode::empty())?;
    let mut locks = Vec::new();
    for entry in Dir::read_from(&table)? {
        locks.extend(lock_file(table.as_fd(), entry?.file_name()));
    }
    Ok(locks)
}

/// The file that a descriptor has open, if it is a lock file by its name. None also if the
/// descriptor has been closed meanwhile by another thread.
fn lock_file(table: BorrowedFd<'_>, descriptor: &CStr) -> Option<FileId> {
    // The link is read before it is followed, since following any link there is may mean to wait
    // for a file system that hangs.
    let path = readlinkat(table, descriptor, Vec::new()).ok()?;
    if !Stem::is_lock_file(path.to_bytes()) {
        return None;
    }
    let found = statat(table, descriptor, AtFlags::empty()).ok()?;
    Some(FileId::of(&found))
}

/// How many questions one look answers: looking costs as much as the process has descriptors, and
/// what was seen grows old.
const QUESTIONS_MAX: u32 = 32;
