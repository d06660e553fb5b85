//! What every thread may know and change of a source: whether it is valid, whether it is signalled, and in which loops
//! it is.
//!
//! The source's own value is not here, so a state may live and die on any thread.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::arena::Key;
use crate::deadlines::Deadline;
use crate::flags::{AWAITED, Flags, Mark, NOTICED, REQUESTED, SEVERAL, SIGNALLED, TOLD, VALID};
use crate::options::{SourceOptions, Traits};
use crate::pace::RateLimit;
use crate::readiness::{Interest, Token};
use crate::shared::{Message, Shared};
use crate::sys::fork::ForkGuard;

/// The part of a source that any thread may touch.
pub(crate) struct State {
    flags: Flags,
    /// How many handles there are.
    handles: AtomicU32,
    /// The number of the first loop the source is in; zero without a loop.
    ///
    /// # Invariant
    ///
    /// Only the thread of that loop writes it, after the index, so a thread that reads its own loop's number here has
    /// written both itself, and may rely on the index.
    home: AtomicU64,
    /// Its index in that loop.
    home_index: AtomicU32,
    homes: Mutex<Homes>,
    /// The process it was made in: a forked child keeps its hands off the lock, which another thread may hold for ever.
    made_in: ForkGuard,
    /// How often it was performed, in whichever loop.
    performs: AtomicU64,
    /// What it was made with, if that is not what most are made with.
    options: Option<Box<SourceOptions>>,
}

/// The loops a source is in. Held for a push or a look, never while anything of a user runs.
#[derive(Default)]
struct Homes {
    first: Option<(Arc<Shared>, Key)>,
    rest: Option<Box<Rest>>,
}

/// What few sources have: further loops, requests from other threads, and a measured time.
#[derive(Default)]
struct Rest {
    /// Further loops, each with whether a notice is on its way there.
    homes: Vec<(Arc<Shared>, Key, Arc<Mark>)>,
    /// For a loop (by number), what another thread asked for; at most one of each kind and token.
    requests: Vec<(u64, Request)>,
    /// What its performs took while a loop measured.
    spent: Duration,
}

/// What another thread may ask of a source, beside signalling and invalidating it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Deadline(Deadline),
    Interest(Token, Interest),
}

impl Request {
    fn replaces(self, other: Self) -> bool {
        match (self, other) {
            (Self::Deadline(_), Self::Deadline(_)) => true,
            (Self::Interest(new, _), Self::Interest(old, _)) => new == old,
            _ => false,
        }
    }
}

impl State {
    pub(crate) fn new(options: SourceOptions) -> Arc<Self> {
        Arc::new(Self {
            flags: Flags::new(),
            handles: AtomicU32::new(0),
            home: AtomicU64::new(0),
            home_index: AtomicU32::new(0),
            homes: Mutex::default(),
            made_in: ForkGuard::new(),
            performs: AtomicU64::new(0),
            options: (!options.is_plain()).then(|| Box::new(options)),
        })
    }

    pub(crate) fn order(&self) -> i32 {
        self.options.as_ref().map_or(0, |options| options.order)
    }

    pub(crate) fn traits(&self) -> Traits {
        let options = self.options.as_ref();
        options.map_or_else(Traits::default, |options| options.traits)
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.options.as_ref()?.name.as_deref()
    }

    pub(crate) fn budget(&self) -> Option<usize> {
        self.options.as_ref()?.budget
    }

    pub(crate) fn rate_limit(&self) -> Option<RateLimit> {
        self.options.as_ref()?.rate_limit
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.flags.has(VALID)
    }

    /// Makes it invalid; says whether it was valid.
    pub(crate) fn clear_valid(&self) -> bool {
        self.flags.clear(VALID)
    }

    /// Sets the signal; says whether it was not set before.
    pub(crate) fn set_signalled(&self) -> bool {
        self.flags.set_signalled()
    }

    pub(crate) fn is_signalled(&self) -> bool {
        self.flags.has(SIGNALLED)
    }

    /// Takes the signal; says whether it was there.
    pub(crate) fn take_signal(&self) -> bool {
        self.flags.take_signal()
    }

    /// Claims one callback: true if the source was valid at that moment, and then `end` must follow.
    ///
    /// One read-modify-write decides between this and `clear_valid`, so after `clear_valid` no callback begins.
    pub(crate) fn begin(&self) -> bool {
        if self.flags.begin() {
            return true;
        }
        self.end();
        false
    }

    /// Ends what `begin` claimed.
    pub(crate) fn end(&self) {
        if self.flags.end() {
            // Taking the lock orders this after the waiter's look at the count.
            drop(ENDED.0.lock().unwrap_or_else(PoisonError::into_inner));
            ENDED.1.notify_all();
        }
    }

    /// Waits until no more than `own` callbacks of this source are running.
    pub(crate) fn wait_idle(&self, own: u32) {
        if self.made_in.is_forked() {
            return;
        }
        let mut guard = ENDED.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.flags.set(AWAITED);
        while self.flags.running() > own {
            guard = ENDED.1.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        drop(guard);
    }

    /// The index of this source in the loop of that number, if it is that loop's thread that asks and the source is
    /// first of all in that loop.
    pub(crate) fn index_in(&self, loop_id: u64) -> Option<u32> {
        let here = loop_id != 0 && self.home.load(Ordering::Relaxed) == loop_id;
        here.then(|| self.home_index.load(Ordering::Relaxed))
    }

    /// The key of this source in that loop.
    pub(crate) fn key_in(&self, loop_id: u64) -> Option<Key> {
        let homes = self.lock();
        if let Some((shared, key)) = &homes.first {
            if shared.id == loop_id {
                return Some(*key);
            }
        }
        let rest = homes.rest.as_ref()?;
        rest.homes
            .iter()
            .find(|home| home.0.id == loop_id)
            .map(|home| home.1)
    }

    /// Writes down that the source is in a loop; refused if it may be in one only and is in another.
    pub(crate) fn join(&self, shared: &Arc<Shared>, key: Key) -> bool {
        let mut homes = self.lock();
        if homes.first.is_none() {
            homes.first = Some((Arc::clone(shared), key));
            self.home_index.store(key.index, Ordering::Relaxed);
            self.home.store(shared.id, Ordering::Relaxed);
            return true;
        }
        if !self.traits().reentrant {
            return false;
        }
        let rest = homes.rest.get_or_insert_default();
        let mark = Arc::new(Mark::new());
        rest.homes.push((Arc::clone(shared), key, mark));
        self.flags.set(SEVERAL);
        true
    }

    /// Writes down that the source has left a loop; says whether that was the last.
    pub(crate) fn leave(&self, loop_id: u64) -> bool {
        let mut homes = self.lock();
        let mut left = None;
        if homes
            .first
            .as_ref()
            .is_some_and(|first| first.0.id == loop_id)
        {
            left = homes.first.take();
            self.home.store(0, Ordering::Relaxed);
            self.flags.clear(NOTICED);
        }
        if let Some(rest) = &mut homes.rest {
            rest.homes.retain(|home| home.0.id != loop_id);
            rest.requests.retain(|request| request.0 != loop_id);
        }
        let last = homes.first.is_none() && homes.rest.as_ref().is_none_or(|r| r.homes.is_empty());
        drop(homes);
        drop(left);
        last
    }

    /// Whether it is in no loop that this process can reach.
    pub(crate) fn is_homeless(&self) -> bool {
        if self.made_in.is_forked() {
            return false;
        }
        let homes = self.lock();
        homes.first.is_none() && homes.rest.as_ref().is_none_or(|rest| rest.homes.is_empty())
    }

    /// Tells every loop the source is in to look at its flags.
    ///
    /// The flags must have been changed before: the loop takes back the mark that a notice is on its way before it looks
    /// at them.
    pub(crate) fn notify(&self) {
        self.notify_others(0);
    }

    /// As `notify`, but for one loop, which knows already.
    pub(crate) fn notify_others(&self, knows: u64) {
        if !self.made_in.is_forked() {
            self.tell(&self.lock(), knows);
        }
    }

    /// Whether it is, or was, in several loops, so that one may have to tell the others.
    pub(crate) fn is_in_several(&self) -> bool {
        self.flags.has(SEVERAL)
    }

    /// Claims the one call of `invalidated`: true for the first who asks.
    pub(crate) fn claim_end(&self) -> bool {
        self.flags.set(TOLD)
    }

    /// Asks something of the source in every loop it is in but one, which has granted it already.
    pub(crate) fn request_others(&self, request: Request, granted: u64) {
        if self.made_in.is_forked() {
            return;
        }
        let mut homes = self.lock();
        let Homes { first, rest } = &mut *homes;
        let rest = rest.get_or_insert_default();
        let further = rest.homes.iter().map(|home| home.0.id);
        let ids: Vec<u64> = first
            .iter()
            .map(|first| first.0.id)
            .chain(further)
            .filter(|&id| id != granted)
            .collect();
        for id in ids {
            rest.requests
                .retain(|old| old.0 != id || !request.replaces(old.1));
            rest.requests.push((id, request));
        }
        self.flags.set(REQUESTED);
        self.tell(&homes, granted);
    }

    /// Takes back the mark that a notice is on its way to the first loop, and then says whether it is signalled.
    pub(crate) fn heed(&self) -> bool {
        self.flags.heed()
    }

    /// What other threads asked for in that loop.
    pub(crate) fn take_requests(&self, loop_id: u64) -> Vec<Request> {
        if !self.flags.has(REQUESTED) {
            return Vec::new();
        }
        let mut homes = self.lock();
        let Some(rest) = &mut homes.rest else {
            return Vec::new();
        };
        let own = rest
            .requests
            .iter()
            .filter(|request| request.0 == loop_id)
            .map(|r| r.1);
        let own = own.collect();
        rest.requests.retain(|request| request.0 != loop_id);
        if rest.requests.is_empty() {
            self.flags.clear(REQUESTED);
        }
        own
    }

    /// Counts a perform.
    pub(crate) fn count_perform(&self) {
        self.performs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn performs(&self) -> u64 {
        self.performs.load(Ordering::Relaxed)
    }

    /// Adds what a perform took.
    pub(crate) fn add_time(&self, took: Duration) {
        if !self.made_in.is_forked() {
            let mut homes = self.lock();
            let rest = homes.rest.get_or_insert_default();
            rest.spent = rest.spent.saturating_add(took);
        }
    }

    pub(crate) fn time_spent(&self) -> Duration {
        if self.made_in.is_forked() {
            return Duration::ZERO;
        }
        let homes = self.lock();
        homes
            .rest
            .as_ref()
            .map_or(Duration::ZERO, |rest| rest.spent)
    }

    /// Counts a handle.
    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a handle less; says whether that was the last.
    pub(crate) fn drop_handle(&self) -> bool {
        self.handles.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(crate) fn has_handles(&self) -> bool {
        self.handles.load(Ordering::Acquire) != 0
    }

    fn tell(&self, homes: &Homes, knows: u64) {
        let first = homes.first.as_ref().filter(|home| home.0.id != knows);
        if let Some((shared, key)) = first {
            if self.flags.set(NOTICED) {
                // A closed loop has nothing left that could be told.
                drop(shared.post(Message::Notice(*key, None)));
            }
        }
        let rest = homes.rest.iter().flat_map(|rest| &rest.homes);
        for (shared, key, mark) in rest.filter(|home| home.0.id != knows) {
            if mark.claim() {
                drop(shared.post(Message::Notice(*key, Some(Arc::clone(mark)))));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Homes> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("name", &self.name())
            .field("order", &self.order())
            .field("valid", &self.is_valid())
            .field("signalled", &self.is_signalled())
            .finish_non_exhaustive()
    }
}

/// Where those wait who wait for a callback to end. One for all sources: waiting is rare, and memory is not.
static ENDED: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
