//! Answering a request later, from any thread.

use crate::local::connection::Connection;
use crate::local::core::PortCore;
use crate::local::requests::Untaken;
use crate::message::Reply;
use crate::wire::Head;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// The right, and the duty, to answer one request: now or later, from any thread.
///
/// A handler gets it by [`Message::defer`](crate::Message::defer). One that is dropped answers with nothing, as a handler
/// does that has no answer, so the requester never waits in vain.
///
/// ```
/// use messageport::{LocalPort, Message, RemotePort};
/// use runloop::{Mode, RunLoop};
///
/// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
/// let port = LocalPort::create_in(&directory, "org.example.slow", |mut message: Message| {
///     let responder = message.defer();
///     std::thread::spawn(move || {
///         let sum: u64 = message.data().iter().map(|&byte| u64::from(byte)).sum();
///         responder.map(|responder| responder.reply(sum.to_string()))
///     });
/// })?;
/// let run_loop = RunLoop::current();
/// run_loop.add(&port, Mode::DEFAULT)?;
/// let main = run_loop.handle();
/// let client = std::thread::spawn(move || {
///     let remote = RemotePort::connect_in(&directory, "org.example.slow").unwrap();
///     assert_eq!(&remote.request(1, &[1, 2, 3]).unwrap()[..], b"6");
///     main.stop()
/// });
/// let _stopped = run_loop.run()?;
/// # client.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a responder that is dropped answers with nothing"]
pub struct Responder {
    core: Arc<PortCore>,
    connection: Arc<Connection>,
    request: Head,
    answered: bool,
}

impl Responder {
    pub(super) fn new(core: Arc<PortCore>, connection: Arc<Connection>, request: Head) -> Self {
        Self {
            core,
            connection,
            request,
            answered: false,
        }
    }

    /// Answers. It never waits: a reply for which there is no room yet is kept, up to the size of the largest message and
    /// a little more for all replies of one client.
    ///
    /// # Errors
    ///
    /// [`NotReplied`], with the reply: nobody waits for it any more, the port is invalid and the handler that was given
    /// the request has returned, the client leaves too many replies unread, of which it is told, or too many descriptors
    /// are to go with it.
    pub fn reply(mut self, reply: impl Into<Reply>) -> Result<(), NotReplied> {
        self.answered = true;
        self.send(reply.into())
    }

    /// Whether nobody waits for the reply any more: the requester has given up, or is gone. Then the work for it may be
    /// left.
    ///
    /// That a requester has given up is known once the port has taken in what that client sent before.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.core.fork.is_forked() || !self.connection.is_awaited(self.request.conversation)
    }

    /// Sets what is called, once, when nobody waits for the reply any more, in place of what was set before; if that is so
    /// already it is called at once. It runs where the port learns of it: in its loop, on its queue, or inside
    /// [`is_cancelled`](Self::is_cancelled). It is dropped uncalled when the request is answered first.
    pub fn on_cancel(&self, call: impl FnOnce() + Send + 'static) {
        let call = Box::new(call);
        if let Some(call) = self.connection.on_cancel(self.request.conversation, call) {
            call();
        }
    }

    fn send(&self, reply: Reply) -> Result<(), NotReplied> {
        if self.core.fork.is_forked() {
            let why = ReplyError::Invalid;
            return Err(NotReplied { why, reply });
        }
        let most = self.core.outbox_max();
        let sent = self.connection.respond(self.request, reply, most);
        self.core.was_answered(&self.connection);
        let (progress, sent) = match sent {
            Ok(progress) => (progress, Ok(())),
            Err((untaken, reply, progress)) => {
                let why = match untaken {
                    Untaken::Cancelled => ReplyError::Cancelled,
                    Untaken::Invalid => ReplyError::Invalid,
                    Untaken::Overload => ReplyError::Overload,
                    Untaken::TooManyDescriptors => ReplyError::TooManyDescriptors,
                };
                (progress, Err(NotReplied { why, reply }))
            }
        };
        if progress.clogged {
            self.core.look_later(&self.connection);
        }
        sent
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if !self.answered {
            // Who does not wait need not be answered.
            drop(self.send(Reply::empty()));
        }
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder")
            .field("port", &self.core.label)
            .field("conversation", &self.request.conversation)
            .finish_non_exhaustive()
    }
}

/// A reply was not sent; here it is again.
///
/// ```
/// use messageport::{NotReplied, Reply, ReplyError};
/// fn log(refused: NotReplied) {
///     if refused.why == ReplyError::Overload {
///         println!("{} bytes are left", refused.reply.data().len());
///     }
/// }
/// # drop(log);
/// ```
#[derive(Debug, Error)]
#[error("the reply was not sent")]
pub struct NotReplied {
    /// Why not.
    #[source]
    pub why: ReplyError,
    /// The reply that was given.
    pub reply: Reply,
}

/// Why a reply was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Nobody waits for it any more.
    #[error("nobody waits for the reply any more")]
    Cancelled,
    /// The port is invalid, and the handler that was given the request has returned.
    #[error("the port is invalid")]
    Invalid,
    /// The client leaves too many replies unread. It is told so as soon as it reads them.
    #[error("the client leaves too many replies unread")]
    Overload,
    /// It has more descriptors than [travel](crate::RemotePort::DESCRIPTORS_MAX) with one reply. The requester is told
    /// that it has some that cannot be passed on.
    #[error("the reply has more descriptors than travel with one")]
    TooManyDescriptors,
}
