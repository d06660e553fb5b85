//! Finding the port of a name: a connection to its living owner, or the reason why there is none.
//!
//! For remotes. It never waits: who wants to wait for a name or for a crowded port tries again
//! after the pauses that `wait` has.

use super::directory::{Directory, has_proc, proc_path};
use super::listener::new_socket;
use super::lock::{Owner, owner};
use super::open_locks::OpenLocks;
use super::port_name::PortName;
use super::registry::Registry;
use super::stem::Stem;
use crate::fork::forked;
use crate::hello::Peer;
use crate::pidfd::{Credentials, Process};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

/// Connects to the port called `name`.
///
/// The kernel queues the connection; that the port has accepted it is not said.
pub(crate) fn connect(directory: &Directory, name: &PortName) -> Result<Peer, ConnectError> {
    if forked() {
        return Err(ConnectError::Forked);
    }
    let place = Place { directory, name };
    let stem = Stem::of(name);
    let socket = place.reach(&stem)?;
    let credentials = Credentials::of(socket.as_fd()).map_err(|error| place.io(error))?;
    if !directory.may_own(credentials.uid) {
        return Err(ConnectError::ForeignOwner {
            name: name.clone(),
            directory: directory.path().to_owned(),
            uid: credentials.uid,
        });
    }
    // The socket of a dead owner still answers while a forked child of it has the socket open.
    let pidfd = match Process::of(socket.as_fd()) {
        Process::Watched(pidfd) => Some(pidfd),
        Process::Gone => return Err(place.not_found()),
        Process::Unknown if place.is_orphaned(&stem) => return Err(place.not_found()),
        Process::Unknown => None,
    };
    let peer = Peer::new(Arc::new(socket), credentials, pidfd);
    if peer.has_exited() {
        Err(place.not_found())
    } else {
        Ok(peer)
    }
}

/// Why there is no connection to a port.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody who lives owns the name.
    #[error("there is no port {name:?} in {}", directory.display())]
    NotFound {
        /// The name.
        name: PortName,
        /// The directory in which it was looked for.
        directory: PathBuf,
    },
    /// The port has too many clients waiting to be accepted, or this user too many descriptors on
    /// their way. It is worth trying again in some milliseconds.
    #[error("the port {name:?} is too busy to connect to")]
    Busy {
        /// The name.
        name: PortName,
    },
    /// The owner of the socket is somebody who has no business in that directory.
    #[error("the port {name:?} in {} belongs to user {uid}, who may not have it", directory.display())]
    ForeignOwner {
        /// The name.
        name: PortName,
        /// The directory.
        directory: PathBuf,
        /// The user.
        uid: u32,
    },
    /// This user may not reach the port.
    #[error("no permission to connect to the port {name:?} in {}", directory.display())]
    PermissionDenied {
        /// The name.
        name: PortName,
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
    /// Something else went wrong.
    #[error("cannot connect to the port {name:?} in {}", directory.display())]
    Io {
        /// The name.
        name: PortName,
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A name and where it is looked for.
struct Place<'a> {
    /// Where.
    directory: &'a Directory,
    /// The name.
    name: &'a PortName,
}

impl Place<'_> {
    /// A connection to whoever listens on the socket of this name.
    fn reach(&self, stem: &Stem) -> Result<OwnedFd, ConnectError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = rustix::fs::openat(self.directory, stem.socket_file(), flags, Mode::empty())
            .map_err(|error| match error {
                Errno::NOENT => self.not_found(),
                other => self.io(other.into()),
            })?;
        let socket = new_socket().map_err(|error| self.io(error.into()))?;
        let address =
            SocketAddrUnix::new(proc_path(node.as_fd())).map_err(|error| self.io(error.into()))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => Ok(socket),
            Err(Errno::CONNREFUSED) => Err(self.not_found()),
            Err(Errno::AGAIN) => Err(ConnectError::Busy {
                name: self.name.clone(),
            }),
            Err(Errno::NOENT) if !has_proc() => Err(ConnectError::NoProc),
            Err(other) => Err(self.io(other.into())),
        }
    }

    /// Whether no living process owns this name, as far as its lock file tells.
    fn is_orphaned(&self, stem: &Stem) -> bool {
        let mut open_here = OpenLocks::default();
        owner(&Registry::hold(), &mut open_here, self.directory, stem)
            .is_ok_and(|owner| owner == Owner::Nobody)
    }

    /// The error for a name that nobody has.
    fn not_found(&self) -> ConnectError {
        ConnectError::NotFound {
            name: self.name.clone(),
            directory: self.directory.path().to_owned(),
        }
    }

    /// The error for what the system said.
    fn io(&self, source: io::Error) -> ConnectError {
        let (name, directory) = (self.name.clone(), self.directory.path().to_owned());
        match source.kind() {
            io::ErrorKind::PermissionDenied => ConnectError::PermissionDenied {
                name,
                directory,
                source,
            },
            _ => ConnectError::Io {
                name,
                directory,
                source,
            },
        }
    }
}
