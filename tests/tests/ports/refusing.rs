//! Ports that refuse a client, and peers that only pretend to be ports.

use messageport::{Refusal, RemotePort, SendError, TransportError};
use tests::Watchdog;

use crate::support::{Place, patiently, wait_until};
use tests::raw::{WHOLE, accept, pretend, receive_memory, record, refusal, send};

#[test]
fn every_call_on_a_link_that_was_refused_says_so() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let listener = pretend(&place.directory, "refusing");
    let codes = [
        (1, Refusal::Version),
        (2, Refusal::Policy),
        (3, Refusal::Limit),
        (4, Refusal::Malformed),
        (77, Refusal::Other(77)),
    ];
    for (code, expected) in codes {
        let remote = place.connect("refusing");
        let client = accept(&listener);
        send(&client, &refusal(code), &[]);
        drop(client);
        for _ in 0..2 {
            for refused in [
                remote.request_with(1, b"", patiently()).map(drop),
                remote.send(1, b""),
            ] {
                let Err(SendError::Transport(TransportError::Refused { why })) = refused else {
                    panic!("{refused:?}");
                };
                assert_eq!(why, expected);
            }
        }
    }
}

#[test]
fn a_refusal_during_the_wait_ends_it_at_once_with_the_reason() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let listener = pretend(&place.directory, "refusing");
    let remote = place.connect("refusing");
    let client = accept(&listener);
    let asks = std::thread::spawn(move || {
        let refused = remote.request_with(1, b"", patiently()).map(drop);
        (refused, remote)
    });
    // It sleeps when it has said in its ring that it wants to be woken; that is not for us to see, so it is given a moment.
    std::thread::sleep(std::time::Duration::from_millis(30));
    send(&client, &refusal(3), &[]);
    drop(client);
    let (refused, remote) = asks.join().unwrap();
    let why = Refusal::Limit;
    let Err(SendError::Transport(TransportError::Refused { why: found })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(found, why);
    assert!(!remote.is_valid(), "and it is over");
}

#[test]
fn a_pretender_that_hangs_up_or_talks_nonsense_is_only_a_port_that_is_gone() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let listener = pretend(&place.directory, "nonsense");
    for words in [&b""[..], b"x", &[0xff; 16], &[9; 200]] {
        let remote = place.connect("nonsense");
        let client = accept(&listener);
        if !words.is_empty() {
            send(&client, words, &[]);
        }
        drop(client);
        let ended = remote.request_with(1, b"", patiently());
        assert!(matches!(ended, Err(SendError::BecameInvalid)), "{ended:?}");
    }
}

#[test]
fn a_pretender_that_writes_nonsense_into_the_ring_ends_the_link_with_its_own_error() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let listener = pretend(&place.directory, "malformed");
    let remote: RemotePort = place.connect("malformed");
    let client = accept(&listener);
    let memory = receive_memory(&client);
    let asks = std::thread::spawn(move || {
        let ended = remote.request_with(1, b"", patiently()).map(drop);
        (ended, remote.is_valid())
    });
    // Replies that were never written, in the ring to the client.
    assert_eq!(
        rustix::io::pwrite(&memory[0], &33_u64.to_le_bytes(), 512),
        Ok(8)
    );
    rustix::io::write(&memory[2], &1_u64.to_ne_bytes()).unwrap();
    let (ended, valid) = asks.join().unwrap();
    let malformed = matches!(ended, Err(SendError::Transport(TransportError::Malformed)));
    assert!(malformed, "{ended:?}");
    assert!(!valid, "the link is over");
}

#[test]
fn a_reply_that_is_repeated_or_for_nobody_is_counted_and_given_to_nobody() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let listener = pretend(&place.directory, "repeating");
    let remote = place.connect("repeating");
    let client = accept(&listener);
    let memory = receive_memory(&client);
    let asks = {
        let remote = remote.clone();
        std::thread::spawn(move || {
            let ask = |id| remote.request_with(id, b"", patiently());
            [ask(1), ask(2)].map(|reply| reply.map(|reply| reply.to_vec()))
        })
    };
    let put = |bytes: &[u8], at| {
        assert_eq!(rustix::io::pwrite(&memory[0], bytes, at), Ok(bytes.len()));
    };
    let written = |bytes: u64| {
        let mut word = [0; 8];
        wait_until(|| {
            assert_eq!(rustix::io::pread(&memory[0], &mut word, 0), Ok(8));
            u64::from_le_bytes(word) >= bytes
        });
    };
    // The first, the first once more, one that nobody has asked for; and the second when it is asked for.
    let replies = [(1, b"1st"), (1, b"2nd"), (99, b"3rd"), (2, b"4th")];
    for (number, (conversation, bytes)) in (0_u64..).zip(replies) {
        written(if conversation == 2 { 64 } else { 32 });
        let at = 4_096 + (4 << 20) + number * 64;
        put(&record(3, WHOLE, conversation, 3, 3), at);
        put(bytes, at + 32);
        put(&((number + 1) * 64).to_le_bytes(), 512);
        rustix::io::write(&memory[2], &1_u64.to_ne_bytes()).unwrap();
    }
    let [first, second] = asks.join().unwrap();
    assert_eq!(first.unwrap(), b"1st");
    assert_eq!(second.unwrap(), b"4th");
    assert_eq!(remote.late_replies(), 2, "the others");
}
