//! Where a connection is to lead.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use socket2::SockAddr;

/// Where a connection is to lead: an address, several that are tried in turn, or a host and a port.
///
/// ```
/// use socket_source::Target;
/// use std::net::{Ipv4Addr, SocketAddr};
///
/// let by_name: Target = ("example.org", 443).into();
/// let by_address: Target = SocketAddr::from((Ipv4Addr::LOCALHOST, 80)).into();
/// let by_path = Target::path("/run/example.socket")?;
/// # drop((by_name, by_address, by_path));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Target(pub(crate) Place);

#[derive(Clone, Debug)]
pub(crate) enum Place {
    Addresses(Vec<SockAddr>),
    Host(String, u16),
}

impl Target {
    /// A Unix socket by its path.
    ///
    /// # Errors
    ///
    /// The path is longer than the system allows (107 bytes on Linux), or has a zero byte in it.
    ///
    /// ```
    /// let target = socket_source::Target::path("/run/example.socket")?;
    /// # drop(target);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn path(path: impl AsRef<Path>) -> std::io::Result<Self> {
        SockAddr::unix(path).map(Self::from)
    }
}

impl From<SockAddr> for Target {
    fn from(address: SockAddr) -> Self {
        Self(Place::Addresses(vec![address]))
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        SockAddr::from(address).into()
    }
}

/// Tried in this order.
impl From<Vec<SocketAddr>> for Target {
    fn from(addresses: Vec<SocketAddr>) -> Self {
        Self(Place::Addresses(
            addresses.into_iter().map(SockAddr::from).collect(),
        ))
    }
}

/// A host name, or an address in its written form, which is not looked up.
impl From<(&str, u16)> for Target {
    fn from((host, port): (&str, u16)) -> Self {
        match host.parse::<IpAddr>() {
            Ok(address) => SocketAddr::from((address, port)).into(),
            Err(_name) => Self(Place::Host(host.to_owned(), port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Target};

    #[test]
    fn a_written_address_is_not_a_name() {
        for host in ["127.0.0.1", "::1"] {
            let target = Target::from((host, 80));
            assert!(
                matches!(target.0, Place::Addresses(_)),
                "{host} needs no look-up"
            );
        }
        let target = Target::from(("localhost", 80));
        assert!(matches!(target.0, Place::Host(..)), "{target:?}");
    }
}
