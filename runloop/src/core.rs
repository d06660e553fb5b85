//! The loop's tables: what every file above reads and changes, and none of what they do with it.
//!
//! They belong to the loop's thread, so there is no lock, and are borrowed for a look or a change only: [`Core::with`].

use std::any::Any;
use std::cell::{Cell, Ref, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use smallvec::SmallVec;

use crate::activity::Activity;
use crate::arena::{Arena, Key};
use crate::aside::Aside;
use crate::batch::Batch;
use crate::clock::Tick;
use crate::deadlines::{Deadline, Deadlines};
use crate::devices::{Beacon, Devices};
use crate::member::{How, Member, SourceFlags};
use crate::mode::Mode;
use crate::pace::Pace;
use crate::plan::Repose;
use crate::readiness::{Interest, Prepared, Ready, Stage, Token, Why};
use crate::shared::{Job, Message, Shared};
use crate::state::State;
use crate::statistics::Statistics;
use crate::sys::poller::{Held, Keeper, Poller};
use crate::timing::Timing;

/// The run loop of the current thread.
///
/// Every thread has exactly one, which begins to exist when it is first asked for and closes when the thread ends. A
/// loop waits for the sources of one [`Mode`] at a time and calls them back, one after the other, on its own thread.
///
/// This type stays on its thread and is cheap to clone. Other threads use a [`Handle`](crate::Handle).
///
/// Counterpart: `CFRunLoopRef`, as its own thread sees it.
///
/// ```
/// use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop};
///
/// let run_loop = RunLoop::current();
/// run_loop.perform(Mode::DEFAULT, |_| println!("hello from the loop")).unwrap();
/// let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit)?;
/// assert_eq!(outcome, Outcome::Finished, "nothing is left to wait for");
/// # Ok::<(), runloop::RunError>(())
/// ```
#[derive(Clone)]
pub struct RunLoop {
    pub(crate) core: Rc<Core>,
}

/// A source as the loop sees it: [`Source`](crate::Source) without the borrowed context.
///
/// The loop calls none of these while its tables are borrowed.
pub(crate) trait Callee {
    fn attach(&self, rl: &RunLoop, key: Key) -> std::io::Result<()>;
    fn perform(&self, rl: &RunLoop, key: Key, ready: Ready<'_>);
    fn prepare(&self, rl: &RunLoop, key: Key, stage: Stage) -> Prepared;
    fn schedule(&self, rl: &RunLoop, mode: Mode);
    fn cancel(&self, rl: &RunLoop, mode: Mode);
    fn detach(&self, rl: &RunLoop);
    fn invalidated(&self, why: Why);
    /// The name of the source's type.
    fn kind(&self) -> &'static str;
}

/// An observer as the loop sees it.
pub(crate) trait Observing {
    fn activities(&self) -> Activity;
    fn is_valid(&self) -> bool;
    /// Calls it, unless it is being called already; one that is called once is invalid afterwards.
    fn observe(&self, rl: &RunLoop, activity: Activity);
    /// Another loop's thread cannot hold it, so this is all that the loop has to tell it.
    fn invalidate(&self);
}

/// The place of an observer in a mode, or in the common set.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) order: i32,
    /// When it came into this mode, in the order of coming, which also names the seat.
    pub(crate) number: u64,
    pub(crate) how: How,
    pub(crate) observer: Rc<dyn Observing>,
}

/// A closure that waits for its mode to run.
pub(crate) enum Closure {
    /// From the loop's own thread.
    Local(Box<dyn FnOnce(&RunLoop)>),
    /// From another thread.
    Sent(Job),
}

/// One thread's loop.
pub(crate) struct Core {
    /// What other threads hold.
    pub(crate) shared: Arc<Shared>,
    /// The other end of the inbox; `None` once the loop is closed.
    pub(crate) inbox: RefCell<Option<Receiver<Message>>>,
    tables: RefCell<Tables>,
    /// Passes in a row that were made without asking the kernel.
    pub(crate) memory_passes: Cell<u32>,
    /// When the kernel was last asked, as far as `memory_passes` cares.
    pub(crate) kernel_asked: Cell<Tick>,
    /// The moment the timer descriptor was last set for, or `NEVER`.
    pub(crate) armed: Cell<Tick>,
    /// The moment that the due phase in progress serves, if one is.
    pub(crate) serving: Cell<Option<Tick>>,
    /// A stop that no run has taken yet.
    pub(crate) stop_kept: Cell<bool>,
    /// Whether the innermost run was asked to stop.
    pub(crate) stopped: Cell<bool>,
    /// What any observer wants to see: for most loops nothing, at a look at a cell.
    pub(crate) observed: Cell<Activity>,
    /// Whether waiting sources may spin.
    pub(crate) spinning: Cell<bool>,
    pub(crate) aside: Aside,
    pub(crate) statistics: Cell<Statistics>,
    /// The sources whose `prepare` is running, the innermost last.
    pub(crate) asking: RefCell<SmallVec<[Key; 2]>>,
    /// For how long hot sources would rather look again than sleep.
    pub(crate) spin_wish: Cell<Duration>,
    pub(crate) hot_count: Cell<usize>,
    pub(crate) timing: Timing,
    /// Whether somebody else's poll has to be told what happens.
    pub(crate) repose: Cell<Repose>,
}

impl Core {
    pub(crate) fn new(shared: Arc<Shared>, inbox: Option<Receiver<Message>>) -> Self {
        Self {
            shared,
            inbox: RefCell::new(inbox),
            tables: RefCell::new(Tables::new()),
            memory_passes: Cell::new(0),
            kernel_asked: Cell::new(Tick(0)),
            armed: Cell::new(Tick::NEVER),
            serving: Cell::new(None),
            stop_kept: Cell::new(false),
            stopped: Cell::new(false),
            observed: Cell::new(Activity::empty()),
            spinning: Cell::new(true),
            aside: Aside::default(),
            statistics: Cell::new(Statistics::default()),
            asking: RefCell::default(),
            spin_wish: Cell::new(Duration::ZERO),
            hot_count: Cell::new(0),
            timing: Timing::default(),
            repose: Cell::new(Repose::Alone),
        }
    }

    /// Counts something.
    pub(crate) fn count(&self, one_more: impl FnOnce(&mut Statistics)) {
        let mut statistics = self.statistics.get();
        one_more(&mut statistics);
        self.statistics.set(statistics);
    }

    /// The tables as they are, for a look; nothing while they are being changed.
    pub(crate) fn look(&self) -> Option<Ref<'_, Tables>> {
        self.tables.try_borrow().ok()
    }

    /// Looks at the tables, or changes them.
    ///
    /// Nothing of a user may run inside, no destructor either: what is taken out of the tables is returned, and dropped by
    /// the caller. While no run is in progress the polls around embedded modes are told of what has changed.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut Tables) -> R) -> R {
        let tables = &mut *self.tables.borrow_mut();
        let seen = look(tables);
        if self.repose.get() == Repose::Dozing {
            tables.light_beacons();
        }
        seen
    }
}

/// Everything a loop knows.
pub(crate) struct Tables {
    pub(crate) sources: Arena<SourceEntry>,
    pub(crate) watches: Arena<Watch>,
    /// By [`Mode::index`].
    modes: Vec<Option<Box<ModeEntry>>>,
    /// The modes that [`Mode::COMMON`] stands for.
    pub(crate) common_modes: Vec<Mode>,
    /// Observers of the common set.
    pub(crate) common_observers: Vec<Seat>,
    /// Closures for any common mode.
    pub(crate) common_closures: VecDeque<(u64, Closure)>,
    /// Numbers closures, observers, deadlines and signals in the order they came.
    pub(crate) counter: u64,
    /// Signalled sources, each with its place in the order of the signals; the loop looks at each in every sources phase.
    pub(crate) signalled: VecDeque<(u64, Key)>,
    /// Signalled sources that cannot be performed as things are: in another mode, or being performed.
    pub(crate) shelf: Vec<(u64, Key)>,
    /// Whether things have changed, so that the shelf must be looked through.
    pub(crate) shelf_changed: bool,
    /// Sources that look before sleep.
    pub(crate) hot: Vec<Key>,
    /// Sources that announced sleep for the wait in progress.
    pub(crate) slept: Vec<Key>,
    /// The modes of the runs in progress, the innermost last.
    pub(crate) activations: Vec<Mode>,
    /// The descriptors of the loop itself, from the first `add` on.
    pub(crate) devices: Option<Rc<Devices>>,
    /// Waits so far. An event is stale when its descriptor has been served since the wait it came from.
    pub(crate) waits_made: u64,
    /// Batches that are not in use, kept for their memory: large ones and small ones.
    pub(crate) spare_batches: [SmallVec<[Box<Batch>; 1]>; 2],
    /// The modes that somebody else polls.
    pub(crate) embedded: SmallVec<[Mode; 2]>,
    /// Whether some beacon was asked for something.
    pub(crate) stirred: bool,
}

impl Tables {
    fn new() -> Self {
        let mut tables = Self {
            sources: Arena::new(),
            watches: Arena::new(),
            modes: Vec::new(),
            common_modes: vec![Mode::DEFAULT],
            common_observers: Vec::new(),
            common_closures: VecDeque::new(),
            counter: 0,
            signalled: VecDeque::new(),
            shelf: Vec::new(),
            shelf_changed: false,
            hot: Vec::new(),
            slept: Vec::new(),
            activations: Vec::new(),
            devices: None,
            waits_made: 0,
            spare_batches: [SmallVec::new(), SmallVec::new()],
            embedded: SmallVec::new(),
            stirred: false,
        };
        tables.mode_or_new(Mode::DEFAULT).common = true;
        tables
    }

    pub(crate) fn mode(&self, mode: Mode) -> Option<&ModeEntry> {
        self.modes.get(mode.index())?.as_deref()
    }

    pub(crate) fn mode_mut(&mut self, mode: Mode) -> Option<&mut ModeEntry> {
        self.modes.get_mut(mode.index())?.as_deref_mut()
    }

    pub(crate) fn mode_or_new(&mut self, mode: Mode) -> &mut ModeEntry {
        debug_assert!(mode != Mode::COMMON, "the common set has no entry");
        if self.modes.len() <= mode.index() {
            self.modes.resize_with(mode.index() + 1, || None);
        }
        let common = self.common_modes.contains(&mode);
        self.modes[mode.index()].get_or_insert_with(|| Box::new(ModeEntry::new(mode, common)))
    }

    /// The modes that exist in this loop.
    pub(crate) fn modes(&self) -> impl Iterator<Item = &ModeEntry> {
        self.modes.iter().filter_map(Option::as_deref)
    }

    /// The mode of the innermost run.
    pub(crate) fn running(&self) -> Option<Mode> {
        self.activations.last().copied()
    }

    /// The next number in the order of coming.
    pub(crate) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The sources and the modes side by side, since most changes touch both.
    pub(crate) fn parts(&mut self) -> (&mut Arena<SourceEntry>, ModeList<'_>) {
        (&mut self.sources, ModeList(&mut self.modes))
    }

    /// The modes that `mode` stands for: itself, or the common ones.
    pub(crate) fn concrete(&self, mode: Mode) -> SmallVec<[Mode; 4]> {
        SmallVec::from_slice(match mode {
            Mode::COMMON => &self.common_modes,
            _ => std::slice::from_ref(&mode),
        })
    }
}

pub(crate) struct ModeList<'a>(&'a mut Vec<Option<Box<ModeEntry>>>);

impl<'a> ModeList<'a> {
    pub(crate) fn at(&mut self, mode: Mode) -> Option<&mut ModeEntry> {
        self.0.get_mut(mode.index())?.as_deref_mut()
    }

    pub(crate) fn only(self, mode: Mode) -> Option<&'a mut ModeEntry> {
        self.0.get_mut(mode.index())?.as_deref_mut()
    }
}

/// One source in this loop.
pub(crate) struct SourceEntry {
    pub(crate) callee: Arc<dyn Callee>,
    pub(crate) state: Arc<State>,
    /// What it asked for; `NEVER` if nothing.
    pub(crate) deadline: Deadline,
    /// When that was set, in the order of coming: it decides among equal ones in every mode.
    pub(crate) deadline_set: u64,
    /// The modes it is in.
    pub(crate) members: SmallVec<[Member; 2]>,
    /// The first of its watches, as an index, or `u32::MAX`.
    pub(crate) first_watch: u32,
    /// How many of its performs are running on this thread.
    pub(crate) firing: u32,
    /// How often it may be performed, if there is a limit to that.
    pub(crate) pace: Option<Box<Pace>>,
    pub(crate) flags: SourceFlags,
    /// Set once it is invalid and out of every mode, while a callback still keeps it.
    pub(crate) ending: Option<Why>,
    /// The place of its first event in the batch that it was last put in.
    pub(crate) place: u32,
}

/// A descriptor that a source watches in this loop.
pub(crate) struct Watch {
    pub(crate) source: Key,
    pub(crate) token: Token,
    pub(crate) interest: Interest,
    /// It is never reported: each time it becomes readable anew its source is signalled.
    pub(crate) edge: bool,
    /// Taken out of the poll sets while its source is being performed.
    pub(crate) parked: bool,
    /// The next watch of the same source, as an index, or `u32::MAX`.
    pub(crate) next: u32,
    /// The number of waits when it was last served.
    pub(crate) served: u64,
    /// Reports in a row of nothing but hang-up or error, since its interest was last set.
    pub(crate) barren: u16,
    pub(crate) fd: Held<Owner>,
}

/// Who keeps a watched descriptor open.
pub(crate) enum Owner {
    /// The source itself.
    Source(#[expect(dead_code, reason = "held, not read")] Arc<dyn Callee>),
    /// Something that the source shares with the loop.
    Shared(#[expect(dead_code, reason = "held, not read")] Arc<dyn Any>),
    /// The loop: a second registration of the same descriptor goes through a duplicate.
    Duplicate(
        #[expect(dead_code, reason = "held, not read")] Arc<OwnedFd>,
        Option<Box<Held<Self>>>,
    ),
}

impl Keeper for Owner {}

/// What a mode has in this loop.
pub(crate) struct ModeEntry {
    pub(crate) mode: Mode,
    pub(crate) common: bool,
    /// Sources that keep a run going.
    pub(crate) lively: usize,
    /// All sources.
    pub(crate) members: usize,
    /// The deadlines of its sources, by source index.
    pub(crate) deadlines: Deadlines,
    pub(crate) closures: VecDeque<(u64, Closure)>,
    /// In the order in which they are called.
    pub(crate) observers: Vec<Seat>,
    /// What any of its observers wants to see.
    pub(crate) observed: Activity,
    /// Its own poll set, from its first watch on; until then it waits in the loop's bare one.
    pub(crate) poller: Option<Rc<Poller>>,
    /// What tells somebody else's poll of it, if it is embedded.
    pub(crate) beacon: Option<Box<Beacon>>,
}

impl ModeEntry {
    fn new(mode: Mode, common: bool) -> Self {
        Self {
            mode,
            common,
            lively: 0,
            members: 0,
            deadlines: Deadlines::new(),
            closures: VecDeque::new(),
            observers: Vec::new(),
            observed: Activity::empty(),
            poller: None,
            beacon: None,
        }
    }
}
