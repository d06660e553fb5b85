//! A message, as the handler of a port sees it.

use crate::link::Tick;
use crate::local::LocalPort;
use crate::local::connection::Connection;
use crate::local::responder::Responder;
use crate::message::Payload;
use crate::pidfd::Credentials;
use crate::transfer::Descriptors;
use crate::wire::{Head, Kind};
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

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
pub struct Message {
    head: Head,
    payload: Payload,
    descriptors: Descriptors,
    connection: Arc<Connection>,
    port: LocalPort,
}

impl Message {
    pub(super) fn new(
        head: Head,
        (payload, descriptors): (Payload, Descriptors),
        connection: Arc<Connection>,
        port: LocalPort,
    ) -> Self {
        Self {
            head,
            payload,
            descriptors,
            connection,
            port,
        }
    }

    /// The number by which the sender says what it wants: any 32-bit number.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.head.msgid
    }

    /// The bytes. A message without any has an empty slice.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.payload
    }

    /// Whether the sender waits for a reply. What a handler returns for a message that wants none is dropped.
    #[must_use]
    pub fn wants_reply(&self) -> bool {
        self.head.kind == Kind::Request
    }

    /// Who sent it: the process that connected, as the system saw it then.
    #[must_use]
    pub fn sender(&self) -> Credentials {
        self.connection.client()
    }

    /// The port it came to.
    #[must_use]
    pub fn port(&self) -> &LocalPort {
        &self.port
    }

    /// The bytes, to keep. Descriptors that are left are closed.
    #[must_use]
    pub fn into_payload(self) -> Payload {
        self.payload
    }

    /// The descriptors that were [passed](crate::RemotePort::send_with_descriptors) with it, in the sender's order: the
    /// first call has them all, and those that are left are closed with the message. They are closed on exec.
    ///
    /// A client may pass anything: files that make their reader wait, sockets, more of the same. Whoever uses a descriptor
    /// of somebody who is not trusted checks what it is, and reads it without waiting.
    ///
    /// While this process can open no more files, a message with descriptors is left where it is, and with it what its
    /// client has sent after it; the other clients are served. It is tried again every few milliseconds, and nothing is
    /// lost, nor told to anybody but by the deadlines of that client. A client that says that it has passed what it has not
    /// loses its link.
    ///
    /// ```
    /// use messageport::Message;
    /// use std::fs::File;
    ///
    /// /// Takes a message for a file, and nothing else.
    /// fn file_of(mut message: Message) -> Option<File> {
    ///     let mut descriptors = message.take_descriptors();
    ///     let file = File::from(descriptors.pop()?);
    ///     let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    ///     (descriptors.is_empty() && is_file).then_some(file)
    /// }
    /// # drop(file_of);
    /// ```
    #[must_use]
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        self.descriptors.take()
    }

    /// Leaves the reply to whoever holds the [`Responder`]; what the handler returns is dropped then.
    ///
    /// None for a message that wants no reply, for one whose reply has been left to somebody already, and when the handler
    /// has returned.
    #[must_use = "a responder that is dropped answers with nothing"]
    pub fn defer(&mut self) -> Option<Responder> {
        if !self.wants_reply() || !self.connection.defer(self.head.conversation) {
            return None;
        }
        let core = Arc::clone(self.port.core());
        Some(Responder::new(
            core,
            Arc::clone(&self.connection),
            self.head,
        ))
    }

    /// Whether nobody waits for the reply any more: the requester has given up or is gone, or has its reply. For messages
    /// that want none, whether the sender is gone.
    ///
    /// A handler that takes long can ask now and then, and leave its work. See [`Responder::is_cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        if self.wants_reply() {
            !self.connection.is_awaited(self.head.conversation)
        } else {
            !self
                .connection
                .link()
                .is_some_and(|link| link.is_alive(Tick::now()))
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id())
            .field("data", &self.payload)
            .field("descriptors", &self.descriptors.len())
            .field("wants_reply", &self.wants_reply())
            .field("sender", &self.sender())
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
