//! Messages sent by the tool: whatever bytes, from wherever, and every way in which that can fail.

use crate::support::{Place, Server, assert_done, assert_failed, text};
use messageport::{LocalPort, Message, PortOptions};
use std::process::Stdio;
use std::sync::mpsc::channel;

#[test]
fn a_message_of_any_bytes_arrives_from_standard_input_a_file_and_the_command_line() {
    let place = Place::new();
    let (got, received) = channel();
    let _server = place.serve("sink", move |message: Message| {
        got.send((message.id(), message.wants_reply(), message.data().to_vec()))
            .unwrap();
    });
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(300_000).collect();
    let path = place.path().join("bytes");
    std::fs::write(&path, &bytes).unwrap();
    assert_done(&place.run_with(&["send", "sink", "--id", "-7"], &bytes));
    assert_eq!(
        received.recv().unwrap(),
        (-7, false, bytes.clone()),
        "from its input"
    );
    assert_done(&place.run(&["send", "sink", "--file", path.to_str().unwrap()]));
    assert_eq!(received.recv().unwrap(), (0, false, bytes), "from a file");
    assert_done(&place.run(&["send", "sink", "-i", "3", "--", "--text"]));
    assert_eq!(
        received.recv().unwrap(),
        (3, false, b"--text".to_vec()),
        "from an argument"
    );
}

#[test]
fn no_bytes_are_a_message_wherever_they_come_from() {
    let place = Place::new();
    let _server = place.serve("counted", |message: Message| {
        message.data().len().to_string()
    });
    for arguments in [&["request", "counted", ""][..], &["request", "counted"]] {
        let output = place.run(arguments);
        assert_done(&output);
        assert_eq!(output.stdout, b"0", "{arguments:?}");
    }
}

#[test]
fn a_reply_is_printed_byte_for_byte_and_nothing_is_added() {
    let place = Place::new();
    let _server = place.serve("echo", |message: Message| message.data().to_vec());
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(5_000_001).collect();
    let output = place.run_with(&["request", "echo", "-f", "-"], &bytes);
    assert_done(&output);
    assert!(
        output.stdout == bytes,
        "all of it and no more: {}",
        output.stdout.len()
    );
    assert_eq!(
        place.run(&["request", "echo", ""]).stdout,
        b"",
        "an empty reply"
    );
}

#[test]
fn a_name_that_nobody_serves_is_status_three_and_the_complaint_says_where() {
    let place = Place::new();
    for command in ["send", "request"] {
        let output = place.run(&[command, "nobody", "text"]);
        assert_failed(&output, 3, place.path().to_str().unwrap());
        assert!(text(&output.stderr).contains("nobody"), "the name");
    }
    assert_failed(
        &place.run(&["ping", "nobody", "--wait", "0.05"]),
        3,
        "nobody",
    );
}

#[test]
fn a_port_that_appears_in_time_is_waited_for() {
    let place = Place::new();
    let mut command = place.tool(&["request", "later", "text", "--wait", "100"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _server = place.serve("later", |_| "here");
    let output = child.wait_with_output().unwrap();
    assert_done(&output);
    assert_eq!(output.stdout, b"here", "its reply");
}

#[test]
fn no_room_in_time_is_status_four() {
    let place = Place::new();
    let port = LocalPort::create_in(&place.directory(), "full", |_| ()).unwrap();
    let much = vec![0; 16 << 20];
    let output = place.run_with(&["send", "full", "--send-timeout", "0.05"], &much);
    assert_failed(&output, 4, "no room");
    drop(port);
}

#[test]
fn no_reply_in_time_is_status_five() {
    let place = Place::new();
    let port = LocalPort::create_in(&place.directory(), "silent", |_| ()).unwrap();
    let output = place.run(&["request", "silent", "", "--reply-timeout", "0.05"]);
    assert_failed(&output, 5, "no reply");
    drop(port);
}

#[test]
fn a_server_that_is_killed_in_its_handler_is_status_seven_at_once() {
    let place = Place::new();
    let mut server = place.hanging_process("doomed");
    let mut command = place.tool(&["request", "doomed", "", "--reply-timeout", "never"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.hear("asked");
    server.kill();
    assert_failed(&child.wait_with_output().unwrap(), 7, "went away");
}

#[test]
fn what_is_larger_than_the_port_takes_is_status_eight() {
    let place = Place::new();
    let options = PortOptions::new()
        .name("small")
        .in_directory(&place.directory());
    let _server = Server::start(options.largest_message(1_000), |_| ());
    assert_done(&place.run_with(&["request", "small"], &[0; 1_000]));
    let output = place.run_with(&["request", "small"], &[0; 1_001]);
    assert_failed(&output, 8, "1000 bytes");
}

#[test]
fn a_port_that_lets_nobody_in_is_status_nine() {
    let place = Place::new();
    let options = PortOptions::new()
        .name("closed")
        .in_directory(&place.directory());
    let _server = Server::start(options.clients(0), |_| ());
    assert_failed(&place.run(&["request", "closed", ""]), 9, "refused");
}

#[test]
fn a_file_that_cannot_be_read_is_status_one_and_nothing_is_sent() {
    let place = Place::new();
    let (got, received) = channel();
    let server = place.serve("sink", move |_| got.send(()).unwrap());
    let output = place.run(&["send", "sink", "--file", "/nowhere/at/all"]);
    assert_failed(&output, 1, "/nowhere/at/all");
    drop(server);
    assert!(received.recv().is_err(), "the handler was never called");
}

#[test]
fn ping_prints_four_figures_in_order() {
    let place = Place::new();
    let _server = place.serve("pinged", |message: Message| {
        assert_eq!(
            (message.id(), message.data().len()),
            (9, 100),
            "as asked for"
        );
    });
    let output = place.run(&[
        "ping", "pinged", "--count", "50", "--size", "100", "--id", "9",
    ]);
    assert_done(&output);
    let printed = text(&output.stdout);
    let lines: Vec<_> = printed.lines().collect();
    let own = std::process::id();
    let first = format!("50 of 50 requests of 100 bytes answered by process {own}");
    assert_eq!(lines[0], first);
    let numbers = lines[1]
        .split([' ', ','])
        .filter_map(|word| word.parse::<f64>().ok());
    let numbers: Vec<_> = numbers.collect();
    assert_eq!(numbers.len(), 4, "{printed}");
    assert!(numbers.is_sorted() && numbers[0] > 0.0, "{printed}");
}

#[test]
fn ping_prints_what_it_has_when_the_port_goes_away() {
    let place = Place::new();
    let answered = std::cell::Cell::new(0);
    let _server = place.serve("leaving", move |message: Message| {
        answered.set(answered.get() + 1);
        if answered.get() == 3 {
            message.port().invalidate();
        }
    });
    let output = place.run(&["ping", "leaving", "--count", "10"]);
    let code = output.status.code();
    assert!(code == Some(6) || code == Some(7), "it is gone: {code:?}");
    let printed = text(&output.stdout);
    assert!(
        printed.starts_with("3 of 10"),
        "the last words count: {printed}"
    );
}
