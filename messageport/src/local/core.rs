//! The inside of a port: its name, its clients, which of them have something to say, and how it ends.
//!
//! Shared by whoever serves the port and whoever holds it. Its lock is held for a look or a change, never while a handler
//! runs.

use crate::error::RenameError;
use crate::hub::Hub;
use crate::link::Link;
use crate::local::connection::Connection;
use crate::local::dispatching::Dispatcher;
use crate::local::handler::Serve;
use crate::local::limits::Limits;
use crate::names::{Claim, ClaimId, Directory, PortName};
use crate::statistics::Counters;
use runloop::{ForkGuard, Handle, Mode, SourceHandle};
use slab::Slab;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::fmt;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// The inside of a port.
pub(crate) struct PortCore {
    /// What it is called in traces: the name it was created with, if it was created with one.
    pub(crate) label: Box<str>,
    /// Where its name is, or will be; the user's directory if nothing was said.
    directory: Option<Directory>,
    /// The name it has now, or had last.
    current: Mutex<Option<PortName>>,
    /// The listening socket and the connections.
    pub(crate) hub: Hub,
    /// The bells of the connections: each ring signals the port's source.
    pub(crate) bells: Hub,
    /// A ring may have come whose bell has not been looked up.
    pub(crate) rung: AtomicBool,
    pub(crate) counters: Arc<Counters>,
    pub(crate) fork: ForkGuard,
    pub(super) valid: AtomicBool,
    /// What it takes.
    pub(super) limits: Limits,
    state: Mutex<State>,
    /// The loops of several threads serve it.
    pub(super) spread: AtomicBool,
    /// What its source brings with it.
    pub(super) equipment: OnceLock<Equipment>,
    /// A job of it is on its way to a queue, or runs there.
    pub(super) in_flight: AtomicBool,
    pub(super) invalidation: Mutex<Option<InvalidationCallback>>,
}

/// What is called when a port becomes invalid.
pub(crate) type InvalidationCallback = Box<dyn FnOnce() + Send>;

/// What the source of a port brings with it.
pub(crate) struct Equipment {
    pub(crate) source: SourceHandle,
    /// The thread to which the handler is bound, if it is to one.
    pub(crate) home: Option<ThreadId>,
    /// Lets go of the handler, where this thread may do so.
    pub(crate) release: Box<dyn Fn() + Send + Sync>,
    /// What serves the port, if it may do so on any thread.
    pub(crate) serve: Option<Weak<dyn Serve + Send + Sync>>,
}

/// What changes about a port.
#[derive(Default)]
pub(crate) struct State {
    /// The name and the listening socket, if it has a name and is valid.
    pub(crate) claim: Option<Claim>,
    /// The port is invalid: nobody new is let in.
    pub(crate) ended: bool,
    pub(crate) connections: Slab<Arc<Connection>>,
    /// Numbers the connections, so that what was meant for an earlier one does not reach a later one in its place.
    pub(crate) accepted: u32,
    /// Those that may have something to say.
    pub(crate) ready: VecDeque<Arc<Connection>>,
    /// Those that were served of late and have not been told to ring.
    pub(crate) awake: SmallVec<[Arc<Connection>; AWAKE_MAX]>,
    /// Those whose hello has not been read.
    pub(crate) strangers: Vec<Arc<Connection>>,
    /// What is done for want of descriptors.
    pub(crate) rest: Option<Rest>,
    /// When to try again what somebody did not take.
    pub(crate) again: Option<Instant>,
    /// Who calls the handler.
    pub(crate) delivery: Delivery,
    /// Where the port is served; once it is invalid, where it was.
    pub(crate) served: Vec<Served>,
}

/// Who calls a port's handler: loops or a queue, and never both.
#[derive(Clone, Default)]
pub(crate) enum Delivery {
    /// Nobody yet.
    #[default]
    Nobody,
    /// So many loops.
    Loops(u32),
    /// A queue.
    Queue(Arc<Dispatcher>),
}

/// A loop and a mode in which a port is served.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) run_loop: Handle,
    pub(crate) mode: Mode,
}

impl PortCore {
    pub(crate) fn new(
        directory: Option<Directory>,
        [hub, bells]: [Hub; 2],
        label: &str,
        limits: Limits,
    ) -> Self {
        Self {
            label: label.into(),
            directory,
            current: Mutex::default(),
            hub,
            bells,
            rung: AtomicBool::new(false),
            counters: Arc::default(),
            fork: ForkGuard::new(),
            valid: AtomicBool::new(true),
            limits,
            state: Mutex::default(),
            spread: AtomicBool::new(false),
            equipment: OnceLock::new(),
            in_flight: AtomicBool::new(false),
            invalidation: Mutex::new(None),
        }
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.valid.load(Ordering::SeqCst) && !self.fork.is_forked()
    }

    pub(crate) fn equip(&self, equipment: Equipment) {
        let equipped = self.equipment.set(equipment).is_ok();
        debug_assert!(equipped, "a port has one source");
    }

    /// How much may wait in the replies of one client before a responder is refused.
    pub(crate) fn outbox_max(&self) -> usize {
        usize::try_from(self.limits.largest.saturating_add(OUTBOX_BEYOND)).unwrap_or(usize::MAX)
    }

    pub(crate) fn source(&self) -> Option<&SourceHandle> {
        Some(&self.equipment.get()?.source)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name it has now, or had last.
    pub(crate) fn name(&self) -> Option<PortName> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes another name in place of the one it has, or its first. Says under which number this process has it.
    pub(crate) fn rename(&self, name: &PortName) -> Result<ClaimId, RenameError> {
        let mut state = self.lock();
        if state.ended {
            return Err(RenameError::Invalid);
        }
        let id = if let Some(claim) = &mut state.claim {
            claim.rename(name)?;
            claim.id()
        } else {
            let directory = match &self.directory {
                Some(directory) => directory.clone(),
                None => Directory::of_this_user()?,
            };
            let claim = Claim::new(&directory, name)?;
            let watched = self.hub.add_level(claim.listener().as_fd(), DOOR);
            watched.map_err(RenameError::System)?;
            state.claim.insert(claim).id()
        };
        drop(state);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some(name.clone());
        Ok(id)
    }

    pub(crate) fn connection(&self, key: u64) -> Option<Arc<Connection>> {
        let state = self.lock();
        let index = usize::try_from(key & u64::from(u32::MAX)).ok()?;
        state
            .connections
            .get(index)
            .filter(|connection| connection.key == key)
            .map(Arc::clone)
    }

    /// Ends a connection and forgets it.
    pub(crate) fn dismiss(&self, connection: &Arc<Connection>) {
        connection.hang_up();
        self.forget(connection);
        connection.abandon_requests();
    }

    /// Whether nothing more is taken from a client for now, because its replies are not read, or too many of its requests
    /// are still being answered. It is looked at again when that has changed, or it is gone.
    pub(crate) fn is_choked(&self, connection: &Connection) -> bool {
        if !connection.is_choked() {
            return false;
        }
        self.set_aside(connection);
        connection.choked.store(true, Ordering::SeqCst);
        // It may have changed in between. Whoever takes the mark goes on with it.
        let choked = connection.is_choked() || !connection.choked.swap(false, Ordering::SeqCst);
        if choked && connection.link().is_some_and(Link::is_blocked) {
            // That it has read replies may not be heard.
            self.look_later(connection);
        }
        choked
    }

    /// Leaves a connection alone until it rings, or is gone.
    pub(crate) fn set_aside(&self, connection: &Connection) {
        self.lock()
            .awake
            .retain(|other| !std::ptr::eq(&raw const **other, connection));
    }

    /// Forgets a connection.
    pub(super) fn forget(&self, connection: &Arc<Connection>) {
        if let Some(link) = connection.link() {
            // The bell is the client's as well, and would be heard for as long as it is open there.
            self.bells.remove(link.bell().descriptor());
            self.hub.remove(link.peer().socket().as_fd());
        }
        let mut state = self.lock();
        let same = |other: &Arc<Connection>| Arc::ptr_eq(other, connection);
        state.awake.retain(|other| !same(other));
        state.strangers.retain(|other| !same(other));
        let index = usize::try_from(connection.key & u64::from(u32::MAX)).unwrap_or(usize::MAX);
        let gone = match state.connections.get(index) {
            Some(other) if same(other) => state.connections.try_remove(index),
            _ => None,
        };
        drop(state);
        drop(gone);
    }
}

impl fmt::Debug for PortCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortCore")
            .field("label", &self.label)
            .field("valid", &self.is_valid())
            .finish_non_exhaustive()
    }
}

/// A rest from accepting clients, for want of descriptors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// When it is over; after that, when it is forgotten.
    pub(crate) until: Instant,
    /// How long it is, which decides how long the next one will be.
    pub(crate) length: Duration,
    /// The door is closed.
    pub(crate) closed: bool,
}

/// How often a hub is asked in one perform.
pub(crate) const TAKES_MAX: usize = 4;
/// How many connections are looked at before a sleep.
pub(crate) const AWAKE_MAX: usize = 8;
/// What may wait in the replies of one client beyond one of the largest.
const OUTBOX_BEYOND: u64 = 1 << 20;
/// The key of the listening socket in the hub; no connection has it, since generations are smaller.
pub(crate) const DOOR: u64 = u64::MAX;
