//! The one descriptor behind which an end keeps all that can wake it: bells, connections, a peer's process.
//!
//! Run loops watch the hub, level-triggered, and know nothing of what is in it; so a port may be in any number of modes
//! and loops at the price of one registration each. Inside, bells and connections are watched for edges: an edge is an
//! alarm clock and no information, and whoever takes one looks at everything that could have rung it.
//!
//! Loops that share a hub are woken together, and one of them takes the edge from all. Nothing is missed, whatever the order:
//!
//! - what arrives before the taker has emptied the socket was rung for something that was published before, and the taker
//!   looks at the rings after it has emptied the socket;
//! - what arrives after that is another edge, which wakes all;
//! - an edge that nobody has taken stays in the hub, and wakes those who come to sleep later as well;
//! - what the taker finds for others it hands over, and then announces for those who sleep on, before any callback.
//!
//! Watched for as long as it is readable, the socket of a peer that is gone, or a hello for which there is no room, would keep
//! every loop awake.

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A set of watched descriptors.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<OwnedFd>);

impl Hub {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?)))
    }

    /// The descriptor to watch: readable while the hub has something to tell.
    pub(crate) fn descriptor(&self) -> &Arc<OwnedFd> {
        &self.0
    }

    /// Watches for input and hang-up, once for each time they come about.
    ///
    /// Linux, `epoll_ctl(2)`.
    pub(crate) fn add_edge(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.0, fd, EventData::new_u64(key), flags)?)
    }

    /// Watches for input as long as there is any.
    pub(crate) fn add_level(&self, fd: BorrowedFd<'_>, key: u64) -> io::Result<()> {
        Ok(epoll::add(
            &self.0,
            fd,
            EventData::new_u64(key),
            EventFlags::IN,
        )?)
    }

    /// Forgets a descriptor. Those that are closed everywhere are forgotten without it.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        // What is not watched need not be forgotten.
        epoll::delete(&self.0, fd).ok();
    }

    /// Takes up to some dozens of events, without waiting.
    pub(crate) fn take(&self) -> Taken {
        let mut events = [epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        }; MOST];
        let count = loop {
            match epoll::wait(&self.0, &mut events[..], Some(&Timespec::default())) {
                Err(Errno::INTR) => {}
                // Nothing else can go wrong with a descriptor that is open and an epoll.
                other => break other.unwrap_or(0),
            }
        };
        Taken { events, count }
    }
}

/// Events that were taken off a hub.
pub(crate) struct Taken {
    events: [epoll::Event; MOST],
    count: usize,
}

impl Taken {
    /// The key of each, and whether the other side is gone.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, bool)> + '_ {
        let gone = EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR;
        self.events[..self.count].iter().map(move |event| {
            let flags = event.flags;
            (event.data.u64(), flags.intersects(gone))
        })
    }

    /// Whether there may be more.
    pub(crate) fn is_full(&self) -> bool {
        self.count == MOST
    }
}

/// How many events are taken at once: more would only lie about on the stack.
const MOST: usize = 32;
