//! Clients that break every rule: each is turned away, and the port goes on serving the others.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use messageport::{Message, Reply};
use rustix::fs::SealFlags;
use tests::Watchdog;

use crate::support::{Place, Server, patiently, wait_until};
use tests::raw::{
    Client, FIRST, MEMORY, RING, SEALS, WHOLE, has_hung_up, last_words, memory, record, refusal,
    send,
};

const MALFORMED: u8 = 4;

/// A port that hostile clients meet, and the proof that it goes on.
struct Target {
    place: Place,
    _server: Server,
}

impl Target {
    fn new() -> Self {
        let place = Place::new();
        let server = Server::echo(&place, "target");
        Self {
            place,
            _server: server,
        }
    }

    fn client(&self) -> Client {
        Client::connect(&self.place.directory, "target")
    }

    /// A client that keeps to the rules is served.
    fn serves(&self) {
        let remote = self.place.connect("target");
        let reply = remote.request_with(1, b"still here", patiently()).unwrap();
        assert_eq!(&reply[..], b"still here");
    }
}

#[test]
fn this_test_speaks_the_protocol_so_that_what_it_does_wrong_is_what_it_means_to() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (out, arrived) = channel();
    let _server = Server::start(&place, "plain", move |message: Message| {
        out.send((message.id(), message.data().to_vec())).unwrap();
        Reply::from("an answer")
    });
    let client = Client::connect(&place.directory, "plain");
    client.introduce();
    client.send_empty(1);
    assert_eq!(arrived.recv().unwrap(), (0, Vec::new()));
    let header = record(2, WHOLE, 2, 5, 5);
    client.write(4_096 + 32, &header);
    client.write(4_096 + 64, b"bytes");
    client.publish(32 + 64);
    assert_eq!(arrived.recv().unwrap(), (0, b"bytes".to_vec()));
    // The answer is in the other ring: nine bytes behind a header.
    wait_until(|| client.read(512) == 64);
    assert!(!has_hung_up(&client.socket, Duration::ZERO), "all was well");
}

#[test]
fn a_first_packet_that_is_none_is_refused_with_the_reason() {
    let _watchdog = Watchdog::new();
    let target = Target::new();
    for packet in [
        &b"x"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 64],
        &[0xff; 64],
        &[0; 4_096],
    ] {
        let client = target.client();
        send(&client.socket, packet, &[]);
        assert_eq!(
            last_words(&client.socket),
            [refusal(MALFORMED)],
            "{} bytes",
            packet.len()
        );
        target.serves();
    }
    // The right bytes without what should come with them, and with too much.
    let client = target.client();
    let hello = client.hello();
    send(&client.socket, &hello, &[]);
    assert_eq!(last_words(&client.socket), [refusal(MALFORMED)]);
    let client = target.client();
    let memory = std::os::fd::AsFd::as_fd(&client.memory);
    send(&client.socket, &hello, &[memory; 4]);
    assert_eq!(last_words(&client.socket), [refusal(MALFORMED)]);
    target.serves();
}

#[test]
fn a_hello_with_a_wrong_field_is_refused_with_the_reason() {
    let _watchdog = Watchdog::new();
    let target = Target::new();
    let version = 1;
    for (offset, bytes, code) in [
        (0, &b"X"[..], MALFORMED),
        (8, &[9, 0, 9, 0], version),
        (8, &[0, 0, 0, 0], MALFORMED),
        (12, &[7], MALFORMED),
        (13, &[1], MALFORMED),
        (16, &[0, 0, 0, 0], MALFORMED),
        (16, &[0, 0, 3, 0], MALFORMED),
        (20, &[0xff; 4], MALFORMED),
        (20, &[0, 0, 2, 0], MALFORMED),
        (40, &[1], MALFORMED),
    ] {
        let client = target.client().lie(offset, bytes);
        client.introduce();
        assert_eq!(last_words(&client.socket), [refusal(code)], "byte {offset}");
        target.serves();
    }
}

#[test]
fn memory_that_could_do_harm_is_refused() {
    let _watchdog = Watchdog::new();
    let target = Target::new();
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    for (offered, what) in [
        (memory(MEMORY, SealFlags::SEAL), "it can shrink"),
        (
            memory(MEMORY, SEALS.difference(SealFlags::SEAL)),
            "its seals can change",
        ),
        (memory(MEMORY, SEALS | SealFlags::WRITE), "nobody can write"),
        (
            memory(MEMORY, SEALS | SealFlags::FUTURE_WRITE),
            "nobody else can write",
        ),
        (memory(MEMORY - 4_096, SEALS), "it is too small"),
        (memory(MEMORY + 4_096, SEALS), "it is too large"),
        (file.into(), "it is no memory"),
    ] {
        let client = target.client().offer(offered);
        client.introduce();
        assert_eq!(last_words(&client.socket), [refusal(MALFORMED)], "{what}");
        target.serves();
    }
}

#[test]
fn bells_that_could_make_the_port_wait_are_refused() {
    let _watchdog = Watchdog::new();
    let target = Target::new();
    let mut client = target.client();
    let (_end, pipe) = rustix::pipe::pipe().unwrap();
    client.client_bell = pipe;
    client.introduce();
    assert_eq!(last_words(&client.socket), [refusal(MALFORMED)]);
    target.serves();
}

#[test]
fn positions_and_records_that_are_impossible_end_the_link() {
    let _watchdog = Watchdog::new();
    let target = Target::new();
    for written in [1, 33, u64::from(RING) + 32, u64::MAX, u64::MAX - 31] {
        let client = target.client();
        client.introduce();
        client.publish(written);
        assert!(last_words(&client.socket).is_empty(), "written {written}");
        target.serves();
    }
    for (what, header) in [
        ("no kind", record(9, WHOLE, 1, 0, 0)),
        ("no flags", record(1, 0xf0, 1, 0, 0)),
        ("a reply", record(3, WHOLE, 1, 0, 0)),
        ("no conversation", record(1, WHOLE, 0, 0, 0)),
        ("a skip at the beginning", record(0, 0, 0, 0, 0)),
        (
            "longer than what is written",
            record(1, WHOLE, 1, 4_096, 4_096),
        ),
        (
            "longer than the ring",
            record(1, WHOLE, 1, u32::MAX, u64::from(u32::MAX)),
        ),
        ("longer than its message", record(1, WHOLE, 1, 32, 1)),
        ("a piece of nothing", record(1, 0, 1, 32, 64)),
        ("an abort of nothing", record(4, 0, 1, 0, 0)),
    ] {
        let client = target.client();
        client.introduce();
        client.write(4_096, &header);
        client.publish(64);
        assert!(last_words(&client.socket).is_empty(), "{what}");
        target.serves();
    }
}

#[test]
fn a_client_that_claims_to_have_read_what_was_never_written_is_sent_away() {
    let _watchdog = Watchdog::new();
    let target = Target::new();
    for read in [7, u64::MAX, u64::MAX - 31] {
        let client = target.client();
        client.introduce();
        // The position up to which the replies have been read. It is looked at when their ring seems full.
        client.write(512 + 128, &read.to_le_bytes());
        for conversation in 1.. {
            let written = (conversation - 1) * 32;
            let at = 4_096 + written % u64::from(RING);
            client.write(at, &record(2, WHOLE, conversation, 0, 0));
            client.publish(written + 32);
            let mut gone = false;
            wait_until(|| {
                gone = has_hung_up(&client.socket, Duration::ZERO);
                gone || client.read(128) == written + 32
            });
            if gone {
                break;
            }
        }
        assert!(last_words(&client.socket).is_empty(), "read {read}");
        target.serves();
    }
}

#[test]
fn a_message_of_an_enormous_claimed_length_costs_nothing_and_is_only_dropped() {
    let _watchdog = Watchdog::new();
    let target = Target::new();
    let client = target.client();
    client.introduce();
    // A petabyte is claimed, in a request, of which 32 bytes come.
    client.write(4_096, &record(2, FIRST, 1, 32, 1 << 50));
    client.publish(64);
    wait_until(|| client.read(512) >= 32);
    assert!(
        !has_hung_up(&client.socket, Duration::ZERO),
        "it is told, and stays"
    );
    target.serves();
}

#[test]
fn a_bell_that_is_rung_for_nothing_ends_the_link_and_is_not_heard_any_more() {
    let _watchdog = Watchdog::new();
    let target = Target::new();
    let client = target.client();
    client.introduce();
    client.send_empty(1);
    while !has_hung_up(&client.socket, Duration::ZERO) {
        client.ring();
    }
    target.serves();
    // The bell is the client's as well, and stays open there.
    let passes = || {
        let (out, found) = channel();
        let asked = target
            ._server
            .run_loop
            .perform(runloop::Mode::DEFAULT, move |run_loop| {
                out.send(run_loop.statistics().passes).unwrap();
            });
        drop(asked);
        found.recv().unwrap()
    };
    let before = passes();
    for _ in 0..500 {
        client.ring();
        std::thread::sleep(Duration::from_micros(50));
    }
    let woken = passes() - before;
    assert!(
        woken < 100,
        "{woken} passes for 500 rings of a client that is gone"
    );
    target.serves();
}

#[test]
fn clients_that_say_nothing_keep_nobody_out() {
    let _watchdog = Watchdog::new();
    let target = Target::new();
    let silent: Vec<_> = (0..100).map(|_| target.client()).collect();
    target.serves();
    let late = &silent[50];
    late.introduce();
    late.send_empty(1);
    wait_until(|| late.read(128) == 32);
    assert!(
        !has_hung_up(&late.socket, Duration::ZERO),
        "late, but not too late"
    );
}

#[test]
#[ignore = "takes as long as a port is patient with a client that says nothing: five seconds"]
fn a_client_that_says_nothing_is_sent_away_in_the_end_and_no_sooner() {
    let _watchdog = Watchdog::new();
    let target = Target::new();
    let began = Instant::now();
    let silent = target.client();
    target.serves();
    assert_eq!(last_words(&silent.socket), [refusal(MALFORMED)]);
    assert!(
        began.elapsed() >= Duration::from_secs(5),
        "not before its time"
    );
    target.serves();
}
