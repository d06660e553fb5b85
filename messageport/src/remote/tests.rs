//! Hand-overs between the threads of a client, with its port played by the test: what happens in moments that a whole port
//! passes too quickly.

use super::Options;
use super::client::Client;
use super::connect::watch;
use super::connecting::Settings;
use crate::bell::{BellKind, Bells};
use crate::error::SendError;
use crate::hello::{Peer, tests::pair};
use crate::link::Link;
use crate::local::LARGEST;
use crate::names::PortName;
use crate::pidfd::Credentials;
use crate::ring::{End, Layout, RingSize};
use runloop::{Handle, RunLoop};
use std::os::fd::{AsFd, OwnedFd};
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
    let ask = move || asking.request(1, b"", for_ever()).map(drop);
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
    let send = move || sending.send(1, &[0; 200_000], for_ever());
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
    let (_, ended) = sleeps_in(move || asking.request(1, b"", for_ever()).map(drop));
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
    let (_, ended) = sleeps_in(move || asking.request(1, b"", for_ever()).map(drop));
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

/// A call that has not ended then never will.
const HANGS: Duration = Duration::from_secs(60);
