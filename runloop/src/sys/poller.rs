//! A set of watched descriptors and the wait for them.
//!
//! Registration goes through `polling`, always level-triggered for sources. The wait is made on the poller's own
//! descriptor: `polling` needs three to five system calls for a wait where one does. What that leans on, that the key
//! of a registration is the data word of its event, is pinned by a test below.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use polling::{Event, PollMode};
use rustix::event::{PollFd, PollFlags, Timespec, epoll};

use crate::readiness::{Interest, Readiness};
use crate::sys::fork::ForkGuard;

/// A set of watched descriptors.
///
/// A forked child shares the set with its parent, so there nothing is added, and what is deleted stays.
#[derive(Debug)]
pub(crate) struct Poller {
    set: polling::Poller,
    made_in: ForkGuard,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            set: polling::Poller::new()?,
            made_in: ForkGuard::new(),
        })
    }

    /// Watches a descriptor level-triggered; its events carry `key`.
    pub(crate) fn add(&self, fd: &Held<impl Keeper>, key: u64, want: Interest) -> io::Result<()> {
        self.register(fd.fd, event(key, want)?, PollMode::Level)
    }

    /// Watches one of the loop's own descriptors: each time it becomes ready anew, one event.
    pub(crate) fn add_edge(&self, fd: &Held<impl Keeper>, key: u64) -> io::Result<()> {
        self.register(fd.fd, event(key, Interest::READABLE)?, PollMode::Edge)
    }

    /// Changes what a watched descriptor is watched for.
    pub(crate) fn modify(
        &self,
        fd: &Held<impl Keeper>,
        key: u64,
        want: Interest,
    ) -> io::Result<()> {
        self.refuse_in_child()?;
        self.set
            .modify_with_mode(fd.borrow(), event(key, want)?, PollMode::Level)
    }

    /// Forgets a descriptor.
    pub(crate) fn delete(&self, fd: &Held<impl Keeper>) -> io::Result<()> {
        if self.made_in.is_forked() {
            return Ok(());
        }
        self.set.delete(fd.borrow())
    }

    /// Waits until something is ready, or only looks; `events` has at most its capacity of what is ready.
    pub(crate) fn wait(&self, events: &mut Events, patience: Patience) -> io::Result<()> {
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let timeout = match patience {
            Patience::Look => Some(&zero),
            Patience::Forever => None,
        };
        self.refuse_in_child()?;
        events.list.clear();
        let room = rustix::buffer::spare_capacity(&mut events.list);
        match epoll::wait(&self.set, room, timeout) {
            // A signal handler ran; the caller looks around and waits again.
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a wait would find something.
    pub(crate) fn is_readable(&self) -> io::Result<bool> {
        let mut set = [PollFd::new(&self.set, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        Ok(rustix::event::poll(&mut set, Some(&now))? > 0)
    }

    fn register(&self, fd: RawFd, event: Event, mode: PollMode) -> io::Result<()> {
        self.refuse_in_child()?;
        #[expect(
            unsafe_code,
            reason = "`polling` cannot see that the descriptor outlives its watch"
        )]
        // SAFETY: the caller's `Held` keeps the descriptor open, and the tables delete a watch from every poll set
        // before they drop its `Held`, so it is open for as long as it is registered.
        unsafe {
            self.set.add_with_mode(fd, event, mode)
        }
    }

    fn refuse_in_child(&self) -> io::Result<()> {
        if self.made_in.is_forked() {
            return Err(io::Error::other(
                "the poll set belongs to the parent process",
            ));
        }
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}

/// How long a wait lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all.
    Look,
    /// Until something is ready.
    Forever,
}

/// What keeps a watched descriptor open.
///
/// # Invariant
///
/// As long as the keeper exists the descriptor it was paired with is open and still the same.
pub(crate) trait Keeper {}

impl<T: ?Sized> Keeper for std::sync::Arc<T> {}

/// A descriptor together with what keeps it open.
///
/// # Invariant
///
/// `fd` is open as long as `keeper` exists, and nothing takes the keeper out.
pub(crate) struct Held<K> {
    fd: RawFd,
    keeper: K,
}

impl<K: Keeper> Held<K> {
    /// Pairs a descriptor with what owns it.
    ///
    /// The caller answers for the invariant: `fd` is owned, directly or not, by what `keeper` keeps, in a place that
    /// nothing can replace or drop while `keeper` exists. [`Cx::watch`](crate::Cx::watch) answers by its lifetime: it
    /// takes only what can be borrowed from the source for as long as the source may live.
    pub(crate) fn new(fd: BorrowedFd<'_>, keeper: K) -> Self {
        Self {
            fd: fd.as_raw_fd(),
            keeper,
        }
    }

    pub(crate) fn borrow(&self) -> BorrowedFd<'_> {
        #[expect(
            unsafe_code,
            reason = "a number is turned back into the descriptor it names"
        )]
        // SAFETY: by the invariant of `Held` the descriptor stays open for as long as `self.keeper` exists, and the
        // borrow ends before `self` does. It is never -1, since it was taken from a `BorrowedFd`.
        unsafe {
            BorrowedFd::borrow_raw(self.fd)
        }
    }

    /// Lets the keeper keep something more.
    pub(crate) fn keep_also(&mut self, add: impl FnOnce(&mut K)) {
        add(&mut self.keeper);
    }

    /// What keeps the descriptor open.
    pub(crate) fn keeper(&self) -> &K {
        &self.keeper
    }
}

impl<K> fmt::Debug for Held<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fd {}", self.fd)
    }
}

/// What a wait found.
pub(crate) struct Events {
    list: Vec<epoll::Event>,
}

impl Events {
    pub(crate) fn with_capacity(most: usize) -> Self {
        Self {
            list: Vec::with_capacity(most),
        }
    }

    /// The key and the readiness of each descriptor that was ready.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Readiness)> + '_ {
        self.list
            .iter()
            .map(|event| (event.data.u64(), readiness(event.flags)))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn event(key: u64, want: Interest) -> io::Result<Event> {
    let key = usize::try_from(key).map_err(io::Error::other)?;
    let (readable, writable) = (
        want.contains(Interest::READABLE),
        want.contains(Interest::WRITABLE),
    );
    Ok(Event::new(key, readable, writable))
}

fn readiness(flags: epoll::EventFlags) -> Readiness {
    let mut readiness = Readiness::empty();
    for (flag, meaning) in [
        (epoll::EventFlags::IN, Readiness::READABLE),
        (epoll::EventFlags::OUT, Readiness::WRITABLE),
        (epoll::EventFlags::PRI, Readiness::PRIORITY),
        (epoll::EventFlags::HUP, Readiness::HANGUP),
        (epoll::EventFlags::ERR, Readiness::ERROR),
    ] {
        readiness.set(meaning, flags.contains(flag));
    }
    readiness
}

#[cfg(test)]
mod tests {
    use super::{Events, Held, Patience, Poller};
    use crate::readiness::{Interest, Readiness};
    use crate::sys::Doorbell;
    use std::os::fd::AsFd;
    use std::sync::Arc;

    #[test]
    fn the_key_of_a_registration_is_the_data_word_of_its_event() {
        let poller = Poller::new().unwrap();
        let bell = Arc::new(Doorbell::new().unwrap());
        let held = Held::new(bell.as_fd(), Arc::clone(&bell));
        let key = 0x0123_4567_89ab_cdef;
        poller.add(&held, key, Interest::READABLE).unwrap();
        bell.ring();
        let mut events = Events::with_capacity(8);
        poller.wait(&mut events, Patience::Forever).unwrap();
        let seen: Vec<_> = events.iter().collect();
        assert_eq!(
            seen,
            [(key, Readiness::READABLE)],
            "one event, with our key"
        );
    }

    #[test]
    fn an_unread_bell_gives_one_edge_for_each_ring() {
        let poller = Poller::new().unwrap();
        let bell = Arc::new(Doorbell::new().unwrap());
        let held = Held::new(bell.as_fd(), Arc::clone(&bell));
        poller.add_edge(&held, 7).unwrap();
        let mut events = Events::with_capacity(8);
        for round in 0..3 {
            bell.ring();
            poller.wait(&mut events, Patience::Look).unwrap();
            assert_eq!(events.iter().count(), 1, "round {round}: the edge");
            poller.wait(&mut events, Patience::Look).unwrap();
            assert_eq!(events.iter().count(), 0, "round {round}: and only one");
        }
    }
}
