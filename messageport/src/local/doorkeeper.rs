//! Letting clients in: accepting them while there is room, and reading their hellos.

use crate::bell::{BellKind, Bells};
use crate::hello::{Accepted, Greeting, Hello, Peer, Refusal, accept, receive, send_refused};
use crate::link::Link;
use crate::local::connection::Connection;
use crate::local::core::{DOOR, PortCore, Rest, State};
use crate::names::Claim;
use crate::pidfd::Credentials;
use crate::ring::End;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl PortCore {
    /// Accepts clients that wait at the door, up to a limit.
    pub(crate) fn open_door(&self) {
        let listener = self
            .lock()
            .claim
            .as_ref()
            .map(|claim| Arc::clone(claim.listener()));
        let Some(listener) = listener else { return };
        for _ in 0..ACCEPTS_PER_PASS {
            match accept(listener.as_fd()) {
                Ok(Accepted::Client(peer)) => self.admit(peer),
                Ok(Accepted::Nobody) => break,
                Ok(Accepted::TableFull(error)) => {
                    tracing::warn!(port = %self.label, %error, "no room to accept a client");
                    self.close_door();
                    break;
                }
                Err(error) => {
                    tracing::error!(port = %self.label, %error, "the port cannot accept clients");
                    self.hub.remove(listener.as_fd());
                    break;
                }
            }
        }
    }

    /// When the doorkeeper has to look again without being woken.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let state = self.lock();
        // Who has said hello is given up never, and looked at again when the rest is over.
        let strangers = state
            .strangers
            .iter()
            .filter(|connection| !connection.kept_waiting.load(Ordering::Relaxed))
            .map(|connection| connection.patience)
            .min();
        let door = state.rest.map(|rest| rest.until);
        strangers.into_iter().chain(door).chain(state.again).min()
    }

    /// Tries those again for whose hello there was no room, gives up those who have not introduced themselves, and opens
    /// the door again if it was closed for long enough.
    pub(crate) fn look_around(&self, now: Instant) {
        let mut state = self.lock();
        let strangers = state.strangers.clone();
        let over = state.rest.take_if(|rest| rest.until <= now);
        let again = state.again.take_if(|again| *again <= now);
        // The length of a rest is remembered for a while, for the next one.
        state.rest = state
            .rest
            .or(over.filter(|rest| rest.closed).map(|rest| Rest {
                until: now + FORGET_AFTER,
                closed: false,
                ..rest
            }));
        let listener = state
            .claim
            .as_ref()
            .map(|claim| Arc::clone(claim.listener()));
        drop(state);
        if again.is_some() {
            self.enlist_held();
        }
        for connection in strangers {
            let expired = connection.patience <= now;
            if self.welcome(&connection) == Welcome::Later && expired {
                tracing::debug!(port = %self.label, "a client that said nothing is sent away");
                self.turn_away(&connection, Refusal::Malformed);
            }
        }
        let was_closed = over.is_some_and(|rest| rest.closed);
        let is_closed = self.lock().rest.is_some_and(|rest| rest.closed);
        if let (Some(listener), true, false) = (listener, was_closed, is_closed) {
            if let Err(error) = self.hub.add_level(listener.as_fd(), DOOR) {
                tracing::error!(port = %self.label, %error, "the port cannot watch for clients");
            }
        }
    }

    /// Reads the hello of a connection that has not been introduced, if it is there.
    pub(crate) fn welcome(&self, connection: &Arc<Connection>) -> Welcome {
        let greeting = connection.greet(|peer| receive(peer.socket().as_fd()));
        match greeting {
            None => {}
            Some(Ok(Greeting::NotYet)) => return Welcome::Later,
            Some(Ok(Greeting::TableFull)) => {
                tracing::warn!(port = %self.label, "no room for what a client brings");
                connection.kept_waiting.store(true, Ordering::Relaxed);
                self.close_door();
                return Welcome::NoRoom;
            }
            Some(Ok(Greeting::Closed)) => self.dismiss(connection),
            Some(Ok(Greeting::Hello {
                hello,
                memory,
                bells,
            })) => {
                if let Err(refusal) = self.introduce(connection, &hello, &memory, bells) {
                    self.turn_away(connection, refusal);
                }
            }
            Some(Err(error)) => {
                tracing::warn!(port = %self.label, %error, "a client is refused");
                self.turn_away(connection, Refusal::Malformed);
            }
        }
        Welcome::Over
    }

    fn admit(&self, peer: Peer) {
        if !self.lets_in(&peer.credentials()) {
            return refuse(&peer, Refusal::Policy);
        }
        let mut state = self.lock();
        if state.ended {
            // The port was ended while this one was let in.
            drop(state);
            return peer.hang_up();
        }
        if self.is_crowded(&state, peer.credentials().uid) {
            drop(state);
            tracing::warn!(port = %self.label, "a client too many is refused");
            return refuse(&peer, Refusal::Limit);
        }
        state.accepted = state.accepted.wrapping_add(1) & GENERATIONS;
        let generation = u64::from(state.accepted) << 32;
        let entry = state.connections.vacant_entry();
        let index = u64::try_from(entry.key()).unwrap_or(u64::from(u32::MAX));
        let key = generation | index;
        let watched = self.hub.add_edge(peer.socket().as_fd(), key);
        let connection = Arc::new(Connection::new(
            key,
            peer,
            Instant::now() + PATIENCE,
            &self.limits,
        ));
        entry.insert(Arc::clone(&connection));
        state.strangers.push(Arc::clone(&connection));
        drop(state);
        if let Err(error) = watched {
            tracing::warn!(port = %self.label, %error, "a client cannot be watched");
            return self.dismiss(&connection);
        }
        // If it is not there yet, its arrival is an event.
        let _later = self.welcome(&connection);
    }

    /// Asks the policy, with nothing locked, since it is the user's.
    fn lets_in(&self, client: &Credentials) -> bool {
        let state = self.lock();
        let shared = state.claim.as_ref().is_some_and(Claim::is_shared);
        drop(state);
        let admitted = self.limits.admit(client, shared);
        if !admitted {
            let Credentials { pid, uid, .. } = client;
            tracing::warn!(port = %self.label, uid, pid, "a client is not let in");
        }
        admitted
    }

    /// Whether there are as many clients, or clients of this user, as there may be.
    fn is_crowded(&self, state: &State, uid: u32) -> bool {
        let all = state.connections.len();
        let most = self.limits.clients_per_user;
        // As a rule there are fewer than one user may have, and nothing to count.
        let same = |(_, other): &(usize, &Arc<Connection>)| other.client().uid == uid;
        all >= self.limits.clients
            || (all >= most && state.connections.iter().filter(same).count() >= most)
    }

    fn introduce(
        &self,
        connection: &Arc<Connection>,
        hello: &Hello,
        memory: &OwnedFd,
        bells: Option<[OwnedFd; 2]>,
    ) -> Result<(), Refusal> {
        if hello.common_version().is_none() {
            return Err(Refusal::Version);
        }
        let layout = hello.layout();
        let warn = |error: &dyn std::fmt::Display| {
            tracing::warn!(port = %self.label, %error, "a client is refused");
            Refusal::Malformed
        };
        let end = End::adopt(memory.as_fd(), layout).map_err(|error| warn(&error))?;
        let Some(peer) = connection.take_greeter() else {
            return Ok(());
        };
        let bells = Bells::received(bells, peer.socket(), &peer.credentials());
        let bells = match bells {
            Ok(bells) => bells,
            Err(error) => {
                refuse(&peer, Refusal::Malformed);
                return Err(warn(&error));
            }
        };
        let largest = self.limits.largest;
        end.page.set_largest(largest);
        let bells = [bells.server, bells.client];
        let link = Link::new(peer, end, bells, largest, Arc::clone(&self.counters));
        connection.set_largest_reply(hello.max_reply);
        if link.bell().kind() == BellKind::Event {
            let watched = self
                .bells
                .add_edge(link.bell().descriptor(), connection.key);
            watched.map_err(|error| warn(&error))?;
        }
        connection.introduce(link);
        let mut state = self.lock();
        state
            .strangers
            .retain(|other| !Arc::ptr_eq(other, connection));
        let ended = state.ended;
        drop(state);
        if ended {
            // The port was ended meanwhile, and whoever ended it did not see the link.
            self.dismiss(connection);
            return Ok(());
        }
        // What was sent before is there without a ring, and from now on the client finds nobody asleep.
        self.enlist(Arc::clone(connection));
        Ok(())
    }

    fn turn_away(&self, connection: &Arc<Connection>, refusal: Refusal) {
        connection.greet(|peer| refuse(peer, refusal));
        self.dismiss(connection);
    }

    /// Leaves the door alone for a while, longer each time.
    fn close_door(&self) {
        let mut state = self.lock();
        let length = match state.rest {
            Some(rest) if rest.closed => return,
            Some(rest) => (rest.length * 2).min(REST_MAX),
            None => REST_MIN,
        };
        let until = Instant::now() + length;
        state.rest = Some(Rest {
            until,
            length,
            closed: true,
        });
        let listener = state
            .claim
            .as_ref()
            .map(|claim| Arc::clone(claim.listener()));
        drop(state);
        if let Some(listener) = listener {
            self.hub.remove(listener.as_fd());
        }
    }
}

/// How far a client has come with introducing itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a client that is not over yet has to be looked at again"]
pub(crate) enum Welcome {
    /// It is introduced, or sent away.
    Over,
    /// It has said nothing.
    Later,
    /// It has said hello, but there are no descriptors for what it brings.
    NoRoom,
}

/// Tells a peer why it is not served, and hangs up.
fn refuse(peer: &Peer, refusal: Refusal) {
    // If it cannot be told, the hang-up says enough.
    send_refused(peer.socket().as_fd(), refusal).ok();
    peer.hang_up();
}

/// Generations of connections count to this.
const GENERATIONS: u32 = u32::MAX >> 1;
/// How many clients are accepted before the port looks at anything else.
const ACCEPTS_PER_PASS: usize = 16;
/// How long a client may take to introduce itself.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long the door stays closed when there are no descriptors left, at first and at most.
const REST_MIN: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(1);
/// How long after a rest another one counts as following it.
const FORGET_AFTER: Duration = Duration::from_secs(5);
