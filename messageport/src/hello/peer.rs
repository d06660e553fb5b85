//! The other end of a link, as far as it can be seen from outside: who it is, and that it lives.
//!
//! For both ends. It knows nothing of what is said on the link.

use crate::fork::forked;
use crate::pidfd::Credentials;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The peer of a link: the connected socket, who called, and whether it is still there.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Our end of the connection, shared with whoever watches it or rings on it.
    socket: Arc<OwnedFd>,
    /// Who opened the other end, read once.
    credentials: Credentials,
    /// The peer's process, if it is to be watched beside the socket.
    pidfd: Option<OwnedFd>,
}

impl Peer {
    /// The peer at the other end of `socket`.
    pub(crate) fn new(
        socket: Arc<OwnedFd>,
        credentials: Credentials,
        pidfd: Option<OwnedFd>,
    ) -> Self {
        Self {
            socket,
            credentials,
            pidfd,
        }
    }

    /// Our end of the connection.
    pub(crate) fn socket(&self) -> &Arc<OwnedFd> {
        &self.socket
    }

    /// Who opened the other end.
    pub(crate) fn credentials(&self) -> Credentials {
        self.credentials
    }

    /// The peer's process: readable once it has ended. Servers have none, and clients none where
    /// the kernel is older than Linux 6.5.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Whether the peer has hung up or its process has ended. What it had sent may still be there.
    pub(crate) fn is_dead(&self) -> bool {
        let gone = PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR | PollFlags::NVAL;
        let socket = PollFd::new(&self.socket, PollFlags::RDHUP);
        match &self.pidfd {
            Some(pidfd) => {
                let mut fds = [socket, PollFd::new(pidfd, PollFlags::IN)];
                look(&mut fds)
                    && (fds[0].revents().intersects(gone) || !fds[1].revents().is_empty())
            }
            None => {
                let mut fds = [socket];
                look(&mut fds) && fds[0].revents().intersects(gone)
            }
        }
    }

    /// Whether the peer's process has ended, even if a forked child of it keeps the socket open.
    pub(crate) fn has_exited(&self) -> bool {
        self.pidfd
            .as_ref()
            .is_some_and(|pidfd| look(&mut [PollFd::new(pidfd, PollFlags::IN)]))
    }

    /// Hangs up, also where a forked child has our end open as well.
    pub(crate) fn hang_up(&self) {
        // In a child the connection is the parent's, which would be cut off too.
        if forked() {
            return;
        }
        // It fails if the peer has hung up already, which is as good.
        shutdown(&self.socket, Shutdown::Both).ok();
    }
}

/// Asks the kernel about `fds` without waiting: whether there is anything to say of any.
fn look(fds: &mut [PollFd<'_>]) -> bool {
    loop {
        match poll(fds, Some(&Timespec::default())) {
            Ok(count) => return count > 0,
            Err(Errno::INTR) => {}
            // Short of memory: nothing is known to be wrong.
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Peer, Shutdown, shutdown};
    use crate::hello::tests::{close, pair};
    use crate::pidfd::{Credentials, Process};
    use std::os::fd::{AsFd, OwnedFd};
    use std::process::Command;
    use std::sync::Arc;

    fn peer(socket: OwnedFd, pidfd: Option<OwnedFd>) -> Peer {
        let credentials = Credentials::of(socket.as_fd()).unwrap();
        Peer::new(Arc::new(socket), credentials, pidfd)
    }

    #[test]
    fn a_peer_lives_until_it_closes() {
        let (one, other) = pair();
        let peer = peer(one, None);
        assert!(!peer.is_dead(), "the other end is open");
        close(other, peer.socket());
        assert!(peer.is_dead(), "the other end is closed");
    }

    #[test]
    fn hanging_up_is_seen_although_the_socket_stays_open_somewhere() {
        let (one, other) = pair();
        let (ours, theirs) = (peer(one, None), peer(other, None));
        let inherited = Arc::clone(ours.socket());
        ours.hang_up();
        assert!(theirs.is_dead(), "it hung up");
        drop(inherited);
    }

    #[test]
    fn a_peer_that_only_stops_sending_has_hung_up() {
        let (one, other) = pair();
        let peer = peer(one, None);
        shutdown(&other, Shutdown::Write).unwrap();
        assert!(peer.is_dead(), "nothing can come from it any more");
    }

    #[test]
    fn unread_packets_are_no_sign_of_death() {
        let (one, other) = pair();
        let peer = peer(one, None);
        crate::hello::rights::send(other.as_fd(), b"x", &[]).unwrap();
        assert!(!peer.is_dead(), "input is not a hang-up");
    }

    #[test]
    fn an_ended_process_is_dead_although_its_socket_is_open() {
        let (one, _held_open) = pair();
        let mut child = Command::new("true").spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        child.wait().unwrap();
        let peer = peer(one, Some(pidfd));
        assert!(peer.has_exited() && peer.is_dead(), "its process has ended");
    }

    #[test]
    fn a_living_process_with_an_open_socket_is_alive() {
        let (one, _other) = pair();
        let Process::Watched(pidfd) = Process::of(one.as_fd()) else {
            return;
        };
        let peer = peer(one, Some(pidfd));
        assert!(!peer.is_dead() && !peer.has_exited(), "that is ourselves");
    }
}
