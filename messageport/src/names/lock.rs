//! The lock file of a name: who holds its lock owns the name.
//!
//! For `claim` and `list`. A record lock dies with its process, even if a forked child keeps the
//! file open, and it names its holder. The file is removed by its holder alone, so whoever locks
//! it looks whether it is still the one that the path leads to, and otherwise starts again.

use super::directory::{Directory, FileId};
use super::open_locks::OpenLocks;
use super::port_name::PortName;
use super::registry::Registry;
use super::stem::Stem;
use crate::pidfd::{Holder, lock_holder};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

/// A lock file whose lock this process holds.
///
/// Dropping it without `release` gives the lock up and leaves the file, as a killed process does.
#[derive(Debug)]
pub(super) struct LockFile {
    /// The file; closing it, or any other descriptor of it, gives the lock up.
    file: File,
    /// Which file that is.
    id: FileId,
    /// What it is called.
    path: String,
}

impl LockFile {
    /// Locks the file of `name`, and writes the name into it.
    pub(super) fn acquire(
        registry: &Registry,
        directory: &Directory,
        name: &PortName,
    ) -> Result<Self, LockError> {
        let stem = Stem::of(name);
        let path = stem.lock_file();
        for _ in 0..ATTEMPTS_MAX {
            refuse_ours(registry, directory, &path, name)?;
            let file = open(directory, &path, OFlags::CREATE)?;
            match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    let id = FileId::of(&rustix::fs::fstat(&file)?);
                    if FileId::at(directory, &path) != Some(id) {
                        continue; // Its last holder removed it after we had opened it.
                    }
                    let lock = Self { file, id, path };
                    return match lock.write(name) {
                        Ok(()) => Ok(lock),
                        Err(error) => {
                            lock.release(directory);
                            Err(error.into())
                        }
                    };
                }
                Err(Errno::AGAIN | Errno::ACCESS) => {
                    if let Some(holder) = lock_holder(file.as_fd())? {
                        let name = content(&file, &stem).unwrap_or_else(|| name.clone());
                        return Err(LockError::Held {
                            name,
                            pid: holder.pid,
                        });
                    }
                    // It was given up in between.
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(LockError::Held {
            name: name.clone(),
            pid: None,
        })
    }

    /// Which file is locked.
    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// Removes the file, unless it has been replaced, and then gives the lock up.
    pub(super) fn release(self, directory: &Directory) {
        if FileId::at(directory, &self.path) == Some(self.id) {
            // A file that stays is harmless: it is taken over like that of a killed process.
            rustix::fs::unlinkat(directory, &self.path, AtFlags::empty()).ok();
        }
    }

    /// The file itself, for tests that make others inherit it.
    #[cfg(test)]
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Makes `name` all that the file contains.
    fn write(&self, name: &PortName) -> io::Result<()> {
        // The sticky bit is how a file asks to be spared by those who clean up old files.
        rustix::fs::fchmod(&self.file, Mode::RUSR | Mode::WUSR | Mode::SVTX)?;
        self.file.set_len(0)?;
        self.file.write_all_at(name.as_str().as_bytes(), 0)
    }
}

/// Why a lock could not be had.
#[derive(Debug)]
pub(super) enum LockError {
    /// Somebody holds it.
    Held {
        /// The name that its holder owns; another one only if two hashes collide.
        name: PortName,
        /// The holder.
        pid: Option<u32>,
    },
    /// Its file could not be used.
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for LockError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// Who owns the names of a stem.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// No living process.
    Nobody,
    /// A process that has locked the file.
    Process {
        /// Its id, where it has one here.
        pid: Option<u32>,
        /// The name, where the file could be read.
        name: Option<PortName>,
    },
    /// The file cannot be opened by this user.
    Hidden,
}

/// Finds out who owns the names of `stem`, without ever opening a lock file of this process.
pub(super) fn owner(
    registry: &Registry,
    open_here: &mut OpenLocks,
    directory: &Directory,
    stem: &Stem,
) -> io::Result<Owner> {
    let path = stem.lock_file();
    let Some(id) = FileId::at(directory, &path) else {
        return Ok(Owner::Nobody);
    };
    let ours = registry.locked_for(id);
    if ours.is_some() || open_here.contain(registry, id)? {
        return Ok(Owner::Process {
            pid: Some(std::process::id()),
            name: ours.cloned(),
        });
    }
    let file = match open(directory, &path, OFlags::empty()) {
        Ok(file) => file,
        Err(Errno::ACCESS | Errno::PERM) => return Ok(Owner::Hidden),
        // It has just gone, or something lies in its place that nobody can have locked.
        Err(Errno::NOENT | Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Ok(Owner::Nobody),
        Err(error) => return Err(error.into()),
    };
    Ok(match lock_holder(file.as_fd())? {
        Some(Holder { pid }) => Owner::Process {
            pid,
            name: content(&file, stem),
        },
        None => Owner::Nobody,
    })
}

/// The error for a lock file that this process holds itself, be it by another copy of this library
/// that it contains.
fn refuse_ours(
    registry: &Registry,
    directory: &Directory,
    path: &str,
    name: &PortName,
) -> Result<(), LockError> {
    let Some(id) = FileId::at(directory, path) else {
        return Ok(());
    };
    let ours = registry.locked_for(id);
    if ours.is_none() && !OpenLocks::default().contain(registry, id)? {
        return Ok(());
    }
    let name = ours.unwrap_or(name).clone();
    Err(LockError::Held {
        name,
        pid: Some(std::process::id()),
    })
}

/// Opens a lock file. Whoever calls this holds the registry and knows that it is not ours.
fn open(directory: &Directory, path: &str, create: OFlags) -> Result<File, Errno> {
    // Non-blocking, so that something else that lies there, such as a pipe, cannot make us wait.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | create;
    let fd = rustix::fs::openat(directory, path, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(File::from(fd))
}

/// The name in a lock file, if it is one that belongs there. Its holder may be about to write it.
fn content(file: &File, stem: &Stem) -> Option<PortName> {
    let mut bytes = [0; PortName::LENGTH_MAX + 1];
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], u64::try_from(length).ok()?) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    let name = PortName::new(std::str::from_utf8(&bytes[..length]).ok()?).ok()?;
    stem.is_of(&name).then_some(name)
}

/// How often a lock is tried that others take and give up each time we look.
const ATTEMPTS_MAX: usize = 1_000;
