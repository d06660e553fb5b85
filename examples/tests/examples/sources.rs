//! The examples of ready-made sources: the end of children, changes of files.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tests::Watchdog;

fn lines_of(program: &str) -> Vec<String> {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{program} succeeds: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Sends Ctrl-C.
fn interrupt(child: &Child) {
    let mut kill = Command::new("kill");
    kill.args(["-INT", &child.id().to_string()]);
    assert!(kill.status().unwrap().success(), "it is there");
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

#[test]
fn file_changes_tells_of_what_it_does_to_its_own_directory() {
    let _watchdog = Watchdog::new();
    let lines = lines_of(env!("CARGO_BIN_EXE_file_changes"));
    let last = |part: &str| part.rsplit('/').next().unwrap().to_owned();
    let short: Vec<_> = lines
        .iter()
        .map(|line| match line.split_once(" is ") {
            Some((from, to)) => format!("{} is {}", last(from), last(to)),
            None => last(line),
        })
        .collect();
    let count = short.len();
    assert_eq!(&short[..4], ["draft", "draft", "draft is play now", "play"]);
    assert!(lines[0].starts_with("new: "), "{lines:?}");
    assert!(lines[1].starts_with("written: "), "{lines:?}");
    assert!(lines[3].starts_with("gone: "), "{lines:?}");
    assert!(lines[4].starts_with("no longer watched: "), "{lines:?}");
    assert_eq!(lines[count - 1], "the run has ended: Stopped");
}

#[test]
fn file_changes_watches_a_directory_until_it_is_interrupted() {
    let _watchdog = Watchdog::new();
    let place = std::env::temp_dir().join(format!("file-changes-test-{}", std::process::id()));
    fs::create_dir(&place).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_file_changes"))
        .arg(&place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    // What is made before the watch is there is told to nobody, so it is made until somebody tells.
    let told = std::thread::spawn(move || {
        let first = lines.next().unwrap().unwrap();
        (first, lines)
    });
    let mut number = 0;
    while !told.is_finished() {
        fs::create_dir(place.join(format!("deep-{number}"))).unwrap();
        number += 1;
        std::thread::yield_now();
    }
    let (first, mut lines) = told.join().unwrap();
    assert!(first.starts_with("new: ") && first.contains("/deep-"));
    interrupt(&program);
    let end = lines.find_map(|line| line.ok().filter(|line| line.starts_with("the run")));
    assert_eq!(end.unwrap(), "the run has ended: Stopped");
    assert!(program.wait().unwrap().success(), "it ends by itself");
    fs::remove_dir_all(&place).unwrap();
}
