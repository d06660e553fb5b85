//! Messages in pieces, with others between them and with an end before their time.

use super::{Arrival, Step, message, one_way, one_way_from, receive, request, send};
use crate::ring::tests::pair;
use crate::ring::{Page, RingSize};
use crate::transfer::{Incoming, Outgoing, Sending};
use crate::wire::{Head, Kind};

/// What comes out of the ring, in words.
fn log(incoming: &mut Incoming) -> Vec<String> {
    let mut log = Vec::new();
    loop {
        log.push(match incoming.next().unwrap() {
            Arrival::Nothing => return log,
            Arrival::Message(inbound) => {
                format!(
                    "message {} of {}",
                    inbound.head.conversation,
                    inbound.payload.len()
                )
            }
            Arrival::Begun(head) => format!("begun {} with {}", head.conversation, head.nfds),
            Arrival::Piece => "piece".to_owned(),
            Arrival::Aborted(head) => format!("aborted {} with {}", head.conversation, head.nfds),
            Arrival::Held(head) => panic!("{head:?} has its descriptors"),
            Arrival::TooLarge(head) => format!("too large {}", head.conversation),
        });
    }
}

#[test]
fn whole_records_of_others_go_between_the_pieces() {
    let (mut outgoing, mut incoming) = one_way(RingSize::new(1 << 20).unwrap());
    let mut large = message(&outgoing, vec![1; 200_000]);
    let mut log_of_steps = Vec::new();
    for _ in 0..4 {
        log_of_steps.push(outgoing.step(&mut large).unwrap());
        send(&mut outgoing, b"between");
    }
    let first = Step::Piece { first: true };
    let further = Step::Piece { first: false };
    assert_eq!(
        log_of_steps,
        [first, further, further, Step::Whole],
        "three and a bit steps"
    );
    let expected = [
        "begun 1 with 2",
        "message 2 of 7",
        "piece",
        "message 3 of 7",
        "piece",
        "message 4 of 7",
        "message 1 of 200000",
        "message 5 of 7",
    ];
    assert_eq!(
        log(&mut incoming),
        expected,
        "order is that of the last pieces"
    );
}

#[test]
fn only_one_message_is_in_pieces_at_a_time() {
    let (mut outgoing, mut incoming) = one_way(RingSize::new(1 << 20).unwrap());
    let mut first = message(&outgoing, vec![1; 100_000]);
    assert_eq!(
        outgoing.step(&mut first),
        Ok(Step::Piece { first: true }),
        "it begins"
    );
    let mut second = message(&outgoing, vec![2; 100_000]);
    assert_eq!(
        outgoing.step(&mut second),
        Ok(Step::Busy),
        "another one may not"
    );
    assert_eq!(
        outgoing.announce(&second),
        Ok(false),
        "and no room is awaited for it"
    );
    assert_eq!(outgoing.step(&mut first), Ok(Step::Whole), "the first ends");
    assert_eq!(
        outgoing.step(&mut second),
        Ok(Step::Piece { first: true }),
        "now it may"
    );
    assert_eq!(outgoing.step(&mut second), Ok(Step::Whole), "and ends");
    assert_eq!(
        outgoing.step(&mut second),
        Ok(Step::Whole),
        "asking again writes nothing"
    );
    let expected = [
        "begun 1 with 2",
        "message 1 of 100000",
        "begun 2 with 2",
        "message 2 of 100000",
    ];
    assert_eq!(log(&mut incoming), expected, "one after the other");
}

#[test]
fn nobody_takes_the_room_of_a_message_that_has_begun() {
    // The pieces meet the ring's end in every way, or find it worth beginning again.
    for place in (0..64 << 10).step_by(480) {
        for len in [16_385, 20_000, 30_000, 32_640] {
            let (mut outgoing, mut incoming) = one_way_from(place);
            let mut large = message(&outgoing, vec![1; len]);
            let first = outgoing.step(&mut large);
            assert_eq!(first, Ok(Step::Piece { first: true }), "it begins");
            while outgoing.step(&mut message(&outgoing, b"greedy")).unwrap() == Step::Whole {}
            while outgoing.step(&mut message(&outgoing, b"")).unwrap() == Step::Whole {}
            loop {
                match outgoing.step(&mut large).unwrap() {
                    Step::Whole => break,
                    step => assert_eq!(step, Step::Piece { first: false }, "its room was kept"),
                }
                let other = outgoing.step(&mut message(&outgoing, b""));
                assert_eq!(other, Ok(Step::NoRoom), "still, {len} bytes from {place}");
            }
            let whole = format!("message 1 of {len}");
            assert!(
                log(&mut incoming).contains(&whole),
                "{len} bytes from {place} arrive"
            );
        }
    }
}

#[test]
fn large_messages_that_are_read_at_once_use_the_same_part_of_the_ring() {
    let (client, server, file) = pair(RingSize::DEFAULT);
    let mut outgoing = Outgoing::new(client.producer);
    let mut incoming = Incoming::new(server.consumer, 1 << 20);
    for _ in 0..10 {
        send(&mut outgoing, &[1; 1 << 20]);
        assert!(receive(&mut incoming).is_some(), "it arrives");
    }
    let resident = rustix::fs::fstat(&file).unwrap().st_blocks * 512;
    let expected = (1 << 20) + 3 * 4096;
    assert!(
        resident <= expected,
        "{resident} bytes for messages of 1 MiB"
    );
}

#[test]
fn an_abort_always_has_room() {
    for place in [0, 4096, 20_000, 40_000, 60_000, 65_504] {
        for len in [20_000, 30_000, 32_640, 40_000, 1 << 20] {
            for steps in 1..5 {
                abort_after(steps, len, place);
            }
        }
    }
}

fn abort_after(steps: usize, len: usize, place: usize) {
    let (mut outgoing, mut incoming) = one_way_from(place);
    let mut large = message(&outgoing, vec![1; len]);
    for _ in 0..steps {
        outgoing.step(&mut large).unwrap();
    }
    while outgoing.step(&mut message(&outgoing, b"greedy")).unwrap() == Step::Whole {}
    while outgoing.step(&mut message(&outgoing, b"")).unwrap() == Step::Whole {}
    let was_in_pieces = large.is_in_pieces();
    outgoing.abort(&mut large).unwrap();
    assert_eq!(
        outgoing.step(&mut large),
        Ok(Step::Whole),
        "and then it is over"
    );
    let log = log(&mut incoming);
    let aborted = log.last().is_some_and(|last| last == "aborted 1 with 2");
    assert_eq!(
        aborted, was_in_pieces,
        "{len} bytes from {place}, {steps} steps: {log:?}"
    );
    send(&mut outgoing, &[3; 30_000]);
    let next = receive(&mut incoming).unwrap();
    assert_eq!(next.payload[..], [3; 30_000], "what comes after is intact");
}

#[test]
fn what_never_began_leaves_nothing_behind() {
    let (mut outgoing, mut incoming) = one_way(RingSize::MIN);
    let mut sending = message(&outgoing, vec![1; 100_000]);
    outgoing.abort(&mut sending).unwrap();
    assert_eq!(
        log(&mut incoming),
        Vec::<String>::new(),
        "not even an abort"
    );
    assert_eq!(
        sending.into_payload().len(),
        100_000,
        "the bytes can be had back"
    );
    let number = outgoing.next_conversation();
    send(&mut outgoing, b"next");
    assert_eq!(
        receive(&mut incoming).unwrap().head,
        request(number),
        "nor is its number used up"
    );
}

#[test]
fn a_buffer_is_given_up_with_the_message() {
    let (mut outgoing, mut incoming) = one_way(RingSize::MIN);
    for _ in 0..3 {
        let mut large = message(&outgoing, vec![1; 100_000]);
        outgoing.step(&mut large).unwrap();
        assert_eq!(log(&mut incoming).len(), 1, "the first piece");
        assert!(incoming.gathered.capacity() > 0, "is held");
        outgoing.abort(&mut large).unwrap();
        assert_eq!(log(&mut incoming).len(), 1, "the abort");
        assert_eq!(incoming.gathered.capacity(), 0, "nothing is held");
    }
}

#[test]
fn an_end_can_tell_what_the_other_has_taken() {
    let (client, server, _file) = pair(RingSize::MIN);
    let page: Page = client.page;
    let mut outgoing = Outgoing::new(client.producer);
    let mut incoming = Incoming::new(server.consumer, 1 << 20);
    send(&mut outgoing, b"before");
    let mut large = message(&outgoing, vec![1; 20_000]);
    while outgoing.step(&mut large).unwrap() != Step::Whole {}
    assert!(
        matches!(incoming.next(), Ok(Arrival::Message(_))),
        "what was before"
    );
    assert!(
        matches!(incoming.next(), Ok(Arrival::Begun(_))),
        "the first piece"
    );
    assert!(!page.is_taken(large.position()), "a part is not taken");
    assert!(
        matches!(incoming.next(), Ok(Arrival::Message(_))),
        "the last piece"
    );
    assert!(page.is_taken(large.position()), "now it is");
}

#[test]
fn answers_go_back_in_any_order() {
    let (client, server, _file) = pair(RingSize::MIN);
    let mut outgoing = Outgoing::new(server.producer);
    let mut incoming = Incoming::new(client.consumer, 1 << 20);
    for (conversation, len) in [(9, 10), (2, 40_000), (9, 0), (1, 5)] {
        let head = Head {
            kind: Kind::Reply,
            aux: 0,
            ..request(conversation)
        };
        let mut sending = Sending::new(head, vec![0; len]);
        while outgoing.step(&mut sending).unwrap() != Step::Whole {
            incoming.next().unwrap();
        }
        let reply = receive(&mut incoming).unwrap();
        assert_eq!(
            (reply.head, reply.payload.len()),
            (head, len),
            "as it was sent"
        );
    }
}
