//! The main job: what the client prints is what `wc` prints.

use crate::server::{Place, Server, stdout};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::Watchdog;

/// The three numbers and the path, as `LC_ALL=C wc` has them.
fn wc(path: &str) -> String {
    let output = Command::new("wc")
        .env("LC_ALL", "C")
        .arg(path)
        .output()
        .unwrap();
    let line = stdout(&output);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// This repository's files, but for what is built or belongs to the version control.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && name != ".git" && name != "target" {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

#[test]
fn the_client_prints_for_this_repositorys_files_what_wc_prints() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let server = Server::start(&place, "org.example.counting");
    let mut found = Vec::new();
    files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        &mut found,
    );
    found.sort();
    assert!(
        found.len() > 50,
        "the repository has files: {}",
        found.len()
    );
    let paths: Vec<&str> = found.iter().map(|path| path.to_str().unwrap()).collect();

    let mut arguments = vec!["org.example.counting"];
    arguments.extend(&paths);
    let printed = stdout(&place.client(&arguments));
    for (line, path) in printed.lines().zip(&paths) {
        let text = String::from_utf8(fs::read(path).unwrap()).is_ok_and(|text| text.is_ascii());
        if text {
            assert_eq!(line, wc(path), "a text file");
        } else {
            let (ours, theirs) = (line.split(' ').collect::<Vec<_>>(), wc(path));
            let theirs: Vec<_> = theirs.split(' ').collect();
            assert_eq!(
                (ours[0], ours[2]),
                (theirs[0], theirs[2]),
                "lines and bytes of {path}"
            );
        }
    }
    assert_eq!(
        printed.lines().count(),
        paths.len(),
        "one line for each file"
    );
    drop(server);
}

#[test]
fn empty_and_very_large_files_are_counted() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let server = Server::start(&place, "org.example.sizes");
    let empty = place.file("empty", b"");
    let line = b"a line of five words, thirty-two.\n";
    let large = place.file("large", &line.repeat((200 << 20) / line.len() + 1));
    let binary: Vec<u8> = (0..1_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let binary = place.file("binary", &binary);

    let printed = stdout(&place.client(&["org.example.sizes", &empty, &large, &binary]));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], format!("0 0 0 {empty}"), "an empty file");
    assert_eq!(lines[1], wc(&large), "two hundred mebibytes");
    let (ours, theirs) = (lines[2].split(' ').collect::<Vec<_>>(), wc(&binary));
    let theirs: Vec<&str> = theirs.split(' ').collect();
    assert_eq!(
        (ours[0], ours[2]),
        (theirs[0], theirs[2]),
        "lines and bytes of anything"
    );
    drop(server);
}

#[test]
fn the_server_reports_every_second_and_stops_cleanly_on_message_zero() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut server = Server::start(&place, "org.example.status");
    let text = place.file("text", b"one two\nthree\n");
    let printed = stdout(&place.client(&["org.example.status", &text]));
    assert_eq!(printed, format!("2 3 14 {text}\n"), "the reply");
    let status = server.lines.next().unwrap().unwrap();
    assert_eq!(status, "1 requests so far", "a status line");
    stdout(&place.client(&["--stop", "org.example.status"]));
    let (lines, succeeded) = server.end();
    assert_eq!(
        lines.last().unwrap(),
        "org.example.status is closed (Stopped)",
        "its last words"
    );
    assert!(succeeded, "it stops cleanly");
}

#[test]
fn the_server_stops_cleanly_on_ctrl_c() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let server = Server::start(&place, "org.example.interrupted");
    server.signal("INT");
    let (lines, succeeded) = server.end();
    let expected = ["SIGINT", "org.example.interrupted is closed (Stopped)"];
    assert!(
        lines.ends_with(&expected.map(str::to_owned)),
        "its last words: {lines:?}"
    );
    assert!(succeeded, "it stops cleanly");
}
