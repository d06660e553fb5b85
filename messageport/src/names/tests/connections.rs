//! Finding ports: those that are there, those that are not, and those that have no time.

use super::super::claim::Claim;
use super::super::connect::{ConnectError, connect};
use super::super::directory::proc_path;
use super::super::listener::new_socket;
use super::super::wait::{Pauses, Watch};
use super::processes::Process;
use super::{Place, name};
use crate::hello::{Accepted, Peer, accept};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, bind, listen};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

fn is_readable(watch: &Watch) -> bool {
    let mut fds = [PollFd::new(watch, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).unwrap() > 0
}

#[test]
fn client_and_server_see_each_other() {
    let place = Place::new();
    let ports = place.ports();
    let claim = Claim::new(&ports, &name("a")).unwrap();
    let client = connect(&ports, &name("a")).unwrap();
    let Ok(Accepted::Client(server)) = accept(claim.listener().as_fd()) else {
        panic!("the client waits");
    };
    let us = Some(std::process::id());
    assert_eq!(client.credentials().pid, us, "the server is this process");
    assert_eq!(server.credentials().pid, us, "and so is the client");
    assert!(
        server.pidfd().is_none(),
        "only clients hold a descriptor of the other process"
    );
    assert!(!server.is_dead() && !client.is_dead(), "both live");
    let flags = rustix::io::fcntl_getfd(client.socket()).unwrap();
    assert!(
        flags.contains(rustix::io::FdFlags::CLOEXEC),
        "closed on exec"
    );
    let flags = rustix::fs::fcntl_getfl(client.socket()).unwrap();
    assert!(flags.contains(OFlags::NONBLOCK), "and never waiting");
    server.hang_up();
    assert!(client.is_dead(), "until one hangs up");
}

#[test]
fn the_client_of_a_killed_server_sees_it_at_once() {
    let place = Place::new();
    let ports = place.ports();
    let mut server = Process::new(&place.ports_path());
    assert_eq!(server.ask("claim a"), "won", "nobody else wants it");
    let client = connect(&ports, &name("a")).unwrap();
    assert_eq!(
        client.credentials().pid,
        Some(server.pid()),
        "the server is who claimed it"
    );
    server.kill();
    assert!(client.is_dead(), "it is dead");
}

#[test]
fn a_name_that_nobody_has_is_not_found_and_the_error_says_where() {
    let place = Place::new();
    let ports = place.ports();
    let error = connect(&ports, &name("a")).unwrap_err();
    let expected = format!("there is no port \"a\" in {}", ports.path().display());
    assert_eq!(error.to_string(), expected, "name and directory");
    assert!(matches!(error, ConnectError::NotFound { .. }), "{error:?}");
}

#[test]
fn a_port_with_a_full_queue_is_busy() {
    let place = Place::new();
    let ports = place.ports();
    let crowded = new_socket().unwrap();
    bind(
        &crowded,
        &SocketAddrUnix::new(ports.short_path("a.sock")).unwrap(),
    )
    .unwrap();
    listen(&crowded, 0).unwrap();
    let mut queued = Vec::new();
    let error = loop {
        match connect(&ports, &name("a")) {
            Ok(peer) => queued.push(peer),
            Err(error) => break error,
        }
        assert!(queued.len() < 100, "a queue for none holds a hundred");
    };
    assert!(
        matches!(error, ConnectError::Busy { .. }),
        "after {}: {error:?}",
        queued.len()
    );
}

#[test]
fn a_socket_of_another_kind_is_an_error_and_no_port() {
    let place = Place::new();
    let ports = place.ports();
    let _stream = UnixListener::bind(place.ports_path().join("a.sock")).unwrap();
    let error = connect(&ports, &name("a")).unwrap_err();
    assert!(matches!(error, ConnectError::Io { .. }), "{error:?}");
}

#[test]
fn dropping_a_claim_hangs_up_on_those_who_wait() {
    let place = Place::new();
    let ports = place.ports();
    let claim = Claim::new(&ports, &name("a")).unwrap();
    let queued: Vec<_> = (0..5)
        .map(|_| connect(&ports, &name("a")).unwrap())
        .collect();
    let Ok(Accepted::Client(server)) = accept(claim.listener().as_fd()) else {
        panic!("somebody waits");
    };
    drop(claim);
    assert!(!server.is_dead(), "who was accepted is not concerned");
    assert!(!queued[0].is_dead(), "on either side");
    assert!(queued[1..].iter().all(Peer::is_dead), "the others are");
}

#[test]
fn nobody_queues_at_a_claim_that_was_dropped_even_while_its_listener_is_open() {
    let place = Place::new();
    let ports = place.ports();
    let claim = Claim::new(&ports, &name("a")).unwrap();
    let on_its_way = openat(&ports, "a.sock", OFlags::PATH, Mode::empty()).unwrap();
    let watched = Arc::clone(claim.listener());
    drop(claim);
    let path = proc_path(on_its_way.as_fd());
    let late = rustix::net::connect(new_socket().unwrap(), &SocketAddrUnix::new(path).unwrap());
    assert_eq!(
        late,
        Err(Errno::CONNREFUSED),
        "although it had found the socket before"
    );
    drop(watched);
}

#[test]
fn a_name_that_appears_wakes_those_who_watch() {
    let place = Place::new();
    let ports = place.ports();
    let watch = Watch::new(&ports).unwrap();
    assert!(!is_readable(&watch), "nothing yet");
    let mut claim = Claim::new(&ports, &name("a")).unwrap();
    assert!(is_readable(&watch), "a name");
    watch.clear().unwrap();
    assert!(!is_readable(&watch), "nothing more");
    claim.rename(&name("b")).unwrap();
    assert!(is_readable(&watch), "another name");
    watch.clear().unwrap();
    drop(claim);
    assert!(!is_readable(&watch), "one that goes wakes nobody");
}

#[test]
fn watching_is_for_what_is_put_in_place_and_not_for_what_is_in_the_making() {
    let place = Place::new();
    let watch = Watch::new(&place.ports()).unwrap();
    let made = place.ports_path().join("made");
    fs::write(&made, "").unwrap();
    assert!(!is_readable(&watch), "something new");
    fs::rename(&made, place.ports_path().join("a.sock")).unwrap();
    assert!(is_readable(&watch), "is in place");
}

#[test]
fn pauses_grow_up_to_their_longest() {
    let millis = |pauses: Pauses| -> Vec<u128> {
        pauses
            .take(8)
            .map(|pause: Duration| pause.as_millis())
            .collect()
    };
    assert_eq!(
        millis(Pauses::while_busy()),
        [1, 2, 4, 8, 16, 32, 50, 50],
        "for a busy port"
    );
    let absent = [10, 20, 40, 80, 100, 100, 100, 100];
    assert_eq!(
        millis(Pauses::while_absent()),
        absent,
        "for a name that is not there"
    );
}
