//! Who must be woken, and when; the order of the accesses is the model checker's, beside the protocol.

use super::{one_way, pair};
use crate::ring::{Consumer, Producer, RingSize, Room};

const RECORD: u64 = 64;

fn put(producer: &mut Producer) -> bool {
    producer
        .put(&one_way(1, 32), &[1; 32], Room::anywhere(32))
        .unwrap()
        .is_some()
}

fn take(consumer: &mut Consumer) {
    consumer.record().unwrap().unwrap().release();
}

#[test]
fn a_reader_is_rung_for_once_each_time_it_lies_down() {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    assert!(put(&mut client.producer), "room");
    assert!(!client.producer.must_ring(), "nobody sleeps");
    take(&mut server.consumer);
    assert!(!server.consumer.announce(), "nothing to read");
    assert!(put(&mut client.producer), "room");
    assert!(client.producer.must_ring(), "it sleeps");
    assert!(!client.producer.must_ring(), "and has been rung for");
    take(&mut server.consumer);
    assert!(!server.consumer.announce(), "it lies down again");
    assert!(
        client.producer.must_ring(),
        "and is rung for again, whatever for"
    );
}

#[test]
fn a_reader_that_finds_something_after_all_is_not_rung_for() {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    assert!(put(&mut client.producer), "room");
    assert!(server.consumer.announce(), "there is something after all");
    assert!(!client.producer.must_ring(), "so it does not sleep");
    assert!(server.consumer.announce(), "as long as it is not read");
    take(&mut server.consumer);
    assert!(!server.consumer.announce(), "now there is not");
}

#[test]
fn a_writer_is_rung_for_when_as_much_is_free_as_it_wished() {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    while put(&mut client.producer) {}
    assert_eq!(
        client.producer.announce(10 * RECORD),
        Ok(RECORD),
        "what is kept is free"
    );
    for taken in 1..10 {
        assert!(
            !server.consumer.must_ring(),
            "too little before record {taken} is taken"
        );
        take(&mut server.consumer);
    }
    assert!(server.consumer.must_ring(), "now it is enough");
    assert!(!server.consumer.must_ring(), "once");
    assert_eq!(
        client.producer.announce(10 * RECORD),
        Ok(10 * RECORD),
        "as it finds itself"
    );
}

#[test]
fn a_writer_is_rung_for_by_an_empty_ring_whatever_it_wished() {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    assert!(put(&mut client.producer), "room");
    client.producer.announce(u64::MAX).unwrap();
    assert!(!server.consumer.must_ring(), "one record is in the way");
    take(&mut server.consumer);
    assert!(server.consumer.must_ring(), "there will never be more");
}

#[test]
fn a_writer_that_finds_room_after_all_withdraws() {
    let (mut client, server, _file) = pair(RingSize::MIN);
    assert_eq!(
        client.producer.announce(RECORD),
        Ok(64 << 10),
        "all is free"
    );
    client.producer.withdraw();
    assert!(!server.consumer.must_ring(), "nobody sleeps");
}

#[test]
fn the_two_rings_have_bells_of_their_own() {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    assert!(!server.consumer.announce(), "the server sleeps");
    assert!(put(&mut server.producer), "and somebody there writes");
    assert!(!server.producer.must_ring(), "the client does not sleep");
    assert!(!client.consumer.must_ring(), "nobody waits for room");
    assert!(!server.consumer.must_ring(), "in either ring");
    assert!(put(&mut client.producer), "room");
    assert!(client.producer.must_ring(), "the server does sleep");
}
