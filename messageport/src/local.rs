//! Local ports: a name, and a handler that answers what is sent to it.

mod answering;
mod attention;
mod connection;
mod core;
mod dispatching;
mod doorkeeper;
mod ending;
mod events;
mod farewell;
mod handler;
mod limits;
mod message;
mod neighbours;
mod options;
mod outbox;
mod places;
mod requests;
mod responder;
mod serving;
mod source;

use crate::error::{NotCreated, QueueError, RenameError};
use crate::message::Reply;
use crate::names::{Directory, PortName};
use crate::queue::Queue;
use crate::statistics::Statistics;
use runloop::{AsSource, SourceHandle, SourceValue};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub(crate) use self::core::PortCore;
pub use message::Message;
pub use options::PortOptions;
pub use responder::{NotReplied, ReplyError, Responder};

pub(crate) use limits::LARGEST;
pub(crate) use neighbours::find as find_neighbour;

/// A port of this process: what is sent to its name from anywhere on the machine comes to its handler.
///
/// The name is taken from the moment the port is created: what is sent before the port is in a run loop waits, and is
/// delivered when it is. Add it to a loop as any source. The port lives until it is [invalidated](Self::invalidate) or
/// its last clone is dropped; its name is free at once then, and also when the process is killed. Clones are the same
/// port: they are equal, and nothing else is.
///
/// # The handler
///
/// It is `Fn`, because a handler that runs the loop can be called again meanwhile. State that changes lives in a `Cell`
/// or `RefCell` for [`create`](Self::create), whose handler stays on its thread, and in an atomic or a `Mutex` for
/// [`create_shared`](Self::create_shared). Borrow it for as long as it is looked at, not while the loop runs or another
/// request is made:
///
/// ```
/// # use messageport::{LocalPort, Message};
/// # use std::cell::RefCell;
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let lines = RefCell::new(Vec::new());
/// let port = LocalPort::create_in(&directory, "org.example.lines", move |message: Message| {
///     lines.borrow_mut().push(message.into_payload());
///     format!("{} lines", lines.borrow().len())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Counterpart: a `CFMessagePortRef` made by `CFMessagePortCreateLocal`, with its run-loop source.
///
/// ```
/// use messageport::{LocalPort, RemotePort};
/// use runloop::{Mode, RunLoop};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let port = LocalPort::create_in(&directory, "org.example.echo", |message| message.data().to_vec())?;
/// let run_loop = RunLoop::current();
/// run_loop.add(&port, Mode::DEFAULT)?;
///
/// let main = run_loop.handle();
/// let client = std::thread::spawn(move || {
///     let remote = RemotePort::connect_in(&directory, "org.example.echo").unwrap();
///     let reply = remote.request(1, b"hello").unwrap();
///     assert_eq!(&reply[..], b"hello");
///     main.stop()
/// });
/// let _stopped = run_loop.run()?;
/// # client.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LocalPort {
    inner: Arc<PortInner>,
}

impl LocalPort {
    /// A port of this name in the user's directory, served by this thread's loop once it is added to it.
    ///
    /// # Errors
    ///
    /// [`NotCreated`], with the handler: the name cannot be one, or is taken (by which process, if that can be told), or
    /// the directory cannot be used.
    ///
    /// ```
    /// # use messageport::LocalPort;
    /// match LocalPort::create("org.example.clipboard", |message| message.data().to_vec()) {
    ///     Ok(port) => println!("serving {:?}", port.name()),
    ///     Err(refused) => println!("{}", refused.error),
    /// }
    /// ```
    pub fn create<H, R>(name: &str, handler: H) -> Result<Self, NotCreated<H>>
    where
        H: Fn(Message) -> R + 'static,
        R: Into<Reply> + 'static,
    {
        PortOptions::new().name(name).create(handler)
    }

    /// As [`create`](Self::create), in another directory.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    ///
    /// ```
    /// # use messageport::LocalPort;
    /// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
    /// let port = LocalPort::create_in(&directory, "org.example.counter", |_| "42")?;
    /// assert_eq!(port.name().unwrap().as_str(), "org.example.counter");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_in<H, R>(
        directory: &Directory,
        name: &str,
        handler: H,
    ) -> Result<Self, NotCreated<H>>
    where
        H: Fn(Message) -> R + 'static,
        R: Into<Reply> + 'static,
    {
        PortOptions::new()
            .in_directory(directory)
            .name(name)
            .create(handler)
    }

    /// A port of this name in the user's directory, whose handler may be called on any thread.
    ///
    /// Such a port can be in the loops of several threads: each message is delivered once, on whichever thread takes it,
    /// so that handlers may run at the same time for different messages. Nothing is served until it is in a loop.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    ///
    /// ```
    /// use messageport::{Directory, LocalPort, RemotePort};
    /// use runloop::{Mode, RunLoop};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
    /// # let (create_shared, connect) = (|name, handler| messageport::PortOptions::new().in_directory(&directory).name(name).create_shared(handler), |name| RemotePort::connect_in(&directory, name));
    /// # /*
    /// use LocalPort::create_shared; use RemotePort::connect;
    /// # */
    /// let served = AtomicU64::new(0);
    /// let port = create_shared("org.example.count", move |_| {
    ///     (served.fetch_add(1, Ordering::Relaxed) + 1).to_string()
    /// })?;
    /// let (ready, started) = std::sync::mpsc::channel();
    /// let elsewhere = port.clone();
    /// let worker = std::thread::spawn(move || {
    ///     let run_loop = RunLoop::current();
    ///     run_loop.add(&elsewhere, Mode::DEFAULT).expect("it may be in any loop");
    ///     ready.send(run_loop.handle()).expect("somebody waits for it");
    ///     run_loop.run().map(drop)
    /// });
    /// let worker_loop = started.recv()?;
    /// assert_eq!(&connect("org.example.count")?.request(1, b"")?[..], b"1");
    /// worker_loop.stop()?;
    /// worker.join().expect("it does not panic")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_shared<H, R>(name: &str, handler: H) -> Result<Self, NotCreated<H>>
    where
        H: Fn(Message) -> R + Send + Sync + 'static,
        R: Into<Reply> + 'static,
    {
        PortOptions::new().name(name).create_shared(handler)
    }

    /// The port of this process that has this name in the user's directory.
    ///
    /// Counterpart: what `CFMessagePortCreateLocal` returns for a name that the process has already.
    ///
    /// ```
    /// # use messageport::LocalPort;
    /// assert!(LocalPort::find("org.example.not-ours").is_none());
    /// ```
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::find_in(&Directory::of_this_user().ok()?, name)
    }

    /// As [`find`](Self::find), in another directory.
    ///
    /// ```
    /// # use messageport::LocalPort;
    /// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
    /// let port = LocalPort::create_in(&directory, "org.example.only", |_| ())?;
    /// assert_eq!(LocalPort::find_in(&directory, "org.example.only"), Some(port));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn find_in(directory: &Directory, name: &str) -> Option<Self> {
        let inner = neighbours::find_port(directory, &PortName::new(name).ok()?)?;
        Some(Self { inner })
    }

    /// The name it has now, or had when it became invalid; none if it never had one.
    ///
    /// Counterpart: `CFMessagePortGetName`.
    #[must_use]
    pub fn name(&self) -> Option<PortName> {
        self.inner.core.name()
    }

    /// Takes another name in place of the one it has, in one step: links, what waits on them and the source stay as they
    /// are, and the old name is free. Taking the name it has changes nothing. A port that had no name can be reached from
    /// then on.
    ///
    /// Counterpart: `CFMessagePortSetName`, which cuts off everybody who is connected.
    ///
    /// # Errors
    ///
    /// [`RenameError`]; the port has its old name then.
    pub fn rename(&self, name: &str) -> Result<(), RenameError> {
        let id = self.inner.core.rename(&PortName::new(name)?)?;
        neighbours::add(id, &self.inner);
        Ok(())
    }

    /// Whether it takes messages (`CFMessagePortIsValid`).
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.inner.core.is_valid()
    }

    /// Ends the port, from any thread. Doing it again changes nothing.
    ///
    /// In this order: the port is invalid; its name is free; the invalidation callback is called, here; the handler is
    /// dropped, if this is its thread; the source leaves its loops; clients are told, and their requests fail at once. A
    /// handler that is running is dropped when it has returned, and its reply still goes out.
    ///
    /// Counterpart: `CFMessagePortInvalidate`.
    pub fn invalidate(&self) {
        self.inner.core.invalidate();
    }

    /// Sets what is called once when the port becomes invalid, in place of what was set before. On a port that is invalid
    /// it is called at once.
    ///
    /// Counterpart: `CFMessagePortSetInvalidationCallBack`.
    pub fn on_invalidation(&self, callback: impl FnOnce() + Send + 'static) {
        if let Some(callback) = self
            .inner
            .core
            .set_invalidation_callback(Box::new(callback))
        {
            callback();
        }
    }

    /// What this port has done so far for all its clients: messages, bells, system calls.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.inner.core.counters.read()
    }

    /// Has the handler called on a queue instead of in a run loop, in place of the queue before: one message at a time, in
    /// order, with as much waiting as the links hold and no more.
    ///
    /// For a port that was [created](Self::create_shared) with a handler for any thread and is in no loop.
    ///
    /// Counterpart: `CFMessagePortSetDispatchQueue`, whose queue fills without bound.
    ///
    /// # Errors
    ///
    /// [`QueueError`]; nothing has changed.
    ///
    /// ```
    /// use messageport::{PortOptions, RemotePort};
    /// use runloop::RunLoop;
    ///
    /// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
    /// // The loop of this thread as a queue: what libdispatch calls the main queue, on the main thread.
    /// let run_loop = RunLoop::current();
    /// let options = PortOptions::new().in_directory(&directory).name("org.example.main-queue");
    /// let main = run_loop.handle();
    /// let port = options.create_shared(move |_| main.stop().is_ok().to_string())?;
    /// port.set_dispatch_queue(run_loop.handle())?;
    /// RemotePort::connect_in(&directory, "org.example.main-queue")?.send(1, b"stop")?;
    /// let outcome = run_loop.wait_in_mode(runloop::Mode::DEFAULT, runloop::Limit::Never, runloop::ReturnAfter::Limit)?;
    /// assert_eq!(outcome, runloop::Outcome::Stopped);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_dispatch_queue(&self, queue: impl Queue) -> Result<(), QueueError> {
        self.inner.core.set_queue(Box::new(queue))
    }

    /// Has the handler called on no queue any more; says whether it was. One that is running goes on; messages wait for a
    /// loop or another queue.
    ///
    /// Counterpart: `CFMessagePortSetDispatchQueue` without a queue.
    pub fn clear_dispatch_queue(&self) -> bool {
        self.inner.core.clear_queue(None)
    }

    pub(crate) fn core(&self) -> &Arc<PortCore> {
        &self.inner.core
    }

    pub(crate) fn of(inner: Arc<PortInner>) -> Self {
        Self { inner }
    }
}

impl AsSource for LocalPort {
    fn as_source(&self) -> &SourceHandle {
        &self.inner.source
    }

    fn value(&self) -> Option<SourceValue> {
        self.inner.shared.as_ref()?.value()
    }
}

impl PartialEq for LocalPort {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for LocalPort {}

impl Hash for LocalPort {
    fn hash<S: Hasher>(&self, state: &mut S) {
        Arc::as_ptr(&self.inner).hash(state);
    }
}

impl fmt::Debug for LocalPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalPort")
            .field("name", &self.name())
            .field("valid", &self.is_valid())
            .finish_non_exhaustive()
    }
}

/// What the clones of a port share; the port ends with it.
pub(crate) struct PortInner {
    core: Arc<PortCore>,
    source: SourceHandle,
    /// The source itself, if it may be in the loops of any threads.
    shared: Option<Box<dyn AsSource + Send + Sync>>,
}

impl PortInner {
    pub(crate) fn core(&self) -> &Arc<PortCore> {
        &self.core
    }
}

impl Drop for PortInner {
    fn drop(&mut self) {
        self.core.invalidate();
    }
}
