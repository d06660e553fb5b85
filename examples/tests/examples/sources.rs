//! The examples of ready-made sources: the end of children.

use std::process::Command;

use tests::Watchdog;

fn lines_of(program: &str) -> Vec<String> {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{program} succeeds: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn child_exit_tells_of_each_child_and_ends_with_the_last() {
    let _watchdog = Watchdog::new();
    let lines = lines_of(env!("CARGO_BIN_EXE_child_exit"));
    let talker = "the talker said \"all is well\", exit status: 3".to_owned();
    assert!(lines.contains(&talker), "{lines:?}");
    let others: Vec<_> = lines.into_iter().filter(|line| *line != talker).collect();
    let expected = [
        "that is enough",
        "the sleeper has ended, signal: 9 (SIGKILL)",
        "the run has ended: Finished",
    ];
    assert_eq!(others, expected, "in this order");
}
