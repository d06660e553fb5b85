//! The directory in which names live: found by one rule, opened once, checked as it is open.
//!
//! For those who claim, look up or list names. Everything else happens relative to the descriptor
//! that was checked, so nobody can put another directory in its place afterwards.

use super::place::{Surroundings, run_user};
use rustix::fs::{CWD, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::env;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A directory of names. Two processes find each other's ports if they use the same one.
///
/// Cloning shares the open descriptor. Two directories are equal if they are the same one on disk,
/// whatever path led there.
///
/// ```no_run
/// use messageport::Directory;
///
/// let ours = Directory::of_this_user()?;
/// let everybodys = Directory::open("/run/org.example.service")?;
/// assert_ne!(ours, everybodys);
/// # Ok::<(), messageport::DirectoryError>(())
/// ```
#[derive(Clone)]
pub struct Directory(Arc<Opened>);

/// What a directory is once it is open.
struct Opened {
    /// The directory itself, opened for nothing but to name what is in it.
    fd: OwnedFd,
    /// Where it was found; for messages only, since it may have been moved.
    path: PathBuf,
    /// Which one it is.
    id: FileId,
    /// The user it belongs to.
    owner: u32,
    /// Its permissions when it was checked.
    mode: u32,
    /// Who may reach what is in it.
    reach: Reach,
}

/// Who may reach the ports of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Its owner alone.
    Owner,
    /// Whoever its mode lets through; each port then decides for itself whom it admits.
    Others,
}

impl Directory {
    /// The private directory of the user of this process, created if it is missing.
    ///
    /// It is `$MESSAGEPORT_DIR`; if that is not set, `$XDG_RUNTIME_DIR/messageport`; if that is not
    /// set either, `/run/user/<uid>/messageport` where that parent is the user's; and otherwise
    /// `/tmp/messageport-<uid>`. If the directory that the rule names cannot be used, that is an
    /// error, and no other is tried.
    ///
    /// # Errors
    ///
    /// The directory cannot be created or opened, is a symbolic link, belongs to somebody else, or
    /// others may enter it.
    pub fn of_this_user() -> Result<Self, DirectoryError> {
        let path = Surroundings {
            chosen: env::var_os("MESSAGEPORT_DIR"),
            runtime: env::var_os("XDG_RUNTIME_DIR"),
            user: effective_user(),
            run_user_is_ours: is_ours(&run_user(effective_user())),
        }
        .directory();
        let mut cached = OF_THIS_USER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = cached.as_ref().filter(|known| known.is_still_at(&path)) {
            return Ok(directory.clone());
        }
        let directory = Self::private(&path)?;
        *cached = Some(directory.clone());
        Ok(directory)
    }

    /// A directory that exists and may be open to other users, for ports that serve them.
    ///
    /// # Errors
    ///
    /// The directory cannot be opened, is a symbolic link, belongs neither to this user nor to
    /// root, or somebody else may write to it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DirectoryError> {
        let path = std::path::absolute(path.as_ref()).map_err(|source| DirectoryError::Open {
            path: path.as_ref().to_owned(),
            source,
        })?;
        let opened = Opened::at(&path, Reach::Others)?;
        if opened.owner != effective_user() && opened.owner != ROOT {
            return Err(DirectoryError::Owner {
                path: opened.path,
                owner: opened.owner,
            });
        }
        opened.refuse_mode(0o022)
    }

    /// The private directory at `path`, created if it is missing.
    pub(crate) fn private(path: &Path) -> Result<Self, DirectoryError> {
        if !path.is_absolute() {
            return Err(DirectoryError::Relative {
                path: path.to_owned(),
            });
        }
        match rustix::fs::mkdirat(CWD, path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => {
                return Err(DirectoryError::Create {
                    path: path.to_owned(),
                    source: error.into(),
                });
            }
        }
        let opened = Opened::at(path, Reach::Owner)?;
        if opened.owner != effective_user() {
            return Err(DirectoryError::Owner {
                path: opened.path,
                owner: opened.owner,
            });
        }
        opened.refuse_mode(0o077)
    }

    /// The path at which this directory was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Which directory this is.
    pub(crate) fn id(&self) -> FileId {
        self.0.id
    }

    /// Who may reach what is in this directory.
    pub(crate) fn reach(&self) -> Reach {
        self.0.reach
    }

    /// Whether a process of `user` may own names here: those who could have made their files.
    pub(crate) fn may_own(&self, user: u32) -> bool {
        user == self.0.owner || user == ROOT || user == effective_user()
    }

    /// A path that leads to `file` in this directory and fits into a socket's address, however
    /// long the directory's own path is.
    ///
    /// Linux, `proc_pid_fd(5)`.
    pub(super) fn short_path(&self, file: &str) -> String {
        format!("{}/{file}", proc_path(self.as_fd()))
    }

    /// Whether `path` still leads to this directory, and it is as it was when it was checked.
    fn is_still_at(&self, path: &Path) -> bool {
        let unchanged = |found: Stat| {
            FileId::of(&found) == self.id()
                && found.st_uid == self.0.owner
                && found.st_mode & PERMISSIONS == self.0.mode
        };
        self.path() == path && rustix::fs::lstat(path).is_ok_and(unchanged)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl PartialEq for Directory {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Directory {}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Directory").field(&self.0.path).finish()
    }
}

impl Opened {
    /// Opens the directory at `path` without following a link that lies there.
    fn at(path: &Path, reach: Reach) -> Result<Self, DirectoryError> {
        // Without a slash at its end, since one would make the kernel follow a link.
        let path: PathBuf = path.components().collect();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, &path, flags, Mode::empty())
            .and_then(|fd| Ok((rustix::fs::fstat(&fd)?, fd)));
        match opened {
            Ok((found, fd)) => {
                let id = FileId::of(&found);
                let mode = found.st_mode & PERMISSIONS;
                Ok(Self {
                    fd,
                    path,
                    id,
                    owner: found.st_uid,
                    mode,
                    reach,
                })
            }
            Err(Errno::NOTDIR | Errno::LOOP) => Err(DirectoryError::NotADirectory { path }),
            Err(error) => Err(DirectoryError::Open {
                path,
                source: error.into(),
            }),
        }
    }

    /// The checked directory, unless its mode gives any of the rights in `refused`.
    fn refuse_mode(self, refused: u32) -> Result<Directory, DirectoryError> {
        let mode = self.mode;
        if mode & refused != 0 {
            return Err(DirectoryError::Mode {
                path: self.path,
                mode,
                refused: mode & refused,
            });
        }
        Ok(Directory(Arc::new(self)))
    }
}

/// Which file something is, on this machine and as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    /// The file system it is on.
    device: u64,
    /// Its number there.
    pub(super) inode: u64,
}

impl FileId {
    /// The file that `found` describes.
    pub(crate) fn of(found: &Stat) -> Self {
        Self {
            device: found.st_dev,
            inode: found.st_ino,
        }
    }

    /// The file called `file` in `directory`; none if there is none or it cannot be looked at.
    pub(super) fn at(directory: &Directory, file: &str) -> Option<Self> {
        rustix::fs::statat(directory, file, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .ok()
            .map(|found| Self::of(&found))
    }
}

/// Why a directory cannot be used for ports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The environment names a directory by a path that depends on where the process is.
    #[error("the directory for ports is given by a relative path, {}", path.display())]
    Relative {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The directory does not exist and cannot be created.
    #[error("cannot create the directory for ports {}", path.display())]
    Create {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory cannot be opened or read.
    #[error("cannot open the directory for ports {}", path.display())]
    Open {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something else at that path; a link to a directory counts as something else.
    #[error("{} is not a directory (links are not followed)", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The directory belongs to somebody who could replace what is in it.
    #[error("the directory for ports {} belongs to user {owner}", path.display())]
    Owner {
        /// Where it is.
        path: PathBuf,
        /// The user it belongs to.
        owner: u32,
    },
    /// The mode of the directory gives others a right that they must not have.
    #[error(
        "the directory for ports {} has mode {mode:04o}, which must not include {refused:04o}",
        path.display()
    )]
    Mode {
        /// Where it is.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The part of it that is refused.
        refused: u32,
    },
    /// This process was forked from one that uses ports, and must execute a program first.
    #[error("ports do not work in a forked child")]
    Forked,
}

/// A path to the file that `fd` has open, by which it can be reached again.
pub(super) fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Whether the paths of open descriptors work here.
pub(super) fn has_proc() -> bool {
    rustix::fs::stat("/proc/self/fd").is_ok()
}

/// The user whose files this process makes.
pub(super) fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether the user of this process owns the directory at `path`.
fn is_ours(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == effective_user())
}

/// The directory that was last opened by rule, so that it is opened once and not for every name.
static OF_THIS_USER: Mutex<Option<Directory>> = Mutex::new(None);
/// The part of a mode that says who may do what.
const PERMISSIONS: u32 = 0o7777;
/// The user who may do anything anyway.
const ROOT: u32 = 0;
