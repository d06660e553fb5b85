//! What can happen to files, as values: what to be told of, what has happened, and what can go wrong.
//!
//! Knows neither the system's words for it nor a loop.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

bitflags::bitflags! {
    /// What to be told of about a watched file or directory, beside its own end and its own move.
    ///
    /// Changes of what a directory holds are told for the directory; they concern its direct entries only.
    ///
    /// ```
    /// use runloop::FileInterest;
    /// let interest = FileInterest::CREATED | FileInterest::REMOVED;
    /// assert!(!interest.contains(FileInterest::MODIFIED));
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct FileInterest: u8 {
        /// An entry was made in a directory.
        const CREATED = 1;
        /// An entry was deleted from a directory.
        const REMOVED = 2;
        /// An entry of a directory has got another name, or has come from or gone to another directory.
        const RENAMED = 4;
        /// The content was written to or cut. A program that writes much makes many of these.
        const MODIFIED = 8;
        /// Somebody who could write to it has closed it: it is whole again, for now.
        const WRITTEN = 16;
        /// Permissions, owner, times, extended attributes or the number of names have changed.
        const ATTRIBUTES = 32;
    }
}

/// The identity of one watch of a [`FileChanges`](crate::FileChanges); no other watch of the process ever has the same.
///
/// ```
/// use runloop::{FileChanges, FileInterest};
/// let files = FileChanges::new(|_, _, change| println!("{change:?}"))?;
/// let first = files.watch("/etc", FileInterest::all())?;
/// let second = files.watch("/", FileInterest::all())?;
/// assert_ne!(first, second);
/// # Ok::<(), runloop::FilesError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileWatch {
    /// The kernel's number for it, by which events come.
    pub(crate) number: i32,
    serial: u64,
}

impl FileWatch {
    pub(crate) fn new(number: i32) -> Self {
        Self {
            number,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
        }
    }
}

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// What has happened, and to what.
///
/// ```
/// use runloop::FileChange;
///
/// fn describe(change: FileChange) -> String {
///     match change {
///         FileChange::Created(entry) => format!("{} is new", entry.path().display()),
///         FileChange::Renamed { from, to } => {
///             format!("{} is {} now", from.path().display(), to.path().display())
///         }
///         FileChange::Overflow => "look again at everything".to_owned(),
///         other => format!("{other:?}"),
///     }
/// }
/// # assert_eq!(describe(FileChange::Overflow), "look again at everything");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileChange {
    /// An entry was made in a watched directory.
    Created(FileEntry),
    /// An entry was deleted from a watched directory.
    Removed(FileEntry),
    /// An entry has another name: in the same directory, or in another one that is watched too. What had the new name
    /// before is no more.
    Renamed {
        /// Where it was.
        from: FileEntry,
        /// Where it is.
        to: FileEntry,
    },
    /// An entry has gone to a directory that is not watched, as far as is known.
    MovedAway(FileEntry),
    /// An entry has come from a directory that is not watched, as far as is known. What had its name before is no more.
    MovedHere(FileEntry),
    /// The content was written to or cut.
    Modified(FileEntry),
    /// It was closed by somebody who could write to it.
    Written(FileEntry),
    /// Permissions, owner, times, extended attributes or the number of names have changed.
    Attributes(FileEntry),
    /// The watched file or directory itself has another name, which is not known. The watch goes on and follows it; the
    /// path of its entries stays the one it was watched by.
    Moved(FileEntry),
    /// The watched file or directory itself is no more: deleted and closed by all who had it open, or its file system was
    /// unmounted. The watch has ended; this is the last that is told for it.
    Vanished(FileEntry),
    /// More has happened than the kernel keeps (`/proc/sys/fs/inotify/max_queued_events`), and some of it is lost: look
    /// again at everything that is watched. What vanished meanwhile is still told of.
    Overflow,
}

/// A watched file or directory, or an entry of a watched directory.
///
/// ```
/// use runloop::{FileChange, FileChanges, FileInterest, Mode, RunLoop};
///
/// let directory = std::env::temp_dir().join(format!("runloop-entry-{}", std::process::id()));
/// std::fs::create_dir_all(&directory)?;
/// let run_loop = RunLoop::current();
/// let files = FileChanges::new(|run_loop, _, change| {
///     if let FileChange::Created(entry) = change {
///         assert_eq!(entry.name().unwrap(), "note");
///         assert!(entry.path().ends_with("note") && !entry.is_directory());
///         run_loop.stop();
///     }
/// })?;
/// files.watch(&directory, FileInterest::CREATED)?;
/// run_loop.add(&files, Mode::DEFAULT)?;
/// std::fs::write(directory.join("note"), "hello")?;
/// let _stopped = run_loop.run()?;
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    pub(crate) watch: FileWatch,
    /// What is watched, by the path that was given for it.
    pub(crate) watched: Arc<Path>,
    pub(crate) name: Option<Box<OsStr>>,
    pub(crate) directory: bool,
}

impl FileEntry {
    /// The watch through which this was seen.
    #[must_use]
    pub fn watch(&self) -> FileWatch {
        self.watch
    }

    /// Its name in the watched directory, or `None` for what is watched itself.
    #[must_use]
    pub fn name(&self) -> Option<&OsStr> {
        self.name.as_deref()
    }

    /// Its path, beginning with what the watch was given. It may be somebody else's by the time this is looked at.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match &self.name {
            Some(name) => self.watched.join(&**name),
            None => self.watched.to_path_buf(),
        }
    }

    /// Whether it is a directory, as far as the system has said so.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.directory
    }
}

/// Files cannot be watched.
///
/// ```
/// use runloop::{FileChanges, FileInterest, FilesError};
/// let files = FileChanges::new(|_, _, _| {})?;
/// let refused = files.watch("/there/is/no/such/file", FileInterest::all());
/// assert!(matches!(refused, Err(FilesError::Missing)));
/// # Ok::<(), FilesError>(())
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FilesError {
    /// There is nothing of that name; watch the directory in which it will be.
    #[error("there is no such file or directory")]
    Missing,
    /// It may not be read by this user.
    #[error("the file or directory may not be read")]
    Denied,
    /// This source watches it already, perhaps by another of its names; end that watch first, or use a second source.
    #[error("the file or directory is watched already")]
    AlreadyWatched(FileWatch),
    /// This user watches as much as the system allows: raise `/proc/sys/fs/inotify/max_user_watches`.
    #[error("the system has no room for another watch")]
    TooManyWatches,
    /// This user has as many sources of this kind as the system allows
    /// (`/proc/sys/fs/inotify/max_user_instances`), or the process as many descriptors: watch more with one source.
    #[error("the system has no room for another source of file changes")]
    TooManySources,
    /// The source is invalid, or its thread has ended.
    #[error("the source of file changes has ended")]
    Ended,
    /// This process is a forked child, and the source belongs to its parent.
    #[error("the source of file changes belongs to the parent of this forked process")]
    Forked,
    /// The system refuses for a reason of its own.
    #[error("the system refuses to watch the file or directory")]
    System(#[source] io::Error),
}
