//! What travels: bytes, and replies as a handler gives them.

use crate::transfer;
use bytes::Bytes;
use std::fmt;
use std::ops::Deref;

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
/// one, as with `CFMessagePort`.
///
/// ```
/// use messageport::Reply;
/// let replies: [Reply; 4] = [().into(), "text".into(), vec![1, 2, 3].into(), None::<Vec<u8>>.into()];
/// assert_eq!(replies[2].data(), [1, 2, 3]);
/// assert!(replies[3].data().is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply(pub(crate) Bytes);

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
        &self.0
    }
}

impl From<()> for Reply {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Reply {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&'static str> for Reply {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl From<Payload> for Reply {
    fn from(payload: Payload) -> Self {
        Self(payload.into_bytes())
    }
}

impl<R: Into<Self>> From<Option<R>> for Reply {
    fn from(reply: Option<R>) -> Self {
        reply.map_or_else(Self::empty, Into::into)
    }
}
