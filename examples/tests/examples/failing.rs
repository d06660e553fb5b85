//! Every way in which the main job can fail: a clear message, and exit code 1.

use crate::server::{Place, Server, stderr};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::Watchdog;

#[test]
fn a_taken_name_is_reported_with_the_process_that_has_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let server = Server::start(&place, "org.example.taken");
    let mut command = place.command(env!("CARGO_BIN_EXE_port_server"));
    let second = command.arg("org.example.taken").output().unwrap();
    assert_eq!(second.status.code(), Some(1), "it fails");
    let message = stderr(&second);
    assert!(message.contains("org.example.taken"), "the name: {message}");
    assert!(
        message.contains(&server.child.id().to_string()),
        "the process: {message}"
    );
}

#[test]
fn a_name_that_nobody_serves_is_reported() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let text = place.file("text", b"text\n");
    let output = place.client(&["org.example.nobody", &text]);
    assert_eq!(output.status.code(), Some(1), "it fails");
    let message = stderr(&output);
    assert!(
        message.contains("no port") && message.contains("org.example.nobody"),
        "{message}"
    );
}

#[test]
fn a_server_that_does_not_answer_in_time_is_reported() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let server = Server::start(&place, "org.example.stopped");
    let text = place.file("text", b"text\n");
    server.signal("STOP");
    let begun = Instant::now();
    let output = place.client(&["--timeout", "0.2", "org.example.stopped", &text]);
    assert!(
        begun.elapsed() >= Duration::from_millis(200),
        "it waited as long as it was told"
    );
    assert_eq!(output.status.code(), Some(1), "it fails");
    assert!(
        stderr(&output).contains("no reply came in time"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_server_that_is_killed_while_it_handles_a_request_is_reported_at_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut server = Server::start(&place, "org.example.killed");
    let text = place.file("text", b"text\n");
    // Stopped, it never answers; killed, it takes the request with it.
    server.signal("STOP");
    let mut command = place.command(env!("CARGO_BIN_EXE_port_client"));
    let command = command.args(["org.example.killed", &text]);
    let client = command.stderr(Stdio::piped()).spawn().unwrap();
    wait_until_it_waits(client.id());
    server.child.kill().unwrap();
    // The client's own deadline is thirty seconds away; the watchdog would not wait for it.
    let output = client.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "it fails");
    assert!(
        stderr(&output).contains("went away during the call"),
        "{}",
        stderr(&output)
    );
}

/// Waits until a client has its link and sleeps: then its request is sent.
fn wait_until_it_waits(client: u32) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{client}/{file}"));
    loop {
        let linked = read("maps").is_ok_and(|maps| maps.contains("memfd:"));
        let sleeps = read("stat").is_ok_and(|stat| stat.contains(") S "));
        if linked && sleeps {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
