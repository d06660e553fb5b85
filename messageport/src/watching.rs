//! Names as they come and go: a source that tells of ports that appear in a directory, and of those that vanish.
//!
//! The directory tells of names that are made, given up and changed; that an owner was killed is told by its process. Both
//! only say that it is worth looking: what is told is the difference between two lists.

use crate::hub::Hub;
use crate::names::{Directory, NamedPort, Watch};
use runloop::{
    AsSource, Cx, Interest, Ready, RunLoop, Source, SourceHandle, SourceOptions, SourceRef, Token,
    Why,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

/// A source that tells of names that appear in a directory and vanish from it, whoever makes them.
///
/// At first it tells of all that are there. A port that changes its name vanishes and appears; one that is replaced while
/// nobody looks may appear anew without having vanished in between, or, if the same process replaced it, not be told of. It
/// needs one of the user's inotify instances (128 by default) and a descriptor for each process that has names.
///
/// Clones are the same source; when it is invalidated, or its last clone is dropped while it is in no loop, it ends.
///
/// ```
/// use messageport::{LocalPort, NameChange, NameWatch};
/// use runloop::{Mode, RunLoop};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-names-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let run_loop = RunLoop::current();
/// let main = run_loop.handle();
/// let watch = NameWatch::new(&directory, move |change| {
///     if let NameChange::Appeared(port) = change {
///         assert_eq!(port.name.as_str(), "org.example.new");
///         assert_eq!(port.pid, Some(std::process::id()));
///         main.stop().expect("the loop runs");
///     }
/// })?;
/// run_loop.add(&watch, Mode::DEFAULT)?;
/// let port = LocalPort::create_in(&directory, "org.example.new", |_| ())?;
/// let _stopped = run_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameWatch(SourceHandle);

impl NameWatch {
    /// A watch of this directory's names, for this thread's loop. `changed` stays on this thread.
    ///
    /// # Errors
    ///
    /// The user has as many inotify instances as there may be, or the system has no room.
    ///
    /// ```
    /// # use messageport::{Directory, NameWatch};
    /// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
    /// let watch = NameWatch::new(&directory, |change| println!("{change:?}"))?;
    /// # drop(watch);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        directory: &Directory,
        changed: impl FnMut(NameChange) + 'static,
    ) -> io::Result<Self> {
        let source = Names {
            directory: directory.clone(),
            watch: Arc::new(Watch::of_changes(directory)?),
            owners: Hub::new()?,
            processes: RefCell::default(),
            known: RefCell::default(),
            changed: Cell::new(Some(Box::new(changed))),
            ended: Cell::new(false),
        };
        let options = SourceOptions::new().name("names that come and go");
        let source = SourceRef::with(options, source);
        Ok(Self(RunLoop::current().adopt(&source)))
    }

    /// Ends the watch, from any thread.
    pub fn invalidate(&self) {
        self.0.invalidate();
    }
}

impl AsSource for NameWatch {
    fn as_source(&self) -> &SourceHandle {
        &self.0
    }
}

/// What has become of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameChange {
    /// Somebody serves it.
    Appeared(NamedPort),
    /// Nobody does any more, or another process.
    Vanished(NamedPort),
}

/// The source behind a watch.
struct Names {
    directory: Directory,
    watch: Arc<Watch>,
    /// The processes that have names: each is heard of once, when it ends.
    owners: Hub,
    processes: RefCell<HashMap<u32, OwnedFd>>,
    /// What was told to be there.
    known: RefCell<Vec<NamedPort>>,
    /// Not here while it is being called.
    changed: Cell<Option<Changed>>,
    ended: Cell<bool>,
}

/// What is called for each change.
type Changed = Box<dyn FnMut(NameChange)>;

impl Names {
    /// Looks at the directory, and tells of what is different, as long as `valid` says so. Says whether it is to look again.
    fn look(&self, valid: impl Fn() -> bool) -> bool {
        let found = match self.directory.names() {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the names of ports cannot be listed");
                return false;
            }
        };
        let again = self.watch_owners(&found);
        let known = self.known.replace(found.clone());
        // Both are in order, and what is told first leaves room for what follows under the same name.
        let gone = known
            .iter()
            .filter(|port| found.binary_search(port).is_err());
        let new = found
            .iter()
            .filter(|port| known.binary_search(port).is_err());
        let gone = gone.cloned().map(NameChange::Vanished);
        for change in gone.chain(new.cloned().map(NameChange::Appeared)) {
            // What is called may end the watch.
            if !valid() {
                return false;
            }
            self.tell(change);
        }
        again
    }

    /// Watches the processes that have names, and no others. Says whether there are new ones, which may have ended since
    /// they were listed.
    fn watch_owners(&self, found: &[NamedPort]) -> bool {
        let mut processes = self.processes.borrow_mut();
        processes.retain(|pid, _| found.iter().any(|port| port.pid == Some(*pid)));
        let mut new = false;
        for pid in found.iter().filter_map(|port| port.pid) {
            let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let (Some(raw), false) = (raw, processes.contains_key(&pid)) else {
                continue;
            };
            new = true;
            // One that is gone already is found to be so by the look that follows.
            if let Ok(process) = pidfd_open(raw, PidfdFlags::empty()) {
                if self
                    .owners
                    .add_edge(process.as_fd(), u64::from(pid))
                    .is_ok()
                {
                    processes.insert(pid, process);
                }
            }
        }
        new
    }

    fn tell(&self, change: NameChange) {
        let Some(changed) = self.changed.take() else {
            return;
        };
        let mut telling = Telling(self, Some(changed));
        if let Some(changed) = &mut telling.1 {
            changed(change);
        }
    }

    /// Whether there are names whose owners cannot be watched.
    fn has_strangers(&self) -> bool {
        let processes = self.processes.borrow();
        let known = self.known.borrow();
        known
            .iter()
            .any(|port| port.pid.is_none_or(|pid| !processes.contains_key(&pid)))
    }
}

/// What is called is back in its place when this is dropped, unless the watch has ended.
struct Telling<'a>(&'a Names, Option<Changed>);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if !self.0.ended.get() {
            self.0.changed.set(self.1.take());
        }
    }
}

impl Source for Names {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch_shared(DIRECTORY, Arc::clone(&self.watch), Interest::READABLE)?;
        let owners = Arc::clone(self.owners.descriptor());
        cx.watch_shared(OWNERS, owners, Interest::READABLE)?;
        // What is there already, and what has changed while it was in no loop.
        cx.signal();
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        // Forgotten first, so that what happens during the look is heard of.
        if let Err(error) = self.watch.clear() {
            tracing::debug!(%error, "what has changed cannot be read");
        }
        while self.owners.take().is_full() {}
        let handle = cx.handle();
        if self.look(|| handle.as_ref().is_some_and(SourceHandle::is_valid)) {
            cx.signal();
        }
        let next = self.has_strangers().then(|| Instant::now() + LOOK_AGAIN);
        cx.set_deadline(next);
    }

    fn invalidated(&self, _: Why) {
        self.ended.set(true);
        drop(self.changed.take());
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

const DIRECTORY: Token = Token(0);
const OWNERS: Token = Token(1);
/// How often names are looked at whose owners cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
