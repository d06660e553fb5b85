//! Taking a client from the queue of a listening socket, if there is room for it.
//!
//! For ports. It takes nobody's place away: what does not fit stays queued, hello and all.

use super::peer::Peer;
use crate::pidfd::Credentials;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// What came of an attempt to accept a client.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A client. Its hello may not have arrived yet, and it may be gone already.
    Client(Peer),
    /// Nobody waits.
    Nobody,
    /// Somebody may wait, but this process or the system has no room for a descriptor. Trying
    /// again at once is of no use.
    TableFull(io::Error),
}

/// Takes the next client from the queue of `listener`. It never waits.
///
/// # Errors
///
/// The socket does not listen any more.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<Accepted> {
    for _ in 0..TRANSIENT_MAX {
        match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => {
                if let Ok(credentials) = Credentials::of(socket.as_fd()) {
                    return Ok(Accepted::Client(Peer::new(
                        Arc::new(socket),
                        credentials,
                        None,
                    )));
                }
            }
            Err(Errno::AGAIN) => return Ok(Accepted::Nobody),
            Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                return Ok(Accepted::TableFull(error.into()));
            }
            // One client that came to nothing, or a signal.
            Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Whoever still waits makes the listener ready again.
    Ok(Accepted::Nobody)
}

/// How many clients that came to nothing are passed over at once.
const TRANSIENT_MAX: usize = 64;
