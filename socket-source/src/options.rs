//! What is settled about a socket when its source is made.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use runloop::{OnPanic, SourceOptions};

use crate::callbacks::Callbacks;
use crate::outbox::Marks;

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
#[derive(Clone)]
pub struct SocketOptions {
    /// Exclusive always: the callback of a socket is not called again while it runs.
    pub(crate) source: SourceOptions,
    pub(crate) backlog: u32,
    pub(crate) accepts_per_pass: usize,
    pub(crate) exclusive_address: bool,
    pub(crate) only_v6: bool,
    pub(crate) bytes_per_pass: usize,
    pub(crate) datagrams_per_pass: usize,
    pub(crate) datagrams_per_call: usize,
    /// What is not called back at first.
    pub(crate) disabled: Callbacks,
    /// What goes on by itself after a callback.
    pub(crate) automatic: Callbacks,
    pub(crate) at_end: AtEnd,
    pub(crate) marks: Marks,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) configure: Option<Configure>,
}

/// What is done to a socket that has just been made.
pub(crate) type Configure = Arc<dyn Fn(&socket2::Socket) -> io::Result<()> + Send + Sync>;

impl SocketOptions {
    /// Order 0, no name, a backlog of 1,024, at most 16 connections, 16 datagrams and 64 KiB per pass, not paused, what
    /// comes in re-enabled by itself and the news of room by hand, invalidated at the end of its stream, an outbox from
    /// 64 KiB to 1 MiB, 30 s to connect.
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
            only_v6: false,
            bytes_per_pass: usize::MAX,
            datagrams_per_pass: DATAGRAMS_PER_PASS,
            datagrams_per_call: 1,
            disabled: Callbacks::empty(),
            automatic: Callbacks::READ,
            at_end: AtEnd::default(),
            marks: Marks {
                low: OUTBOX_LOW,
                high: OUTBOX_HIGH,
            },
            connect_timeout: Some(CONNECT_TIMEOUT),
            configure: None,
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
    pub fn paused(self) -> Self {
        self.disabled(Callbacks::READ)
    }

    /// All kinds: begins with these callbacks disabled, until [`Socket::enable`](crate::Socket::enable).
    #[must_use]
    pub fn disabled(mut self, kinds: Callbacks) -> Self {
        self.disabled |= kinds;
        self
    }

    /// All kinds: whether the next callback of these kinds follows by itself or has to be asked for. What comes in does,
    /// and the news of room does not, unless this says otherwise; a connection is made once.
    #[must_use]
    pub fn reenable(mut self, kinds: Callbacks, reenable: Reenable) -> Self {
        self.automatic
            .set(kinds, reenable == Reenable::Automatically);
        self
    }

    /// Sockets that are made here: does something to each before it is bound or connected, such as setting options.
    ///
    /// ```
    /// use socket_source::SocketOptions;
    /// let options = SocketOptions::new().configure(|socket| {
    ///     socket.set_tcp_nodelay(true)?;
    ///     socket.set_recv_buffer_size(1 << 20)
    /// });
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn configure(
        mut self,
        configure: impl Fn(&socket2::Socket) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.configure = Some(Arc::new(configure));
        self
    }

    /// Sockets that send: how much may wait to be sent. At `high` bytes nothing more is taken; when no more than `low`
    /// wait after that, the callback is told that there is room. One `send` may lead beyond the high mark, so a large
    /// piece is never refused for its size alone. Every piece counts 128 bytes beside its own, and each completion that has
    /// not been called yet counts 128.
    #[must_use]
    pub fn outbox(mut self, low: usize, high: usize) -> Self {
        let high = high.max(1);
        let low = low.min(high - 1);
        self.marks = Marks { low, high };
        self
    }

    /// Connecting sockets: how long everything may take, from the first pass until there is a connection, looking up
    /// names included. `None` leaves it to the system, which may try for minutes. Several addresses share the time.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connect_timeout = timeout.into();
        self
    }

    /// Sockets that are bound here to an IPv6 address: refuses IPv4. Otherwise a socket at `[::]` serves both, whatever
    /// the system's default.
    #[must_use]
    pub fn only_v6(mut self) -> Self {
        self.only_v6 = true;
        self
    }

    /// Datagram sockets: how many (at least one) are received before others have their turn.
    #[must_use]
    pub fn datagrams_per_pass(mut self, most: usize) -> Self {
        self.datagrams_per_pass = most.max(1);
        self
    }

    /// Datagram sockets of UDP: how many, up to 32, one call of the system receives (`recvmmsg`), within the limit of a pass.
    /// One unless this says otherwise.
    ///
    /// With more, fewer calls are made, which pays for sockets whose datagrams come in bursts, and costs a little where they
    /// come alone; but datagrams have then been received that the callback has not got yet. If it pauses or removes the
    /// socket they wait until that is undone, and the socket cannot be taken back
    /// ([`TakeError::Undelivered`](crate::TakeError)); if it invalidates the socket they are lost, as are those that wait in
    /// the system. Each thread keeps room for as many as its sockets ask for, 64 KiB each.
    ///
    /// Other sockets, and a system without the call, receive one by one.
    ///
    /// ```
    /// use socket_source::SocketOptions;
    /// let options = SocketOptions::new().datagrams_per_pass(64).datagrams_per_call(32);
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn datagrams_per_call(mut self, most: usize) -> Self {
        self.datagrams_per_call = most.clamp(1, MOST_PER_CALL);
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

impl fmt::Debug for SocketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketOptions")
            .field("source", &self.source)
            .field("disabled", &self.disabled)
            .field("automatic", &self.automatic)
            .field("marks", &self.marks)
            .finish_non_exhaustive()
    }
}

/// Whether a kind of callback goes on by itself when it has returned.
///
/// Counterpart: `kCFSocketAutomaticallyReenableReadCallBack` and its siblings.
///
/// ```
/// use socket_source::{Callbacks, Reenable, SocketOptions};
/// let options = SocketOptions::new().reenable(Callbacks::READ, Reenable::ByHand);
/// # drop(options);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reenable {
    /// The next one follows as soon as there is a reason for it.
    #[default]
    Automatically,
    /// The kind is disabled before each of its callbacks: [`Socket::enable`](crate::Socket::enable) asks for the next one.
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
    /// It is invalidated, and so closed, when the callback has returned and what waits to be sent has gone.
    #[default]
    Invalidate,
    /// It stays open: the other side may still read. Nothing comes in any more, and it keeps its modes from being empty until
    /// it is removed or invalidated, or our side has ended as well ([`Socket::finish`](crate::Socket::finish)) and everything
    /// is sent. So two sockets that pass on to each other what they get, and finish where the other ends, go by themselves.
    Keep,
}

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1_024;
/// How many connections one pass accepts, so that a flood of them leaves the loop room for others.
const ACCEPTS_PER_PASS: usize = 16;
/// How many datagrams one call can receive.
pub(crate) const MOST_PER_CALL: usize = 32;
/// How many datagrams one pass receives.
const DATAGRAMS_PER_PASS: usize = 16;
/// Where the callback is told that there is room.
const OUTBOX_LOW: usize = 64 * 1_024;
/// Where nothing more is taken to be sent.
const OUTBOX_HIGH: usize = 1_024 * 1_024;
/// Long enough for three attempts of TCP, short enough for somebody who waits.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
