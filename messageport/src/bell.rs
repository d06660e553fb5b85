//! The bell of a link: how one end wakes the other, which sleeps.
//!
//! For both ends. When to ring is the ring's business, and what the other end does then its own.
//! There are two kinds behind one call: an event descriptor costs least, but whoever holds it too
//! can make writing to it wait, so between users, and where descriptors are scarce, it is one byte
//! on the link's own socket.

use crate::pidfd::Credentials;
use crate::statistics::Counter;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Resource, getrlimit};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What rings at one end of a link, and is watched there.
#[derive(Debug)]
pub(crate) struct Bell(Means);

/// By what means a bell rings.
#[derive(Debug)]
enum Means {
    /// An event descriptor that both ends hold.
    Event(OwnedFd),
    /// The socket of this end.
    Socket(Arc<OwnedFd>),
}

impl Bell {
    /// Rings. It never waits and never raises a signal; a bell that is ringing already goes on.
    ///
    /// # Errors
    ///
    /// The other end has gone, or the system is short of memory; it was not rung then.
    pub(crate) fn ring(&self) -> io::Result<()> {
        let rung = loop {
            let rung = match &self.0 {
                Means::Event(event) => rustix::io::write(event, &1_u64.to_ne_bytes()),
                Means::Socket(socket) => {
                    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                    rustix::net::send(socket, &[RING], flags)
                }
            };
            if rung != Err(Errno::INTR) {
                break rung;
            }
        };
        match rung {
            // What fills the socket up wakes the other end as well as one byte more.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The descriptor to watch for input at the end that is to be woken.
    ///
    /// An event descriptor is to be watched for edges: it is never read. A socket stays readable
    /// until it is drained.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Means::Event(event) => event.as_fd(),
            Means::Socket(socket) => socket.as_fd(),
        }
    }

    /// Which kind of bell this is.
    pub(crate) fn kind(&self) -> BellKind {
        match &self.0 {
            Means::Event(_) => BellKind::Event,
            Means::Socket(_) => BellKind::Socket,
        }
    }
}

/// The two bells of a link, as one of its ends has them.
#[derive(Debug)]
pub(crate) struct Bells {
    /// Rung by the client, watched by the server.
    pub(crate) server: Bell,
    /// Rung by the server, watched by the client.
    pub(crate) client: Bell,
}

impl Bells {
    /// New bells for the link whose end here is `socket`.
    pub(crate) fn create(kind: BellKind, socket: &Arc<OwnedFd>) -> io::Result<Self> {
        let one = || match kind {
            BellKind::Event => {
                let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
                Ok::<_, Errno>(Bell(Means::Event(event)))
            }
            BellKind::Socket => Ok(Bell(Means::Socket(Arc::clone(socket)))),
        };
        Ok(Self {
            server: one()?,
            client: one()?,
        })
    }

    /// The bells that a client has sent, or those of `socket` if it has sent none.
    pub(crate) fn received(
        bells: Option<[OwnedFd; 2]>,
        socket: &Arc<OwnedFd>,
        client: &Credentials,
    ) -> Result<Self, BellError> {
        let Some([server, client_bell]) = bells else {
            return Self::create(BellKind::Socket, socket).map_err(BellError::Io);
        };
        if client.uid != effective_user() {
            return Err(BellError::ForeignUser { uid: client.uid });
        }
        check_event(&server)?;
        check_event(&client_bell)?;
        Ok(Self {
            server: Bell(Means::Event(server)),
            client: Bell(Means::Event(client_bell)),
        })
    }

    /// What the client sends: the bells of server and client, or nothing if the socket is both.
    pub(crate) fn descriptors(&self) -> Option<[BorrowedFd<'_>; 2]> {
        match (&self.server.0, &self.client.0) {
            (Means::Event(server), Means::Event(client)) => Some([server.as_fd(), client.as_fd()]),
            _ => None,
        }
    }
}

/// Which kind of bells a link has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BellKind {
    /// One byte on the socket of the link.
    Socket,
    /// An event descriptor for each direction.
    Event,
}

impl BellKind {
    /// The kind for a new link to `peer`, whose end here is `socket`.
    pub(crate) fn choose(peer: &Credentials, socket: BorrowedFd<'_>) -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        // New descriptors get the lowest free number, so the number tells how many are open.
        let open = u64::try_from(socket.as_raw_fd()).unwrap_or(u64::MAX);
        Self::of_means(peer.uid == effective_user(), open, limit)
    }

    /// The kind of which the first packet says `code`.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Socket),
            1 => Some(Self::Event),
            _ => None,
        }
    }

    /// What the first packet says of this kind.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Socket => 0,
            Self::Event => 1,
        }
    }

    /// Event descriptors only between processes of one user, and while under half of those that
    /// the process may open are open.
    fn of_means(same_user: bool, open: u64, limit: Option<u64>) -> Self {
        let plenty = limit.is_none_or(|limit| open < limit / 2);
        if same_user && plenty {
            Self::Event
        } else {
            Self::Socket
        }
    }
}

/// Why the bells that a client has sent are not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BellError {
    /// They are of somebody else, who could make ringing them wait.
    #[error("event descriptors of user {uid} are not taken")]
    ForeignUser {
        /// The user.
        uid: u32,
    },
    /// They are not what they should be.
    #[error("a bell is not a non-blocking event descriptor")]
    NotAnEvent,
    /// The system failed.
    #[error("cannot look at a bell")]
    Io(#[source] io::Error),
}

/// What is left at the head of a socket once the bells on it are taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing, or more bells than are taken off at once. Whoever watches for edges is not told of those again, and need
    /// not be: all of them were rung before this look, which is followed by one at everything.
    Nothing,
    /// A packet that is no bell.
    Packet,
    /// The end: the peer has hung up.
    Closed,
}

/// Takes the bells off `socket`, up to the first packet that is none. It never waits. `calls` counts what it asks of the
/// system.
pub(crate) fn drain(socket: BorrowedFd<'_>, calls: &Counter) -> io::Result<Rest> {
    let mut resets = 0;
    for _ in 0..BELLS_MAX {
        let mut head = [0; 2];
        calls.count();
        match rustix::net::recv(socket, &mut head, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return Ok(Rest::Closed),
            Ok((_, 1)) => {}
            Ok(_) => return Ok(Rest::Packet),
            Err(Errno::AGAIN) => return Ok(Rest::Nothing),
            Err(Errno::INTR) => continue,
            // A peer that closed with something unread: said once, before what it had sent.
            Err(Errno::CONNRESET) if resets == 0 => {
                resets += 1;
                continue;
            }
            Err(Errno::CONNRESET) => return Ok(Rest::Closed),
            Err(error) => return Err(error.into()),
        }
        calls.count();
        match rustix::net::recv(socket, &mut head, RecvFlags::DONTWAIT) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::CONNRESET) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Rest::Nothing)
}

/// Checks that `bell` is an event descriptor, to which a write does not wait.
///
/// Pipes, and files of a file system in user space, would pass as one and can wait for ever.
fn check_event(bell: &OwnedFd) -> Result<(), BellError> {
    let path = format!("/proc/self/fd/{}", bell.as_raw_fd());
    let link =
        rustix::fs::readlink(path, Vec::new()).map_err(|error| BellError::Io(error.into()))?;
    let flags = rustix::fs::fcntl_getfl(bell).map_err(|error| BellError::Io(error.into()))?;
    if link.to_bytes() == EVENT_LINK && flags.contains(OFlags::NONBLOCK) {
        Ok(())
    } else {
        Err(BellError::NotAnEvent)
    }
}

/// The user that peers see of this process.
fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The byte that is a bell. Its value says nothing.
const RING: u8 = 0;
/// How many bells are taken off at once at most; one is there as a rule.
const BELLS_MAX: usize = 64;
/// What the link of an open event descriptor reads. A file cannot have this path, which is
/// relative.
const EVENT_LINK: &[u8] = b"anon_inode:[eventfd]";

#[cfg(test)]
mod tests;
