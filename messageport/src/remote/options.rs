//! How long a call may take, and in which mode it waits.

use runloop::Mode;
use std::time::Duration;

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
