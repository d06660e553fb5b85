//! Headers as bytes: what stands where, and what is refused.

use super::{Head, Header, Kind, Malformed, Place, Status};

fn request() -> Header {
    let head = Head {
        kind: Kind::Request,
        msgid: -2,
        aux: 500,
        conversation: 0x0102,
        nfds: 3,
    };
    Header {
        len: 7,
        place: Place::Whole,
        total: 7,
        head,
    }
}

/// The bytes of a header as they stand in memory.
fn bytes(header: &Header) -> [u8; 32] {
    let words = header.encode().map(u64::to_le_bytes);
    words.as_flattened().try_into().unwrap()
}

fn decode(bytes: &[u8; 32]) -> Result<Header, Malformed> {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().unwrap());
    }
    Header::decode(&words)
}

/// The answer to a header whose bytes were changed at one place.
fn changed(header: &Header, at: usize, field: &[u8]) -> Result<Header, Malformed> {
    let mut encoded = bytes(header);
    encoded[at..at + field.len()].copy_from_slice(field);
    decode(&encoded)
}

#[test]
fn each_field_stands_at_its_place_with_the_lowest_byte_first() {
    let header = Header {
        len: 0x0403_0201,
        place: Place::First,
        total: 0x0b0a_0908,
        ..request()
    };
    let expected: [u8; 32] = [
        1, 2, 3, 4, // len
        2, 3, // kind, flags
        3, 0, // nfds
        0xfe, 0xff, 0xff, 0xff, // msgid
        0xf4, 1, 0, 0, // aux
        2, 1, 0, 0, 0, 0, 0, 0, // conversation
        8, 9, 10, 11, 0, 0, 0, 0, // total
    ];
    assert_eq!(bytes(&header), expected, "the layout is fixed");
    assert_eq!(decode(&expected), Ok(header), "and read back");
}

#[test]
fn what_one_end_writes_the_other_reads() {
    for kind in [Kind::OneWay, Kind::Request, Kind::Reply] {
        for (place, len, total) in [
            (Place::Whole, 0, 0),
            (Place::Whole, 12, 12),
            (Place::First, 1, 2),
            (Place::Middle, u32::MAX, u64::MAX),
            (Place::Last, 5, 6),
        ] {
            let nfds = if place.is_first() { 16 } else { 0 };
            let head = Head {
                kind,
                msgid: i32::MIN,
                aux: 0,
                conversation: u64::MAX,
                nfds,
            };
            let header = Header {
                len,
                place,
                total,
                head,
            };
            assert_eq!(Header::decode(&header.encode()), Ok(header), "{header:?}");
        }
    }
    let cancel = Head {
        kind: Kind::Cancel,
        msgid: 0,
        aux: 0,
        conversation: 9,
        nfds: 0,
    };
    let cancel = Header {
        len: 0,
        place: Place::Whole,
        total: 0,
        head: cancel,
    };
    for header in [
        Header::skip(0),
        Header::skip(4096),
        Header::abort(1),
        cancel,
    ] {
        assert_eq!(Header::decode(&header.encode()), Ok(header), "{header:?}");
    }
}

#[test]
fn an_all_zero_header_is_an_empty_skip() {
    assert_eq!(
        Header::decode(&[0; 4]),
        Ok(Header::skip(0)),
        "as fresh memory would read"
    );
}

#[test]
fn unknown_kinds_and_flags_are_refused() {
    for kind in 6..=u8::MAX {
        assert_eq!(
            changed(&request(), 4, &[kind]),
            Err(Malformed::Kind(kind)),
            "kind {kind}"
        );
    }
    for flags in 4..=u8::MAX {
        assert_eq!(
            changed(&request(), 5, &[flags]),
            Err(Malformed::Flags(flags)),
            "flags {flags}"
        );
    }
}

#[test]
fn descriptors_come_sixteen_at_most_and_only_with_the_first_record() {
    assert!(
        changed(&request(), 6, &16_u16.to_le_bytes()).is_ok(),
        "sixteen are allowed"
    );
    for nfds in [17_u16, 256, u16::MAX] {
        let refused = changed(&request(), 6, &nfds.to_le_bytes());
        assert_eq!(
            refused,
            Err(Malformed::Descriptors(nfds)),
            "{nfds} are too many"
        );
    }
    for place in [Place::Middle, Place::Last] {
        let header = Header {
            place,
            total: 8,
            ..request()
        };
        let refused = Header::decode(&header.encode());
        assert_eq!(
            refused,
            Err(Malformed::Descriptors(3)),
            "{place:?} is not the first"
        );
    }
}

#[test]
fn a_record_is_as_long_as_its_message_only_if_it_is_the_whole_message() {
    let longer = changed(&request(), 24, &8_u64.to_le_bytes());
    assert_eq!(
        longer,
        Err(Malformed::Lengths { len: 7, total: 8 }),
        "a whole message is whole"
    );
    for place in [Place::First, Place::Middle, Place::Last] {
        let head = Head {
            nfds: 0,
            ..request().head
        };
        for (len, total) in [(7, 7), (0, 7), (8, 7), (0, 0)] {
            let header = Header {
                len,
                place,
                total,
                head,
            };
            let refused = Header::decode(&header.encode());
            assert_eq!(
                refused,
                Err(Malformed::Lengths { len, total }),
                "{place:?} of {total}"
            );
        }
    }
}

#[test]
fn every_message_has_a_conversation_and_a_skip_has_none() {
    let none = 0_u64.to_le_bytes();
    assert_eq!(
        changed(&request(), 16, &none),
        Err(Malformed::Conversation),
        "a request"
    );
    assert_eq!(
        changed(&Header::abort(4), 16, &none),
        Err(Malformed::Conversation),
        "an abort"
    );
    assert_eq!(
        changed(&Header::skip(0), 16, &[1]),
        Err(Malformed::Conversation),
        "a skip"
    );
}

#[test]
fn a_reply_has_one_of_four_states() {
    let reply = Head {
        kind: Kind::Reply,
        msgid: 1,
        aux: 0,
        conversation: 1,
        nfds: 0,
    };
    for status in [
        Status::Ok,
        Status::Invalidated,
        Status::Overload,
        Status::TooLarge,
        Status::Unpassable,
    ] {
        let head = Head {
            aux: status.aux(),
            ..reply
        };
        let header = Header {
            len: 0,
            place: Place::Whole,
            total: 0,
            head,
        };
        let decoded = Header::decode(&header.encode()).unwrap();
        assert_eq!(
            Status::from_aux(decoded.head.aux),
            Some(status),
            "{status:?}"
        );
    }
    let head = Head { aux: 5, ..reply };
    let header = Header {
        len: 0,
        place: Place::Whole,
        total: 0,
        head,
    };
    assert_eq!(
        Header::decode(&header.encode()),
        Err(Malformed::Status(5)),
        "no such status"
    );
}

#[test]
fn fields_without_a_meaning_are_zero() {
    let one_way = Head {
        kind: Kind::OneWay,
        msgid: 1,
        aux: 0,
        conversation: 1,
        nfds: 0,
    };
    let one_way = Header {
        len: 0,
        place: Place::Whole,
        total: 0,
        head: one_way,
    };
    assert_eq!(
        changed(&one_way, 12, &[1]),
        Err(Malformed::Reserved),
        "a message without answer"
    );
    let cancel = Head {
        kind: Kind::Cancel,
        msgid: 0,
        ..one_way.head
    };
    let cancel = Header {
        head: cancel,
        ..one_way
    };
    for (name, header) in [
        ("skip", Header::skip(32)),
        ("abort", Header::abort(1)),
        ("cancel", cancel),
    ] {
        for (at, field) in [(5, "flags"), (8, "msgid"), (12, "aux"), (24, "total")] {
            let other = if header.place == Place::Whole { 0 } else { 1 };
            let byte = if at == 5 { other } else { 1 };
            let refused = changed(&header, at, &[byte]);
            assert_eq!(refused, Err(Malformed::Reserved), "{field} of {name}");
        }
    }
    for (name, header) in [("abort", Header::abort(1)), ("cancel", cancel)] {
        assert_eq!(
            changed(&header, 0, &[1]),
            Err(Malformed::Reserved),
            "payload of {name}"
        );
    }
}
