//! The source behind every socket: when it is watched, when it rests, in which order it calls back, and when it goes.
//!
//! What a socket does when it is ready is its [`Kind`]'s, and none of this file's.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use runloop::{Cx, Mode, Readiness, Ready, RunLoop, Source, SourceRef};

use crate::callbacks::Callbacks;
use crate::dial::{Dial, Step};
use crate::error::{ConnectError, Unsent};
use crate::options::{AtEnd, SocketOptions};
use crate::outbox::Gate;
use crate::shared::{Manner, Phase, Shared};
use crate::socket::{NATIVE, Socket};

/// What a kind of socket does.
pub(crate) trait Kind: 'static {
    /// How it sends.
    const MANNER: Manner;

    /// Something has come in and is wanted: take what is there, within a limit, and call back. What is taken and not given
    /// to the callback is kept for a later turn ([`Shared::set_undelivered`]), and whoever calls back more than once asks
    /// [`Turn::goes_on`] in between.
    fn incoming(&self, turn: &Turn<'_>) -> Next;

    /// The connection attempt has ended.
    fn connected(&self, turn: &Turn<'_>, outcome: Result<(), ConnectError>) {
        let _unused = (turn, outcome);
    }

    /// There is room to send.
    fn writable(&self, turn: &Turn<'_>) {
        let _ = turn;
    }

    /// A piece was refused of which nobody else is to be told.
    fn unsent(&self, turn: &Turn<'_>, why: Unsent) {
        let _unused = (turn, why);
    }

    /// The connection broke while we were sending, and nothing more comes in that could tell. The socket goes now.
    fn broken(&self, turn: &Turn<'_>, errno: i32) {
        let _ = (turn, errno);
    }
}

/// One turn of a socket for which there is something to do.
pub(crate) struct Turn<'a> {
    pub(crate) run_loop: &'a RunLoop,
    pub(crate) socket: &'a Socket,
    /// The mode that runs.
    mode: Option<Mode>,
    /// The kinds of callback that are re-enabled by themselves.
    automatic: Callbacks,
}

impl Turn<'_> {
    /// Whether what comes in is still to be served: a callback may have paused, removed or invalidated the socket.
    pub(crate) fn goes_on(&self) -> bool {
        self.is_here() && self.socket.enabled().contains(Callbacks::READ)
    }

    /// Whether the socket may still call back at all.
    fn is_here(&self) -> bool {
        let is_in = |mode| self.run_loop.contains(self.socket, mode);
        self.socket.is_valid() && self.mode.is_some_and(is_in)
    }

    /// A callback of this kind is about to begin: one that is re-enabled by hand must be asked for again.
    pub(crate) fn before(&self, kind: Callbacks) {
        if !self.automatic.contains(kind) {
            self.socket.shared().disable(kind);
        }
    }
}

/// What follows when something has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another turn when the socket is ready again.
    Again,
    /// None for this long.
    Rest(Duration),
    /// Nothing comes in any more.
    End(AtEnd),
    /// The end of the socket.
    Invalidate,
}

/// Puts a socket that serves at once into the care of this thread's loop.
pub(crate) fn adopt<K: Kind>(options: SocketOptions, native: socket2::Socket, kind: K) -> Socket {
    let enabled = Callbacks::READ | Callbacks::CONNECT;
    let state = (enabled, Phase::Serving, K::MANNER);
    let shared = Shared::new(Some(native), &options, state);
    adopt_as(options, shared, None, kind)
}

/// Puts any socket into the care of this thread's loop.
pub(crate) fn adopt_as<K: Kind>(
    options: SocketOptions,
    shared: Shared,
    dial: Option<Dial>,
    kind: K,
) -> Socket {
    let shared = Arc::new(shared);
    let source = SocketSource {
        shared: Arc::clone(&shared),
        automatic: options.automatic,
        dial: Cell::new(dial.map(Box::new)),
        kind,
    };
    let source = SourceRef::with(options.source, source);
    Socket::new(RunLoop::current().adopt(&source), shared)
}

struct SocketSource<K> {
    shared: Arc<Shared>,
    automatic: Callbacks,
    /// The connection that is being made. It is taken out while it goes on, since it calls what the options say.
    dial: Cell<Option<Box<Dial>>>,
    kind: K,
}

impl<K: Kind> SocketSource<K> {
    /// Does all there is to do: connected, incoming, outgoing, in this order.
    fn turn(&self, cx: &mut Cx<'_, '_>, turn: &Turn<'_>, readiness: Readiness) {
        if self.shared.phase() == Phase::Dialing && !self.dial(cx, turn, readiness) {
            return;
        }
        let has_come = has_come(readiness) || self.shared.is_undelivered();
        if has_come && self.shared.phase() == Phase::Serving && turn.goes_on() {
            match self.kind.incoming(turn) {
                Next::Again => {}
                Next::Rest(rest) => self.rest(cx, rest),
                Next::End(AtEnd::Keep) => self.shared.set_phase(Phase::Ended),
                Next::End(AtEnd::Invalidate) if self.is_needed() => {
                    self.shared.set_phase(Phase::Closing);
                }
                Next::End(AtEnd::Invalidate) | Next::Invalidate => return turn.socket.invalidate(),
            }
        }
        if K::MANNER != Manner::Never && turn.is_here() {
            self.outgoing(turn, readiness);
        }
    }

    /// Goes on connecting; says whether the socket is connected now, its callback has been told, and the turn goes on.
    fn dial(&self, cx: &mut Cx<'_, '_>, turn: &Turn<'_>, readiness: Readiness) -> bool {
        if !turn.socket.enabled().contains(Callbacks::CONNECT) {
            return false;
        }
        let Some(outcome) = self.advance(cx, turn.socket, !readiness.is_empty()) else {
            return false;
        };
        if outcome.is_ok() {
            self.shared.set_phase(Phase::Serving);
            self.shared.lock().connected();
        }
        let failed = outcome.is_err();
        self.kind.connected(turn, outcome);
        if failed {
            turn.socket.invalidate();
        }
        turn.is_here()
    }

    fn advance(
        &self,
        cx: &mut Cx<'_, '_>,
        socket: &Socket,
        is_ready: bool,
    ) -> Option<Result<(), ConnectError>> {
        // It is gone when what the options say has panicked.
        let Some(mut dial) = self.dial.take() else {
            let gone = io::Error::from(io::ErrorKind::Other);
            return Some(Err(ConnectError::Failed(gone)));
        };
        let native = self.shared.share();
        let attempt = (native.as_deref(), is_ready);
        let step = dial.advance(RunLoop::now(), attempt, socket.handle());
        drop(native);
        let mut outcome = match step {
            Step::Wait => None,
            Step::Try(native) => self.exchange(cx, native).err().map(|e| Err(e.into())),
            Step::Connected => Some(Ok(())),
            Step::Failed(why) => Some(Err(why)),
        };
        if !socket.is_valid() {
            // By what the options say.
            outcome = None;
        } else if outcome.is_none() {
            cx.set_deadline(dial.deadline());
            self.dial.set(Some(dial));
        } else {
            cx.set_deadline(None);
        }
        outcome
    }

    /// Watches the socket of a new attempt in place of the former one.
    fn exchange(&self, cx: &mut Cx<'_, '_>, native: socket2::Socket) -> io::Result<()> {
        cx.unwatch(NATIVE);
        self.shared.replace(Some(native));
        let Some(native) = self.shared.share() else {
            return Ok(());
        };
        cx.watch_shared(NATIVE, native, self.shared.interest())
    }

    /// Sends what there is room for, tells what became of what was sent, and that there is room.
    fn outgoing(&self, turn: &Turn<'_>, readiness: Readiness) {
        self.shared.flush();
        if !self.tell(turn) {
            return;
        }
        let outbox = self.shared.lock();
        let (gate, low) = (outbox.gate(), outbox.is_low());
        let awaited = outbox.is_awaited();
        drop(outbox);
        if let Gate::Broken(errno) = gate {
            if matches!(self.shared.phase(), Phase::Ended | Phase::Closing) {
                self.kind.broken(turn, errno);
                return turn.socket.invalidate();
            }
        }
        let asked = self.shared.wants_room() && readiness.is_writable();
        if low && (awaited || asked) {
            self.shared.lock().room_was_told();
            turn.before(Callbacks::WRITE);
            self.kind.writable(turn);
        }
        if self.is_over() {
            turn.socket.invalidate();
        }
    }

    /// Tells what became of pieces, one at a time; says whether the turn goes on.
    fn tell(&self, turn: &Turn<'_>) -> bool {
        let rest = Rest(turn.socket);
        for _ in 0..TOLD_PER_PASS {
            let Some(told) = self.shared.next_told() else {
                break;
            };
            let outcome = told.outcome.map_err(Unsent::new);
            match (told.then, outcome) {
                (Some(then), outcome) => {
                    let parts = (turn.socket.handle().clone(), Arc::clone(&self.shared));
                    then(turn.run_loop, parts, outcome);
                }
                (None, Err(why)) => self.kind.unsent(turn, why),
                (None, Ok(())) => {}
            }
            if !turn.is_here() {
                return false;
            }
        }
        drop(rest);
        true
    }

    /// Whether nothing can happen any more, on either side of a stream.
    fn is_over(&self) -> bool {
        let outbox = self.shared.lock();
        let ends = match self.shared.phase() {
            Phase::Closing => true,
            Phase::Ended => outbox.gate() == Gate::Finished,
            _ => false,
        };
        ends && outbox.is_done()
    }

    /// Whether something is still to be sent or told, or somebody waits for room to send more.
    fn is_needed(&self) -> bool {
        let outbox = self.shared.lock();
        !outbox.is_done() || outbox.is_awaited()
    }

    fn rest(&self, cx: &mut Cx<'_, '_>, rest: Duration) {
        if self.shared.phase() == Phase::Serving {
            self.shared.set_phase(Phase::Resting);
        }
        cx.set_deadline(RunLoop::now().checked_add(rest));
    }

    /// Watches for what is wanted now.
    fn follow(&self, cx: &mut Cx<'_, '_>) {
        let refused = cx.set_interest(NATIVE, self.shared.interest()).err();
        // There is no watch if the callback has taken the socket out of the loop, or none was made yet. Otherwise there
        // is no room in the poll set, and there may be some later.
        if refused.is_some_and(|error| error.kind() != io::ErrorKind::NotFound) {
            self.rest(cx, NO_ROOM_TO_WATCH);
        }
    }
}

impl<K: Kind> Source for SocketSource<K> {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        let phase = self.shared.phase();
        if phase == Phase::Resting {
            // The deadline was forgotten when the source left its last mode.
            self.shared.set_phase(Phase::Serving);
        }
        match self.shared.share() {
            Some(native) => cx.watch_shared(NATIVE, native, self.shared.interest())?,
            None if phase == Phase::Dialing => {}
            None => return Err(io::ErrorKind::NotConnected.into()),
        }
        if matches!(phase, Phase::Dialing | Phase::Ended | Phase::Closing) {
            // Begins, or sets the deadline again; or has nothing left that keeps it from its end.
            cx.signal();
        }
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        if ready.deadline.is_some() && self.shared.phase() == Phase::Resting {
            self.shared.set_phase(Phase::Serving);
        }
        if let Some(handle) = cx.handle() {
            let socket = Socket::new(handle, Arc::clone(&self.shared));
            let turn = Turn {
                run_loop: cx.run_loop(),
                socket: &socket,
                mode: cx.mode(),
                automatic: self.automatic,
            };
            let readiness = ready.fds.first().map_or(Readiness::empty(), |fd| fd.1);
            self.turn(cx, &turn, readiness);
        }
        self.follow(cx);
    }
}

/// Whether a look at what comes in is worth it. An urgent byte counts, and is gone once somebody has looked.
fn has_come(readiness: Readiness) -> bool {
    readiness.is_readable() || readiness.contains(Readiness::PRIORITY)
}

/// Only the loop holds the source, and lets it go when it is invalid and not being performed, when the thread ends, or
/// when nobody could ever add it again. That closes the socket, whoever still holds it, and then drops the callback.
impl<K> Drop for SocketSource<K> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Asks for another turn if this one leaves something to be told, also because a callback has panicked.
struct Rest<'a>(&'a Socket);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        if self.0.shared().lock().has_told() {
            self.0.handle().signal();
        }
    }
}

/// How long a socket waits that the poll set has no room for.
const NO_ROOM_TO_WATCH: Duration = Duration::from_millis(100);
/// How many pieces are told of before others have their turn.
const TOLD_PER_PASS: usize = 256;
