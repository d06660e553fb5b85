//! Calls that pass descriptors, and get some back.

use crate::error::SendError;
use crate::message::Payload;
use crate::remote::{Options, RemotePort};
use crate::wire;
use std::os::fd::{BorrowedFd, OwnedFd};

impl RemotePort {
    /// How many descriptors travel with one message, or with one reply, at most: 16.
    pub const DESCRIPTORS_MAX: usize = wire::DESCRIPTORS_MAX as usize;

    /// As [`send_with`](Self::send_with), and passes descriptors: the port gets its own, for the same open files and in
    /// the same order, by [`Message::take_descriptors`](crate::Message::take_descriptors).
    ///
    /// Those given stay the caller's, who may close them as soon as this has returned: what is sent is kept open by the
    /// system until the port has taken it, or is gone. Messages with and without descriptors arrive in the order in which
    /// they were sent.
    ///
    /// The system holds a few hundred messages with descriptors for each direction of a link, fewer than the ring holds
    /// without. While the port leaves as many untaken, or the system has too many descriptors of this user on their way,
    /// there is no room for the message, and it waits as one does for which the ring has none.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); with [`TransportError`](crate::TransportError) as its cause: there are more than
    /// [`DESCRIPTORS_MAX`](Self::DESCRIPTORS_MAX), or one is of a kind that the system does not pass. Unless it is `Ok`, no
    /// descriptor is delivered.
    ///
    /// ```
    /// use messageport::{LocalPort, Message, Options, RemotePort};
    /// use runloop::{Limit, Mode, ReturnAfter, RunLoop};
    /// use std::io::{Read, Write};
    /// use std::os::fd::AsFd;
    /// use std::os::unix::net::UnixStream;
    ///
    /// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
    /// let port = LocalPort::create_in(&directory, "org.example.reader", |mut message: Message| {
    ///     for descriptor in message.take_descriptors() {
    ///         let mut text = String::new();
    ///         UnixStream::from(descriptor).read_to_string(&mut text).unwrap();
    ///         assert_eq!(text, "straight to the port");
    ///     }
    /// })?;
    /// let run_loop = RunLoop::current();
    /// run_loop.add(&port, Mode::DEFAULT)?;
    ///
    /// let remote = RemotePort::connect_in(&directory, "org.example.reader")?;
    /// let (mut ours, theirs) = UnixStream::pair()?;
    /// remote.send_with_descriptors(1, b"read this", &[theirs.as_fd()], Options::new())?;
    /// ours.write_all(b"straight to the port")?;
    /// drop((ours, theirs));
    /// let _served = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_with_descriptors(
        &self,
        id: i32,
        data: &[u8],
        descriptors: &[BorrowedFd<'_>],
        options: Options,
    ) -> Result<(), SendError> {
        let sent = self.client().send(id, data, descriptors, options);
        self.client().tell_here();
        sent
    }

    /// As [`request_with`](Self::request_with), with descriptors there and back: the answer is the reply's bytes, and the
    /// descriptors that it [brings](crate::Reply::with_descriptors), in the port's order and closed on exec.
    ///
    /// What comes with the reply to any other request is closed. A port may send anything: whoever uses what it sends,
    /// checks what it is.
    ///
    /// While this process can open no more files, the reply is left where it is, and with it those behind it on the same
    /// link; it is tried again until the deadline. After that it is late, and its descriptors are closed unopened.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request) and [`send_with_descriptors`](Self::send_with_descriptors); with
    /// [`TransportError::Unpassable`](crate::TransportError::Unpassable) as its cause: the port's reply had descriptors
    /// that could not travel.
    ///
    /// ```
    /// use messageport::{LocalPort, Message, Options, RemotePort, Reply};
    /// use runloop::{Mode, RunLoop};
    /// use std::fs::File;
    ///
    /// # let directory = { let path = std::env::temp_dir().join(format!("messageport-doc-{}", std::process::id())); std::fs::create_dir_all(&path)?; messageport::Directory::open(&path)? };
    /// let port = LocalPort::create_in(&directory, "org.example.opener", |message: Message| {
    ///     let path = String::from_utf8_lossy(message.data()).into_owned();
    ///     match File::open(path) {
    ///         Ok(file) => Reply::from("open").with_descriptors(vec![file.into()]),
    ///         Err(error) => error.to_string().into(),
    ///     }
    /// })?;
    /// let run_loop = RunLoop::current();
    /// run_loop.add(&port, Mode::DEFAULT)?;
    ///
    /// let remote = RemotePort::connect_in(&directory, "org.example.opener")?;
    /// let options = Options::new().in_mode(Mode::DEFAULT);
    /// let (said, files) = remote.request_with_descriptors(1, b"/dev/null", &[], options)?;
    /// assert_eq!((&said[..], files.len()), (&b"open"[..], 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request_with_descriptors(
        &self,
        id: i32,
        data: &[u8],
        descriptors: &[BorrowedFd<'_>],
        options: Options,
    ) -> Result<(Payload, Vec<OwnedFd>), SendError> {
        let answer = self.client().request(id, data, descriptors, options);
        self.client().tell_here();
        answer.map(|(payload, mut descriptors)| (payload, descriptors.take()))
    }
}
