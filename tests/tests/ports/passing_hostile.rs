//! P14, K6: peers that lie about the descriptors they pass.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use messageport::{SendError, TransportError};
use tests::{Log, Watchdog};

use crate::passing::{marked, pipe, read_all};
use crate::support::{Place, Server, patiently, wait_until};
use tests::raw::{
    Client, WHOLE, accept, has_hung_up, last_words, pretend, receive_memory, record, send,
};

/// The packet that says of descriptors how many they are, and whose.
fn packet(count: u8, conversation: u8) -> [u8; 16] {
    let mut packet = [0; 16];
    (packet[0], packet[4], packet[8]) = (1, count, conversation);
    packet
}

/// The header of a record that says that it has descriptors.
fn claiming(kind: u8, flags: u8, nfds: u8, total: u64) -> [u8; 32] {
    let mut header = record(kind, flags, 1, 0, total);
    header[6] = nfds;
    header
}

#[test]
fn a_client_that_claims_what_it_does_not_send_is_hung_up_on() {
    let _watchdog = Watchdog::new();
    let file = marked("");
    // What the packet says, how many it has, and whose it is; the record says two.
    for (says, has, whose) in [(0, 0, 0), (2, 1, 1), (2, 3, 1), (3, 3, 1), (2, 2, 9)] {
        let place = Place::new();
        let _server = Server::echo(&place, "strict");
        let client = Client::connect(&place.directory, "strict");
        client.introduce();
        if says > 0 {
            send(
                &client.socket,
                &packet(says, whose),
                &vec![file.as_fd(); has],
            );
        }
        client.write(4_096, &claiming(1, WHOLE, 2, 0));
        client.publish(32);
        let said = last_words(&client.socket);
        assert!(said.is_empty(), "{says} {has} {whose}");
    }
}

#[test]
fn descriptors_where_there_can_be_none_end_the_link() {
    let _watchdog = Watchdog::new();
    let file = marked("");
    // A cancellation, an abort, a piece that is not the first, and more than there may be.
    for (kind, flags, nfds) in [(5, WHOLE, 1), (4, 0, 1), (1, 2, 1), (1, WHOLE, 17)] {
        let place = Place::new();
        let _server = Server::echo(&place, "strict");
        let client = Client::connect(&place.directory, "strict");
        client.introduce();
        send(&client.socket, &packet(1, 1), &[file.as_fd()]);
        client.write(4_096, &claiming(kind, flags, nfds, 0));
        client.publish(32);
        assert!(
            last_words(&client.socket).is_empty(),
            "{kind} {flags} {nfds}"
        );
    }
}

#[test]
fn descriptors_that_no_record_claims_are_closed_and_the_next_message_has_its_own() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let _server = Server::start(&place, "patient", move |mut message| {
        told.add(read_all(message.take_descriptors()));
    });
    let client = Client::connect(&place.directory, "patient");
    client.introduce();
    let (mut reader, writer) = pipe();
    for whose in 2..100 {
        send(&client.socket, &packet(1, whose), &[writer.as_fd()]);
    }
    send(&client.socket, &packet(1, 1), &[marked("mine").as_fd()]);
    client.write(4_096, &claiming(1, WHOLE, 1, 0));
    client.publish(32);
    wait_until(|| log.count() == 1);
    assert_eq!(log.take(), ["mine"]);
    // The others are closed, although the link is open: what is read here is the end.
    drop(writer);
    assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
    assert!(!has_hung_up(&client.socket, Duration::ZERO), "it goes on");
}

#[test]
fn what_a_client_has_passed_goes_with_it_although_its_message_is_kept() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (out, kept) = std::sync::mpsc::channel();
    let _server = Server::start(&place, "keeper", move |message| out.send(message).unwrap());
    let client = Client::connect(&place.directory, "keeper");
    client.introduce();
    let (mut reader, writer) = pipe();
    let pass = |whose| send(&client.socket, &packet(1, whose), &[writer.as_fd()]);
    // A message that is kept, the first piece of one that will not come, and descriptors of no record at all.
    client.write(4_096, &record(1, WHOLE, 1, 0, 0));
    pass(2);
    let mut header = record(1, 3, 2, 32, 100_000);
    header[6] = 1;
    client.write(4_096 + 32, &header);
    client.publish(32 + 64);
    let message = kept.recv().unwrap();
    pass(3);
    drop(writer);
    drop(client);
    assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
    drop(message);
}

/// Pretends to be a port, and answers the first request with a record that says that it has a descriptor.
fn answer(place: &Place, passes: &[OwnedFd]) -> (Result<(String, bool), SendError>, bool) {
    let listener = pretend(&place.directory, "pretender");
    let remote = place.connect("pretender");
    let client = accept(&listener);
    let memory = receive_memory(&client);
    let asks = std::thread::spawn(move || {
        let answer = remote.request_with_descriptors(1, b"", &[], patiently());
        let answer = answer.map(|(_, files)| (read_all(files), true));
        (answer, remote.is_valid())
    });
    let mut written = [0; 8];
    wait_until(|| rustix::io::pread(&memory[0], &mut written, 0) == Ok(8) && written != [0; 8]);
    let files: Vec<_> = passes.iter().map(AsFd::as_fd).collect();
    if !files.is_empty() {
        send(&client, &packet(1, 1), &files);
    }
    let put = |bytes: &[u8], at| {
        assert_eq!(rustix::io::pwrite(&memory[0], bytes, at), Ok(bytes.len()));
    };
    put(&claiming(3, WHOLE, 1, 0), 4_096 + (4 << 20));
    put(&32_u64.to_le_bytes(), 512);
    // It is gone when it has answered: the hang-up is what wakes the requester.
    drop(client);
    asks.join().unwrap()
}

#[test]
fn a_port_that_claims_what_it_does_not_send_ends_the_link_with_its_own_error() {
    let _watchdog = Watchdog::new();
    for files in [vec![], vec![marked(""), marked("")]] {
        let (answer, valid) = answer(&Place::new(), &files);
        let Err(SendError::Transport(TransportError::Malformed)) = answer else {
            panic!("{answer:?}");
        };
        assert!(!valid, "the link is over");
    }
}

#[test]
fn a_reply_with_descriptors_in_the_ring_of_a_dead_port_is_got() {
    let _watchdog = Watchdog::new();
    let (answer, valid) = answer(&Place::new(), &[marked("last words")]);
    assert_eq!(answer.unwrap().0, "last words");
    assert!(!valid, "it is gone");
}
