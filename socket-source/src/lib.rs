#![doc = include_str!("../README.md")]

// Vocabulary: plain values.
mod error;
mod options;
mod backoff;

// The operating system.
mod sys;

// Memory to receive into.
mod pieces;

// What any thread may hold.
mod shared;
mod socket;

// The source behind every socket, and what each kind of socket does when it is ready.
mod source;
mod accept;
mod stream;

pub use accept::Accepted;
pub use error::{AcceptError, AddressError, AdoptError, ListenError, ReadError, TakeError};
pub use options::{AtEnd, Reenable, SocketOptions};
pub use socket::Socket;
pub use socket2;
pub use socket2::SockAddr;
pub use stream::StreamEvent;
