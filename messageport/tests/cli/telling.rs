//! What the tool says about itself: help, manual pages, completions, and what is wrong with its arguments.

use crate::support::{Place, assert_done, assert_failed, text};
use std::process::{Command, Stdio};

const COMMANDS: [&str; 7] = [
    "list",
    "watch",
    "send",
    "request",
    "ping",
    "man",
    "completions",
];

#[test]
fn the_help_has_every_command_and_every_exit_status() {
    let place = Place::new();
    let output = place.run(&["--help"]);
    assert_done(&output);
    let help = text(&output.stdout);
    for command in COMMANDS {
        assert!(help.contains(&format!("  {command} ")), "{command}: {help}");
    }
    for status in 0..=10 {
        assert!(
            help.contains(&format!("\n  {status:<3} ")),
            "{status}: {help}"
        );
    }
}

#[test]
fn there_is_a_manual_page_for_the_tool_and_for_each_command() {
    let place = Place::new();
    let page = |arguments: &[&str]| {
        let output = place.run(arguments);
        assert_done(&output);
        text(&output.stdout)
    };
    assert!(page(&["man"]).contains(".TH messageport 1"), "its title");
    assert!(
        page(&["man"]).contains("nobody serves the name"),
        "each exit status"
    );
    for command in COMMANDS {
        let page = page(&["man", command]);
        assert!(
            page.contains(&format!(".TH messageport-{command} 1")),
            "{page}"
        );
        assert!(
            page.contains("directory"),
            "what holds for all commands: {page}"
        );
    }
    assert_failed(&place.run(&["man", "nonsense"]), 2, "nonsense");
}

#[test]
fn the_completions_of_bash_are_read_by_bash_and_those_of_others_name_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = place.run(&["completions", shell]);
        assert_done(&output);
        let script = text(&output.stdout);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        if shell == "bash" {
            let path = place.path().join("script");
            std::fs::write(&path, script).unwrap();
            let read = Command::new("bash")
                .arg("-n")
                .arg(&path)
                .stdin(Stdio::null())
                .status();
            // Where there is no bash nobody is to read it.
            assert!(
                read.is_ok_and(|status| status.success()) || !has_bash(),
                "bash reads it"
            );
        }
    }
}

fn has_bash() -> bool {
    Command::new("bash").arg("--version").output().is_ok()
}

#[test]
fn wrong_arguments_are_status_two_and_reach_no_port() {
    let place = Place::new();
    let long = "x".repeat(256);
    let wrong: [&[&str]; 9] = [
        &[],
        &["nonsense"],
        &["send"],
        &["send", "name", "text", "--file", "path"],
        &["send", "name", "text", "--send-timeout", "soon"],
        &["request", "name", "text", "--reply-timeout=-1"],
        &["ping", "name", "--count", "0"],
        &["send", "", "text"],
        &["send", &long, "text"],
    ];
    for arguments in wrong {
        assert_failed(&place.run(arguments), 2, "");
    }
}
