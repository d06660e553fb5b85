//! One datagram, as its receiver gets it.

use bytes::Bytes;
use socket2::SockAddr;

/// A datagram that has arrived.
///
/// ```
/// use socket_source::{Datagram, DatagramEvent, Socket};
/// let udp = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// let socket = Socket::receiving(udp, |_, _, event| {
///     if let DatagramEvent::Received(datagram) = event {
///         let datagram: Datagram = datagram;
///         println!("{} bytes from {:?}", datagram.bytes().len(), datagram.from());
///     }
/// })?;
/// # drop(socket);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Datagram {
    bytes: Bytes,
    from: Option<SockAddr>,
    whole: usize,
}

impl Datagram {
    pub(crate) const fn new(bytes: Bytes, from: Option<SockAddr>, whole: usize) -> Self {
        Self { bytes, from, whole }
    }

    /// Its bytes. They may be kept; a large datagram keeps the memory it was received into, 64 KiB at most.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its bytes, by themselves.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Who has sent it; `None` for a Unix socket without a name.
    #[must_use]
    pub const fn from(&self) -> Option<&SockAddr> {
        self.from.as_ref()
    }

    /// How long it was when it was sent. Only Unix sockets can send more than 64 KiB at once; what is beyond is lost.
    #[must_use]
    pub const fn original_len(&self) -> usize {
        self.whole
    }
}
