//! How a link is made: where the name is, how long to wait for it, and how large the link is.

use crate::error::OpenError;
use crate::local::LARGEST;
use crate::names::{Directory, PortName};
use crate::remote::RemotePort;
use crate::remote::client::Client;
use crate::remote::connect::connect_within;
use crate::remote::settings::Settings;
use crate::ring::RingSize;
use std::time::Duration;

/// How a remote is to be, for those who want another than [`RemotePort::connect`] makes.
///
/// ```
/// use messageport::{LocalPort, RemoteOptions};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let port = LocalPort::create_in(&directory, "org.example.small", |_| ())?;
/// let options = RemoteOptions::new().in_directory(&directory).ring_bytes(64 << 10);
/// let remote = options.largest_reply(1_000).connect("org.example.small")?;
/// # drop((port, remote));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "these are options of a link that is to be made"]
pub struct RemoteOptions {
    directory: Option<Directory>,
    within: Option<Duration>,
    settings: Settings,
}

impl RemoteOptions {
    /// A link to a port of the user's directory that is there now, with rings of 4 MiB, of which only what is used is in
    /// memory, and replies up to 1 GiB.
    ///
    /// ```
    /// let missing = messageport::RemoteOptions::new().connect("org.example.nobody").unwrap_err();
    /// assert!(missing.is_not_found());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for the name in another directory.
    pub fn in_directory(mut self, directory: &Directory) -> Self {
        self.directory = Some(directory.clone());
        self
    }

    /// Waits so long for the name to appear, as [`RemotePort::connect_within`] does.
    pub fn within(mut self, timeout: Duration) -> Self {
        self.within = Some(timeout);
        self
    }

    /// How much may be on its way in each direction before a sender waits: a power of two from 64 KiB to 8 MiB. Other
    /// sizes are rounded up, or brought into those bounds.
    pub fn ring_bytes(mut self, bytes: u32) -> Self {
        self.settings.ring = RingSize::at_least(bytes);
        self
    }

    /// The largest reply that is taken, in bytes; at most, and unless told otherwise, 1 GiB. A request with a larger one
    /// fails with [`TransportError::TooLarge`](crate::TransportError::TooLarge), and its bytes do not travel.
    pub fn largest_reply(mut self, bytes: u64) -> Self {
        self.settings.largest_reply = bytes.min(LARGEST);
        self
    }

    /// Never looks for a reply again and again for some microseconds before it sleeps. That costs time where the port is
    /// busy on another processor, and spares the processor here.
    pub fn without_spinning(mut self) -> Self {
        self.settings.spinning = false;
        self
    }

    /// Makes the link.
    ///
    /// # Errors
    ///
    /// As [`RemotePort::connect`].
    ///
    /// ```
    /// # use messageport::RemoteOptions;
    /// # use std::time::Duration;
    /// let options = RemoteOptions::new().within(Duration::from_millis(1)).without_spinning();
    /// assert!(options.connect("org.example.never").is_err());
    /// ```
    pub fn connect(self, name: &str) -> Result<RemotePort, OpenError> {
        let directory = match self.directory {
            Some(directory) => directory,
            None => Directory::of_this_user()?,
        };
        let name = PortName::new(name)?;
        let client = match self.within {
            None => Client::connect(&directory, &name, self.settings)?,
            Some(timeout) => connect_within(&directory, &name, timeout, self.settings)?,
        };
        Ok(RemotePort::of(client))
    }
}
