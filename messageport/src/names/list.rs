//! Which names there are, and who owns them.
//!
//! For tools and for people. What it says was true for each name at the moment it was looked at.

use super::directory::{Directory, DirectoryError};
use super::lock::{Owner, owner};
use super::open_locks::OpenLocks;
use super::port_name::PortName;
use super::registry::Registry;
use super::stem::Stem;
use crate::fork::forked;
use rustix::fs::{Dir, Mode, OFlags};
use std::io;

/// A port that is there for everybody who looks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct NamedPort {
    /// Its name.
    pub name: PortName,
    /// The process that owns it; `None` where this process cannot name it or may not know.
    pub pid: Option<u32>,
}

impl Directory {
    /// The ports of this directory whose owners live, in the order of their names.
    ///
    /// A port of another user is listed without its process, and not at all if its name has more
    /// than 200 bytes, since only its owner can read such a name back.
    ///
    /// # Errors
    ///
    /// The directory cannot be read. A port that vanishes meanwhile is no error.
    pub fn names(&self) -> Result<Vec<NamedPort>, DirectoryError> {
        let failed = |source| DirectoryError::Open {
            path: self.path().to_owned(),
            source,
        };
        if forked() {
            return Err(DirectoryError::Forked);
        }
        let mut ports = Vec::new();
        let mut open_here = OpenLocks::default();
        for stem in self.sockets().map_err(failed)? {
            ports.extend(self.port(&mut open_here, &stem).map_err(failed)?);
        }
        ports.sort();
        Ok(ports)
    }

    /// The stems of all sockets that lie here, of living owners and of dead ones.
    fn sockets(&self) -> io::Result<Vec<Stem>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let readable = rustix::fs::openat(self, ".", flags, Mode::empty())?;
        let mut stems = Vec::new();
        for entry in Dir::new(readable)? {
            stems.extend(entry?.file_name().to_str().ok().and_then(Stem::of_socket));
        }
        Ok(stems)
    }

    /// The port of `stem`, if there is one and its name can be told.
    fn port(&self, open_here: &mut OpenLocks, stem: &Stem) -> io::Result<Option<NamedPort>> {
        // The registry is held for one name at a time, so that claims do not wait for a long list.
        let (pid, written) = match owner(&Registry::hold(), open_here, self, stem)? {
            Owner::Process { pid, name } => (pid, name),
            Owner::Hidden => (None, None),
            Owner::Nobody => return Ok(None),
        };
        Ok(stem
            .spelled()
            .or(written)
            .map(|name| NamedPort { name, pid }))
    }
}
