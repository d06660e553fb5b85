//! Remotes: what sends to a port by its name.

mod call;
mod calls;
mod client;
mod connect;
mod waiter;
mod writing;

use crate::error::{OpenError, SendError};
use crate::message::Payload;
use crate::names::{Directory, PortName};
use crate::pidfd::Credentials;
use runloop::Mode;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use client::Client;

/// A link to a port, by whose name it was found.
///
/// It may be used by several threads at once; clones share the link. Each [`connect`](Self::connect) makes a link of its
/// own: messages of one link arrive in the order in which they were sent.
///
/// Counterpart: a `CFMessagePortRef` made by `CFMessagePortCreateRemote`, of which there is one for each name in a process;
/// here nobody can invalidate another's.
///
/// ```
/// use messageport::{LocalPort, RemotePort};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let missing = RemotePort::connect_in(&directory, "org.example.nobody").unwrap_err();
/// assert!(missing.is_not_found());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RemotePort {
    client: Arc<RemoteInner>,
}

impl RemotePort {
    /// Connects to the port of this name in the user's directory.
    ///
    /// The name must be served now; the port need not have run its loop yet. Waits only while more clients are queued at
    /// the port than the system holds, up to five seconds.
    ///
    /// Counterpart: `CFMessagePortCreateRemote`.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: the name cannot be one, nobody serves it, or there is no room.
    ///
    /// ```
    /// # use messageport::RemotePort;
    /// match RemotePort::connect("org.example.clipboard") {
    ///     Ok(remote) => println!("process {:?} serves it", remote.peer().pid),
    ///     Err(error) => println!("{error}"),
    /// }
    /// ```
    pub fn connect(name: &str) -> Result<Self, OpenError> {
        Self::connect_in(&Directory::of_this_user()?, name)
    }

    /// As [`connect`](Self::connect), in another directory.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// ```
    /// # use messageport::{LocalPort, RemotePort};
    /// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
    /// let port = LocalPort::create_in(&directory, "org.example.sink", |_| ())?;
    /// let remote = RemotePort::connect_in(&directory, "org.example.sink")?;
    /// remote.send(7, b"kept until the port is in a loop that runs")?;
    /// # drop(port);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect_in(directory: &Directory, name: &str) -> Result<Self, OpenError> {
        let client = Client::connect(directory, &PortName::new(name)?)?;
        Ok(Self {
            client: Arc::new(RemoteInner(Arc::new(client))),
        })
    }

    /// As [`connect`](Self::connect), but waits for the name to appear if nobody serves it yet. The thread's run loop runs
    /// meanwhile, in a mode that nothing else is in.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); nobody served the name until the time was over.
    ///
    /// ```
    /// # use messageport::RemotePort;
    /// # use std::time::Duration;
    /// let remote = RemotePort::connect_within("org.example.never", Duration::from_millis(1));
    /// assert!(remote.unwrap_err().is_not_found());
    /// ```
    pub fn connect_within(name: &str, timeout: Duration) -> Result<Self, OpenError> {
        Self::connect_within_in(&Directory::of_this_user()?, name, timeout)
    }

    /// As [`connect_within`](Self::connect_within), in another directory.
    ///
    /// # Errors
    ///
    /// As [`connect_within`](Self::connect_within).
    pub fn connect_within_in(
        directory: &Directory,
        name: &str,
        timeout: Duration,
    ) -> Result<Self, OpenError> {
        let client = connect::connect_within(directory, &PortName::new(name)?, timeout)?;
        Ok(Self {
            client: Arc::new(RemoteInner(Arc::new(client))),
        })
    }

    /// Sends a message that wants no reply, with five seconds for it to find room.
    ///
    /// Success means that the message is wholly in the memory of a port that was seen alive a moment ago, not that it has
    /// been handled.
    ///
    /// Counterpart: `CFMessagePortSendRequest` without a reply mode.
    ///
    /// # Errors
    ///
    /// [`SendError`]; unless it is `Ok`, nothing of the message is delivered.
    pub fn send(&self, id: i32, data: &[u8]) -> Result<(), SendError> {
        self.send_with(id, data, Options::new())
    }

    /// As [`send`](Self::send), with a deadline of the caller's.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_with(&self, id: i32, data: &[u8], options: Options) -> Result<(), SendError> {
        self.client.0.send(id, data, options)
    }

    /// Sends a request and waits for its reply: five seconds to find room, then thirty for the reply.
    ///
    /// The thread's run loop runs meanwhile, in a mode that nothing else is in, so nothing else is served; see
    /// [`Options::in_mode`] for the other way.
    ///
    /// Counterpart: `CFMessagePortSendRequest` with a reply mode.
    ///
    /// # Errors
    ///
    /// [`SendError`] says what has become of the request.
    pub fn request(&self, id: i32, data: &[u8]) -> Result<Payload, SendError> {
        self.request_with(id, data, Options::new())
    }

    /// As [`request`](Self::request), with deadlines and a mode of the caller's.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn request_with(
        &self,
        id: i32,
        data: &[u8],
        options: Options,
    ) -> Result<Payload, SendError> {
        self.client.0.request(id, data, options)
    }

    /// The name by which the port was found.
    #[must_use]
    pub fn name(&self) -> &PortName {
        &self.client.0.name
    }

    /// Who serves the port: the process that took the name, as the system saw it when this link was made.
    #[must_use]
    pub fn peer(&self) -> Credentials {
        self.client.0.link.peer().credentials()
    }

    /// Whether the port is still there, as far as the system can tell now, and this remote has not been invalidated.
    ///
    /// Counterpart: `CFMessagePortIsValid`.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.client.0.check()
    }

    /// How many replies came after their request had given up waiting. They are dropped.
    #[must_use]
    pub fn late_replies(&self) -> u64 {
        self.client.0.late_replies()
    }

    /// Ends the link, from any thread. Calls that are waiting on it fail at once with [`SendError::BecameInvalid`]; clones
    /// of this remote are invalid too. Doing it again changes nothing.
    ///
    /// Counterpart: `CFMessagePortInvalidate`.
    pub fn invalidate(&self) {
        self.client.0.invalidate();
    }
}

impl PartialEq for RemotePort {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
    }
}

impl Eq for RemotePort {}

impl Hash for RemotePort {
    fn hash<S: Hasher>(&self, state: &mut S) {
        Arc::as_ptr(&self.client).hash(state);
    }
}

impl fmt::Debug for RemotePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePort")
            .field("name", self.name())
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}

/// What the clones of a remote share; the link ends with it.
struct RemoteInner(Arc<Client>);

impl Drop for RemoteInner {
    fn drop(&mut self) {
        self.0.invalidate();
    }
}

/// How long a call may take, and in which mode it waits.
///
/// ```
/// use messageport::Options;
/// use std::time::Duration;
/// let patient = Options::new().reply_timeout(Duration::from_secs(600));
/// # drop(patient);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) reply_timeout: Option<Duration>,
    pub(crate) mode: Option<Mode>,
}

impl Options {
    /// Five seconds to find room, thirty more for the reply, in a mode that nothing else is in.
    ///
    /// ```
    /// let options = messageport::Options::new();
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            send_timeout: Some(SEND_TIMEOUT),
            reply_timeout: Some(REPLY_TIMEOUT),
            mode: None,
        }
    }

    /// How long the message may wait for room. Zero: it must have room now. Enormous times are no limit.
    #[must_use]
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.send_timeout = Some(timeout);
        self
    }

    /// How long to wait for the reply, from the moment that the request is wholly sent. Zero: one look.
    #[must_use]
    pub fn reply_timeout(mut self, timeout: Duration) -> Self {
        self.reply_timeout = Some(timeout);
        self
    }

    /// No limit at all: the call returns when it has succeeded, or the port is gone.
    #[must_use]
    pub fn wait_for_ever(mut self) -> Self {
        self.send_timeout = None;
        self.reply_timeout = None;
        self
    }

    /// Waits in this mode, whose other sources are served meanwhile: timers, ports, anything; what they call may send
    /// requests in turn.
    ///
    /// Two processes that send each other requests at the same time answer each other this way.
    #[must_use]
    pub fn in_mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

const SEND_TIMEOUT: Duration = Duration::from_secs(5);
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
