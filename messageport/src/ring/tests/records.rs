//! Records in and out: every size and place, the ring's end, and what stays resident.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use super::{Noise, one_way, pair};
use crate::ring::{Consumer, Producer, RingSize, Room, record_size};

const KEEP: u64 = 32;

fn put(producer: &mut Producer, conversation: u64, payload: &[u8]) -> bool {
    producer
        .put(
            &one_way(conversation, payload.len()),
            payload,
            Room::anywhere(KEEP),
        )
        .unwrap()
        .is_some()
}

/// Takes the next record: its conversation and its bytes.
fn take(consumer: &mut Consumer) -> Option<(u64, Vec<u8>)> {
    let record = consumer.record().unwrap()?;
    let mut bytes = vec![0xee];
    record.append_to(&mut bytes);
    let mut copy = vec![0; record.len()];
    assert_eq!(
        record.copy_to(&mut copy),
        record.len(),
        "the length is the header's"
    );
    assert_eq!(copy, bytes[1..], "both ways of copying out agree");
    let conversation = record.header().head.conversation;
    record.release();
    assert_eq!(bytes.remove(0), 0xee, "what was in the buffer stays");
    Some((conversation, bytes))
}

/// Bytes of memory that the file takes.
fn resident(file: &OwnedFd) -> i64 {
    rustix::fs::fstat(file).unwrap().st_blocks * 512
}

#[test]
fn records_of_every_small_size_come_out_as_they_went_in() {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    let mut noise = Noise::new(1);
    for len in (0..300).chain([4000, 4064, 4065, 16_384, 30_000, 32_704]) {
        let payload = noise.bytes(len);
        assert!(
            put(&mut client.producer, 1, &payload),
            "an empty ring has room for {len}"
        );
        assert_eq!(
            take(&mut server.consumer),
            Some((1, payload)),
            "{len} bytes"
        );
        assert_eq!(take(&mut server.consumer), None, "only one record");
    }
}

#[test]
fn both_directions_are_apart() {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    assert!(put(&mut client.producer, 1, b"there"), "room");
    assert!(put(&mut server.producer, 2, b"back"), "room");
    assert_eq!(
        take(&mut client.consumer),
        Some((2, b"back".to_vec())),
        "what the server wrote"
    );
    assert_eq!(
        take(&mut server.consumer),
        Some((1, b"there".to_vec())),
        "what the client wrote"
    );
}

#[test]
fn a_ring_can_be_filled_to_the_last_byte_but_what_is_kept() {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    let producer = &mut client.producer;
    let mut count = 0;
    while put(producer, count + 1, b"x") {
        count += 1;
    }
    assert_eq!(
        count * record_size(1),
        (64 << 10) - 64,
        "64 bytes a record and 32 kept"
    );
    assert!(
        put(producer, count + 1, b""),
        "a bare header leaves just what is kept"
    );
    assert!(!put(producer, count + 2, b""), "and then nothing fits");
    let last = producer
        .put(&one_way(count + 2, 0), b"", Room::behind(0))
        .unwrap();
    assert_eq!(last, Some((64 << 10) - 32), "unless nothing is to be kept");
    for conversation in 1..=count + 2 {
        assert_eq!(
            take(&mut server.consumer).unwrap().0,
            conversation,
            "in order"
        );
    }
    assert_eq!(take(&mut server.consumer), None, "all came out");
}

#[test]
fn random_traffic_comes_out_in_order_whatever_the_places() {
    for seed in 0..60 {
        let (mut client, mut server, _file) = pair(RingSize::MIN);
        let mut noise = Noise::new(seed);
        let mut model = VecDeque::new();
        let largest = [1, 100, 5_000, 30_000][noise.below(4)];
        for conversation in 1..400 {
            let len = noise.below(largest);
            let payload = noise.bytes(len);
            if put(&mut client.producer, conversation, &payload) {
                model.push_back((conversation, payload));
            } else {
                assert!(!model.is_empty(), "an empty ring has room (seed {seed})");
            }
            for _ in 0..noise.below(4) {
                assert_eq!(take(&mut server.consumer), model.pop_front(), "seed {seed}");
            }
        }
        while !model.is_empty() {
            assert_eq!(take(&mut server.consumer), model.pop_front(), "seed {seed}");
        }
    }
}

#[test]
fn small_traffic_stays_in_one_page_of_each_ring() {
    for len in [0, 8, 32, 64, 100, 500, 1000] {
        let (mut client, mut server, file) = pair(RingSize::DEFAULT);
        assert_eq!(resident(&file), 0, "nothing is touched before use");
        let payload = vec![7; len];
        for conversation in 1..=100_000 {
            assert!(put(&mut client.producer, conversation, &payload), "room");
            assert!(put(&mut server.producer, conversation, &payload), "room");
            assert!(take(&mut client.consumer).is_some(), "a record");
            assert!(take(&mut server.consumer).is_some(), "a record");
        }
        assert_eq!(
            resident(&file),
            3 * 4096,
            "page 0 and one of each ring, {len} bytes"
        );
    }
}

#[test]
fn a_burst_is_given_back() {
    let (mut client, mut server, file) = pair(RingSize::DEFAULT);
    let producer = &mut client.producer;
    let payload = vec![7; 60_000];
    while put(producer, 1, &payload) {}
    assert!(resident(&file) > 4_000_000, "the burst is resident");
    assert_eq!(producer.trim(), Ok(false), "not while it is unread");
    while take(&mut server.consumer).is_some() {}
    assert_eq!(producer.trim(), Ok(true), "then it is");
    assert_eq!(resident(&file), 2 * 4096, "page 0 and one of the ring");
    assert_eq!(producer.trim(), Ok(false), "once");
    for conversation in 1..1000 {
        assert!(put(producer, conversation, b"after"), "room");
        let expected = Some((conversation, b"after".to_vec()));
        assert_eq!(take(&mut server.consumer), expected, "the ring works on");
    }
    assert_eq!(
        producer.trim(),
        Ok(true),
        "the way back to the beginning stood in a further page"
    );
    assert_eq!(resident(&file), 2 * 4096, "page 0 and one of the ring");
}

#[test]
fn all_of_a_ring_that_is_begun_again_is_free() {
    let (mut client, mut server, file) = pair(RingSize::MIN);
    // As many as fit one page, each taken before the next: then the ring is begun again.
    for conversation in 1..=40 {
        assert!(put(&mut client.producer, conversation, &[1; 64]), "room");
        assert!(take(&mut server.consumer).is_some(), "a record");
        let touched = resident(&file);
        assert_eq!(touched, 2 * 4096, "page 0 and one of the ring");
    }
    let burst: Vec<_> = (41..)
        .take_while(|&conversation| put(&mut client.producer, conversation, &[2; 64]))
        .collect();
    // Nothing of the ring but what reaches past its end is lost.
    assert!(
        burst.len() >= (64 << 10) / 96 - 1,
        "{} of them",
        burst.len()
    );
    for conversation in burst {
        let expected = Some((conversation, vec![2; 64]));
        assert_eq!(take(&mut server.consumer), expected, "in order");
    }
}

#[test]
fn a_ring_that_is_not_empty_goes_on_behind_its_last_record() {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    let producer = &mut client.producer;
    for conversation in 1..=500 {
        assert!(
            put(producer, conversation, b"12345678"),
            "room for all of them"
        );
    }
    for conversation in 1..=500 {
        assert_eq!(
            take(&mut server.consumer).unwrap().0,
            conversation,
            "in order"
        );
    }
}

#[test]
fn how_far_the_peer_has_come_can_be_seen() {
    let (mut client, mut server, _file) = pair(RingSize::MIN);
    let before = client.page.peer_progress();
    let at = client
        .producer
        .put(&one_way(1, 1), b"x", Room::anywhere(KEEP))
        .unwrap()
        .unwrap();
    assert_eq!(
        client.page.peer_progress(),
        before,
        "the client's own work is not the peer's"
    );
    assert!(!client.page.is_taken(at), "the record is not taken");
    assert!(server.consumer.has_data(), "but there");
    assert!(server.page.has_data(), "as any thread can see");
    assert!(take(&mut server.consumer).is_some(), "now it is");
    assert!(client.page.is_taken(at), "which the client sees");
    assert!(!server.consumer.has_data(), "and that was all");
    assert!(!server.page.has_data(), "as any thread can see");
    let after = client.page.peer_progress();
    assert_ne!(after, before, "reading is progress");
    assert!(put(&mut server.producer, 1, b"y"), "room");
    assert_ne!(client.page.peer_progress(), after, "and so is writing");
}

#[test]
fn the_words_of_the_first_page_reach_the_other_end() {
    let (client, server, _file) = pair(RingSize::MIN);
    assert_eq!(server.page.peer_processor(), None, "it has not said");
    assert!(
        !server.page.peer_is_elsewhere(),
        "and so is not thought to be elsewhere"
    );
    let here = client.page.set_processor();
    assert_eq!(server.page.peer_processor(), Some(here), "now it has");
    assert_eq!(client.page.peer_processor(), None, "the other one has not");
    assert!(!client.page.peer_is_closing(), "open at first");
    server.page.set_closing();
    assert!(client.page.peer_is_closing(), "the server is closing");
    assert!(!server.page.peer_is_closing(), "the client is not");
    assert_eq!(client.page.largest(), None, "not accepted yet");
    server.page.set_largest(1 << 30);
    assert_eq!(
        client.page.largest(),
        Some(1 << 30),
        "what the server takes"
    );
}
