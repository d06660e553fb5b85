//! Messages and replies of every size that is a boundary of something, between processes and between threads.

use messageport::{Message, RemoteOptions, RemotePort, SendError, TransportError};
use tests::Watchdog;

use crate::children::{Child, ECHO};
use crate::support::{Place, Server, assert_same, is_full_run, patiently, pattern, watchdog};

/// Bytes of a ring, where nobody asks for another.
const RING: usize = 4 << 20;
/// The smallest and the largest ring, in bytes.
const RINGS: [usize; 2] = [64 << 10, 8 << 20];
/// The largest message, and the largest reply.
const LARGEST: usize = 1 << 30;
/// What each record has before its payload, and what its length is rounded up to.
const HEADER: usize = 32;

/// Sizes around everything that is a boundary in a ring of so many bytes.
fn boundaries(ring: usize) -> Vec<usize> {
    // The most that goes into one record.
    let step = (64 << 10).min(ring / 4);
    let half_in_pieces = ring / 2 - ring / 2 / step * HEADER;
    let places = [
        0,
        HEADER,
        // What is kept without memory of its own.
        64,
        // The first page of a ring, in which small messages stay.
        4_096 - HEADER,
        4_096,
        // Room for which a writer is woken.
        16 << 10,
        step - HEADER,
        step,
        2 * step,
        64 << 10,
        1 << 20,
        // What is written only when there is room for all of it, whole and in pieces.
        half_in_pieces,
        ring / 2 - HEADER,
        ring / 2,
        ring - 2 * HEADER,
        ring - HEADER,
        ring,
        2 * ring,
    ];
    let around = |place: usize| {
        let by = [-33_isize, -32, -31, -1, 0, 1, 31, 32, 33];
        by.map(|by| place.checked_add_signed(by))
    };
    let mut sizes: Vec<_> = places.into_iter().flat_map(around).flatten().collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Has everything sent back, and looks whether it is still the same.
fn check(remote: &RemotePort, sizes: impl IntoIterator<Item = usize>) {
    for size in sizes {
        let sent = many(size);
        let reply = remote.request_with(ECHO, &sent, patiently()).unwrap();
        assert_same(&reply, &sent, &format!("a message of {size} bytes"));
    }
}

#[test]
pub(crate) fn messages_and_replies_of_every_size_arrive_as_they_are_between_threads() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::echo(&place, "sizes");
    check(&place.connect("sizes"), boundaries(RING));
}

#[test]
pub(crate) fn messages_and_replies_of_every_size_arrive_as_they_are_between_processes() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _child = Child::start("server", &place, "sizes");
    check(&place.connect("sizes"), boundaries(RING));
}

#[test]
fn messages_and_replies_of_every_size_fit_the_smallest_and_the_largest_ring() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::echo(&place, "thread");
    let _child = Child::start("server", &place, "process");
    for ring in RINGS {
        let bytes = u32::try_from(ring).unwrap();
        for name in ["thread", "process"] {
            let options = RemoteOptions::new().in_directory(&place.directory);
            let remote = options.ring_bytes(bytes).connect(name).unwrap();
            check(&remote, boundaries(ring));
        }
    }
}

/// Bytes that are made quickly; what repeats in them is no multiple of anything in a ring.
fn many(len: usize) -> Vec<u8> {
    let block = pattern(len.clamp(1, 1_000_003), len);
    let mut bytes = block.repeat(len.div_ceil(block.len()));
    bytes.truncate(len);
    bytes
}

/// In a full run the largest message that there is, a gibibyte.
#[test]
fn the_largest_messages_go_there_and_back_between_threads_and_between_processes() {
    let _watchdog = watchdog();
    let place = Place::new();
    let _server = Server::start(&place, "thread", Message::into_payload);
    let _child = Child::start("server", &place, "process");
    let size = if is_full_run() { LARGEST } else { 64 << 20 };
    let mut sent = many(size);
    for name in ["thread", "process"] {
        let remote = place.connect(name);
        let reply = remote.request_with(ECHO, &sent, patiently()).unwrap();
        assert_same(&reply, &sent, "what came back");
        println!("{size} bytes there and back between {name}s");
    }
    if is_full_run() {
        sent.push(0);
        for name in ["thread", "process"] {
            let refused = place.connect(name).request_with(ECHO, &sent, patiently());
            let too_large = TransportError::TooLarge { limit: 1 << 30 };
            let why = refused.unwrap_err().to_string();
            assert_eq!(why, SendError::Transport(too_large).to_string());
        }
    }
}

#[test]
fn a_quarter_of_a_gibibyte_goes_there() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::start(&place, "large", |message: Message| {
        format!("{} {:?}", message.data().len(), message.data().last())
    });
    let mut sent = vec![0; 256 << 20];
    sent[(256 << 20) - 1] = 9;
    let reply = place.connect("large").request_with(2, &sent, patiently());
    assert_eq!(&reply.unwrap()[..], b"268435456 Some(9)");
}
