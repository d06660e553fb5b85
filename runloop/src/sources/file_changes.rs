//! A source that tells what happens to files and directories.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Instant;

use rustix::fs::inotify::ReadFlags;

use crate::core::RunLoop;
use crate::cx::Cx;
use crate::options::SourceOptions;
use crate::readiness::{Interest, Ready, Token, Why};
use crate::source::Source;
use crate::source_handle::SourceHandle;
use crate::source_ref::{AsSource, SourceRef};
use crate::sources::again::Again;
use crate::sources::callback::Callback;
use crate::sources::file_change::{FileChange, FileEntry, FileInterest, FileWatch, FilesError};
use crate::sources::file_queue::{Event, Queue, Step};
use crate::sources::file_watches::{ENDS, Found, Watches};
use crate::sys::fork::ForkGuard;

/// A source that calls its closure with every change of the files and directories that it watches, in their order.
///
/// Watches come and go at any time, from any thread and from the closure, which gets the source for that. What happened
/// before a watch was added, or after it was removed, is not told. A perform tells of at most 256 changes (or of as many
/// as [`SourceOptions::budget`] says), so that a flood leaves the loop room for others; what the kernel cannot keep meanwhile is told
/// of as [`FileChange::Overflow`].
///
/// **What is watched** is a file or directory, not a name: a link is followed when the watch is added, what is renamed is
/// watched on, and what takes its name later is not. To follow a name, as of a configuration file that is replaced, watch
/// its directory. A directory stands for its direct entries and not for what is below them: what is made in a new directory
/// before a watch of it is added could only be guessed, so such a program adds the watch and then looks.
///
/// **Renames** within what is watched are one change. The kernel tells of the two directories one after the other; the
/// second is waited for, for 10 milliseconds at most, and everything behind it waits too. Identical changes in a row are
/// one.
///
/// Changes that other machines make to a network file system, and those to memory that is mapped from a file, are unknown
/// to the kernel. Needs Linux 4.18.
///
/// Counterpart: none in CoreFoundation proper; `FSEvents` and the vnode source of a dispatch queue.
///
/// ```
/// use runloop::{FileChange, FileChanges, FileInterest, Mode, RunLoop};
///
/// let run_loop = RunLoop::current();
/// let files = FileChanges::new(|_, files, change| match change {
///     FileChange::Written(entry) if entry.name() == Some("config.toml".as_ref()) => {
///         println!("reading {} again", entry.path().display());
///     }
///     FileChange::Vanished(entry) => println!("{} is no more", entry.path().display()),
///     FileChange::Overflow => println!("looking at {} directories again", files.watched().len()),
///     _ => {}
/// })?;
/// files.watch("/etc", FileInterest::WRITTEN | FileInterest::RENAMED)?;
/// run_loop.add(&files, Mode::DEFAULT)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileChanges {
    handle: SourceHandle,
    /// Weak, so that the descriptor goes with the source and not with the last of its users.
    watches: Weak<Watches>,
    guard: ForkGuard,
}

impl FileChanges {
    /// A source in the care of this thread's loop, in no mode yet, that watches nothing yet.
    ///
    /// # Errors
    ///
    /// [`FilesError::TooManySources`] or [`FilesError::System`].
    ///
    /// ```
    /// let files = runloop::FileChanges::new(|_, _, change| println!("{change:?}"))?;
    /// files.watch("/etc", runloop::FileInterest::all())?;
    /// # Ok::<(), runloop::FilesError>(())
    /// ```
    pub fn new(
        changed: impl FnMut(&RunLoop, &Self, FileChange) + 'static,
    ) -> Result<Self, FilesError> {
        Self::with(SourceOptions::new().name("file changes"), changed)
    }

    /// As [`new`](Self::new), with options.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use runloop::{FileChanges, SourceOptions};
    /// let options = SourceOptions::new().name("configuration").passive();
    /// let files = FileChanges::with(options, |_, _, change| println!("{change:?}"))?;
    /// # drop(files);
    /// # Ok::<(), runloop::FilesError>(())
    /// ```
    pub fn with(
        options: SourceOptions,
        changed: impl FnMut(&RunLoop, &Self, FileChange) + 'static,
    ) -> Result<Self, FilesError> {
        let watches = Arc::new(Watches::new()?);
        let (weak, guard) = (Arc::downgrade(&watches), ForkGuard::new());
        let source = FilesSource {
            watches,
            queue: RefCell::default(),
            paused: Cell::new(false),
            guard,
            callback: Callback::new(changed),
        };
        Ok(Self {
            handle: RunLoop::current().adopt(&SourceRef::with(options.exclusive(), source)),
            watches: weak,
            guard,
        })
    }

    /// Watches a file or directory from now on, until it vanishes. Takes as long as the file system takes to find it, and
    /// waits for others who add to the same source at the time.
    ///
    /// # Errors
    ///
    /// [`FilesError`]; nothing has changed then.
    pub fn watch(
        &self,
        path: impl AsRef<Path>,
        interest: FileInterest,
    ) -> Result<FileWatch, FilesError> {
        let watches = self.reach()?;
        let (added, waited_for) = watches.add(path.as_ref(), interest);
        if waited_for {
            self.handle.signal();
        }
        added
    }

    /// Ends a watch; says whether there was one. On the loop's own thread nothing is told for it afterwards; from another
    /// one, a call of the closure that has begun may still be for it.
    pub fn unwatch(&self, watch: FileWatch) -> bool {
        self.reach().is_ok_and(|watches| watches.remove(watch))
    }

    /// What is watched, in no order, each by the path that was given for it.
    #[must_use]
    pub fn watched(&self) -> Vec<(FileWatch, PathBuf)> {
        self.reach().map_or(Vec::new(), |watches| watches.list())
    }

    /// Ends it: see [`SourceHandle::invalidate`].
    pub fn invalidate(&self) {
        self.handle.invalidate();
    }

    /// Whether it has not been invalidated.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.handle.is_valid()
    }

    /// The source without its kind.
    #[must_use]
    pub fn handle(&self) -> &SourceHandle {
        &self.handle
    }

    fn reach(&self) -> Result<Arc<Watches>, FilesError> {
        if self.guard.is_forked() {
            return Err(FilesError::Forked);
        }
        let watches = self.watches.upgrade().filter(|_| self.is_valid());
        watches.ok_or(FilesError::Ended)
    }
}

impl AsSource for FileChanges {
    fn as_source(&self) -> &SourceHandle {
        &self.handle
    }
}

struct FilesSource<F> {
    watches: Arc<Watches>,
    /// What was read and not told of yet. Borrowed only where nobody is called.
    queue: RefCell<Queue>,
    /// Nothing is read until somebody has ended adding a watch.
    paused: Cell<bool>,
    guard: ForkGuard,
    callback: Callback<F>,
}

impl<F> FilesSource<F> {
    /// The next thing to do about what is in the queue, here and in the kernel.
    fn next(&self) -> Next {
        let now = RunLoop::now();
        let mut queue = self.queue.borrow_mut();
        loop {
            let until = match queue.next(now) {
                Step::One(event) => return self.one(&mut queue, event),
                Step::Move(from, to) => return self.pair(&mut queue, from, to),
                Step::Hold(until) => Some(until),
                Step::Empty => None,
            };
            if !self.watches.read(&mut queue, now) {
                return Next::Nothing(until);
            }
        }
    }

    fn one(&self, queue: &mut Queue, event: Event) -> Next {
        if event.what.contains(ReadFlags::QUEUE_OVERFLOW) {
            for number in self.watches.lost() {
                queue.put_back(Event {
                    number,
                    what: ReadFlags::IGNORED,
                    ..event.clone()
                });
            }
            return Next::Tell(FileChange::Overflow);
        }
        match self.watches.find(&event) {
            Found::Entry(entry) => change(event.what, entry).map_or(Next::Skip, Next::Tell),
            Found::Nobody => Next::Skip,
            Found::Unsettled => {
                queue.put_back(event);
                Next::Pause
            }
        }
    }

    fn pair(&self, queue: &mut Queue, from: Event, to: Event) -> Next {
        Next::Tell(match (self.watches.find(&from), self.watches.find(&to)) {
            (Found::Unsettled, _) | (_, Found::Unsettled) => {
                queue.put_back(to);
                queue.put_back(from);
                return Next::Pause;
            }
            (Found::Entry(from), Found::Entry(to)) => FileChange::Renamed { from, to },
            (Found::Entry(from), Found::Nobody) => FileChange::MovedAway(from),
            (Found::Nobody, Found::Entry(to)) => FileChange::MovedHere(to),
            (Found::Nobody, Found::Nobody) => return Next::Skip,
        })
    }
}

impl<F> Source for FilesSource<F>
where
    F: FnMut(&RunLoop, &FileChanges, FileChange) + 'static,
{
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(THE_ONE, self.watches.fd(), Interest::READABLE)
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        if ready.deadline.is_some() {
            // What is told now is no timer's, and so is left to the phase of sources.
            return cx.signal();
        }
        let Some(handle) = cx.handle() else { return };
        let files = FileChanges {
            handle,
            watches: Arc::downgrade(&self.watches),
            guard: self.guard,
        };
        if self.paused.replace(false) {
            files.handle.set_interest(THE_ONE, Interest::READABLE);
        }
        // A change leaves the queue just before its call. The guard asks for another perform when some may be left.
        let budget = cx.budget(CHANGES_PER_PERFORM);
        let mut again = Again::new(cx);
        for _ in 0..budget {
            if !again.may_go_on() {
                return;
            }
            match self.next() {
                Next::Tell(change) => {
                    let run_loop = again.run_loop();
                    self.callback.call(|tell| tell(run_loop, &files, change));
                }
                Next::Skip => {}
                Next::Nothing(until) => {
                    again.is_not_needed();
                    return files.handle.set_deadline(until);
                }
                Next::Pause => {
                    again.is_not_needed();
                    self.paused.set(true);
                    return files.handle.set_interest(THE_ONE, Interest::empty());
                }
            }
        }
    }

    fn invalidated(&self, _: Why) {
        self.callback.end();
    }
}

/// What a perform does next.
enum Next {
    Tell(FileChange),
    /// What was there is of no interest any more.
    Skip,
    /// There is nothing now, but perhaps at this moment.
    Nothing(Option<Instant>),
    /// Whom the next one concerns is not known until somebody has ended adding a watch.
    Pause,
}

/// A change of one entry.
type Meaning = fn(FileEntry) -> FileChange;

/// What an event about one entry means. Each has one of these flags.
fn change(what: ReadFlags, entry: FileEntry) -> Option<FileChange> {
    let meanings: [(ReadFlags, Meaning); 9] = [
        (ReadFlags::CREATE, FileChange::Created),
        (ReadFlags::DELETE, FileChange::Removed),
        (ReadFlags::MOVED_FROM, FileChange::MovedAway),
        (ReadFlags::MOVED_TO, FileChange::MovedHere),
        (ReadFlags::MODIFY, FileChange::Modified),
        (ReadFlags::CLOSE_WRITE, FileChange::Written),
        (ReadFlags::ATTRIB, FileChange::Attributes),
        (ReadFlags::MOVE_SELF, FileChange::Moved),
        (ENDS, FileChange::Vanished),
    ];
    let meaning = meanings.iter().find(|(flags, _)| what.intersects(*flags));
    meaning.map(|(_, change)| change(entry))
}

const THE_ONE: Token = Token(0);
/// How many changes one perform tells of, so that a flood of them leaves the loop room for others.
const CHANGES_PER_PERFORM: usize = 256;

#[cfg(test)]
mod tests;
