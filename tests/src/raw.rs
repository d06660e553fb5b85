//! A peer that speaks the protocol byte by byte, and need not keep to it: sockets, shared memory and bells by hand.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use messageport::Directory;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use crate::wait_until;

/// A socket of the kind that links have.
pub fn socket() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

/// Where the socket of a plain name is.
pub fn address(directory: &Directory, name: &str) -> SocketAddrUnix {
    SocketAddrUnix::new(directory.path().join(format!("{name}.sock"))).unwrap()
}

/// A client of a port that has said nothing yet.
pub struct Client {
    pub socket: OwnedFd,
    pub memory: OwnedFd,
    /// Rung by this client.
    pub server_bell: OwnedFd,
    pub client_bell: OwnedFd,
    hello: [u8; 64],
    /// How far the replies have been read.
    read: u64,
    /// Where the ring of replies was begun again.
    origin: u64,
}

impl Client {
    pub fn connect(directory: &Directory, name: &str) -> Self {
        let socket = socket();
        rustix::net::connect(&socket, &address(directory, name)).unwrap();
        let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
        Self {
            socket,
            memory: memory(MEMORY, SEALS),
            server_bell: bell(),
            client_bell: bell(),
            hello: hello(),
            read: 0,
            origin: 0,
        }
    }

    /// What it would say.
    pub fn hello(&self) -> [u8; 64] {
        self.hello
    }

    /// Changes bytes of the hello.
    pub fn lie(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.hello[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Offers other memory.
    pub fn offer(mut self, memory: OwnedFd) -> Self {
        self.memory = memory;
        self
    }

    /// Wants bells on the socket.
    pub fn with_socket_bells(self) -> Self {
        self.lie(12, &[0])
    }

    fn has_socket_bells(&self) -> bool {
        self.hello[12] == 0
    }

    /// Introduces itself with memory and bells.
    pub fn introduce(&self) {
        let descriptors = [&self.memory, &self.server_bell, &self.client_bell].map(AsFd::as_fd);
        let count = if self.has_socket_bells() { 1 } else { 3 };
        send(&self.socket, &self.hello, &descriptors[..count]);
    }

    /// Writes into the shared memory.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        assert_eq!(
            rustix::io::pwrite(&self.memory, bytes, offset),
            Ok(bytes.len())
        );
    }

    /// Reads a word of the shared memory.
    pub fn read(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        assert_eq!(rustix::io::pread(&self.memory, &mut bytes, offset), Ok(8));
        u64::from_le_bytes(bytes)
    }

    /// Publishes that many bytes of the ring to the server, truly or not, and rings.
    pub fn publish(&self, written: u64) {
        self.write(0, &written.to_le_bytes());
        self.ring();
    }

    pub fn ring(&self) {
        if self.has_socket_bells() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let rung = rustix::net::send(&self.socket, &[0], flags);
            return assert!(matches!(rung, Ok(_) | Err(Errno::AGAIN)), "{rung:?}");
        }
        rustix::io::write(&self.server_bell, &1_u64.to_ne_bytes()).unwrap();
    }

    /// Writes a one-way message of no bytes at the beginning of the ring, and rings.
    pub fn send_empty(&self, conversation: u64) {
        let at = (conversation - 1) * 32;
        self.write(4_096 + at, &record(1, WHOLE, conversation, 0, 0));
        self.publish(at + 32);
    }

    /// Writes a request of eight bytes, the next after those that were written this way, and rings.
    pub fn request(&self, conversation: u64, bytes: &[u8; 8]) {
        let at = (conversation - 1) * 64;
        self.write(4_096 + at, &record(2, WHOLE, conversation, 8, 8));
        self.write(4_096 + at + 32, bytes);
        self.publish(at + 64);
    }

    /// Writes a one-way message of no bytes behind that many requests, and rings.
    pub fn send_empty_after_requests(&self, requests: u64) {
        let at = requests * 64;
        self.write(4_096 + at, &record(1, WHOLE, requests + 1, 0, 0));
        self.publish(at + 32);
    }

    /// Reads the next reply, waiting for each of its pieces: whose it is, and its bytes.
    pub fn reply(&mut self) -> (u64, Vec<u8>) {
        let mut reply = Vec::new();
        loop {
            wait_until(|| self.read(512) != self.read);
            if self.read(512 + 16) == self.read {
                self.origin = self.read;
            }
            let ring = u64::from(RING);
            let at = 4_096 + ring + (self.read - self.origin) % ring;
            let mut header = [0; 32];
            assert_eq!(rustix::io::pread(&self.memory, &mut header, at), Ok(32));
            let len = u32::from_le_bytes(header[..4].try_into().unwrap());
            let mut bytes = vec![0; usize::try_from(len).unwrap()];
            if header[4] == 3 {
                assert_eq!(
                    rustix::io::pread(&self.memory, &mut bytes, at + 32),
                    Ok(bytes.len())
                );
                reply.append(&mut bytes);
            }
            self.read += 32 + u64::from(len).next_multiple_of(32);
            self.write(512 + 128, &self.read.to_le_bytes());
            // Room is worth a ring whenever there is some more; a bell too many is no harm.
            self.ring();
            let total = u64::from_le_bytes(header[24..].try_into().unwrap());
            if header[4] == 3 && u64::try_from(reply.len()) == Ok(total) {
                return (
                    u64::from_le_bytes(header[16..24].try_into().unwrap()),
                    reply,
                );
            }
        }
    }
}

/// The header of a record.
pub fn record(kind: u8, flags: u8, conversation: u64, len: u32, total: u64) -> [u8; 32] {
    let mut header = [0; 32];
    header[..4].copy_from_slice(&len.to_le_bytes());
    header[4] = kind;
    header[5] = flags;
    header[16..24].copy_from_slice(&conversation.to_le_bytes());
    header[24..].copy_from_slice(&total.to_le_bytes());
    header
}

/// A hello that is right.
pub fn hello() -> [u8; 64] {
    let mut hello = [0; 64];
    hello[..8].copy_from_slice(b"msg-port");
    hello[8..10].copy_from_slice(&1_u16.to_le_bytes());
    hello[10..12].copy_from_slice(&1_u16.to_le_bytes());
    hello[12] = 1;
    hello[16..20].copy_from_slice(&RING.to_le_bytes());
    hello[20..24].copy_from_slice(&RING.to_le_bytes());
    hello[24..32].copy_from_slice(&(1_u64 << 30).to_le_bytes());
    hello
}

/// Shared memory of a size, with seals.
pub fn memory(len: u64, seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create("ports-test", flags).unwrap();
    rustix::fs::ftruncate(&file, len).unwrap();
    rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    file
}

/// Sends one packet, if the other side still takes any.
pub fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(
            control.push(SendAncillaryMessage::ScmRights(descriptors)),
            "there is room"
        );
    }
    let bytes = [std::io::IoSlice::new(bytes)];
    match rustix::net::sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL) {
        Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Something that listens where the port of a name would.
pub fn pretend(directory: &Directory, name: &str) -> OwnedFd {
    let listener = socket();
    rustix::net::bind(&listener, &address(directory, name)).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    listener
}

/// The next client of it, with its hello still unread.
pub fn accept(listener: &OwnedFd) -> OwnedFd {
    rustix::net::accept(listener).unwrap()
}

/// What a client sends with its hello: the memory, the port's bell and its own.
pub fn receive_memory(client: &OwnedFd) -> Vec<OwnedFd> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 64];
    let mut slices = [std::io::IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(client.as_fd(), &mut slices, &mut control, flags);
    assert_eq!(received.unwrap().bytes, 64, "the hello");
    let mut found = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            found.extend(rights);
        }
    }
    assert_eq!(found.len(), 3, "memory and two bells");
    found
}

/// Waits until the other side has hung up; says what it said before.
pub fn last_words(socket: &OwnedFd) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    loop {
        let mut bytes = [0; 256];
        match rustix::net::recv(socket, &mut bytes, RecvFlags::empty()) {
            Ok((_, 0)) => return words,
            Ok((_, len)) => words.push(bytes[..len].to_vec()),
            // Something of ours was never read there; what it had said comes all the same.
            Err(Errno::CONNRESET | Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Takes all packets that have come off the socket, unopened; says how many had sixteen bytes.
pub fn take_packets(socket: &OwnedFd) -> usize {
    let mut bytes = [0; 64];
    let take = || rustix::net::recv(socket, &mut bytes, RecvFlags::DONTWAIT).ok();
    // At the end of a connection that is over nothing comes for ever.
    let packets = std::iter::from_fn(take).take_while(|&(_, len)| len > 0);
    packets.filter(|&(_, len)| len == 16).count()
}

/// Whether the other side has hung up within a moment.
pub fn has_hung_up(socket: &OwnedFd, patience: Duration) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::RDHUP)];
    let patience = Timespec::try_from(patience).unwrap();
    poll(&mut fds, Some(&patience)).unwrap() > 0
}

/// The packet by which a port refuses a client, for this reason.
pub fn refusal(code: u8) -> Vec<u8> {
    let mut packet = vec![0; 16];
    packet[0] = 2;
    packet[4] = code;
    packet
}

/// The flags of a record that is a whole message, and of the first piece of one.
pub const WHOLE: u8 = 1;
pub const FIRST: u8 = 3;
/// Bytes of each ring.
pub const RING: u32 = 64 << 10;
/// Bytes of the memory.
pub const MEMORY: u64 = 4_096 + 2 * (64 << 10);
/// The seals that are asked for.
pub const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);
