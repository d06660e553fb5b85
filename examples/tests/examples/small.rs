//! The examples that run by themselves.

use std::process::Command;
use tests::Watchdog;

fn lines_of(program: &str) -> Vec<String> {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{program} succeeds: {output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn hello_timer_counts_down_and_ends_when_nothing_is_left() {
    let _watchdog = Watchdog::new();
    let lines = lines_of(env!("CARGO_BIN_EXE_hello_timer"));
    let expected = [
        "hello, 3 to go",
        "hello, 2 to go",
        "hello, 1 to go",
        "the run has ended: Finished",
    ];
    assert_eq!(lines, expected, "in this order");
}

#[test]
fn wake_from_thread_hears_everything_the_worker_says() {
    let _watchdog = Watchdog::new();
    let lines = lines_of(env!("CARGO_BIN_EXE_wake_from_thread"));
    let percent: Vec<_> = lines
        .iter()
        .filter(|line| line.ends_with("percent"))
        .collect();
    assert_eq!(
        percent,
        ["10 percent", "50 percent", "100 percent"],
        "values in order"
    );
    assert!(lines.contains(&"done".to_owned()), "the flag: {lines:?}");
    assert!(
        lines.contains(&"a note from the worker".to_owned()),
        "the closure: {lines:?}"
    );
    assert_eq!(
        lines.last().unwrap(),
        "the run has ended: Stopped",
        "the end"
    );
}

#[test]
fn modes_stops_the_clock_and_not_the_music_while_the_dialogue_runs() {
    let _watchdog = Watchdog::new();
    let lines = lines_of(env!("CARGO_BIN_EXE_modes"));
    let dialogue = lines
        .iter()
        .position(|line| line.starts_with("the dialogue"))
        .unwrap();
    let (before, after) = lines.split_at(dialogue);
    let clock = "  clock of the main window".to_owned();
    let music = "  music".to_owned();
    assert!(
        before.contains(&clock) && before.contains(&music),
        "both: {before:?}"
    );
    assert!(
        !after.contains(&clock) && after.contains(&music),
        "only music: {after:?}"
    );
    assert_eq!(
        before.last().unwrap(),
        "TimedOut",
        "the main window's moment"
    );
    assert!(
        after.contains(&"Stopped".to_owned()),
        "the dialogue is closed: {after:?}"
    );
    assert_eq!(
        lines.last().unwrap(),
        "nothing is left: Finished",
        "the end"
    );
}

#[test]
fn custom_source_reads_what_the_child_writes() {
    let _watchdog = Watchdog::new();
    let lines = lines_of(env!("CARGO_BIN_EXE_custom_source"));
    assert_eq!(
        lines,
        ["the run has ended: Stopped", "the child wrote 19 bytes"],
        "all of it"
    );
}

#[test]
fn the_source_of_custom_source_has_at_most_fifteen_lines() {
    let text = include_str!("../../custom_source.rs");
    let marked = text
        .lines()
        .skip_while(|line| *line != "// --- the source")
        .skip(1);
    let source: Vec<_> = marked
        .take_while(|line| *line != "// --- the end of the source")
        .collect();
    let code = source
        .iter()
        .filter(|line| !line.is_empty() && !line.starts_with("///"));
    let count = code.count();
    assert!((5..=15).contains(&count), "{count} lines");
}

#[test]
fn every_example_has_under_eighty_lines() {
    let sources = [
        include_str!("../../hello_timer.rs"),
        include_str!("../../wake_from_thread.rs"),
        include_str!("../../modes.rs"),
        include_str!("../../custom_source.rs"),
        include_str!("../../child_exit.rs"),
        include_str!("../../file_changes.rs"),
        include_str!("../../port_server.rs"),
        include_str!("../../port_client.rs"),
    ];
    for source in sources {
        let lines = source.lines().count();
        assert!(
            lines < 80,
            "{lines} lines: {}",
            source.lines().next().unwrap()
        );
    }
}
