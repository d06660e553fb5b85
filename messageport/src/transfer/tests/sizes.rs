//! Messages of every size that is a boundary of something.

use super::{Arrival, Step, message, one_way, one_way_from, receive, request, send};
use crate::ring::RingSize;
use crate::ring::tests::{Noise, pair};
use crate::transfer::{Inbound, Incoming, Outgoing, Payload, Sending};

/// Sizes around what is a boundary in a ring of this many bytes.
fn boundaries(ring: usize) -> Vec<usize> {
    let step = (64 << 10).min(ring / 4);
    let places = [
        0,
        32,
        64,
        4096 - 32,
        4096,
        step - 32,
        step,
        2 * step,
        3 * step,
        ring / 2 - 96,
        ring / 2 - 32,
        ring / 2,
        ring - 64,
        ring - 32,
        ring,
        2 * ring,
        3 * ring,
    ];
    let around = |place: usize| {
        [-33_isize, -32, -31, -1, 0, 1, 31, 32, 33].map(|by| place.checked_add_signed(by))
    };
    let mut sizes: Vec<_> = places.into_iter().flat_map(around).flatten().collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Sends a message of any size, while the other end takes what comes.
fn through(outgoing: &mut Outgoing, incoming: &mut Incoming, payload: &[u8]) -> Inbound {
    let mut sending = message(outgoing, payload);
    let mut steps = 0;
    loop {
        match outgoing.step(&mut sending).unwrap() {
            Step::Whole => return receive(incoming).expect("it is wholly in the ring"),
            Step::Piece { first } => assert_eq!(first, steps == 0, "only the first is"),
            Step::NoRoom => drain(incoming),
            Step::Busy => panic!("nobody else sends"),
            Step::Clogged | Step::Unpassable => panic!("it has no descriptors"),
        }
        steps += 1;
    }
}

/// Takes all records of a message that is not complete.
fn drain(incoming: &mut Incoming) {
    while incoming.has_data() {
        let arrival = incoming.next().unwrap();
        assert!(
            matches!(arrival, Arrival::Begun(_) | Arrival::Piece),
            "{arrival:?}"
        );
    }
}

#[test]
fn messages_of_every_boundary_size_arrive_whole() {
    for ring in [64 << 10, 256 << 10] {
        let (mut outgoing, mut incoming) = one_way(RingSize::new(ring).unwrap());
        let bytes = Noise::new(7).bytes(4 * ring as usize);
        for (index, len) in boundaries(ring as usize).into_iter().enumerate() {
            let payload = &bytes[index..index + len];
            let expected = request(outgoing.next_conversation());
            let inbound = through(&mut outgoing, &mut incoming, payload);
            assert_eq!(inbound.head, expected, "{len} bytes");
            assert!(
                inbound.payload[..] == *payload,
                "{len} bytes arrive as they were sent"
            );
            assert_eq!(receive(&mut incoming), None, "once");
        }
    }
}

#[test]
fn messages_of_every_boundary_size_arrive_from_every_place_in_the_ring() {
    let ring = 64 << 10;
    let bytes = Noise::new(8).bytes(4 * ring);
    for place in [
        0,
        32,
        4064,
        4096,
        ring / 2,
        ring - 16_384 - 64,
        ring - 96,
        ring - 64,
        ring - 32,
    ] {
        for len in boundaries(ring) {
            let (mut outgoing, mut incoming) = one_way_from(place);
            let inbound = through(&mut outgoing, &mut incoming, &bytes[..len]);
            assert!(
                inbound.payload[..] == bytes[..len],
                "{len} bytes from {place}"
            );
        }
    }
}

#[test]
fn a_message_that_fits_half_the_ring_is_written_only_when_there_is_room_for_all() {
    let ring = 1 << 20;
    let (mut outgoing, mut incoming) = one_way(RingSize::new(1 << 20).unwrap());
    let payload = vec![1; ring / 2 - 1024];
    send(&mut outgoing, &payload);
    let mut second = message(&outgoing, &payload);
    let mut steps = 0;
    while let Step::Piece { .. } = outgoing.step(&mut second).unwrap() {
        steps += 1;
    }
    assert_eq!(
        steps, 7,
        "what has begun is finished without waiting, step by step"
    );
    let mut third = message(&outgoing, vec![2; 100_000]);
    assert_eq!(
        outgoing.step(&mut third),
        Ok(Step::NoRoom),
        "the third must wait"
    );
    assert_eq!(
        receive(&mut incoming).map(|inbound| inbound.payload.len()),
        Some(payload.len()),
        "the first"
    );
    send(&mut outgoing, &payload[..50]);
    assert_eq!(
        outgoing.step(&mut third),
        Ok(Step::Piece { first: true }),
        "until there is room"
    );
}

#[test]
fn what_the_message_says_of_itself_arrives_with_it() {
    let (mut outgoing, mut incoming) = one_way(RingSize::MIN);
    for len in [0, 10, 20_000, 100_000] {
        let expected = request(outgoing.next_conversation());
        let inbound = through(&mut outgoing, &mut incoming, &vec![0; len]);
        assert_eq!(
            inbound.head, expected,
            "number, status and descriptors of {len} bytes"
        );
    }
}

#[test]
fn small_messages_need_no_allocation() {
    let (mut outgoing, mut incoming) = one_way(RingSize::MIN);
    for (len, allocates) in [
        (0, false),
        (1, false),
        (64, false),
        (65, true),
        (1000, true),
    ] {
        let inbound = through(&mut outgoing, &mut incoming, &vec![0; len]);
        assert_eq!(inbound.payload.spilled(), allocates, "{len} bytes");
    }
}

#[test]
fn a_message_over_the_limit_is_dropped_and_the_link_stays() {
    let (client, server, _file) = pair(RingSize::MIN);
    let mut outgoing = Outgoing::new(client.producer);
    let mut incoming = Incoming::new(server.consumer, 1000);
    for len in [1001, 20_000, 300_000] {
        let mut sending = message(&outgoing, vec![1; len]);
        let mut told = Vec::new();
        while outgoing.step(&mut sending).unwrap() != Step::Whole || incoming.has_data() {
            match incoming.next().unwrap() {
                Arrival::TooLarge(head) => told.push(head),
                arrival => assert_eq!(arrival, Arrival::Piece, "nothing else of it"),
            }
        }
        assert_eq!(
            told,
            [*sending.head()],
            "{len} bytes are too many, which is told once"
        );
        let kept = through(&mut outgoing, &mut incoming, &[5; 1000]);
        assert_eq!(
            kept.payload,
            Payload::from_vec(vec![5; 1000]),
            "the limit itself is not"
        );
    }
}

#[test]
fn a_buffer_grows_with_what_has_arrived_and_not_with_what_is_claimed() {
    let (mut outgoing, mut incoming) = one_way(RingSize::MIN);
    let mut sending = Sending::new(request(1), vec![1; 1 << 28]);
    let mut arrived = 0;
    for _ in 0..40 {
        while let Step::Piece { .. } = outgoing.step(&mut sending).unwrap() {}
        while incoming.has_data() {
            incoming.next().unwrap();
        }
        arrived = incoming.gathered.len();
        let capacity = incoming.gathered.capacity();
        assert!(
            capacity <= 2 * arrived,
            "{capacity} bytes are held for {arrived}"
        );
    }
    assert!(arrived > 1 << 20, "a good part has arrived");
    outgoing.abort(&mut sending).unwrap();
    assert_eq!(
        incoming.next(),
        Ok(Arrival::Aborted(request(1))),
        "it will not come"
    );
    assert_eq!(
        incoming.gathered.capacity(),
        0,
        "and nothing is held for it"
    );
}
