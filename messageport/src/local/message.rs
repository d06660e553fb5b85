//! A message, as the handler of a port sees it.

use crate::local::LocalPort;
use crate::message::Payload;
use crate::pidfd::Credentials;

/// A message, as the handler of a port sees it.
///
/// It is the handler's to keep, or to give to another thread. Counterpart: the arguments of `CFMessagePortCallBack`.
///
/// ```
/// use messageport::{LocalPort, Message, Reply};
///
/// fn answer(message: Message) -> Reply {
///     match message.id() {
///         0 => Reply::empty(),
///         _ => format!("{} bytes", message.data().len()).into(),
///     }
/// }
/// # drop(answer);
/// ```
#[derive(Debug)]
pub struct Message {
    pub(crate) id: i32,
    pub(crate) payload: Payload,
    pub(crate) wants_reply: bool,
    pub(crate) sender: Credentials,
    pub(crate) port: LocalPort,
}

impl Message {
    /// The number by which the sender says what it wants: any 32-bit number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The bytes. A message without any has an empty slice.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.payload
    }

    /// Whether the sender waits for a reply. What a handler returns for a message that wants none is dropped.
    #[must_use]
    pub fn wants_reply(&self) -> bool {
        self.wants_reply
    }

    /// Who sent it: the process that connected, as the system saw it then.
    #[must_use]
    pub fn sender(&self) -> Credentials {
        self.sender
    }

    /// The port it came to.
    #[must_use]
    pub fn port(&self) -> &LocalPort {
        &self.port
    }

    /// The bytes, to keep.
    #[must_use]
    pub fn into_payload(self) -> Payload {
        self.payload
    }
}
