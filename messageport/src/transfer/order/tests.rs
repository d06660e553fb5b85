//! Sequences of headers: which are judged to be what, and which end the link.

use super::{Breach, Order, Verdict};
use crate::ring::Direction;
use crate::wire::{Head, Header, Kind, Place};

fn head(kind: Kind, conversation: u64) -> Head {
    Head {
        kind,
        msgid: 5,
        aux: 0,
        conversation,
        nfds: 0,
    }
}

fn piece(conversation: u64, place: Place, len: u32, total: u64) -> Header {
    Header {
        len,
        place,
        total,
        head: head(Kind::Request, conversation),
    }
}

fn whole(conversation: u64) -> Header {
    piece(conversation, Place::Whole, 10, 10)
}

fn cancel(conversation: u64) -> Header {
    let head = Head {
        msgid: 0,
        ..head(Kind::Cancel, conversation)
    };
    Header {
        len: 0,
        place: Place::Whole,
        total: 0,
        head,
    }
}

/// What a server that takes a thousand bytes makes of these headers.
fn judged(headers: &[Header]) -> Vec<Result<Verdict, Breach>> {
    let mut order = Order::new(Direction::ToServer, 1000);
    headers.iter().map(|header| order.judge(header)).collect()
}

/// Whether the last of these headers is judged so, when the others are taken.
fn check(what: &str, headers: &[Header], expected: Result<Verdict, Breach>) {
    let verdicts = judged(headers);
    let (last, others) = verdicts.split_last().unwrap();
    assert!(
        others.iter().all(Result::is_ok),
        "{what}: only the last may be refused: {others:?}"
    );
    assert_eq!(*last, expected, "{what}");
}

#[test]
fn a_message_in_pieces_ends_when_its_length_is_reached() {
    let pieces = [
        piece(1, Place::First, 400, 1000),
        piece(1, Place::Middle, 400, 1000),
        whole(2),
        piece(1, Place::Last, 200, 1000),
        whole(3),
    ];
    let expected = [
        Ok(Verdict::Begins),
        Ok(Verdict::Continues),
        Ok(Verdict::Whole),
        Ok(Verdict::Ends(head(Kind::Request, 1))),
        Ok(Verdict::Whole),
    ];
    assert_eq!(
        judged(&pieces),
        expected,
        "a whole record goes between the pieces"
    );
}

#[test]
fn pieces_that_do_not_add_up_end_the_link() {
    let first = piece(1, Place::First, 400, 1000);
    for (what, second) in [
        ("too few", piece(1, Place::Last, 599, 1000)),
        ("too many", piece(1, Place::Last, 601, 1000)),
        (
            "all, and more to follow",
            piece(1, Place::Middle, 600, 1000),
        ),
        (
            "too many, and more to follow",
            piece(1, Place::Middle, 601, 1000),
        ),
    ] {
        check(what, &[first, second], Err(Breach::Sum));
    }
}

#[test]
fn pieces_of_no_message_or_of_another_end_the_link() {
    let first = piece(1, Place::First, 400, 1000);
    let reply = Header {
        head: head(Kind::OneWay, 1),
        ..piece(1, Place::Last, 600, 1000)
    };
    for (what, headers) in [
        ("no message", vec![piece(1, Place::Last, 600, 1000)]),
        (
            "another message",
            vec![first, piece(2, Place::Last, 600, 1000)],
        ),
        (
            "another length",
            vec![first, piece(1, Place::Last, 600, 1001)],
        ),
        ("another kind", vec![first, reply]),
        ("an abort of nothing", vec![Header::abort(1)]),
        ("an abort of another message", vec![first, Header::abort(2)]),
        (
            "an abort of a message that is over",
            vec![whole(1), Header::abort(1)],
        ),
        (
            "a piece after an abort",
            vec![first, Header::abort(1), piece(1, Place::Last, 600, 1000)],
        ),
    ] {
        check(what, &headers, Err(Breach::Stray));
    }
}

#[test]
fn a_second_message_in_pieces_ends_the_link() {
    let headers = [
        piece(1, Place::First, 400, 1000),
        piece(2, Place::First, 400, 1000),
    ];
    check("one at a time", &headers, Err(Breach::SecondOpen));
    let over = [headers[0], Header::abort(1), headers[1]];
    check(
        "after an abort the next may begin",
        &over,
        Ok(Verdict::Begins),
    );
    let dropped = [piece(1, Place::First, 400, 5000), headers[1]];
    check(
        "one that is dropped counts too",
        &dropped,
        Err(Breach::SecondOpen),
    );
}

#[test]
fn conversations_ascend() {
    for (newest, conversation) in [(1, 1), (5, 4), (u64::MAX, 1)] {
        let refused = Err(Breach::Conversation {
            newest,
            conversation,
        });
        check(
            "{newest} was the newest",
            &[whole(newest), whole(conversation)],
            refused,
        );
        let first = piece(conversation, Place::First, 1, 1000);
        check(
            "nor may its first piece come",
            &[whole(newest), first],
            refused,
        );
    }
    let gap = [whole(1), whole(7), cancel(1), cancel(7), whole(8)];
    assert!(
        judged(&gap).iter().all(Result::is_ok),
        "gaps are allowed, and cancelling looks back"
    );
}

#[test]
fn each_direction_has_its_kinds() {
    let reply = Header {
        head: head(Kind::Reply, 1),
        ..whole(1)
    };
    check(
        "a server asks nothing",
        &[reply],
        Err(Breach::Kind(Kind::Reply)),
    );
    for header in [
        whole(1),
        cancel(1),
        Header {
            head: head(Kind::OneWay, 1),
            ..whole(1)
        },
    ] {
        let refused = Order::new(Direction::ToClient, 1000).judge(&header);
        assert_eq!(
            refused,
            Err(Breach::Kind(header.head.kind)),
            "a client is asked nothing"
        );
    }
    let mut order = Order::new(Direction::ToClient, 1000);
    for conversation in [7, 3, 7] {
        let reply = Header {
            head: head(Kind::Reply, conversation),
            ..whole(1)
        };
        assert_eq!(
            order.judge(&reply),
            Ok(Verdict::Whole),
            "replies come in any order"
        );
    }
}

#[test]
fn a_message_over_the_limit_is_told_once_and_then_dropped() {
    let headers = [
        piece(1, Place::Whole, 1000, 1000),
        piece(2, Place::Whole, 1001, 1001),
        piece(3, Place::First, 600, 1001),
        piece(3, Place::Middle, 400, 1001),
        whole(4),
        piece(3, Place::Last, 1, 1001),
        piece(5, Place::First, 1, u64::MAX),
        Header::abort(5),
        piece(6, Place::First, 1, 1000),
    ];
    let expected = [
        Ok(Verdict::Whole),
        Ok(Verdict::TooLarge),
        Ok(Verdict::TooLarge),
        Ok(Verdict::Unwanted),
        Ok(Verdict::Whole),
        Ok(Verdict::Unwanted),
        Ok(Verdict::TooLarge),
        Ok(Verdict::Unwanted),
        Ok(Verdict::Begins),
    ];
    assert_eq!(judged(&headers), expected, "the link stays");
    let short = [headers[2], piece(3, Place::Last, 400, 1001)];
    check("what is dropped must add up too", &short, Err(Breach::Sum));
}

#[test]
fn an_abort_names_the_message_that_will_not_come() {
    let first = piece(1, Place::First, 400, 1000);
    let aborted = Ok(Verdict::Aborted(head(Kind::Request, 1)));
    check(
        "by all it said of itself",
        &[first, whole(2), Header::abort(1)],
        aborted,
    );
}

#[test]
fn the_rest_of_a_message_that_is_given_up_is_dropped() {
    let mut order = Order::new(Direction::ToServer, 1000);
    assert_eq!(order.drop_rest(), None, "there is none");
    assert_eq!(
        order.judge(&piece(1, Place::First, 400, 1000)),
        Ok(Verdict::Begins),
        "a message"
    );
    assert_eq!(order.drop_rest(), Some(head(Kind::Request, 1)), "this one");
    let rest = order.judge(&piece(1, Place::Last, 600, 1000));
    assert_eq!(rest, Ok(Verdict::Unwanted), "the rest is not wanted");
}
