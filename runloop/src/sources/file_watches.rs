//! What the kernel watches for one source of file changes, and the table of it that all threads share.
//!
//! Knows no loop. No lock is held while the kernel looks up a path, which may take as long as a file system likes, but the
//! one that makes those who add wait for each other.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::fs::inotify::{
    CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch,
};
use rustix::io::Errno;

use crate::sources::file_change::{FileEntry, FileInterest, FileWatch, FilesError};
use crate::sources::file_queue::{Event, Queue};

/// An instance of `inotify(7)` and what it watches.
pub(crate) struct Watches {
    inotify: OwnedFd,
    /// Held by the one who adds. The kernel knows a watch before the table does, which only one may be in the middle of.
    turn: Mutex<()>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// By the kernel's number.
    watched: HashMap<i32, (FileWatch, Arc<Path>)>,
    /// Somebody adds, so an unknown number may be that of a watch whose adding has not returned.
    adding: bool,
    /// The source has come upon one and wants to be told when the adding has ended.
    waited_for: bool,
}

/// What the table says of an event.
pub(crate) enum Found {
    /// What it is about.
    Entry(FileEntry),
    /// A watch that has ended, or none.
    Nobody,
    /// A watch that is being added, perhaps: ask again when that has ended.
    Unsettled,
}

impl Watches {
    pub(crate) fn new() -> Result<Self, FilesError> {
        let flags = CreateFlags::CLOEXEC | CreateFlags::NONBLOCK;
        let inotify = init(flags).map_err(|error| match error {
            Errno::MFILE | Errno::NFILE => FilesError::TooManySources,
            error => FilesError::System(error.into()),
        })?;
        Ok(Self {
            inotify,
            turn: Mutex::default(),
            table: Mutex::default(),
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches a path; says also whether the source waits to be told that this has ended.
    pub(crate) fn add(
        &self,
        path: &Path,
        interest: FileInterest,
    ) -> (Result<FileWatch, FilesError>, bool) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.begin();
        let number = self.ask(path, interest);
        let ended = self.end(number, path);
        drop(turn);
        ended
    }

    /// From here on an unknown number may be that of a watch.
    pub(crate) fn begin(&self) {
        self.table().adding = true;
    }

    /// Enters what the kernel has answered; says also whether the source waits to be told that this has ended.
    pub(crate) fn end(
        &self,
        number: Result<i32, FilesError>,
        path: &Path,
    ) -> (Result<FileWatch, FilesError>, bool) {
        let mut table = self.table();
        table.adding = false;
        let waited_for = std::mem::take(&mut table.waited_for);
        let added = number.map(|number| {
            let watch = FileWatch::new(number);
            table.watched.insert(number, (watch, path.into()));
            watch
        });
        (added, waited_for)
    }

    /// Ends a watch; says whether there was one. What is in the queue for it is told to nobody.
    pub(crate) fn remove(&self, watch: FileWatch) -> bool {
        let was = self.table().take(|found| found == watch, watch.number);
        if was.is_some() {
            // The kernel may have ended it already.
            let _ended = remove_watch(&self.inotify, watch.number);
        }
        was.is_some()
    }

    /// What is watched, by the paths that were given.
    pub(crate) fn list(&self) -> Vec<(FileWatch, PathBuf)> {
        let table = self.table();
        let all = table.watched.values();
        all.map(|(watch, path)| (*watch, path.to_path_buf()))
            .collect()
    }

    /// What an event is about; the end of what is watched takes it out of the table.
    pub(crate) fn find(&self, event: &Event) -> Found {
        let mut table = self.table();
        let found = if event.what.intersects(ENDS) {
            table.take(|_| true, event.number)
        } else {
            table.watched.get(&event.number).cloned()
        };
        match found {
            Some((watch, watched)) => Found::Entry(FileEntry {
                watch,
                watched,
                name: event.name.clone(),
                directory: event.what.contains(ReadFlags::ISDIR),
            }),
            None if table.adding => {
                table.waited_for = true;
                Found::Unsettled
            }
            None => Found::Nobody,
        }
    }

    /// Reads some events; says whether there were any.
    pub(crate) fn read(&self, queue: &mut Queue, now: Instant) -> bool {
        let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
        let mut reader = Reader::new(&self.inotify, &mut bytes);
        let mut any = false;
        // The first call reads; the others take apart what was read.
        while !any || !reader.is_buffer_empty() {
            let Ok(event) = reader.next() else { break };
            let name = event.file_name().map(std::ffi::CStr::to_bytes);
            queue.push(Event {
                number: event.wd(),
                what: event.events(),
                cookie: event.cookie(),
                name: name.map(|name| OsStr::from_bytes(name).into()),
                read: now,
            });
            any = true;
        }
        any
    }

    /// The numbers of watches that the kernel has ended without anybody having been told, because that was lost.
    pub(crate) fn lost(&self) -> Vec<i32> {
        // In this order, so that a watch that is added meanwhile is not taken for a lost one.
        let known: Vec<i32> = self.table().watched.keys().copied().collect();
        let path = format!("/proc/self/fdinfo/{}", self.inotify.as_raw_fd());
        // Without /proc it stays unknown; the caller looks at everything anyway.
        let Ok(info) = fs::read_to_string(path) else {
            return Vec::new();
        };
        let numbers = info.lines().filter_map(|line| {
            let number = line.strip_prefix("inotify wd:")?.split(' ').next()?;
            i32::from_str_radix(number, 16).ok()
        });
        let alive: HashSet<i32> = numbers.collect();
        let lost = known.into_iter().filter(|number| !alive.contains(number));
        lost.collect()
    }

    /// Has the kernel watch a path that it does not watch for this source yet.
    ///
    /// Linux 4.18, `inotify_add_watch(2)`.
    pub(crate) fn ask(&self, path: &Path, interest: FileInterest) -> Result<i32, FilesError> {
        let flags = flags(interest) | WatchFlags::MASK_CREATE;
        for _ in 0..TRIES_MAX {
            match add_watch(&self.inotify, path, flags) {
                Err(Errno::EXIST) => {}
                added => return added.map_err(refused),
            }
            // Every watch has this interest, so asking for it changes nothing but tells which one it is.
            let same = WatchFlags::DELETE_SELF | WatchFlags::MASK_ADD;
            let number = add_watch(&self.inotify, path, same).map_err(refused)?;
            if let Some((watch, _)) = self.table().watched.get(&number) {
                return Err(FilesError::AlreadyWatched(*watch));
            }
            // It has ended in between, and this is another thing of the same name.
            let _ended = remove_watch(&self.inotify, number);
        }
        Err(FilesError::System(Errno::EXIST.into()))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn take(
        &mut self,
        is_it: impl FnOnce(FileWatch) -> bool,
        number: i32,
    ) -> Option<(FileWatch, Arc<Path>)> {
        let found = self.watched.get(&number)?.0;
        is_it(found).then(|| self.watched.remove(&number)).flatten()
    }
}

/// The kernel's words for an interest, and for what is always told.
fn flags(interest: FileInterest) -> WatchFlags {
    let words = [
        (FileInterest::CREATED, WatchFlags::CREATE),
        (FileInterest::REMOVED, WatchFlags::DELETE),
        (FileInterest::RENAMED, WatchFlags::MOVE),
        (FileInterest::MODIFIED, WatchFlags::MODIFY),
        (FileInterest::WRITTEN, WatchFlags::CLOSE_WRITE),
        (FileInterest::ATTRIBUTES, WatchFlags::ATTRIB),
    ];
    let wanted = words
        .into_iter()
        .filter(|(ours, _)| interest.contains(*ours));
    let always = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
    wanted.fold(always, |flags, (_, theirs)| flags | theirs)
}

fn refused(error: Errno) -> FilesError {
    match error {
        Errno::NOENT | Errno::NOTDIR => FilesError::Missing,
        Errno::ACCESS => FilesError::Denied,
        Errno::NOSPC => FilesError::TooManyWatches,
        error => FilesError::System(error.into()),
    }
}

/// Any of these is the end of a watch; the kernel tells the last one after each of the others.
pub(crate) const ENDS: ReadFlags = ReadFlags::DELETE_SELF
    .union(ReadFlags::UNMOUNT)
    .union(ReadFlags::IGNORED);
/// How often a watch is tried to be added while what it would watch comes and goes.
const TRIES_MAX: usize = 8;
/// How much is read at a time: between 30 events with the longest names and 512 without.
const READ_BYTES: usize = 8_192;
