//! What travels: bytes, and replies as a handler gives them.

use crate::transfer::{self, Descriptors};
use bytes::Bytes;
use std::fmt;
use std::ops::Deref;
use std::os::fd::OwnedFd;

/// The bytes of a message or a reply: up to 64 of them without an allocation.
///
/// ```
/// use messageport::Payload;
/// let payload = Payload::from(&b"text"[..]);
/// assert_eq!(&payload[..], b"text");
/// assert_eq!(payload.into_vec(), b"text");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload(pub(crate) transfer::Payload);

impl Payload {
    /// The bytes as a vector; those of a large message are not copied.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0.into_vec()
    }

    /// The bytes in a form that is cheap to share; those of a large message are not copied.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.0.spilled() {
            Bytes::from(self.0.into_vec())
        } else {
            Bytes::copy_from_slice(&self.0)
        }
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self(transfer::Payload::from_slice(bytes))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

/// What a handler answers to a request.
///
/// Made from nothing, bytes or text by `into()`; a handler may return any of these directly. An absent answer is an empty
/// one, as with `CFMessagePort`. A handler that answers [later](crate::Responder) may return anything.
///
/// ```
/// use messageport::Reply;
/// let replies: [Reply; 4] = [().into(), "text".into(), vec![1, 2, 3].into(), None::<Vec<u8>>.into()];
/// assert_eq!(replies[2].data(), [1, 2, 3]);
/// assert!(replies[3].data().is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Reply {
    pub(crate) bytes: Bytes,
    /// What travels beside them.
    pub(crate) descriptors: Descriptors,
    /// What is called when it is gone.
    pub(crate) after: Option<After>,
}

impl Reply {
    /// A reply of no bytes.
    ///
    /// ```
    /// assert!(messageport::Reply::empty().data().is_empty());
    /// ```
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Its bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.bytes
    }

    /// Passes descriptors with the reply, in place of what was to be passed before: up to
    /// [16](crate::RemotePort::DESCRIPTORS_MAX).
    ///
    /// The requester gets its own, for the same open files, from
    /// [`request_with_descriptors`](crate::RemotePort::request_with_descriptors); one that has asked in another way has
    /// them closed. These are closed when they are on their way, or will never be; a reply that waits for room keeps them
    /// open until then. If they cannot travel, because they are too many or of a kind that the system does not pass, the
    /// whole reply is not sent, and the requester is told [so](crate::TransportError::Unpassable).
    ///
    /// ```
    /// use messageport::Reply;
    /// let file = std::fs::File::open("/dev/null")?;
    /// let reply = Reply::from("here it is").with_descriptors(vec![file.into()]);
    /// # drop(reply);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_descriptors(mut self, descriptors: Vec<OwnedFd>) -> Self {
        self.descriptors = descriptors.into();
        self
    }

    /// Takes back the descriptors that were to be passed, of a reply that was [not sent](crate::NotReplied) for instance.
    ///
    /// ```
    /// # use messageport::Reply;
    /// let file = std::fs::File::open("/dev/null")?;
    /// let mut reply = Reply::empty().with_descriptors(vec![file.into()]);
    /// assert_eq!(reply.take_descriptors().len(), 1);
    /// assert!(reply.take_descriptors().is_empty());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use = "what is taken and dropped is closed"]
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        self.descriptors.take()
    }

    /// Has something called once the reply is out, which is to say wholly in memory that its requester reads; or once it
    /// is certain that it never will be. It takes the place of what was to be called before.
    ///
    /// It runs on the thread that sends the reply: as a rule where the handler ran, when that has returned. So a server
    /// may answer, and then end or replace itself.
    ///
    /// ```
    /// use messageport::{Departure, Reply};
    /// let reply = Reply::from("good-bye").after(|departure| {
    ///     if departure == Departure::Sent {
    ///         println!("that was the last one");
    ///     }
    /// });
    /// # drop(reply);
    /// ```
    #[must_use]
    pub fn after(mut self, call: impl FnOnce(Departure) + Send + 'static) -> Self {
        self.after = Some(After(Some(Box::new(call))));
        self
    }
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Departure {
    /// It is wholly in memory that its requester reads.
    Sent,
    /// It will never be sent: none was wanted, the requester or the port is gone, or it was dropped.
    Lost,
}

/// What is called once when a reply is gone, one way or the other.
pub(crate) struct After(Option<Box<dyn FnOnce(Departure) + Send>>);

impl After {
    /// The reply is out.
    pub(crate) fn sent(mut self) {
        if let Some(call) = self.0.take() {
            call(Departure::Sent);
        }
    }
}

impl Drop for After {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call(Departure::Lost);
        }
    }
}

impl fmt::Debug for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("After").finish_non_exhaustive()
    }
}

impl From<()> for Reply {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Reply {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }
}

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Reply {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<Payload> for Reply {
    fn from(payload: Payload) -> Self {
        payload.into_bytes().into()
    }
}

impl<R: Into<Self>> From<Option<R>> for Reply {
    fn from(reply: Option<R>) -> Self {
        reply.map_or_else(Self::empty, Into::into)
    }
}
