//! Names of ports: how they look, where they live, who owns them and how they are found.
//!
//! For ports and remotes. A name is a lock file, which makes it somebody's, and a listening
//! socket, which makes it reachable, in a directory that was checked when it was opened. Nothing
//! here knows messages, memory or run loops.

mod port_name;
mod stem;
mod place;
mod directory;
mod registry;
mod open_locks;
mod lock;
mod listener;
mod claim;
mod connect;
mod list;
mod wait;
#[cfg(test)]
mod tests;

pub use claim::ClaimError;
pub use connect::ConnectError;
pub use directory::{Directory, DirectoryError};
pub use list::NamedPort;
pub use port_name::{NameError, PortName};

pub(crate) use claim::Claim;
pub(crate) use connect::connect;
pub(crate) use registry::{ClaimId, find};
pub(crate) use wait::{Pauses, Watch};
