//! The last replies of a port that has ended: a client that is owed some is hung up on when it has them.
//!
//! It keeps its modes alive meanwhile, so that a loop does not end over it; a client that takes nothing for a while has
//! lost its claim.

use crate::bell::BellKind;
use crate::link::Link;
use crate::local::connection::Connection;
use crate::local::core::Served;
use runloop::{Cx, Ready, Source, SourceRef, Token};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Has a loop that served a port send what a client is owed.
pub(super) fn begin(connection: &Arc<Connection>, served: &[Served]) {
    if let Some(link) = connection.link() {
        // What it has sent and nobody has taken is for nobody.
        link.let_go();
    }
    let source = SourceRef::new(Farewell {
        connection: Arc::clone(connection),
        patience: Mutex::new(Instant::now() + PATIENCE),
    });
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
struct Farewell {
    connection: Arc<Connection>,
    /// When it has lost its claim to them.
    patience: Mutex<Instant>,
}

impl Source for Farewell {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        let Some(link) = self.connection.link() else {
            return Ok(());
        };
        cx.watch_bell(SOCKET, Arc::clone(link.peer().socket()))?;
        if link.bell().kind() == BellKind::Event {
            cx.watch_bell(BELL, Arc::new(BellOf(Arc::clone(&self.connection))))?;
        }
        // It may have rung before it was listened to.
        cx.signal();
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        let link = self.connection.link();
        // Bells on it would not be heard behind what nobody takes.
        link.into_iter().for_each(Link::purge);
        let progress = self.connection.flush();
        let now = Instant::now();
        let mut patience = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.moved {
            *patience = now + PATIENCE;
        }
        let until = *patience;
        drop(patience);
        let over = until <= now;
        if over || !self.connection.owes() || !link.is_some_and(Link::look) {
            if let Some(handle) = cx.handle() {
                handle.invalidate();
            }
            return;
        }
        let soon = progress.clogged.then(|| now + CLOGGED_FOR);
        cx.set_deadline(Some(soon.map_or(until, |soon| soon.min(until))));
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.connection.hang_up();
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
/// After how long it is looked whether there is room for descriptors, of which nobody tells.
const CLOGGED_FOR: Duration = Duration::from_millis(10);
