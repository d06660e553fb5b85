//! What the other end writes when it means ill: every lie is found, stays found, and does nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::scribbler::RING;
use super::{Noise, Scribbler, Watchdog, bytes, one_way};
use crate::ring::layout::Direction;
use crate::ring::{Consumer, End, Lie, Producer, Room};
use crate::wire::{Header, Malformed};

/// A server's end that has read `at` bytes, and then finds `written` and these bytes there.
fn reading(at: u64, written: u64, bytes: &[u8]) -> Consumer {
    let (mut client, mut server, Scribbler(memory)) = Scribbler::between();
    while memory
        .words(Direction::ToServer)
        .written
        .load(Ordering::Relaxed)
        < at
    {
        client
            .producer
            .put(&one_way(1, 0), &[], Room::behind(0))
            .unwrap();
        server.consumer.record().unwrap().unwrap().release();
    }
    memory.copy_in(Direction::ToServer, at % RING, bytes);
    memory
        .words(Direction::ToServer)
        .written
        .store(written, Ordering::Release);
    server.consumer
}

fn found(consumer: &mut Consumer) -> Option<Lie> {
    consumer.record().err()
}

#[test]
fn a_position_that_nobody_can_have_written_is_a_lie() {
    for written in [
        1,
        31,
        33,
        96 + 16,
        64,
        0,
        96 + RING + 32,
        u64::MAX - 31,
        u64::MAX,
        1 << 63,
    ] {
        let mut consumer = reading(96, written, &[]);
        assert!(consumer.has_data(), "{written}: something has changed");
        assert_eq!(
            found(&mut consumer),
            Some(Lie::Written),
            "after 96 comes {written}"
        );
        assert_eq!(
            found(&mut consumer),
            Some(Lie::Written),
            "{written}: for good"
        );
    }
    assert_eq!(
        found(&mut reading(96, 96, &[])),
        None,
        "nothing new is no lie"
    );
    let full = reading(96, 96 + RING, &bytes(&one_way(1, 0)))
        .record()
        .map(|_| ());
    assert_eq!(full, Ok(()), "nor is a full ring");
}

#[test]
fn a_position_that_nobody_can_have_read_is_a_lie() {
    let writing = |read: u64| -> Producer {
        let (mut client, _server, Scribbler(memory)) = Scribbler::between();
        let words = memory.words(Direction::ToServer);
        for _ in 0..4 {
            client
                .producer
                .put(&one_way(1, 0), &[], Room::anywhere(32))
                .unwrap();
        }
        words.read.store(64, Ordering::Release);
        assert_eq!(
            client.producer.announce(1),
            Ok(RING - 64),
            "64 of 128 were read"
        );
        words.read.store(read, Ordering::Release);
        client.producer
    };
    for read in [0, 32, 65, 96 + 1, 160, u64::MAX, u64::MAX - 31, RING + 64] {
        let mut producer = writing(read);
        assert_eq!(
            producer.announce(1),
            Err(Lie::Read),
            "{read} after 64 of 128"
        );
        assert_eq!(producer.announce(1), Err(Lie::Read), "{read}: for good");
        assert_eq!(
            producer.put(&one_way(1, 0), &[], Room::anywhere(32)),
            Err(Lie::Read),
            "{read}: everywhere"
        );
        assert_eq!(
            producer.put(&one_way(1, 0), &[], Room::behind(0)),
            Err(Lie::Read),
            "{read}: abort"
        );

        let mut producer = writing(read);
        let large = one_way(1, 65_400);
        assert_eq!(
            producer.put(&large, &[0; 65_400], Room::anywhere(32)),
            Err(Lie::Read),
            "{read}: looking for room"
        );
        assert_eq!(producer.trim(), Ok(false), "{read}: nothing to give back");
    }
    for read in [64, 96, 128] {
        assert_eq!(
            writing(read).announce(1),
            Ok(RING - 128 + read),
            "{read} is possible"
        );
    }
}

#[test]
fn a_record_that_reaches_too_far_is_a_lie() {
    let long = |len| bytes(&one_way(1, len));
    let cases = [
        ("past what is written", reading(0, 32, &long(1))),
        (
            "a unit past what is written",
            reading(64, 64 + 64, &long(33)),
        ),
        (
            "past the ring's end",
            reading(RING - 32, RING + 32, &long(1)),
        ),
        (
            "far past the ring's end",
            reading(64, 64 + RING, &long(65_472)),
        ),
        (
            "as far as a number goes",
            reading(0, RING, &{
                let mut header = long(0);
                header[0..4].fill(0xff);
                header[24..28].fill(0xff);
                header
            }),
        ),
        (
            "a skip short of the end",
            reading(64, RING, &bytes(&Header::skip(32))),
        ),
        (
            "a skip past the end",
            reading(RING - 32, RING + 32, &bytes(&Header::skip(32))),
        ),
        (
            "a skip of the whole ring",
            reading(0, RING, &bytes(&Header::skip(65_504))),
        ),
        (
            "a skip past what is written",
            reading(RING - 64, RING - 32, &bytes(&Header::skip(32))),
        ),
        ("fresh memory", reading(0, 32, &[0; 32])),
    ];
    for (what, mut consumer) in cases {
        assert_eq!(found(&mut consumer), Some(Lie::Extent), "{what}");
        assert_eq!(found(&mut consumer), Some(Lie::Extent), "{what}: for good");
    }
}

#[test]
fn a_look_for_data_cannot_be_led_astray_by_our_own_position() {
    let (client, server, Scribbler(memory)) = Scribbler::between();
    for direction in [Direction::ToServer, Direction::ToClient] {
        memory.words(direction).read.store(96, Ordering::Release);
    }
    for end in [client, server] {
        assert!(!end.page.has_data(), "nothing was written");
        assert!(!end.consumer.has_data(), "nothing was written");
    }
}

#[test]
fn who_has_lied_once_is_not_believed_again() {
    let (mut client, mut server, Scribbler(memory)) = Scribbler::between();
    client
        .producer
        .put(&one_way(1, 0), &[], Room::anywhere(32))
        .unwrap();
    let words = memory.words(Direction::ToServer);
    words.written.store(7, Ordering::Release);
    assert_eq!(
        found(&mut server.consumer),
        Some(Lie::Written),
        "half a unit"
    );
    words.written.store(32, Ordering::Release);
    assert_eq!(found(&mut server.consumer), Some(Lie::Written), "for good");
    words.read.store(7, Ordering::Release);
    assert_eq!(client.producer.announce(1), Err(Lie::Read), "half a unit");
    words.read.store(0, Ordering::Release);
    assert_eq!(client.producer.announce(1), Err(Lie::Read), "for good");
}

#[test]
fn a_skip_to_the_end_leads_to_the_beginning() {
    let mut consumer = reading(RING - 64, RING, &bytes(&Header::skip(32)));
    assert_eq!(found(&mut consumer), None, "no lie");
    assert!(!consumer.has_data(), "but nothing to read either");
    assert!(consumer.record().unwrap().is_none(), "and so it stays");
}

#[test]
fn a_header_that_breaks_the_rules_is_a_lie() {
    let mut header = bytes(&one_way(1, 0));
    header[4] = 77;
    let lie = found(&mut reading(0, 32, &header));
    assert_eq!(
        lie,
        Some(Lie::Header(Malformed::Kind(77))),
        "there is no kind 77"
    );
}

#[test]
fn a_header_that_changes_after_it_was_checked_changes_nothing() {
    let (mut client, mut server, Scribbler(memory)) = Scribbler::between();
    client
        .producer
        .put(&one_way(1, 3), b"abc", Room::anywhere(32))
        .unwrap();
    let record = server.consumer.record().unwrap().unwrap();
    memory.copy_in(Direction::ToServer, 0, &bytes(&one_way(1, 60_000)));
    let mut copy = Vec::new();
    record.append_to(&mut copy);
    assert_eq!(copy, b"abc", "the checked copy counts");
    record.release();
    assert!(
        server.consumer.record().unwrap().is_none(),
        "and for what is given back too"
    );
}

/// Does what an end does, whatever comes of it; the answer is how many records it saw.
fn use_end(end: &mut End, noise: &mut Noise) -> usize {
    let mut seen = 0;
    let mut copy = Vec::new();
    while let Ok(Some(record)) = end.consumer.record() {
        copy.clear();
        record.append_to(&mut copy);
        record.release();
        seen += 1;
        if seen == 100 {
            break;
        }
    }
    end.consumer.announce();
    end.consumer.must_ring();
    end.consumer.has_data();
    let len = noise.below(2_000);
    for _ in 0..noise.below(6) {
        let put = end
            .producer
            .put(&one_way(1, len), &noise.bytes(len), Room::anywhere(32));
        assert!(
            put.is_ok() || end.producer.announce(1).is_err(),
            "a lie stays"
        );
    }
    end.producer.must_ring();
    let trimmed = end.producer.trim();
    assert!(
        trimmed.is_ok() || end.producer.announce(noise.next()).is_err(),
        "a lie stays"
    );
    end.page.set_processor();
    end.page.peer_is_elsewhere();
    end.page.peer_is_closing();
    seen
}

#[test]
fn nothing_that_is_scribbled_on_a_ring_gets_out_of_it() {
    let _watchdog = Watchdog::new();
    let mut seen = 0;
    for seed in 0..5_000 {
        let (mut client, mut server, scribbler) = Scribbler::between();
        let mut noise = Noise::new(seed);
        for _ in 0..noise.below(12) {
            scribbler.scribble(&mut noise);
            seen += use_end(&mut client, &mut noise);
            seen += use_end(&mut server, &mut noise);
        }
    }
    assert!(
        seen > 10_000,
        "the garbage is good enough to be read at times: {seen}"
    );
}

#[test]
fn nothing_that_is_scribbled_while_a_ring_is_used_gets_out_of_it() {
    let _watchdog = Watchdog::new();
    for seed in 0..50 {
        let (mut client, mut server, scribbler) = Scribbler::between();
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let attacker = std::thread::spawn(move || scribbler.scribble_until(&until, seed));
        let mut noise = Noise::new(seed + 1_000);
        for _ in 0..40 {
            use_end(&mut client, &mut noise);
            use_end(&mut server, &mut noise);
        }
        over.store(true, Ordering::Relaxed);
        attacker.join().unwrap();
    }
}
