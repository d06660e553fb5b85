//! Which clients of a port have something to say: who is ready, who is looked at before a sleep, and who rings.

use crate::link::Link;
use crate::local::connection::Connection;
use crate::local::core::{AWAKE_MAX, Delivery, PortCore, TAKES_MAX};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl PortCore {
    /// Puts a connection at the end of the ready list, once.
    pub(crate) fn enlist(&self, connection: Arc<Connection>) {
        let mut state = self.lock();
        if !state.ended && !connection.listed.swap(true, Ordering::AcqRel) {
            state.ready.push_back(connection);
        }
    }

    /// The connection whose turn it is.
    pub(crate) fn next_ready(&self) -> Option<Arc<Connection>> {
        self.next_turn().map(|(connection, _)| connection)
    }

    /// The connection whose turn it is, and how many are behind it.
    pub(crate) fn next_turn(&self) -> Option<(Arc<Connection>, usize)> {
        let mut state = self.lock();
        let connection = state.ready.pop_front()?;
        connection.listed.store(false, Ordering::Release);
        Some((connection, state.ready.len()))
    }

    /// Takes a connection off the ready list, if it is there.
    pub(crate) fn strike_out(&self, connection: &Arc<Connection>) {
        if !connection.is_listed() {
            return;
        }
        let mut state = self.lock();
        let place = state
            .ready
            .iter()
            .position(|other| Arc::ptr_eq(other, connection));
        let struck = place.and_then(|place| state.ready.remove(place));
        connection.listed.store(false, Ordering::Release);
        drop(state);
        drop(struck);
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.lock().ready.is_empty()
    }

    /// Finds out who rang. With one client there is nothing to ask.
    pub(crate) fn answer_bells(&self) {
        self.rung.store(false, Ordering::Release);
        if let Some(only) = self.only_client() {
            return self.was_rung(only);
        }
        for _ in 0..TAKES_MAX {
            self.counters.wakes.count();
            let taken = self.bells.take();
            for (key, _) in taken.iter() {
                if let Some(connection) = self.connection(key) {
                    self.was_rung(connection);
                }
            }
            if !taken.is_full() {
                return;
            }
        }
        self.rung.store(true, Ordering::Release);
    }

    /// A connection has rung, or has news of another kind: it is listened to, unless it has rung for nothing too often.
    pub(crate) fn was_rung(&self, connection: Arc<Connection>) {
        if connection.was_rung() {
            tracing::warn!(port = %self.label, "a client that rings for nothing is sent away");
            return self.dismiss(&connection);
        }
        self.enlist(connection);
    }

    /// The next record of a client has descriptors for which there is no room: it is left alone until some time has passed.
    pub(crate) fn hold(&self, connection: &Connection) {
        self.set_aside(connection);
        self.look_later(connection);
    }

    /// Looks at a client again before long: it, or a reply to it, waits for something of which nobody tells.
    pub(crate) fn look_later(&self, connection: &Connection) {
        connection.held.store(true, Ordering::Release);
        let at = Instant::now() + HELD_FOR;
        let mut state = self.lock();
        state.again = Some(state.again.map_or(at, |again| again.min(at)));
        let delivery = state.delivery.clone();
        drop(state);
        let next = self.next_look();
        match delivery {
            Delivery::Nobody => {}
            Delivery::Loops(_) => {
                self.source()
                    .into_iter()
                    .for_each(|source| source.set_deadline(next));
            }
            Delivery::Queue(dispatcher) => dispatcher.set_deadline(next),
        }
    }

    /// Puts those on the ready list that were to be looked at later.
    pub(crate) fn enlist_held(&self) {
        let connections: Vec<_> = {
            let state = self.lock();
            let all = state.connections.iter();
            all.map(|(_, connection)| Arc::clone(connection)).collect()
        };
        for connection in connections {
            if connection.held.swap(false, Ordering::AcqRel) {
                self.enlist(connection);
            }
        }
    }

    /// Whether somebody may have rung who is not known yet.
    pub(crate) fn may_have_been_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    fn only_client(&self) -> Option<Arc<Connection>> {
        let state = self.lock();
        let mut clients = state.connections.iter().map(|(_, connection)| connection);
        let only = clients
            .next()
            .filter(|connection| connection.link().is_some())?;
        clients.next().is_none().then(|| Arc::clone(only))
    }

    /// A connection has nothing more to say. The few that were served last stay awake: whoever serves the port looks at
    /// them before it sleeps. The others are told to ring at once, and so are all if several threads serve the port, of
    /// which each may be kept from looking.
    fn drained(&self, connection: &Arc<Connection>) -> Drained {
        let mut state = self.lock();
        if state
            .awake
            .iter()
            .any(|other| Arc::ptr_eq(other, connection))
        {
            return Drained::Awake;
        }
        if state.awake.len() < AWAKE_MAX && !self.is_spread() {
            state.awake.push(Arc::clone(connection));
            return Drained::Awake;
        }
        drop(state);
        if connection.link().is_some_and(Link::announce) {
            self.enlist(Arc::clone(connection));
            return Drained::Ready;
        }
        Drained::Asleep
    }

    /// A client has nothing to say for now. One that is gone is let go of, unless a handler is running for it.
    pub(crate) fn rest(&self, connection: &Arc<Connection>) -> Drained {
        let gone = |link: &Link| link.is_dead() && !link.has_data();
        if connection.link().is_some_and(gone) {
            if connection.is_running() {
                self.set_aside(connection);
            } else {
                self.dismiss(connection);
            }
            return Drained::Asleep;
        }
        self.drained(connection)
    }

    /// Has those at the head of the ready list that have nothing more to say ring, so that nobody is woken for them.
    pub(crate) fn look_once_more(&self) {
        for _ in 0..AWAKE_MAX {
            let Some(connection) = self.next_ready() else {
                return;
            };
            let busy = |link: &Link| link.is_dead() || link.announce();
            if connection.owes() || connection.link().is_some_and(busy) {
                return self.enlist(connection);
            }
        }
    }

    /// A client's request has been answered by somebody else than its handler.
    pub(crate) fn was_answered(&self, connection: &Arc<Connection>) {
        if connection.choked.swap(false, Ordering::SeqCst) {
            self.enlist(Arc::clone(connection));
            self.wake_server();
        }
    }

    /// Whether one of those that are awake has something to say.
    pub(crate) fn is_spoken_to(&self) -> bool {
        let state = self.lock();
        let spoken = |connection: &Arc<Connection>| {
            connection
                .link()
                .is_some_and(|link| link.has_data() || link.is_dead())
        };
        !state.ready.is_empty() || state.awake.iter().any(spoken)
    }

    /// Puts those that are awake and have something to say on the ready list.
    pub(crate) fn enlist_awake(&self) {
        let awake = self.lock().awake.clone();
        for connection in awake {
            if connection
                .link()
                .is_some_and(|link| link.has_data() || link.is_dead())
            {
                self.enlist(connection);
            }
        }
    }

    /// Tells all that are awake to ring; says whether one has something to say after all.
    pub(crate) fn announce(&self) -> bool {
        let awake = std::mem::take(&mut self.lock().awake);
        for connection in awake {
            if connection
                .link()
                .is_some_and(|link| link.announce() || link.is_dead())
            {
                self.enlist(connection);
            }
        }
        self.has_ready()
    }
}

/// What became of a connection that had nothing more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// It is looked at before the next sleep.
    Awake,
    /// It rings.
    Asleep,
    /// It had something to say after all.
    Ready,
}

/// After how long a client is looked at again that waits for something of which nobody tells.
const HELD_FOR: Duration = Duration::from_millis(10);
