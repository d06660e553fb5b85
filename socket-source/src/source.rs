//! The source behind every socket: when it is watched, when it rests, and when it goes.
//!
//! What a socket does when it is ready is its [`Kind`]'s, and none of this file's.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runloop::{Cx, Interest, Mode, Ready, RunLoop, Source, SourceRef};

use crate::options::SocketOptions;
use crate::shared::Shared;
use crate::socket::{NATIVE, Socket};

/// What a kind of socket does.
pub(crate) trait Kind: 'static {
    /// The socket is ready and wanted: take what is there, within a limit, and call back. Nothing may be taken that the
    /// callback does not get, and whoever calls back more than once asks [`Turn::goes_on`] in between.
    fn serve(&self, turn: &Turn<'_>) -> Next;
}

/// One turn of a socket that is ready.
pub(crate) struct Turn<'a> {
    pub(crate) run_loop: &'a RunLoop,
    pub(crate) socket: &'a Socket,
    /// The mode that runs.
    mode: Option<Mode>,
}

impl Turn<'_> {
    /// Whether the socket is still to be served: a callback may have paused, removed or invalidated it.
    pub(crate) fn goes_on(&self) -> bool {
        let is_here = |mode| self.run_loop.contains(self.socket, mode);
        self.socket.is_valid() && !self.socket.is_paused() && self.mode.is_some_and(is_here)
    }
}

/// What follows a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another turn when the socket is ready again.
    Again,
    /// None for this long.
    Rest(Duration),
    /// None any more, but the socket stays open.
    Finish,
    /// The end of the socket.
    Invalidate,
}

/// Puts a socket into the care of this thread's loop.
pub(crate) fn adopt(options: SocketOptions, native: socket2::Socket, kind: impl Kind) -> Socket {
    let shared = Arc::new(Shared::new(native, options.paused));
    let source = SocketSource {
        shared: Arc::clone(&shared),
        phase: Cell::new(Phase::Serving),
        kind,
    };
    let source = SourceRef::with(options.source, source);
    Socket::new(RunLoop::current().adopt(&source), shared)
}

struct SocketSource<K> {
    shared: Arc<Shared>,
    phase: Cell<Phase>,
    kind: K,
}

/// How things stand, apart from being paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Until the deadline.
    Resting,
    Finished,
}

impl<K: Kind> SocketSource<K> {
    fn is_wanted(&self) -> bool {
        self.phase.get() == Phase::Serving && !self.shared.is_paused()
    }

    /// With an empty interest the descriptor is in no poll set at all, so nothing about it can wake the loop.
    fn interest(&self) -> Interest {
        if self.is_wanted() {
            Interest::READABLE
        } else {
            Interest::empty()
        }
    }

    fn serve(&self, cx: &mut Cx<'_, '_>) {
        let Some(handle) = cx.handle() else { return };
        let socket = Socket::new(handle, Arc::clone(&self.shared));
        let turn = Turn {
            run_loop: cx.run_loop(),
            socket: &socket,
            mode: cx.mode(),
        };
        match self.kind.serve(&turn) {
            Next::Again => {}
            Next::Rest(rest) => self.rest(cx, rest),
            Next::Finish => self.phase.set(Phase::Finished),
            Next::Invalidate => socket.invalidate(),
        }
    }

    fn rest(&self, cx: &mut Cx<'_, '_>, rest: Duration) {
        self.phase.set(Phase::Resting);
        cx.set_deadline(Instant::now().checked_add(rest));
    }

    /// Watches for what is wanted now.
    fn follow(&self, cx: &mut Cx<'_, '_>) {
        let refused = cx.set_interest(NATIVE, self.interest()).err();
        // The callback may have taken the socket out of the loop. Otherwise there is no room in the poll set, and there
        // may be some later.
        if refused.is_some_and(|error| error.kind() != io::ErrorKind::NotFound) {
            self.rest(cx, NO_ROOM_TO_WATCH);
        }
    }
}

impl<K: Kind> Source for SocketSource<K> {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        let native = self.shared.share();
        let native = native.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        if self.phase.get() == Phase::Resting {
            // The deadline was forgotten when the source left its last mode.
            self.phase.set(Phase::Serving);
        }
        cx.watch_shared(NATIVE, native, self.interest())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        if ready.deadline.is_some() && self.phase.get() == Phase::Resting {
            self.phase.set(Phase::Serving);
        } else if !ready.fds.is_empty() && self.is_wanted() {
            self.serve(cx);
        }
        self.follow(cx);
    }
}

/// Only the loop holds the source, and lets it go when it is invalid and not being performed, when the thread ends, or
/// when nobody could ever add it again. That closes the socket, whoever still holds it, and then drops the callback.
impl<K> Drop for SocketSource<K> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// How long a socket waits that the poll set has no room for.
const NO_ROOM_TO_WATCH: Duration = Duration::from_millis(100);
