//! The hello on its way: handed to the kernel by the client, taken from it by the server.
//!
//! For ports and remotes. The server takes it only when all that comes with it has found room.

use super::first::{Hello, Malformed};
use super::rights::{Peeked, peek, send, take_off};
use rustix::io::Errno;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Sends `hello` with the memory of the link and, if it has them, the bells of server and client.
///
/// The server need not have accepted the connection, and need not ever do so.
pub(crate) fn introduce(
    socket: BorrowedFd<'_>,
    hello: &Hello,
    memory: BorrowedFd<'_>,
    bells: Option<[BorrowedFd<'_>; 2]>,
) -> Result<(), IntroduceError> {
    let mut descriptors = vec![memory];
    descriptors.extend(bells.into_iter().flatten());
    debug_assert_eq!(
        descriptors.len(),
        hello.descriptors(),
        "the hello says which bells it has"
    );
    send(socket, &hello.encode(), &descriptors).map_err(|error| match error {
        Errno::AGAIN | Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM => {
            IntroduceError::Busy(error.into())
        }
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => IntroduceError::Closed,
        other => IntroduceError::Io(other.into()),
    })
}

/// Why a hello could not be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntroduceError {
    /// This user has too many descriptors on their way, or the system is short of memory: it is
    /// worth trying again in some milliseconds.
    #[error("too many descriptors are on their way to ports")]
    Busy(#[source] io::Error),
    /// The port has been closed meanwhile.
    #[error("the port was closed")]
    Closed,
    /// Something else went wrong.
    #[error("cannot introduce this process to the port")]
    Io(#[source] io::Error),
}

/// What is at the head of a connection on which no hello has been read yet.
#[derive(Debug)]
pub(crate) enum Greeting {
    /// The hello and what came with it.
    Hello {
        /// What the client says.
        hello: Hello,
        /// The memory it offers, not yet checked.
        memory: OwnedFd,
        /// The bells of server and client, not yet checked; none if the socket is the bell.
        bells: Option<[OwnedFd; 2]>,
    },
    /// Nothing has arrived.
    NotYet,
    /// It has arrived, but there is no room for its descriptors. It stays where it is, so it can
    /// be read later.
    TableFull,
    /// The client has gone without one.
    Closed,
}

/// Reads the hello that a client has sent. It never waits.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Greeting, HelloError> {
    let mut bytes = [0; Hello::SIZE];
    let packet = match peek(socket, &mut bytes) {
        Ok(packet) => packet,
        Err(Errno::AGAIN) => return Ok(Greeting::NotYet),
        Err(Errno::CONNRESET | Errno::NOTCONN) => return Ok(Greeting::Closed),
        Err(Errno::NOMEM | Errno::NOBUFS) => return Ok(Greeting::TableFull),
        Err(error) => return Err(HelloError::Io(error.into())),
    };
    if packet.length == 0 {
        return Ok(Greeting::Closed);
    }
    if packet.longer {
        return Err(Malformed::Length.into());
    }
    let hello = Hello::decode(&bytes[..packet.length])?;
    let Peeked {
        descriptors, cut, ..
    } = packet;
    let (expected, found) = (hello.descriptors(), descriptors.len());
    if cut && found < expected {
        return Ok(Greeting::TableFull);
    }
    if cut || found != expected {
        return Err(Malformed::Descriptors { expected, found }.into());
    }
    take_off(socket).map_err(|error| HelloError::Io(error.into()))?;
    let mut descriptors = descriptors.into_iter();
    let memory = descriptors
        .next()
        .ok_or(Malformed::Descriptors { expected, found })?;
    let bells = descriptors
        .next()
        .zip(descriptors.next())
        .map(<[OwnedFd; 2]>::from);
    Ok(Greeting::Hello {
        hello,
        memory,
        bells,
    })
}

/// Why a client's first packet is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    /// It is not a valid one.
    #[error("the client's first packet is not valid")]
    Malformed(#[from] Malformed),
    /// The connection cannot be read.
    #[error("cannot read the client's first packet")]
    Io(#[source] io::Error),
}
