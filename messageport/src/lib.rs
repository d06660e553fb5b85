#![doc = include_str!("../README.md")]

// This process, and the ones on the other side.
mod fork;
mod pidfd;

// Memory that two ends share, and messages through it.
mod wire;
mod ring;
mod transfer;

// Sockets: bells, introductions, names.
mod statistics;
mod bell;
mod hello;
mod names;

// The two ends of a link, and what callers see.
mod hub;
mod watching;
mod link;
mod spin;
mod message;
mod error;
mod queue;
mod background;
mod local;
mod remote;

pub use error::{
    CreateError, NotCreated, OpenError, QueueError, RenameError, SendError, TransportError,
};
pub use hello::Refusal;
pub use local::{LocalPort, Message, NotReplied, PortOptions, ReplyError, Responder};
pub use message::{Departure, Payload, Reply};
pub use names::{
    ClaimError, ConnectError, Directory, DirectoryError, NameError, NamedPort, PortName,
};
pub use pidfd::Credentials;
pub use queue::{Job, Queue, SerialQueue};
pub use remote::{Options, RemoteOptions, RemotePort};
pub use statistics::Statistics;
pub use watching::{NameChange, NameWatch};
