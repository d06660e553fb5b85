//! The last replies of a port that has ended: a client that is owed some is hung up on when it has them.
//!
//! It keeps its modes alive meanwhile, so that a loop does not end over it; a client that takes nothing for a while has
//! lost its claim.

use crate::bell::{BellKind, drain};
use crate::local::connection::Connection;
use crate::local::core::Served;
use runloop::{Cx, Ready, Source, SourceRef, Token};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Has a loop that served a port send what a client is owed.
pub(super) fn begin(connection: &Arc<Connection>, served: &[Served]) {
    let source = SourceRef::new(Farewell(Arc::clone(connection)));
    let Some(first) = served.first() else { return };
    for served in served
        .iter()
        .filter(|other| other.run_loop == first.run_loop)
    {
        // Of a loop that has no room, or no thread, it is dropped, which hangs up.
        drop(served.run_loop.add(&source, served.mode));
    }
}

/// A client that is owed replies.
struct Farewell(Arc<Connection>);

impl Source for Farewell {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        let Some(link) = self.0.link() else {
            return Ok(());
        };
        cx.watch_bell(SOCKET, Arc::clone(link.peer().socket()))?;
        if link.bell().kind() == BellKind::Event {
            cx.watch_bell(BELL, Arc::new(BellOf(Arc::clone(&self.0))))?;
        }
        cx.set_deadline(Instant::now().checked_add(PATIENCE));
        // It may have rung before it was listened to.
        cx.signal();
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        let alive = self.0.link().is_some_and(|link| {
            let bell = link.bell();
            // What comes on the socket is a bell at most, and whether it is one does not matter.
            bell.kind() != BellKind::Socket
                || drain(bell.descriptor(), &link.counters().wakes).is_ok()
        });
        let moved = self.0.flush();
        let present = alive && self.0.link().is_some_and(crate::link::Link::look);
        if moved && present && self.0.owes() {
            return cx.set_deadline(Instant::now().checked_add(PATIENCE));
        }
        if !present || !self.0.owes() || ready.deadline.is_some() {
            if let Some(handle) = cx.handle() {
                handle.invalidate();
            }
        }
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.hang_up();
    }
}

/// The bell of a client, which the loop holds as long as it watches it.
struct BellOf(Arc<Connection>);

impl AsFd for BellOf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0.link() {
            Some(link) => link.bell().descriptor(),
            None => unreachable!("only a client with a link is listened to"),
        }
    }
}

const SOCKET: Token = Token(0);
const BELL: Token = Token(1);
/// How long a client may take for the next part of what it is owed.
const PATIENCE: Duration = Duration::from_secs(5);
