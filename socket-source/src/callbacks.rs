//! The kinds of callback that a socket may make.

bitflags::bitflags! {
    /// The kinds of callback that a socket may make, each of which can be enabled and disabled by itself.
    ///
    /// Counterpart: `CFSocketCallBackType`, whose read, accept and data kinds share two bits, so that some of them cannot
    /// be told apart when they are disabled. Here they are one, since no socket has more than one of them.
    ///
    /// ```
    /// use socket_source::{Callbacks, Socket};
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let socket = Socket::reading(ours, |_, _, event| println!("{event:?}"))?;
    /// assert_eq!(socket.enabled(), Callbacks::READ | Callbacks::CONNECT);
    /// socket.enable(Callbacks::WRITE);
    /// assert!(socket.enabled().contains(Callbacks::WRITE));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Callbacks: u8 {
        /// What comes in: a connection to accept, bytes, datagrams, or the news that something can be read.
        const READ = 1;
        /// There is room to send.
        const WRITE = 2;
        /// A connection attempt has ended. While this is disabled the outcome waits.
        const CONNECT = 4;
    }
}
