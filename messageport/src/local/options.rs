//! How a port is made: its name and where that is, its place among sources, and where its handler may run.

use crate::error::{CreateError, NotCreated, RenameError};
use crate::hub::Hub;
use crate::local::core::Equipment;
use crate::local::handler::{Release, Serve, Slot, bind};
use crate::local::limits::{LARGEST, Limits};
use crate::local::serving::Serving;
use crate::local::source::PortSource;
use crate::local::{LocalPort, Message, PortCore, PortInner, neighbours};
use crate::message::Reply;
use crate::names::{ClaimId, Directory, PortName};
use crate::pidfd::Credentials;
use runloop::{RunLoop, SourceOptions, SourceRef};
use std::sync::{Arc, Weak};

/// How a port is to be, for those who want another than [`LocalPort::create`] makes.
///
/// ```
/// use messageport::{LocalPort, PortOptions};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// // Nobody can reach this one until it has a name, and then it comes before others in its loop.
/// let port = PortOptions::new().in_directory(&directory).order(-1).create(|_| "ready")?;
/// assert_eq!(port.name(), None);
/// port.rename("org.example.late")?;
/// assert_eq!(port.name().unwrap().as_str(), "org.example.late");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "these are options of a port that is to be created"]
pub struct PortOptions {
    name: Option<String>,
    directory: Option<Directory>,
    order: i32,
    limits: Limits,
}

impl PortOptions {
    /// A port without a name, of order 0; names are those of the user's directory.
    ///
    /// ```
    /// # use messageport::PortOptions;
    /// let port = PortOptions::new().create(|_| ())?;
    /// assert!(port.is_valid());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// The name it has from the beginning. Without one it can be [named](LocalPort::rename) later.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Where its names are, now and later.
    pub fn in_directory(mut self, directory: &Directory) -> Self {
        self.directory = Some(directory.clone());
        self
    }

    /// Its place among sources that are ready in the same phase of a pass: lower ones come first.
    ///
    /// Counterpart: the order that `CFMessagePortCreateRunLoopSource` takes and ignores.
    pub fn order(mut self, order: i32) -> Self {
        self.order = order;
        self
    }

    /// The largest message it takes, in bytes; at most, and unless told otherwise, 1 GiB. A larger one is refused before it
    /// is sent where the client knows the limit, and otherwise dropped as it arrives.
    pub fn largest_message(mut self, bytes: u64) -> Self {
        self.limits.largest = bytes.clamp(1, LARGEST);
        self
    }

    /// How many clients it takes; 4,096 unless told otherwise. More are refused with
    /// [`Refusal::Limit`](crate::Refusal::Limit).
    pub fn clients(mut self, most: usize) -> Self {
        self.limits.clients = most;
        self
    }

    /// How many clients of one user it takes; as many as of all users unless told otherwise.
    pub fn clients_per_user(mut self, most: usize) -> Self {
        self.limits.clients_per_user = most;
        self
    }

    /// How many requests of one client may be without a reply, 256 unless told otherwise and at least one. What follows
    /// them waits.
    pub fn requests_per_client(mut self, most: usize) -> Self {
        self.limits.requests_per_client = most.max(1);
        self
    }

    /// Never looks for messages again and again for some microseconds before it sleeps. That costs time where a client is
    /// busy on another processor, and spares the processor here.
    pub fn without_spinning(mut self) -> Self {
        self.limits.spinning = false;
        self
    }

    /// Who is let in, by process, user and group, in place of this user alone. Others are refused with
    /// [`Refusal::Policy`](crate::Refusal::Policy).
    ///
    /// Other users come only to ports in a directory that was [opened](Directory::open) for them, with a mode that lets
    /// them through. It is asked once for each client, where the port is served. Process ids are for display: by the time
    /// they are looked up they may be somebody else's.
    ///
    /// ```no_run
    /// use messageport::{Directory, PortOptions};
    ///
    /// const OPERATORS: u32 = 1_042;
    /// let everybodys = Directory::open("/run/org.example.service")?;
    /// let options = PortOptions::new().in_directory(&everybodys).name("org.example.control");
    /// let port = options
    ///     .admit(|client| client.uid == 0 || client.gid == OPERATORS)
    ///     .create(|message| format!("hello, user {}", message.sender().uid))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn admit(mut self, policy: impl Fn(&Credentials) -> bool + Send + Sync + 'static) -> Self {
        self.limits.policy = Some(Arc::new(policy));
        self
    }

    /// A port whose handler stays on this thread; so does the port's source, while the port may go anywhere.
    ///
    /// # Errors
    ///
    /// As [`LocalPort::create`].
    ///
    /// ```
    /// # use messageport::PortOptions;
    /// let port = PortOptions::new().order(7).create(|message| message.data().to_vec())?;
    /// # drop(port);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create<H, R>(self, handler: H) -> Result<LocalPort, NotCreated<H>>
    where
        H: Fn(Message) -> R + 'static,
        R: Into<Reply> + 'static,
    {
        let made = match self.make() {
            Ok(made) => made,
            Err(error) => return Err(NotCreated { error, handler }),
        };
        let options = self.source_options();
        Ok(made.finish(|core, inner| {
            let slot = Arc::new(Slot::new(handler));
            let release = Box::new(bind(&slot));
            let serving = Serving::new(Arc::clone(core), inner.clone(), slot);
            let source = PortSource::new(Arc::new(serving));
            let source = RunLoop::current().adopt(&SourceRef::with(options, source));
            core.equip(Equipment {
                source: source.clone(),
                home: Some(std::thread::current().id()),
                release,
                serve: None,
            });
            PortInner {
                core: Arc::clone(core),
                source,
                shared: None,
            }
        }))
    }

    /// A port whose handler may be called on any thread, as [`LocalPort::create_shared`] makes one.
    ///
    /// # Errors
    ///
    /// As [`LocalPort::create`].
    ///
    /// ```
    /// # use messageport::PortOptions;
    /// let port = PortOptions::new().create_shared(|message| message.data().to_vec())?;
    /// # drop(port);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_shared<H, R>(self, handler: H) -> Result<LocalPort, NotCreated<H>>
    where
        H: Fn(Message) -> R + Send + Sync + 'static,
        R: Into<Reply> + 'static,
    {
        let made = match self.make() {
            Ok(made) => made,
            Err(error) => return Err(NotCreated { error, handler }),
        };
        let options = self.source_options();
        Ok(made.finish(|core, inner| {
            let slot = Arc::new(Slot::new(handler));
            let released = Arc::clone(&slot);
            let serving = Arc::new(Serving::new(Arc::clone(core), inner.clone(), slot));
            let serve: Weak<dyn Serve + Send + Sync> = Arc::<Serving<H>>::downgrade(&serving);
            let source = PortSource::new(serving);
            let source = SourceRef::with(options, source);
            core.equip(Equipment {
                source: source.handle().clone(),
                home: None,
                release: Box::new(move || released.release()),
                serve: Some(serve),
            });
            PortInner {
                core: Arc::clone(core),
                source: source.handle().clone(),
                shared: Some(Box::new(source)),
            }
        }))
    }

    fn source_options(&self) -> SourceOptions {
        let options = SourceOptions::new().order(self.order).reentrant();
        options.name(self.name.as_deref().unwrap_or(UNNAMED))
    }

    /// Takes the name, if there is to be one, and what a port needs of the system.
    fn make(&self) -> Result<Made, CreateError> {
        let name = self.name.as_deref().map(PortName::new).transpose()?;
        let hub = Hub::new().map_err(CreateError::System)?;
        let bells = Hub::new().map_err(CreateError::System)?;
        let label = self.name.as_deref().unwrap_or(UNNAMED);
        let core = PortCore::new(
            self.directory.clone(),
            [hub, bells],
            label,
            self.limits.clone(),
        );
        let named = name.map(|name| core.rename(&name)).transpose();
        let id = named.map_err(|error| match error {
            RenameError::Name(error) => error.into(),
            RenameError::Directory(error) => error.into(),
            RenameError::Claim(error) => error.into(),
            RenameError::System(error) => CreateError::System(error),
            RenameError::Invalid => CreateError::System(std::io::ErrorKind::Other.into()),
        })?;
        Ok(Made {
            core: Arc::new(core),
            id,
        })
    }
}

/// A port without its source.
struct Made {
    core: Arc<PortCore>,
    /// The number of its name.
    id: Option<ClaimId>,
}

impl Made {
    fn finish(
        self,
        inner: impl FnOnce(&Arc<PortCore>, &Weak<PortInner>) -> PortInner,
    ) -> LocalPort {
        let inner = Arc::new_cyclic(|weak| inner(&self.core, weak));
        if let Some(id) = self.id {
            neighbours::add(id, &inner);
        }
        LocalPort::of(inner)
    }
}

/// What a port is called in traces that was created without a name.
const UNNAMED: &str = "a port without a name";
