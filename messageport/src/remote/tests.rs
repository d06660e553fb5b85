//! Hand-overs between the threads of a client, with its port played by the test: what happens in moments that a whole port
//! passes too quickly.

use super::Options;
use super::client::Client;
use super::connect::watch;
use super::settings::Settings;
use crate::bell::{BellKind, Bells};
use crate::error::SendError;
use crate::hello::{Peer, tests::pair};
use crate::link::Link;
use crate::local::LARGEST;
use crate::names::PortName;
use crate::pidfd::Credentials;
use crate::ring::{End, Layout, RingSize};
use crate::transfer::{Sending, Step};
use crate::wire::{Head, Kind, Status};
use runloop::{Handle, Limit, Mode, ReturnAfter, RunLoop};
use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A client whose bell is on the socket, and the other end of its link.
fn linked() -> (Arc<Client>, Link) {
    let (ours, theirs) = pair();
    let layout = Layout::new(RingSize::MIN, RingSize::MIN);
    let (end, memory) = End::create(layout).unwrap();
    let adopted = End::adopt(memory.as_fd(), layout).unwrap();
    let (peer, bells) = introduced(ours);
    let hub = watch(&peer).unwrap();
    let bells = [bells.client, bells.server];
    let link = Link::new(peer, end, bells, LARGEST, Arc::default());
    let name = PortName::new("org.example.played").unwrap();
    let client = Client::new(name, link, hub, None, Settings::default());
    let (peer, bells) = introduced(theirs);
    let bells = [bells.server, bells.client];
    let server = Link::new(peer, adopted, bells, LARGEST, Arc::default());
    (Arc::new(client), server)
}

fn introduced(socket: OwnedFd) -> (Peer, Bells) {
    let socket = Arc::new(socket);
    let credentials = Credentials::of(socket.as_fd()).unwrap();
    let bells = Bells::create(BellKind::Socket, &socket).unwrap();
    (Peer::new(socket, credentials, None), bells)
}

/// Lets a thread make a call that has no deadline, and waits until it sleeps; says how the call ends.
fn sleeps_in(
    call: impl FnOnce() -> Result<(), SendError> + Send + 'static,
) -> (Handle, Receiver<Result<(), SendError>>) {
    let (out, handle) = channel();
    let (ends, ended) = channel();
    std::thread::spawn(move || {
        out.send(RunLoop::current().handle()).unwrap();
        drop(ends.send(call()));
    });
    let handle = handle.recv().unwrap();
    while handle.is_waiting() != Ok(true) {
        std::thread::yield_now();
    }
    (handle, ended)
}

fn for_ever() -> Options {
    Options::new().wait_for_ever()
}

#[test]
fn a_thread_that_notices_the_closing_when_it_was_woken_for_nothing_ends_its_request() {
    let (client, server) = linked();
    let asking = Arc::clone(&client);
    let ask = move || asking.request(1, b"", &[], for_ever()).map(drop);
    let (handle, ended) = sleeps_in(ask);
    // Before the bell is rung, which another thread of the client may hear.
    server.page().set_closing();
    handle.wake_up().unwrap();
    let ended = ended.recv_timeout(HANGS);
    assert!(
        matches!(ended, Ok(Err(SendError::BecameInvalid))),
        "all have been told, it as well: {ended:?}"
    );
}

#[test]
fn whoever_hears_the_bell_announces_for_a_writer_that_sleeps_on() {
    let (client, server) = linked();
    let sending = Arc::clone(&client);
    let send = move || sending.send(1, &[0; 200_000], &[], for_ever());
    let (_, ended) = sleeps_in(send);
    // The port has rung for an answer, and the thread that waited for it has heard that alone.
    assert!(server.outgoing().must_ring_now(), "the writer sleeps");
    client.take_in(None);
    assert!(
        server.outgoing().must_ring_now(),
        "the writer is to hear of the port's end"
    );
    server.page().set_closing();
    server.ring();
    let ended = ended.recv_timeout(HANGS);
    assert!(
        matches!(ended, Ok(Err(SendError::BecameInvalid))),
        "{ended:?}"
    );
}

#[test]
fn whoever_hears_the_bell_announces_for_a_request_that_sleeps_on() {
    let (client, server) = linked();
    let asking = Arc::clone(&client);
    let (_, ended) = sleeps_in(move || asking.request(1, b"", &[], for_ever()).map(drop));
    assert!(server.outgoing().must_ring_now(), "the asker sleeps");
    client.take_in(None);
    assert!(server.outgoing().must_ring_now(), "it sleeps on");
    server.hang_up();
    let ended = ended.recv_timeout(HANGS);
    assert!(
        matches!(ended, Ok(Err(SendError::BecameInvalid))),
        "{ended:?}"
    );
}

#[test]
fn a_bell_that_cannot_be_rung_ends_the_link_for_both_ends_and_all_threads() {
    let (client, server) = linked();
    let (unwatched, closed) = pair();
    let asking = Arc::clone(&client);
    let (_, ended) = sleeps_in(move || asking.request(1, b"", &[], for_ever()).map(drop));
    // The port's end, with a bell that fails while the connection is as it was.
    crate::hello::tests::close(closed, &unwatched);
    let (peer, deaf) = introduced(unwatched);
    drop(peer);
    let server = server.with_bell(deaf.client);
    server.ring();
    let ended = ended.recv_timeout(HANGS);
    assert!(
        matches!(ended, Ok(Err(SendError::BecameInvalid))),
        "{ended:?}"
    );
    assert!(server.is_dead(), "here as well");
}

/// Lets everybody see a reply before it is asked whether somebody sleeps who must be rung for it.
fn reply_unrung(server: &Link, conversation: u64) {
    let head = Head {
        kind: Kind::Reply,
        msgid: 1,
        aux: Status::Ok.aux(),
        conversation,
        nfds: 0,
    };
    let step = server.outgoing().step(&mut Sending::new(head, &b""[..]));
    assert_eq!(step.unwrap(), Step::Whole, "there is room");
}

#[test]
fn a_thread_that_stops_looking_hands_over_what_it_has_seen_and_nobody_is_rung_for() {
    let (client, server) = linked();
    let asking = Arc::clone(&client);
    let (_, ended) = sleeps_in(move || asking.request(1, b"", &[], for_ever()).map(drop));
    let (run_loop, mode) = (RunLoop::current(), Mode::new("played.around"));
    let (within, seen) = (Mode::new("played.within"), Rc::new(Cell::new(false)));
    let (server, told) = (Arc::new(server), Rc::clone(&seen));
    let port = Arc::clone(&server);
    // In the mode in which this thread waits as well, and so looks instead of sleeping.
    let around = run_loop.perform(mode, move |run_loop| {
        reply_unrung(&port, 1);
        let inside = run_loop.perform(within, move |_| {
            told.set(matches!(ended.recv_timeout(HANGS), Ok(Ok(()))));
        });
        inside.unwrap();
        // From here on this thread looks no more: it has said that it wants to be rung, and seen that there is something.
        let nested = run_loop.wait_in_mode(within, Limit::Now, ReturnAfter::Limit);
        let _over = nested.unwrap();
        reply_unrung(&port, 2);
        port.ring();
    });
    around.unwrap();
    client
        .request(1, b"", &[], for_ever().in_mode(mode))
        .unwrap();
    assert!(seen.get(), "the other thread has its reply meanwhile");
}

#[test]
fn a_thread_that_takes_no_more_at_once_leaves_the_rest_to_those_who_wait() {
    let (client, server) = linked();
    let asking = Arc::clone(&client);
    let (_, ended) = sleeps_in(move || asking.request(1, b"", &[], for_ever()).map(drop));
    // More than is taken in one go before the one that is waited for, and another thread hears the bell.
    assert!(server.outgoing().must_ring_now(), "the asker sleeps");
    for _ in 0..1_100 {
        reply_unrung(&server, LATE);
    }
    reply_unrung(&server, 1);
    client.take_in(None);
    let ended = ended.recv_timeout(HANGS);
    assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    assert_eq!(client.late_replies(), 1_100, "the others were for nobody");
}

/// The number of a request whose asker has given up.
const LATE: u64 = 7;
/// A call that has not ended then never will.
const HANGS: Duration = Duration::from_secs(60);
