//! Owning a name: from the moment it is claimed until the claim is dropped.
//!
//! For ports. A claim is a lock on the name's lock file and a listening socket under that name;
//! what arrives on the socket is somebody else's business.

use super::directory::{Directory, FileId, Reach, has_proc};
use super::listener;
use super::lock::{LockError, LockFile};
use super::port_name::PortName;
use super::registry::{ClaimId, Registry};
use super::stem::Stem;
use crate::fork::forked;
use rustix::fs::AtFlags;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// A name that this process owns, and the socket at which clients ask for it.
///
/// Dropping it frees the name, and hangs up on all who have connected but were not accepted.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Which claim of this process this is.
    id: ClaimId,
    /// Where the name is.
    directory: Directory,
    /// The name.
    name: PortName,
    /// The lock that makes it ours.
    ///
    /// # Invariant
    ///
    /// Some until the claim is dropped, and closed only while the registry is held.
    lock: Option<LockFile>,
    /// The listening socket, shared with whoever watches it.
    listener: Arc<OwnedFd>,
    /// The file to which the socket is bound.
    socket: FileId,
}

impl Claim {
    /// Makes `name` this process's own, and listens.
    pub(crate) fn new(directory: &Directory, name: &PortName) -> Result<Self, ClaimError> {
        if forked() {
            return Err(ClaimError::Forked);
        }
        let mut registry = Registry::hold();
        let lock = LockFile::acquire(&registry, directory, name)
            .map_err(|error| ClaimError::lock(directory, error))?;
        match listener::publish(directory, &Stem::of(name), lock.id()) {
            Ok((socket, listener)) => {
                let id = registry.add(directory, name, lock.id());
                Ok(Self {
                    id,
                    directory: directory.clone(),
                    name: name.clone(),
                    lock: Some(lock),
                    listener: Arc::new(listener),
                    socket,
                })
            }
            Err(error) => {
                lock.release(directory);
                Err(ClaimError::io(directory, error))
            }
        }
    }

    /// Takes `name` instead of the name held so far. The socket stays the same one, with all who
    /// have connected; on failure everything is as it was.
    pub(crate) fn rename(&mut self, name: &PortName) -> Result<(), ClaimError> {
        if forked() {
            return Err(ClaimError::Forked);
        }
        if *name == self.name {
            return Ok(());
        }
        let mut registry = Registry::hold();
        let lock = LockFile::acquire(&registry, &self.directory, name)
            .map_err(|error| ClaimError::lock(&self.directory, error))?;
        if let Err(error) = self.move_socket(name) {
            lock.release(&self.directory);
            return Err(ClaimError::io(&self.directory, error));
        }
        registry.change(self.id, name, lock.id());
        self.name = name.clone();
        if let Some(old) = self.lock.replace(lock) {
            old.release(&self.directory);
        }
        Ok(())
    }

    /// Whether other users are meant to reach it.
    pub(crate) fn is_shared(&self) -> bool {
        self.directory.reach() == Reach::Others
    }

    /// Which claim of this process this is.
    pub(crate) fn id(&self) -> ClaimId {
        self.id
    }

    /// The name.
    #[cfg(test)]
    pub(crate) fn name(&self) -> &PortName {
        &self.name
    }

    /// The directory of the name.
    #[cfg(test)]
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The listening socket. When the claim is dropped it is shut down, so that it is forever
    /// ready; whoever watches it stops doing so first.
    pub(crate) fn listener(&self) -> &Arc<OwnedFd> {
        &self.listener
    }

    /// The lock, for tests that make others inherit it.
    #[cfg(test)]
    pub(super) fn lock(&self) -> Option<&LockFile> {
        self.lock.as_ref()
    }

    /// Moves the socket's file to where clients of `name` look for it.
    fn move_socket(&self, name: &PortName) -> io::Result<()> {
        let old = Stem::of(&self.name).socket_file();
        if FileId::at(&self.directory, &old) != Some(self.socket) {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the socket of the port was removed or replaced",
            ));
        }
        let new = Stem::of(name).socket_file();
        Ok(rustix::fs::renameat(
            &self.directory,
            old,
            &self.directory,
            new,
        )?)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // In a child everything below belongs to the parent, and the registry's mutex may have
        // been held by a thread that does not exist here. The descriptors close by themselves.
        if forked() {
            return;
        }
        {
            let mut registry = Registry::hold();
            let socket = Stem::of(&self.name).socket_file();
            if FileId::at(&self.directory, &socket) == Some(self.socket) {
                // A socket that stays is harmless: it refuses, and the next owner replaces it.
                rustix::fs::unlinkat(&self.directory, &socket, AtFlags::empty()).ok();
            }
            registry.remove(self.id);
            if let Some(lock) = self.lock.take() {
                lock.release(&self.directory);
            }
        }
        listener::hang_up(&self.listener);
    }
}

/// Why a name could not be claimed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// A living process owns the name; it may be this one.
    #[error("the name {name:?} in {} is in use by {}", directory.display(), Process(*pid))]
    NameInUse {
        /// The name that the owner has. It differs from the one that was asked for only where two
        /// names of more than 200 bytes happen to have the same hash, and so exclude each other.
        name: PortName,
        /// The directory of that name.
        directory: PathBuf,
        /// The process that owns it, where this process can name it.
        pid: Option<u32>,
    },
    /// This user may not have names in that directory, or not this one.
    #[error("no permission to have this name in {}", directory.display())]
    PermissionDenied {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no `/proc`, without which sockets with long names cannot be reached.
    #[error("names need /proc, which is not mounted")]
    NoProc,
    /// This process was forked from one that uses ports, and must execute a program first.
    #[error("ports do not work in a forked child")]
    Forked,
    /// Something else went wrong in that directory.
    #[error("cannot claim a name in {}", directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ClaimError {
    /// The error for a lock that could not be had.
    fn lock(directory: &Directory, error: LockError) -> Self {
        match error {
            LockError::Held { name, pid } => Self::NameInUse {
                name,
                directory: directory.path().to_owned(),
                pid,
            },
            LockError::Io(error) => Self::io(directory, error),
        }
    }

    /// The error for what the system said.
    fn io(directory: &Directory, source: io::Error) -> Self {
        let directory = directory.path().to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { directory, source },
            io::ErrorKind::NotFound if !has_proc() => Self::NoProc,
            _ => Self::Io { directory, source },
        }
    }
}

/// A process as messages speak of it.
struct Process(Option<u32>);

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) if pid == std::process::id() => write!(f, "this process ({pid})"),
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}
