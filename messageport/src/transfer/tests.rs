//! Messages from one end to the other, in one process with a mapping for each end.

mod bells;
mod hostile;
mod pieces;
mod sizes;
mod streams;

use super::{Arrival, Inbound, Incoming, Outgoing, Sending, Step};
use crate::ring::tests::{one_way as record, pair};
use crate::ring::{RingSize, Room};
use crate::wire::{Head, Kind};

/// The largest message the receiver takes.
const LIMIT: u64 = 1 << 30;

/// The way to the server: the client's sending side and the server's receiving side.
fn one_way(size: RingSize) -> (Outgoing, Incoming) {
    let (client, server, _file) = pair(size);
    (
        Outgoing::new(client.producer),
        Incoming::new(server.consumer, LIMIT),
    )
}

/// As [`one_way`], with the smallest ring, empty and gone round up to this place.
fn one_way_from(place: usize) -> (Outgoing, Incoming) {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    for _ in 0..place / 32 {
        client
            .producer
            .put(&record(1, 0), &[], Room::behind(0))
            .unwrap();
        server.consumer.record().unwrap().unwrap().release();
    }
    (
        Outgoing::new(client.producer),
        Incoming::new(server.consumer, LIMIT),
    )
}

fn request(conversation: u64) -> Head {
    Head {
        kind: Kind::Request,
        msgid: 3,
        aux: 4,
        conversation,
        nfds: 2,
    }
}

/// A message with this payload that has the next number.
fn message<P>(outgoing: &Outgoing, payload: P) -> Sending<P> {
    Sending::new(request(outgoing.next_conversation()), payload)
}

/// Writes a message to its end, which must be possible now.
fn send(outgoing: &mut Outgoing, payload: &[u8]) {
    let mut sending = message(outgoing, payload);
    while let Step::Piece { .. } = outgoing.step(&mut sending).unwrap() {}
    assert!(!sending.is_in_pieces(), "there is room for all of it");
}

/// Takes records until a message is whole or nothing is there.
fn receive(incoming: &mut Incoming) -> Option<Inbound> {
    loop {
        match incoming.next().unwrap() {
            Arrival::Message(inbound) => return Some(inbound),
            Arrival::Nothing => return None,
            Arrival::Begun(_) | Arrival::Piece => {}
            other => panic!("this was not to happen: {other:?}"),
        }
    }
}
