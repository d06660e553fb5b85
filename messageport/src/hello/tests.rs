//! Hellos between two ends: what arrives, what is refused, and what waits for room.

use super::first::Malformed;
use super::introduce::HelloError;
use super::rights::{DESCRIPTORS_MAX, send};
use super::{Accepted, Greeting, Hello, IntroduceError, accept, introduce, receive};
use crate::bell::{BellKind, Bells};
use crate::ring::RingSize;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Both ends of a connection as links have them.
pub(crate) fn pair() -> (OwnedFd, OwnedFd) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

/// Closes `end` and waits until that is seen at `other`: another thread may be starting a program,
/// which has the descriptor too until it begins.
pub(crate) fn close(end: OwnedFd, other: &OwnedFd) {
    drop(end);
    poll(&mut [PollFd::new(other, PollFlags::empty())], None).unwrap();
}

/// Ends the process if what it guards takes so long that it must be hanging.
pub(crate) struct Watchdog(Option<Sender<()>>);

impl Watchdog {
    pub(crate) fn start() -> Self {
        let (alive, dead) = channel();
        std::thread::spawn(move || {
            if dead.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
                std::process::abort();
            }
        });
        Self(Some(alive))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

/// Runs the test called `name` in a process of its own: true in that process, which then does what
/// the test is about, and false where it has been seen to succeed.
pub(crate) fn alone(name: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::var_os("MESSAGEPORT_TEST_ALONE").is_some() {
        std::mem::forget(Watchdog::start());
        return true;
    }
    let _watchdog = Watchdog::start();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("MESSAGEPORT_TEST_ALONE", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Lets this process open `count` descriptors more and no others.
fn leave_room_for(count: usize) {
    let next = || std::fs::File::open("/dev/null").unwrap();
    let until_then: Vec<_> = (0..=count).map(|_| next()).collect();
    let first_too_many = std::os::fd::AsRawFd::as_raw_fd(&until_then[count]);
    let current = Some(u64::try_from(first_too_many).unwrap());
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current,
            ..getrlimit(Resource::Nofile)
        },
    )
    .unwrap();
}

/// What stands for the memory of a link, which hellos carry and do not look at.
fn memory() -> OwnedFd {
    memfd_create("test", MemfdFlags::CLOEXEC).unwrap()
}

fn hello(bell: BellKind) -> Hello {
    Hello::new(bell, [RingSize::DEFAULT, RingSize::MIN], 1 << 30)
}

fn malformed(server: &OwnedFd) -> Malformed {
    match receive(server.as_fd()) {
        Err(HelloError::Malformed(malformed)) => malformed,
        other => panic!("should be malformed: {other:?}"),
    }
}

#[test]
fn a_hello_brings_its_memory_and_its_bells() {
    for kind in [BellKind::Socket, BellKind::Event] {
        let (client, server) = pair();
        let client = Arc::new(client);
        assert!(
            matches!(receive(server.as_fd()), Ok(Greeting::NotYet)),
            "nothing yet"
        );
        let sent = hello(kind);
        let memory = memory();
        let offered = rustix::fs::fstat(&memory).unwrap().st_ino;
        let own = Bells::create(kind, &client).unwrap();
        introduce(client.as_fd(), &sent, memory.as_fd(), own.descriptors()).unwrap();
        let greeting = receive(server.as_fd()).unwrap();
        let Greeting::Hello {
            hello,
            memory,
            bells,
        } = greeting
        else {
            panic!("{kind:?}: no hello but {greeting:?}");
        };
        assert_eq!(hello, sent, "{kind:?}: as it was sent");
        let file = rustix::fs::fstat(&memory).unwrap().st_ino;
        assert_eq!(file, offered, "{kind:?}: with its memory");
        let server = Arc::new(server);
        let peer = crate::pidfd::Credentials::of(server.as_fd()).unwrap();
        let bells = Bells::received(bells, &server, &peer).unwrap();
        assert_eq!(bells.server.kind(), kind, "{kind:?}: with its bells");
        let left = receive(server.as_fd());
        assert!(
            matches!(left, Ok(Greeting::NotYet)),
            "{kind:?}: taken once, then {left:?}"
        );
    }
}

#[test]
fn the_server_bell_comes_first() {
    let (client, server) = pair();
    let memory = memory();
    let bells = Bells::create(BellKind::Event, &Arc::new(client.try_clone().unwrap())).unwrap();
    bells.server.ring().unwrap();
    let sent = hello(BellKind::Event);
    introduce(client.as_fd(), &sent, memory.as_fd(), bells.descriptors()).unwrap();
    let greeting = receive(server.as_fd()).unwrap();
    let Greeting::Hello {
        bells: Some([first, second]),
        ..
    } = greeting
    else {
        panic!("no bells in {greeting:?}");
    };
    let mut count = [0; 8];
    assert_eq!(
        rustix::io::read(&first, &mut count),
        Ok(8),
        "the first one was rung"
    );
    assert!(
        rustix::io::read(&second, &mut count).is_err(),
        "the second was not"
    );
}

#[test]
fn a_hello_outlives_the_client_that_sent_it() {
    let (client, server) = pair();
    let memory = memory();
    introduce(
        client.as_fd(),
        &hello(BellKind::Socket),
        memory.as_fd(),
        None,
    )
    .unwrap();
    send(
        server.as_fd(),
        b"never read, so that the close is a reset",
        &[],
    )
    .unwrap();
    drop(memory);
    close(client, &server);
    let greeting = receive(server.as_fd());
    assert!(
        matches!(greeting, Ok(Greeting::Hello { .. })),
        "still there: {greeting:?}"
    );
    assert!(
        matches!(receive(server.as_fd()), Ok(Greeting::Closed)),
        "then the end"
    );
}

#[test]
fn a_client_that_goes_without_a_word_is_noticed() {
    let (client, server) = pair();
    close(client, &server);
    assert!(
        matches!(receive(server.as_fd()), Ok(Greeting::Closed)),
        "it has gone"
    );
    let (client, server) = pair();
    close(server, &client);
    let memory = memory();
    let refused = introduce(
        client.as_fd(),
        &hello(BellKind::Socket),
        memory.as_fd(),
        None,
    );
    assert!(
        matches!(refused, Err(IntroduceError::Closed)),
        "and so is a server: {refused:?}"
    );
}

#[test]
fn bytes_that_are_no_hello_are_refused() {
    let good = hello(BellKind::Socket).encode();
    let mut no_magic = good;
    no_magic[0] = 0;
    let cases: [(&[u8], Malformed); 4] = [
        (b"x", Malformed::Length),
        (&good[..63], Malformed::Length),
        (&[good.as_slice(), &[0]].concat(), Malformed::Length),
        (&no_magic, Malformed::Magic),
    ];
    for (bytes, expected) in cases {
        let (client, server) = pair();
        send(client.as_fd(), bytes, &[client.as_fd()]).unwrap();
        assert_eq!(malformed(&server), expected, "{} bytes", bytes.len());
    }
}

#[test]
fn exactly_the_right_number_of_descriptors_is_taken() {
    let wrong = [
        (BellKind::Socket, 0),
        (BellKind::Socket, 2),
        (BellKind::Socket, 3),
        (BellKind::Event, 1),
        (BellKind::Event, 2),
        (BellKind::Event, 4),
        (BellKind::Event, DESCRIPTORS_MAX),
    ];
    for (kind, found) in wrong {
        let (client, server) = pair();
        let descriptors: Vec<BorrowedFd<'_>> = vec![client.as_fd(); found];
        send(client.as_fd(), &hello(kind).encode(), &descriptors).unwrap();
        let expected = hello(kind).descriptors();
        let refused = Malformed::Descriptors { expected, found };
        assert_eq!(malformed(&server), refused, "{kind:?} with {found}");
    }
}

#[test]
fn a_packet_with_more_descriptors_than_any_is_refused_and_not_kept_for_later() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let (client, server) = pair();
    let many: Vec<BorrowedFd<'_>> = vec![client.as_fd(); 253];
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(
        control.push(SendAncillaryMessage::ScmRights(&many)),
        "there is room for them"
    );
    let bytes = hello(BellKind::Event).encode();
    sendmsg(
        &client,
        &[std::io::IoSlice::new(&bytes)],
        &mut control,
        SendFlags::empty(),
    )
    .unwrap();
    let Malformed::Descriptors { found, .. } = malformed(&server) else {
        panic!("should be refused for its descriptors");
    };
    assert!(
        (17..25).contains(&found),
        "{found}: not many more than it takes to see that"
    );
}

#[test]
fn a_listener_that_nobody_asks_for_has_nobody() {
    let (connected, _other) = pair();
    assert!(
        accept(connected.as_fd()).is_err(),
        "a connection is no listener"
    );
    let listener = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .unwrap();
    let unnamed = rustix::net::SocketAddrUnix::new_unnamed();
    rustix::net::bind(&listener, &unnamed).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    assert!(
        matches!(accept(listener.as_fd()), Ok(Accepted::Nobody)),
        "nobody asks"
    );
}

#[test]
fn a_hello_for_which_there_is_no_room_waits() {
    if !alone(
        "hello::tests::a_hello_for_which_there_is_no_room_waits",
        &[],
    ) {
        return;
    }
    let (client, server) = pair();
    let memory = memory();
    let bells = Bells::create(BellKind::Event, &Arc::new(client.try_clone().unwrap())).unwrap();
    let sent = hello(BellKind::Event);
    introduce(client.as_fd(), &sent, memory.as_fd(), bells.descriptors()).unwrap();
    let before = getrlimit(Resource::Nofile);
    for room in 0..3 {
        leave_room_for(room);
        let greeting = receive(server.as_fd());
        assert!(
            matches!(greeting, Ok(Greeting::TableFull)),
            "room for {room}: {greeting:?}"
        );
        setrlimit(Resource::Nofile, before).unwrap();
    }
    leave_room_for(3);
    let greeting = receive(server.as_fd());
    assert!(
        matches!(greeting, Ok(Greeting::Hello { .. })),
        "room at last: {greeting:?}"
    );
}

#[test]
fn a_client_for_which_there_is_no_room_stays_queued() {
    use rustix::net::{SocketAddrUnix, bind, connect, getsockname, listen, socket_with};
    if !alone(
        "hello::tests::a_client_for_which_there_is_no_room_stays_queued",
        &[],
    ) {
        return;
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = || socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let listener = socket();
    bind(&listener, &SocketAddrUnix::new_unnamed()).unwrap();
    listen(&listener, 8).unwrap();
    let client = socket();
    connect(&client, &getsockname(&listener).unwrap()).unwrap();
    let before = getrlimit(Resource::Nofile);
    leave_room_for(0);
    let full = accept(listener.as_fd());
    assert!(
        matches!(full, Ok(Accepted::TableFull(_))),
        "no room: {full:?}"
    );
    setrlimit(Resource::Nofile, before).unwrap();
    let Ok(Accepted::Client(peer)) = accept(listener.as_fd()) else {
        panic!("the client should still be there");
    };
    assert_eq!(
        peer.credentials().pid,
        Some(std::process::id()),
        "it is the one that called"
    );
    let flags = rustix::io::fcntl_getfd(peer.socket()).unwrap();
    assert!(
        flags.contains(rustix::io::FdFlags::CLOEXEC),
        "closed on exec"
    );
    let flags = rustix::fs::fcntl_getfl(peer.socket()).unwrap();
    assert!(
        flags.contains(rustix::fs::OFlags::NONBLOCK),
        "and never waiting"
    );
    assert!(
        matches!(accept(listener.as_fd()), Ok(Accepted::Nobody)),
        "and the only one"
    );
}
