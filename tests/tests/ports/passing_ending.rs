//! F32: descriptors of messages that come to nothing, and of links that end.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use messageport::{Message, PortOptions, Reply, SendError};
use runloop::{Mode, RunLoop};
use tests::{Log, Watchdog};

use crate::children::Child;
use crate::passing::{marked, pipe, read_all};
use crate::passing_full::{MANY, giving_to_a_client_that_takes_nothing};
use crate::support::{FAR, Place, pass, patiently, run_until, within};
use tests::raw::{Client, FIRST, WHOLE, has_hung_up, record, send, take_packets};

/// Waits until nobody has the other end of a pipe any more, on its way or anywhere.
fn ended(mut reader: File) {
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

/// Passes a descriptor for the message of a conversation.
fn pass_one(client: &Client, conversation: u8, file: impl AsFd) {
    let mut packet = [0; 16];
    (packet[0], packet[4], packet[8]) = (1, 1, conversation);
    send(&client.socket, &packet, &[file.as_fd()]);
}

#[test]
fn a_message_that_is_too_large_or_taken_back_leaves_no_descriptor() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let options = PortOptions::new()
        .in_directory(&place.directory)
        .name("strict");
    let port = options
        .largest_message(64)
        .create(move |mut message: Message| told.add(read_all(message.take_descriptors())))
        .unwrap();
    RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
    let client = Client::connect(&place.directory, "strict");
    client.introduce();
    let ((large, first), (whole, second), (back, third)) = (pipe(), pipe(), pipe());
    let with_one = |mut header: [u8; 32]| {
        header[6] = 1;
        header
    };
    // One in pieces that is too large, with its end; one in a record; one that is taken back; and one that is right.
    let mut records = Vec::new();
    pass_one(&client, 1, &first);
    records.extend(with_one(record(1, FIRST, 1, 32, 128)));
    records.extend([0; 32]);
    records.extend(record(1, 0, 1, 96, 128));
    records.extend([0; 96]);
    pass_one(&client, 2, &second);
    records.extend(with_one(record(1, WHOLE, 2, 96, 96)));
    records.extend([0; 96]);
    // One without any gets none of theirs.
    records.extend(record(1, WHOLE, 3, 0, 0));
    pass_one(&client, 4, &third);
    records.extend(with_one(record(1, FIRST, 4, 32, 64)));
    records.extend([0; 32]);
    records.extend(record(4, 0, 4, 0, 0));
    pass_one(&client, 5, marked("right"));
    records.extend(with_one(record(1, WHOLE, 5, 0, 0)));
    client.write(4_096, &records);
    client.publish(u64::try_from(records.len()).unwrap());
    drop((first, second, third));
    run_until(|| log.count() == 2);
    assert_eq!(log.take(), ["", "right"]);
    [large, whole, back].into_iter().for_each(ended);
    assert!(!has_hung_up(&client.socket, Duration::ZERO), "it goes on");
}

#[test]
fn replies_whose_descriptors_wait_when_the_port_ends_still_arrive_before_the_hang_up() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (port, client) = giving_to_a_client_that_takes_nothing(&place);
    let mut quiet = 0;
    run_until(|| {
        let before = port.statistics().received;
        pass();
        quiet = if port.statistics().received == before {
            quiet + 1
        } else {
            0
        };
        quiet == 100
    });
    let (taken, sent) = (port.statistics().received, port.statistics().sent);
    assert!(sent < taken && taken < MANY, "{sent} of {taken} are out");
    port.invalidate();
    // Of room for descriptors nobody tells.
    let mut packets = 0;
    run_until(|| {
        packets += take_packets(&client.socket);
        has_hung_up(&client.socket, Duration::ZERO)
    });
    packets += take_packets(&client.socket);
    assert_eq!(u64::try_from(packets).unwrap(), taken);
}

#[test]
fn what_is_on_its_way_is_closed_with_its_port_its_remote_or_its_process() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    // A port that never looks, and is killed, or ends.
    for manner in ["killed", "ended"] {
        let mut child = Child::start("owner", &place, "owner");
        let remote = place.connect("owner");
        let (reader, writer) = pipe();
        for id in 0..20 {
            let passed = [writer.as_fd(); 16];
            remote
                .send_with_descriptors(id, b"", &passed, patiently())
                .unwrap();
        }
        drop(writer);
        if manner == "killed" {
            child.kill();
        } else {
            child.tell("invalidate");
            assert_eq!(child.hear(), "invalid");
        }
        ended(reader);
        assert!(!remote.is_valid(), "{manner}");
    }
    // A port of this process, of which somebody keeps a message, and a remote that has given up and is kept.
    let (out, kept) = std::sync::mpsc::channel();
    let (reader, writer) = pipe();
    let port = place.served("own", move |message: Message| {
        let passed = writer.try_clone().unwrap();
        out.send(message).unwrap();
        Reply::empty().with_descriptors(vec![passed.into()])
    });
    let remote = place.connect("own");
    let asks = {
        let remote = remote.clone();
        std::thread::spawn(move || remote.request_with(1, b"", within(FAR, Duration::ZERO)))
    };
    let gone = asks.join().unwrap();
    assert!(matches!(gone, Err(SendError::ReceiveTimeout)), "{gone:?}");
    let message = {
        let mut found = None;
        run_until(|| {
            found = kept.try_recv().ok();
            found.is_some()
        });
        found
    };
    let (second, writer) = pipe();
    remote
        .send_with_descriptors(2, b"", &[writer.as_fd()], patiently())
        .unwrap();
    drop(writer);
    remote.invalidate();
    port.invalidate();
    ended(reader);
    ended(second);
    drop((message, remote, port));
}
