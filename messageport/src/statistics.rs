//! What an end of a link has done, in numbers: what it moved, and which system calls that took.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a port, or a remote with all its clones, has done so far.
///
/// `rings`, `wakes` and `looks` count one system call each, so that together with those of the loops at both ends
/// ([`runloop::Statistics`]) they say what a message costs.
///
/// ```
/// use messageport::{LocalPort, RemotePort};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let port = LocalPort::create_in(&directory, "org.example.counted", |_| ())?;
/// let remote = RemotePort::connect_in(&directory, "org.example.counted")?;
/// remote.send(1, b"waits until the port is served")?;
/// assert_eq!((remote.statistics().sent, port.statistics().received), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Messages that were wholly sent: those of a remote, the replies of a port.
    pub sent: u64,
    /// Messages that were received and given to somebody: to the handler of a port, or to the call that waited for a reply.
    pub received: u64,
    /// Messages that were given to nobody: replies that came too late, messages over the limit or after the end of the port,
    /// replies whose asker was gone.
    pub discarded: u64,
    /// How often the other side was woken.
    pub rings: u64,
    /// How often the system was asked who had rung here, beside the waits of the loop.
    pub wakes: u64,
    /// How often the system was asked whether the other side is alive.
    pub looks: u64,
}

impl Statistics {
    /// The system calls among them.
    #[must_use]
    pub fn system_calls(&self) -> u64 {
        self.rings + self.wakes + self.looks
    }
}

/// The same, as it is counted: by any thread, with nothing ordered by it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sent: Counter,
    pub(crate) received: Counter,
    pub(crate) discarded: Counter,
    pub(crate) rings: Counter,
    pub(crate) wakes: Counter,
    pub(crate) looks: Counter,
}

impl Counters {
    pub(crate) fn read(&self) -> Statistics {
        Statistics {
            sent: self.sent.read(),
            received: self.received.read(),
            discarded: self.discarded.read(),
            rings: self.rings.read(),
            wakes: self.wakes.read(),
            looks: self.looks.read(),
        }
    }
}

/// One number.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn count(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
