//! What is settled about a socket when its source is made.

use runloop::{OnPanic, SourceOptions};

/// What is settled about a socket when its source is made.
///
/// One set for all kinds; each option says which kinds heed it.
///
/// Counterpart: the flags of `CFSocketSetSocketFlags`, and the `order` of `CFSocketCreateRunLoopSource`.
///
/// ```
/// use socket_source::SocketOptions;
///
/// let options = SocketOptions::new().name("web server").backlog(64).accepts_per_pass(4);
/// # drop(options);
/// ```
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// Exclusive always: the callback of a socket is not called again while it runs.
    pub(crate) source: SourceOptions,
    pub(crate) backlog: u32,
    pub(crate) accepts_per_pass: usize,
    pub(crate) exclusive_address: bool,
    pub(crate) bytes_per_pass: usize,
    pub(crate) paused: bool,
    pub(crate) reenable: Reenable,
    pub(crate) at_end: AtEnd,
}

impl SocketOptions {
    /// Order 0, no name, a backlog of 1,024, at most 16 connections and 64 KiB per pass, not paused, re-enabled by
    /// itself, invalidated at the end of its stream.
    ///
    /// ```
    /// let options = socket_source::SocketOptions::new();
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            source: SourceOptions::new(),
            backlog: BACKLOG,
            accepts_per_pass: ACCEPTS_PER_PASS,
            exclusive_address: false,
            bytes_per_pass: usize::MAX,
            paused: false,
            reenable: Reenable::default(),
            at_end: AtEnd::default(),
        }
    }

    /// All kinds: the source's place among those that are ready at the same time, as in
    /// [`SourceOptions::order`].
    #[must_use]
    pub fn order(mut self, order: i32) -> Self {
        self.source = self.source.order(order);
        self
    }

    /// All kinds: what the source is called in traces.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.source = self.source.name(name);
        self
    }

    /// All kinds: what becomes of the socket when its callback panics.
    #[must_use]
    pub fn on_panic(mut self, policy: OnPanic) -> Self {
        self.source = self.source.on_panic(policy);
        self
    }

    /// All kinds: lets a run end as finished although this socket is in its mode.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.source = self.source.passive();
        self
    }

    /// All kinds: begins paused, until [`Socket::resume`](crate::Socket::resume).
    #[must_use]
    pub fn paused(mut self) -> Self {
        self.paused = true;
        self
    }

    /// All kinds: whether the next event follows by itself or has to be asked for.
    #[must_use]
    pub fn reenable(mut self, reenable: Reenable) -> Self {
        self.reenable = reenable;
        self
    }

    /// Listening sockets that are made here: how many connections may wait to be accepted; the system has a maximum of
    /// its own.
    #[must_use]
    pub fn backlog(mut self, most: u32) -> Self {
        self.backlog = most;
        self
    }

    /// Listening sockets: how many connections (at least one) are accepted before others have their turn.
    #[must_use]
    pub fn accepts_per_pass(mut self, most: usize) -> Self {
        self.accepts_per_pass = most.max(1);
        self
    }

    /// Listening sockets that are made here: refuses an address as long as connections of a former listener linger at
    /// it. Otherwise it is used at once (`SO_REUSEADDR`), so that a server can be restarted.
    #[must_use]
    pub fn exclusive_address(mut self) -> Self {
        self.exclusive_address = true;
        self
    }

    /// Reading sockets: the largest piece (at least one byte, and never more than 64 KiB) that is read before others
    /// have their turn.
    #[must_use]
    pub fn bytes_per_pass(mut self, most: usize) -> Self {
        self.bytes_per_pass = most.max(1);
        self
    }

    /// Reading sockets: what becomes of the socket at the end of the stream.
    #[must_use]
    pub fn at_end(mut self, policy: AtEnd) -> Self {
        self.at_end = policy;
        self
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a socket goes on by itself when its callback has returned.
///
/// Counterpart: `kCFSocketAutomaticallyReenableReadCallBack` and its siblings.
///
/// ```
/// use socket_source::{Reenable, SocketOptions};
/// let options = SocketOptions::new().reenable(Reenable::ByHand);
/// # drop(options);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reenable {
    /// The next connection or piece is delivered as soon as it is there.
    #[default]
    Automatically,
    /// The socket is paused before each connection or piece is delivered:
    /// [`Socket::resume`](crate::Socket::resume) asks for the next one.
    ByHand,
}

/// What becomes of a socket when the other side has ended the stream.
///
/// Counterpart: a socket with a data callback is always invalidated.
///
/// ```
/// use socket_source::{AtEnd, SocketOptions};
/// let options = SocketOptions::new().at_end(AtEnd::Keep);
/// # drop(options);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AtEnd {
    /// It is invalidated, and so closed, when the callback has returned.
    #[default]
    Invalidate,
    /// It stays open: the other side may still read. It calls back no more, and keeps its modes from being empty until
    /// it is removed or invalidated.
    Keep,
}

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1_024;
/// How many connections one pass accepts, so that a flood of them leaves the loop room for others.
const ACCEPTS_PER_PASS: usize = 16;
