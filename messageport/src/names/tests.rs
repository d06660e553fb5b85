//! What the tests of names share: a directory of their own, and processes that claim names.

mod claims;
mod connections;
mod directories;
mod leftovers;
mod other_users;
mod processes;
mod races;
mod renames;

use super::directory::Directory;
use super::list::NamedPort;
use super::port_name::PortName;
use crate::hello::tests::Watchdog;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A place on disk that one test has for itself, removed at its end; and an end to a test that
/// would have none.
struct Place {
    path: PathBuf,
    _watchdog: Watchdog,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mp-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self {
            path,
            _watchdog: Watchdog::start(),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// A private directory for names in it.
    fn ports(&self) -> Directory {
        Directory::private(&self.ports_path()).unwrap()
    }

    fn ports_path(&self) -> PathBuf {
        self.path.join("ports")
    }

    /// The names of the files in the directory for names.
    fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = fs::read_dir(self.ports_path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

fn name(name: &str) -> PortName {
    PortName::new(name).unwrap()
}

fn listed(name: &str, pid: u32) -> NamedPort {
    NamedPort {
        name: self::name(name),
        pid: Some(pid),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
