//! The examples with a port of their own: a program that runs once, and messages that are values.

use crate::server::{Place, stdout};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use tests::Watchdog;

#[test]
fn single_instance_hands_its_arguments_to_the_one_that_runs_until_that_is_told_to_quit() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let start = || place.command(env!("CARGO_BIN_EXE_single_instance"));
    let mut first = start();
    let first = first.args(["a", "b c"]).stdout(Stdio::piped());
    // Whatever happens here, it does not outlive this.
    let mut first = Killed(first.spawn().unwrap());
    let mut lines = BufReader::new(first.0.stdout.take().unwrap()).lines();
    let mut expect = |line: &str| assert_eq!(lines.next().unwrap().unwrap(), line);
    expect("open a");
    expect("open b c");
    let handed_over = format!("handed over to process {}\n", first.0.id());
    for argument in ["d", "ä"] {
        let second = start().arg(argument).output().unwrap();
        assert!(second.status.success(), "{second:?}");
        assert_eq!(stdout(&second), handed_over);
        expect(&format!("open {argument}"));
    }
    assert_eq!(stdout(&start().arg("quit").output().unwrap()), handed_over);
    expect("open quit");
    assert!(first.0.wait().unwrap().success(), "it ends in peace");
    // The name is free again.
    let alone = start().arg("quit").output().unwrap();
    assert_eq!(stdout(&alone), "open quit\n");
}

#[test]
fn typed_messages_answers_what_it_is_asked_and_refuses_what_is_no_question() {
    let _watchdog = Watchdog::new();
    // Cargo builds the examples of a package with its tests, and tells these nothing about them.
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().unwrap().with_file_name("examples");
    let program = built.join("typed_messages");
    assert!(
        program.exists(),
        "cargo build -p examples --example typed_messages"
    );
    let output = Place::new()
        .command(program.to_str().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = stdout(&output);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[..3],
        ["Distance(5.0)", "Mean(1.5)", "Refused(\"no numbers\")"]
    );
    assert!(lines[3].starts_with("Refused("), "{said}");
}

#[test]
fn a_program_that_runs_once_takes_under_forty_lines() {
    let lines = include_str!("../../single_instance.rs").lines().count();
    assert!(lines < 40, "{lines} lines");
}

/// A process that is killed when this is dropped.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail if it has ended and was waited for.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
