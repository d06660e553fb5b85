//! Local ports: a name, and a handler that answers what is sent to it.

mod attention;
mod connection;
mod core;
mod doorkeeper;
mod farewell;
mod message;
mod neighbours;
mod source;

use crate::error::{CreateError, NotCreated, RenameError};
use crate::hub::Hub;
use crate::message::Reply;
use crate::names::{Claim, Directory, PortName};
use runloop::{AsSource, RunLoop, SourceHandle, SourceOptions, SourceRef};
use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;

pub(crate) use self::core::PortCore;
pub use message::Message;

use doorkeeper::DOOR;
pub(crate) use doorkeeper::LARGEST;
pub(crate) use neighbours::find as find_neighbour;
use source::PortSource;

/// A named port of this process: what is sent to its name from anywhere on the machine comes to its handler.
///
/// The name is taken from the moment the port is created: what is sent before the port is in a run loop waits, and is
/// delivered when it is. Add it to a loop as any source. The port lives until it is [invalidated](Self::invalidate) or
/// its last clone is dropped; its name is free at once then, and also when the process is killed.
///
/// The handler is `Fn`, because a handler that runs the loop can be called again meanwhile; state that changes lives in a
/// `Cell` or `RefCell`. It stays on the thread that creates the port; the port itself may go anywhere.
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
    ///     Ok(port) => println!("serving {}", port.name()),
    ///     Err(refused) => println!("{}", refused.error),
    /// }
    /// ```
    pub fn create<H, R>(name: &str, handler: H) -> Result<Self, NotCreated<H>>
    where
        H: Fn(&Message) -> R + 'static,
        R: Into<Reply> + 'static,
    {
        match Directory::of_this_user() {
            Ok(directory) => Self::create_in(&directory, name, handler),
            Err(error) => Err(NotCreated {
                error: error.into(),
                handler,
            }),
        }
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
    /// assert_eq!(port.name().as_str(), "org.example.counter");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_in<H, R>(
        directory: &Directory,
        name: &str,
        handler: H,
    ) -> Result<Self, NotCreated<H>>
    where
        H: Fn(&Message) -> R + 'static,
        R: Into<Reply> + 'static,
    {
        let core = match claim(directory, name) {
            Ok(core) => Arc::new(core),
            Err(error) => return Err(NotCreated { error, handler }),
        };
        let inner = Arc::new_cyclic(|inner| {
            let source = PortSource::new(Arc::clone(&core), inner.clone(), handler);
            let options = SourceOptions::new().name(name).reentrant();
            let source = RunLoop::current().adopt(&SourceRef::with(options, source));
            core.set_source(source.clone());
            PortInner { core, source }
        });
        neighbours::add(&inner.core);
        Ok(Self { inner })
    }

    /// The name it has now, or had when it became invalid.
    ///
    /// Counterpart: `CFMessagePortGetName`.
    #[must_use]
    pub fn name(&self) -> PortName {
        self.inner.core.name()
    }

    /// Takes another name in place of the one it has, in one step: links, what waits on them and the source stay as they
    /// are, and the old name is free. Taking the name it has changes nothing.
    ///
    /// Counterpart: `CFMessagePortSetName`, which cuts off everybody who is connected.
    ///
    /// # Errors
    ///
    /// [`RenameError`]; the port has its old name then.
    pub fn rename(&self, name: &str) -> Result<(), RenameError> {
        self.inner.core.rename(&PortName::new(name)?)
    }

    /// Whether it takes messages (`CFMessagePortIsValid`).
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.inner.core.is_valid()
    }

    /// Ends the port, from any thread. Doing it again changes nothing.
    ///
    /// In this order: the name is free; the invalidation callback is called, here; the source leaves its loops; clients
    /// are told, and their requests fail at once. A reply that is being made still goes out.
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

    pub(crate) fn of(inner: Arc<PortInner>) -> Self {
        Self { inner }
    }
}

impl AsSource for LocalPort {
    fn as_source(&self) -> &SourceHandle {
        &self.inner.source
    }
}

impl PartialEq for LocalPort {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for LocalPort {}

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
}

impl Drop for PortInner {
    fn drop(&mut self) {
        self.core.invalidate();
    }
}

/// Takes a name and what a port needs.
fn claim(directory: &Directory, name: &str) -> Result<PortCore, CreateError> {
    let name = PortName::new(name)?;
    let hub = Hub::new().map_err(CreateError::System)?;
    let bells = Hub::new().map_err(CreateError::System)?;
    let claim = Claim::new(directory, &name)?;
    hub.add_level(claim.listener().as_fd(), DOOR)
        .map_err(CreateError::System)?;
    Ok(PortCore::new(name, claim, [hub, bells]))
}
