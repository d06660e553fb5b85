//! The inside of a port: its name, its clients, which of them have something to say, and how it ends.
//!
//! Shared by whoever serves the port and whoever holds it. Its lock is held for a look or a change, never while a handler
//! runs.

use crate::error::RenameError;
use crate::hub::Hub;
use crate::local::connection::Connection;
use crate::local::farewell;
use crate::names::{Claim, PortName};
use crate::wire::Status;
use bytes::Bytes;
use runloop::{ForkGuard, Handle, Mode, RunLoop, SourceHandle};
use slab::Slab;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::fmt;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// The inside of a port.
pub(crate) struct PortCore {
    /// The name it was created with, by which it is called in traces.
    pub(crate) name: PortName,
    /// The name it has now, or had last.
    current: Mutex<PortName>,
    /// The listening socket and the connections.
    pub(crate) hub: Hub,
    /// The bells of the connections: each ring signals the port's source.
    pub(crate) bells: Hub,
    /// A ring may have come whose bell has not been looked up.
    pub(crate) rung: AtomicBool,
    pub(crate) fork: ForkGuard,
    /// The thread that made the port: its handler stays there.
    home: ThreadId,
    /// The loop of that thread.
    run_loop: Handle,
    valid: AtomicBool,
    state: Mutex<State>,
    /// The run-loop source, once there is one.
    source: OnceLock<SourceHandle>,
    invalidation: Mutex<Option<InvalidationCallback>>,
}

/// What is called when a port becomes invalid.
pub(crate) type InvalidationCallback = Box<dyn FnOnce() + Send>;

/// What changes about a port.
#[derive(Default)]
pub(crate) struct State {
    /// The name and the listening socket, until the port is invalid.
    pub(crate) claim: Option<Claim>,
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
    /// The modes in which the port is served; once it is invalid, those in which it was.
    pub(crate) served: Vec<Mode>,
}

impl PortCore {
    pub(crate) fn new(name: PortName, claim: Claim, [hub, bells]: [Hub; 2]) -> Self {
        let state = State {
            claim: Some(claim),
            ..State::default()
        };
        Self {
            current: Mutex::new(name.clone()),
            name,
            hub,
            bells,
            rung: AtomicBool::new(false),
            fork: ForkGuard::new(),
            home: std::thread::current().id(),
            run_loop: RunLoop::current().handle(),
            valid: AtomicBool::new(true),
            state: Mutex::new(state),
            source: OnceLock::new(),
            invalidation: Mutex::new(None),
        }
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.valid.load(Ordering::SeqCst) && !self.fork.is_forked()
    }

    pub(crate) fn set_source(&self, source: SourceHandle) {
        drop(self.source.set(source));
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name it has now, or had last.
    pub(crate) fn name(&self) -> PortName {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes another name in place of the one it has.
    pub(crate) fn rename(&self, name: &PortName) -> Result<(), RenameError> {
        let mut state = self.lock();
        state
            .claim
            .as_mut()
            .ok_or(RenameError::Invalid)?
            .rename(name)?;
        drop(state);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = name.clone();
        Ok(())
    }

    /// Sets what is called when the port becomes invalid; comes back if it is already.
    pub(crate) fn set_invalidation_callback(
        &self,
        callback: InvalidationCallback,
    ) -> Option<InvalidationCallback> {
        if !self.is_valid() {
            return Some(callback);
        }
        let mut slot = self
            .invalidation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let former = slot.replace(callback);
        drop(slot);
        drop(former);
        // The port may have become invalid since the look above, and missed this.
        if self.is_valid() {
            None
        } else {
            self.take_invalidation()
        }
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
    }

    /// Lets go of a client of a port that has ended: with replies on their way to it, when it has them.
    pub(crate) fn take_leave(&self, connection: &Arc<Connection>) {
        if !connection.owes() {
            return self.dismiss(connection);
        }
        self.forget(connection);
        let modes = self.lock().served.clone();
        farewell::begin(connection, &self.run_loop, &modes);
    }

    /// Leaves a connection alone until it rings, or is gone.
    pub(crate) fn set_aside(&self, connection: &Arc<Connection>) {
        self.lock()
            .awake
            .retain(|other| !Arc::ptr_eq(other, connection));
    }

    /// Forgets a connection.
    fn forget(&self, connection: &Arc<Connection>) {
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

    /// Ends the port: the name is free first, then the callback is called, then the source leaves its loops, then the
    /// clients are told. Says whether it was valid.
    pub(crate) fn invalidate(&self) -> bool {
        if self.fork.is_forked() || !self.valid.swap(false, Ordering::SeqCst) {
            return false;
        }
        let claim = self.lock().claim.take();
        if let Some(claim) = claim {
            self.hub.remove(claim.listener().as_fd());
            drop(claim);
        }
        let callback = self.take_invalidation();
        let called = callback.map(|callback| catch_unwind(AssertUnwindSafe(callback)));
        let served = self.lock().served.clone();
        if let Some(source) = self.source.get() {
            source.invalidate();
        }
        self.close(served);
        if let Some(Err(panic)) = called {
            resume_unwind(panic);
        }
        true
    }

    /// Tells the clients that the port is closing, and hangs up on those for whom nothing is being done.
    fn close(&self, served: Vec<Mode>) {
        let mut state = self.lock();
        state.served = served;
        let lists = (
            std::mem::take(&mut state.ready),
            std::mem::take(&mut state.awake),
        );
        let connections: Vec<_> = state
            .connections
            .iter()
            .map(|(_, c)| Arc::clone(c))
            .collect();
        drop(state);
        drop(lists);
        for connection in connections {
            if let Some(link) = connection.link() {
                link.page().set_closing();
                link.ring_sleeper();
            }
            // A reply that is being made still goes out; whoever makes it takes leave afterwards.
            if !connection.is_running() {
                self.take_leave(&connection);
            }
        }
    }

    /// Whether only this thread can serve the port, and not in this mode.
    pub(crate) fn is_served_only_here(&self, mode: Mode) -> bool {
        self.is_valid()
            && self.home == std::thread::current().id()
            && !self.lock().served.contains(&mode)
    }

    /// Answers a request that came to nothing.
    pub(crate) fn refuse(connection: &Connection, request: crate::wire::Head, status: Status) {
        if request.kind == crate::wire::Kind::Request {
            connection.answer(request, status, Bytes::new());
        }
    }

    fn take_invalidation(&self) -> Option<InvalidationCallback> {
        self.invalidation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl fmt::Debug for PortCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortCore")
            .field("name", &self.name)
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
