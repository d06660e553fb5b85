//! Bells ring, do not wait, and are not fooled by what only looks like one.

use super::{Bell, BellError, BellKind, Bells, Means, Rest, drain};
use crate::hello::tests;
use crate::pidfd::Credentials;
use crate::statistics::Counter;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Both ends of a connection as links have them.
fn pair() -> (Arc<OwnedFd>, Arc<OwnedFd>) {
    let (one, other) = tests::pair();
    (Arc::new(one), Arc::new(other))
}

/// Closes `end`, which nobody else may share.
fn close(end: Arc<OwnedFd>, other: &OwnedFd) {
    tests::close(Arc::into_inner(end).unwrap(), other);
}

fn event(flags: EventfdFlags) -> OwnedFd {
    eventfd(0, flags | EventfdFlags::CLOEXEC).unwrap()
}

fn credentials(socket: &OwnedFd) -> Credentials {
    Credentials::of(socket.as_fd()).unwrap()
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).unwrap() > 0
}

/// The same link's bells, once more with duplicates of what a client would have sent.
fn passed_on(bells: &Bells) -> Option<[OwnedFd; 2]> {
    bells
        .descriptors()
        .map(|pair| pair.map(|bell| bell.try_clone_to_owned().unwrap()))
}

#[test]
fn each_end_wakes_the_other_with_either_kind() {
    for kind in [BellKind::Event, BellKind::Socket] {
        let (client_end, server_end) = pair();
        let client = Bells::create(kind, &client_end).unwrap();
        let sent = passed_on(&client);
        let server = Bells::received(sent, &server_end, &credentials(&server_end)).unwrap();
        assert_eq!(
            server.server.kind(),
            kind,
            "the server has what the client chose"
        );
        assert!(
            !is_readable(server.server.descriptor()),
            "{kind:?}: nobody rang"
        );
        client.server.ring().unwrap();
        assert!(
            is_readable(server.server.descriptor()),
            "{kind:?}: the server wakes"
        );
        assert!(
            !is_readable(client.client.descriptor()),
            "{kind:?}: the client does not"
        );
        server.client.ring().unwrap();
        assert!(
            is_readable(client.client.descriptor()),
            "{kind:?}: the client wakes"
        );
    }
}

#[test]
fn ringing_never_waits_however_often() {
    let full = event(EventfdFlags::NONBLOCK);
    rustix::io::write(&full, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    Bell(Means::Event(full)).ring().unwrap();
    let (one, _other) = pair();
    let bell = Bell(Means::Socket(Arc::clone(&one)));
    while rustix::net::send(&one, &[0], SendFlags::DONTWAIT) != Err(Errno::AGAIN) {}
    bell.ring().unwrap();
}

#[test]
fn ringing_at_a_peer_that_has_gone_is_an_error() {
    let (one, other) = pair();
    close(other, &one);
    let gone = Bell(Means::Socket(one)).ring().unwrap_err();
    assert_eq!(
        gone.kind(),
        std::io::ErrorKind::BrokenPipe,
        "the peer has gone"
    );
}

#[test]
fn bells_are_drained_up_to_what_is_none() {
    let (one, other) = pair();
    assert_eq!(
        drain(other.as_fd(), &Counter::default()).unwrap(),
        Rest::Nothing,
        "nobody rang"
    );
    let bell = Bell(Means::Socket(Arc::clone(&one)));
    bell.ring().unwrap();
    bell.ring().unwrap();
    assert_eq!(
        drain(other.as_fd(), &Counter::default()).unwrap(),
        Rest::Nothing,
        "two bells"
    );
    assert!(!is_readable(other.as_fd()), "are taken off");
    bell.ring().unwrap();
    rustix::net::send(&one, &[7; 16], SendFlags::DONTWAIT).unwrap();
    bell.ring().unwrap();
    assert_eq!(
        drain(other.as_fd(), &Counter::default()).unwrap(),
        Rest::Packet,
        "a packet among bells"
    );
    assert_eq!(
        drain(other.as_fd(), &Counter::default()).unwrap(),
        Rest::Packet,
        "stays where it is"
    );
    crate::hello::take_off(other.as_fd()).unwrap();
    assert_eq!(
        drain(other.as_fd(), &Counter::default()).unwrap(),
        Rest::Nothing,
        "the bell behind it"
    );
    assert!(!is_readable(other.as_fd()), "is taken off too");
}

#[test]
fn a_flood_of_bells_keeps_nobody_for_ever() {
    let (one, other) = pair();
    for _ in 0..super::BELLS_MAX + 1 {
        rustix::net::send(&one, &[0], SendFlags::DONTWAIT).unwrap();
    }
    assert_eq!(
        drain(other.as_fd(), &Counter::default()).unwrap(),
        Rest::Nothing,
        "one pass"
    );
    assert!(is_readable(other.as_fd()), "leaves the rest for the next");
}

#[test]
fn the_end_is_seen_behind_the_bells_of_a_dead_peer() {
    let (one, other) = pair();
    rustix::net::send(&other, b"never read", SendFlags::DONTWAIT).unwrap();
    Bell(Means::Socket(Arc::clone(&one))).ring().unwrap();
    close(one, &other);
    assert_eq!(
        drain(other.as_fd(), &Counter::default()).unwrap(),
        Rest::Closed,
        "after the reset and the bell"
    );
}

#[test]
fn only_non_blocking_event_descriptors_are_taken_for_bells() {
    let (one, other) = pair();
    let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let good = || event(EventfdFlags::NONBLOCK);
    let wrong = [
        [null(), good()],
        [good(), null()],
        [good(), event(EventfdFlags::empty())],
        [one.try_clone().unwrap(), good()],
    ];
    for bells in wrong {
        let refused = Bells::received(Some(bells), &other, &credentials(&other));
        assert!(matches!(refused, Err(BellError::NotAnEvent)), "{refused:?}");
    }
    Bells::received(Some([good(), good()]), &other, &credentials(&other)).unwrap();
}

#[test]
fn event_descriptors_of_another_user_are_refused() {
    let (_one, other) = pair();
    let mut client = credentials(&other);
    client.uid += 1;
    let bells = [event(EventfdFlags::NONBLOCK), event(EventfdFlags::NONBLOCK)];
    let refused = Bells::received(Some(bells), &other, &client);
    assert!(
        matches!(refused, Err(BellError::ForeignUser { .. })),
        "{refused:?}"
    );
    Bells::received(None, &other, &client).unwrap();
}

#[test]
fn event_descriptors_are_for_one_user_with_descriptors_to_spare() {
    let kinds = [
        (true, 10, Some(1024), BellKind::Event),
        (true, 511, Some(1024), BellKind::Event),
        (true, 512, Some(1024), BellKind::Socket),
        (true, 1_000_000, None, BellKind::Event),
        (false, 10, Some(1024), BellKind::Socket),
    ];
    for (same_user, open, limit, expected) in kinds {
        let kind = BellKind::of_means(same_user, open, limit);
        assert_eq!(
            kind, expected,
            "same user: {same_user}, open: {open} of {limit:?}"
        );
    }
}

#[test]
fn the_choice_looks_at_the_peer_and_at_the_table() {
    let (one, _other) = pair();
    let mut peer = credentials(&one);
    assert_eq!(
        BellKind::choose(&peer, one.as_fd()),
        BellKind::Event,
        "ourselves"
    );
    peer.uid += 1;
    assert_eq!(
        BellKind::choose(&peer, one.as_fd()),
        BellKind::Socket,
        "somebody else"
    );
}
