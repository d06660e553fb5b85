//! The listening socket of a name: put in place in one step, and closed so that nobody waits.
//!
//! For `claim`, which holds the name's lock meanwhile. It knows files and sockets, and neither
//! locks nor what is said on a connection.

use super::directory::{Directory, FileId, Reach};
use super::stem::Stem;
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen,
    shutdown, socket_with,
};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Listens under the names of `stem`, replacing what a dead owner has left there.
///
/// The socket is bound under a short temporary name and moved when it listens, so that clients
/// find a socket that works or none at all. The temporary name comes from `lock`, the lock file
/// that the caller holds: no other process uses it, and nothing is left to sweep but what the next
/// holder of the same file removes.
pub(super) fn publish(
    directory: &Directory,
    stem: &Stem,
    lock: FileId,
) -> io::Result<(FileId, OwnedFd)> {
    let temporary = format!("t-{:x}", lock.inode);
    match rustix::fs::unlinkat(directory, &temporary, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let socket = new_socket()?;
    bind(
        &socket,
        &SocketAddrUnix::new(directory.short_path(&temporary))?,
    )?;
    match finish(directory, &temporary, stem, &socket) {
        Ok(file) => Ok((file, socket)),
        Err(error) => {
            rustix::fs::unlinkat(directory, &temporary, AtFlags::empty()).ok();
            Err(error)
        }
    }
}

/// A socket of the kind that both ends of a link are.
pub(super) fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Hangs up on everybody who is queued at `listener`, and lets nobody else queue.
///
/// Closing alone would do neither while a forked child has the socket open too.
pub(super) fn hang_up(listener: &OwnedFd) {
    if shutdown(listener, Shutdown::Both).is_err() {
        return;
    }
    // Nobody joins the queue any more, so this ends. With a full descriptor table it ends early,
    // and the rest learn of it when the last descriptor of the listener is closed.
    loop {
        match accept_with(listener, SocketFlags::CLOEXEC) {
            Ok(connection) => drop(shutdown(&connection, Shutdown::Both)),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(_) => return,
        }
    }
}

/// Makes the bound socket listen and moves it to where clients look for it.
fn finish(
    directory: &Directory,
    temporary: &str,
    stem: &Stem,
    socket: &OwnedFd,
) -> io::Result<FileId> {
    // Said in so many words, since binding leaves the mode to the process's umask. The sticky bit
    // is how a file asks to be spared by those who clean up old files.
    let reachable = match directory.reach() {
        Reach::Owner => Mode::RUSR | Mode::WUSR,
        Reach::Others => Mode::from_raw_mode(0o666),
    };
    rustix::fs::chmodat(
        directory,
        temporary,
        reachable | Mode::SVTX,
        AtFlags::empty(),
    )?;
    let found = rustix::fs::statat(directory, temporary, AtFlags::SYMLINK_NOFOLLOW)?;
    listen(socket.as_fd(), BACKLOG)?;
    rustix::fs::renameat(directory, temporary, directory, stem.socket_file())?;
    Ok(FileId::of(&found))
}

/// How many clients may wait to be accepted, if the system allows as many.
const BACKLOG: i32 = 1_024;
