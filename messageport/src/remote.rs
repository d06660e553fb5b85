//! Remotes: what sends to a port by its name.

mod call;
mod calls;
mod client;
mod connect;
mod connecting;
mod deadline;
mod ending;
mod options;
mod passing;
mod settings;
mod waiter;
mod watcher;
mod writing;

use crate::background;
use crate::error::{OpenError, QueueError, SendError};
use crate::message::Payload;
use crate::names::{Directory, PortName};
use crate::pidfd::Credentials;
use crate::queue::Queue;
use crate::statistics::Statistics;
use runloop::{AsSource, Mode, SourceHandle, SourceOptions, SourceRef, SourceValue};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

pub use connecting::RemoteOptions;
pub use options::Options;

use client::Client;
use watcher::Watcher;

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
    inner: Arc<RemoteInner>,
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
        RemoteOptions::new().in_directory(directory).connect(name)
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
        let options = RemoteOptions::new().in_directory(directory);
        options.within(timeout).connect(name)
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
        let sent = self.client().send(id, data, &[], options);
        self.client().tell_here();
        sent
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
        let answer = self.client().request(id, data, &[], options);
        self.client().tell_here();
        answer.map(|(payload, _)| payload)
    }

    /// The name by which the port was found.
    #[must_use]
    pub fn name(&self) -> &PortName {
        &self.client().name
    }

    /// Who serves the port: the process that took the name, as the system saw it when this link was made.
    #[must_use]
    pub fn peer(&self) -> Credentials {
        self.client().link.peer().credentials()
    }

    /// Whether the port is still there, as far as the system can tell now, and this remote has not been invalidated.
    ///
    /// Asks the system, and if the port turns out to be gone, the remote ends: the [callback](Self::on_invalidation) is
    /// called in here if the remote is in no loop.
    ///
    /// Counterpart: `CFMessagePortIsValid`.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let valid = self.client().check();
        self.client().tell_here();
        valid
    }

    /// How many replies came after their request had given up waiting. They are dropped.
    #[must_use]
    pub fn late_replies(&self) -> u64 {
        self.client().late_replies()
    }

    /// What this remote and its clones have done so far: messages, bells, system calls.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.client().link.counters().read()
    }

    /// Ends the link, from any thread. Calls that are waiting on it fail at once with [`SendError::BecameInvalid`]; clones
    /// of this remote are invalid too. Doing it again changes nothing.
    ///
    /// In this order: the remote is invalid, those who wait are woken, the callback is called, here, and the remote
    /// leaves its loops.
    ///
    /// Counterpart: `CFMessagePortInvalidate`.
    pub fn invalidate(&self) {
        self.client().invalidate();
    }

    /// Sets what is called once when the remote becomes invalid, in place of what was set before: because its port has
    /// gone, or it was invalidated, or its last clone is dropped. On a remote that is invalid it is called at once, here.
    ///
    /// [`invalidate`](Self::invalidate) calls it on its own thread. When the port goes away, it is called in the run loop
    /// that the remote is in, at once if that runs; a remote in no loop notices in the next call on any of its clones,
    /// which calls it before it returns. It should not hold the remote itself, which would live for as long.
    ///
    /// Counterpart: `CFMessagePortSetInvalidationCallBack`, whose callback for a dead peer comes on the main thread or
    /// not at all.
    ///
    /// ```
    /// use messageport::{LocalPort, RemotePort};
    /// use runloop::{Mode, RunLoop};
    ///
    /// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
    /// let port = LocalPort::create_in(&directory, "org.example.service", |_| ())?;
    /// let remote = RemotePort::connect_in(&directory, "org.example.service")?;
    /// let run_loop = RunLoop::current();
    /// let main = run_loop.handle();
    /// remote.on_invalidation(move || main.stop().expect("the loop runs"));
    /// run_loop.add(&remote, Mode::DEFAULT)?;
    /// port.invalidate();
    /// let _stopped = run_loop.run()?;
    /// assert!(!remote.is_valid());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_invalidation(&self, callback: impl FnOnce() + Send + 'static) {
        if let Some(callback) = self.client().set_callback(Box::new(callback)) {
            return callback();
        }
        // The port may be gone without anybody having noticed.
        let _noticed = self.is_valid();
    }

    /// Has the [callback](Self::on_invalidation) called on a queue when the port goes away, in place of the queue before.
    /// For a remote that is in no loop.
    ///
    /// # Errors
    ///
    /// [`QueueError`]; nothing has changed.
    pub fn set_dispatch_queue(&self, queue: impl Queue) -> Result<(), QueueError> {
        let background = background::run_loop().map_err(QueueError::System)?;
        self.client().set_queue(Box::new(queue))?;
        if background.add(self.inner.watcher(), Mode::DEFAULT).is_err() {
            self.client().clear_queue();
            let busy = io::Error::from(io::ErrorKind::ResourceBusy);
            return Err(QueueError::System(busy));
        }
        Ok(())
    }

    /// Has the callback called on no queue any more; says whether it was to be.
    pub fn clear_dispatch_queue(&self) -> bool {
        let cleared = self.client().clear_queue();
        if let (true, Ok(background)) = (cleared, background::run_loop()) {
            let (watcher, client) = (self.inner.watcher().clone(), Arc::clone(self.client()));
            // A loop that takes nothing is gone with all that was in it.
            drop(background.perform(Mode::DEFAULT, move |run_loop| {
                // Another queue may have been set since.
                if !client.has_queue() {
                    run_loop.remove(&watcher, Mode::DEFAULT);
                }
            }));
        }
        cleared
    }

    fn of(client: Client) -> Self {
        Self {
            inner: Arc::new(RemoteInner::new(client)),
        }
    }

    fn client(&self) -> &Arc<Client> {
        &self.inner.client
    }
}

/// In a loop, a remote hears at once when its port goes away.
impl AsSource for RemotePort {
    fn as_source(&self) -> &SourceHandle {
        self.inner.watcher().handle()
    }

    fn value(&self) -> Option<SourceValue> {
        self.inner.watcher().value()
    }
}

impl PartialEq for RemotePort {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for RemotePort {}

impl Hash for RemotePort {
    fn hash<S: Hasher>(&self, state: &mut S) {
        Arc::as_ptr(&self.inner).hash(state);
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
struct RemoteInner {
    client: Arc<Client>,
    /// For loops, from the first time on that somebody asks.
    watcher: OnceLock<SourceRef<Watcher>>,
}

impl RemoteInner {
    fn new(client: Client) -> Self {
        Self {
            client: Arc::new(client),
            watcher: OnceLock::new(),
        }
    }

    fn watcher(&self) -> &SourceRef<Watcher> {
        self.watcher.get_or_init(|| {
            let options = SourceOptions::new().name(self.client.name.as_str());
            let watcher = Watcher::new(Arc::clone(&self.client));
            let watcher = SourceRef::with(options.reentrant(), watcher);
            self.client.set_watcher(watcher.handle().clone());
            watcher
        })
    }
}

impl Drop for RemoteInner {
    fn drop(&mut self) {
        self.client.invalidate();
    }
}

#[cfg(test)]
mod tests;
