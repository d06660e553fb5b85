//! Names as the tool prints them, once and as they change.

use crate::support::{Place, assert_done, assert_failed, text};
use messageport::LocalPort;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn list_prints_the_owner_and_the_name_of_each_port_in_order() {
    let place = Place::new();
    assert_done(&place.run(&["list"]));
    let own = LocalPort::create_in(&place.directory(), "b of this process", |_| ()).unwrap();
    let other = place.hanging_process("a/of\u{e4}nother");
    let output = place.run(&["list"]);
    assert_done(&output);
    let (a, b) = (other.pid(), std::process::id());
    let expected = format!("{a}\ta/of\u{e4}nother\n{b}\tb of this process\n");
    assert_eq!(text(&output.stdout), expected);
    drop((own, other));
    let output = place.run(&["list"]);
    assert_done(&output);
    assert!(output.stdout.is_empty(), "all are gone");
}

#[test]
fn watch_tells_of_what_is_there_what_appears_and_what_is_killed() {
    let place = Place::new();
    let own = std::process::id();
    let first = LocalPort::create_in(&place.directory(), "first", |_| ()).unwrap();
    let mut watch = place
        .tool(&["watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), format!("+\t{own}\tfirst"));
    let mut other = place.hanging_process("second");
    let pid = other.pid();
    assert_eq!(next(), format!("+\t{pid}\tsecond"));
    other.kill();
    assert_eq!(next(), format!("-\t{pid}\tsecond"));
    drop(first);
    assert_eq!(next(), format!("-\t{own}\tfirst"));
    // Nobody listens any more, which it notices with the next change.
    drop(lines);
    let third = LocalPort::create_in(&place.directory(), "third", |_| ()).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    drop(third);
}

#[test]
fn a_closed_output_ends_the_tool_quietly() {
    let place = Place::new();
    let _server = place.serve("generous", |_| vec![b'x'; 4 << 20]);
    for arguments in [&["list"][..], &["request", "generous", ""], &["man"]] {
        let mut command = place.tool(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_done(&child.wait_with_output().unwrap());
    }
}

#[test]
fn a_directory_that_cannot_be_used_is_status_ten() {
    let place = Place::new();
    let missing = place.path().join("missing");
    let missing = missing.to_str().unwrap();
    for arguments in [&["list"][..], &["watch"], &["send", "name", ""]] {
        // The last of two would be a usage error.
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_messageport"));
        let output = command
            .args(arguments)
            .args(["--directory", missing])
            .output()
            .unwrap();
        assert_failed(&output, 10, missing);
    }
}
