#![doc = include_str!("../README.md")]

// Vocabulary: plain values.
mod callbacks;
mod error;
mod target;
mod backoff;
mod datagram;

// What is still to be sent, and what is settled about a socket.
mod outbox;
mod options;

// The operating system.
mod sys;

// Memory to receive into.
mod pieces;

// What any thread may hold.
mod shared;
mod socket;
mod sending;

// How a connection comes about.
mod look_up;
mod dial;

// The source behind every socket, and what each kind of socket does when it is ready.
mod source;
mod accept;
mod stream;
mod receiving;
mod datagrams;
mod watching;

pub use accept::Accepted;
pub use callbacks::Callbacks;
pub use datagram::Datagram;
pub use datagrams::DatagramEvent;
pub use error::{
    AcceptError, AddressError, AdoptError, BindError, ConnectError, ReadError, SendError,
    TakeError, Unsent,
};
pub use options::{AtEnd, Reenable, SocketOptions};
pub use socket::Socket;
pub use socket2;
pub use socket2::SockAddr;
pub use stream::StreamEvent;
pub use target::Target;
pub use watching::WatchEvent;
