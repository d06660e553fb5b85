//! When the other side is woken in the course of a message, and what a writer that finds no room is woken for.

use super::{Step, message, one_way, receive, send};
use crate::ring::RingSize;
use crate::transfer::{Incoming, Outgoing};

/// A receiver that is asleep, and stays so because it never reads.
fn asleep() -> (Outgoing, Incoming) {
    let (outgoing, mut incoming) = one_way(RingSize::new(1 << 20).unwrap());
    assert!(!incoming.announce(), "nothing is there yet");
    (outgoing, incoming)
}

#[test]
fn a_receiver_on_the_same_processor_is_woken_by_the_last_piece() {
    let (mut outgoing, _incoming) = asleep();
    let mut sending = message(&outgoing, vec![0; 200_000]);
    let mut bells = Vec::new();
    while bells.is_empty() || sending.is_in_pieces() {
        let step = outgoing.step(&mut sending).unwrap();
        bells.push(outgoing.must_ring(step, || false));
    }
    assert_eq!(bells, [false, false, false, true], "once, at the end");
}

#[test]
fn a_receiver_on_another_processor_is_woken_by_the_first_piece() {
    let (mut outgoing, _incoming) = asleep();
    let mut sending = message(&outgoing, vec![0; 200_000]);
    let mut bells = Vec::new();
    while bells.is_empty() || sending.is_in_pieces() {
        let step = outgoing.step(&mut sending).unwrap();
        bells.push(outgoing.must_ring(step, || true));
    }
    assert_eq!(
        bells,
        [true, false, false, false],
        "once, as early as it can begin"
    );
}

#[test]
fn a_receiver_that_lies_down_in_the_middle_is_woken_again_by_the_end() {
    let (mut outgoing, mut incoming) = asleep();
    let mut sending = message(&outgoing, vec![0; 200_000]);
    let step = outgoing.step(&mut sending).unwrap();
    assert!(outgoing.must_ring(step, || true), "for the first piece");
    incoming.next().unwrap();
    assert!(!incoming.announce(), "it has read that");
    let step = outgoing.step(&mut sending).unwrap();
    assert!(!outgoing.must_ring(step, || true), "not for the second");
    while outgoing.step(&mut sending).unwrap() != Step::Whole {}
    assert!(outgoing.must_ring(Step::Whole, || true), "but for the last");
}

#[test]
fn a_receiver_is_woken_when_the_ring_is_full() {
    let (mut outgoing, _incoming) = asleep();
    let large = 3 << 20;
    let (mut outgoing_far, _incoming_far) = asleep();
    for (outgoing, elsewhere) in [(&mut outgoing, false), (&mut outgoing_far, true)] {
        let mut sending = message(outgoing, vec![0; large]);
        let mut rung = Vec::new();
        loop {
            let step = outgoing.step(&mut sending).unwrap();
            if outgoing.must_ring(step, || elsewhere) {
                rung.push(step);
            }
            if step == Step::NoRoom {
                break;
            }
        }
        let expected = if elsewhere {
            Step::Piece { first: true }
        } else {
            Step::NoRoom
        };
        assert_eq!(rung, [expected], "or there would never be room");
    }
}

#[test]
fn one_who_waits_for_anothers_message_rings_for_nothing() {
    let (mut outgoing, _incoming) = asleep();
    let mut first = message(&outgoing, vec![0; 200_000]);
    outgoing.step(&mut first).unwrap();
    let mut second = message(&outgoing, vec![0; 200_000]);
    let step = outgoing.step(&mut second).unwrap();
    assert_eq!(step, Step::Busy, "the first is in pieces");
    assert!(
        !outgoing.must_ring(step, || true),
        "the first rings when it is whole"
    );
}

#[test]
fn a_writer_of_small_messages_is_woken_when_there_is_room_for_many() {
    let (mut outgoing, mut incoming) = one_way(RingSize::new(1 << 20).unwrap());
    let mut waiting = loop {
        let mut sending = message(&outgoing, [1; 64]);
        if outgoing.step(&mut sending).unwrap() == Step::NoRoom {
            break sending;
        }
    };
    assert_eq!(outgoing.announce(&waiting), Ok(false), "no room");
    let mut taken = 0;
    while !incoming.must_ring() {
        assert!(
            receive(&mut incoming).is_some(),
            "the ring is full of messages"
        );
        taken += 1;
    }
    assert!(
        (672..=683).contains(&taken),
        "64 KiB are {taken} small messages"
    );
    assert_eq!(
        outgoing.step(&mut waiting),
        Ok(Step::Whole),
        "there is room"
    );
}

#[test]
fn a_writer_of_a_large_message_is_woken_when_there_is_room_for_it() {
    let (mut outgoing, mut incoming) = one_way(RingSize::new(1 << 20).unwrap());
    for _ in 0..3 {
        send(&mut outgoing, &[1; 300_000]);
    }
    let mut waiting = message(&outgoing, vec![2; 500_000]);
    assert_eq!(
        outgoing.step(&mut waiting),
        Ok(Step::NoRoom),
        "it would not fit wholly"
    );
    assert_eq!(outgoing.announce(&waiting), Ok(false), "nor does it now");
    assert!(
        receive(&mut incoming).is_some(),
        "300,000 bytes and some are free"
    );
    assert!(!incoming.must_ring(), "too few");
    let mut steps = 0;
    while !incoming.must_ring() {
        incoming.next().unwrap();
        steps += 1;
    }
    assert!(
        steps < 5,
        "it is woken before the second message is wholly out"
    );
    assert_eq!(
        outgoing.step(&mut waiting),
        Ok(Step::Piece { first: true }),
        "there is room"
    );
}

#[test]
fn a_writer_that_looks_again_finds_room_and_is_not_rung_for() {
    let (mut outgoing, mut incoming) = one_way(RingSize::MIN);
    while outgoing.step(&mut message(&outgoing, [1; 1000])).unwrap() == Step::Whole {}
    let waiting = message(&outgoing, [1; 1000]);
    assert_eq!(outgoing.announce(&waiting), Ok(false), "no room");
    for _ in 0..2 {
        assert!(receive(&mut incoming).is_some(), "a message is taken");
    }
    assert_eq!(
        outgoing.announce(&waiting),
        Ok(true),
        "which makes room after all"
    );
    while receive(&mut incoming).is_some() {}
    assert!(!incoming.must_ring(), "it does not sleep");
}

#[test]
fn closing_wakes_a_receiver_without_any_record() {
    let (outgoing, mut incoming) = asleep();
    assert!(outgoing.must_ring_now(), "it sleeps");
    assert!(!outgoing.must_ring_now(), "and is woken once");
    assert!(!incoming.announce(), "there is nothing to read");
}
