//! Random programs, run by the loop and by a model of it: both must say the same, line by line.
//!
//! An ordinary run tries some thousands. The full form, which prints how far it is:
//! `MODEL_PROGRAMS=100000 cargo test -p tests --release --test model -- --nocapture`;
//! `MODEL_SEED` is the seed of the first. A program for which the two differ is made smaller and printed as a test to paste
//! into `regressions.rs`.

mod actors;
mod generate;
mod model;
mod program;
mod real;
mod regressions;
mod shrink;

use std::fmt::Write;
use std::io::Write as _;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use program::Program;
use tests::Watchdog;

/// Both must say the same about a program.
fn agree(program: &Program) {
    if let Some(difference) = differ(program) {
        panic!("the loop and the model differ:\n{difference}");
    }
}

/// Where the loop and the model differ, if they do. Programs without an end are nobody's.
fn differ(program: &Program) -> Option<String> {
    let expected = model::run(program)?;
    let hangs = HangingProgram::new(program);
    let actual = real::run(program);
    drop(hangs);
    if actual == expected {
        return None;
    }
    let same = expected
        .iter()
        .zip(&actual)
        .take_while(|(one, other)| one == other)
        .count();
    let mut text = String::new();
    for line in &expected[..same] {
        writeln!(text, "    {line}").ok();
    }
    for (mark, lines) in [("model", &expected), ("loop ", &actual)] {
        for line in lines.iter().skip(same).take(8) {
            writeln!(text, "{mark}: {line}").ok();
        }
    }
    Some(text)
}

/// Prints a program that hangs, since a hanging test says nothing else.
struct HangingProgram {
    /// Hanging up tells the thread that it has ended.
    _ended: Sender<()>,
}

impl HangingProgram {
    fn new(program: &Program) -> Option<Self> {
        // A thread for each program is only worth it where one hangs.
        std::env::var_os("MODEL_HANGS")?;
        let (ended, waiting) = channel();
        let program = program.to_string();
        std::thread::spawn(move || {
            if waiting.recv_timeout(Duration::from_secs(10)) == Err(RecvTimeoutError::Timeout) {
                writeln!(std::io::stderr(), "this program hangs:\n{program}").ok();
                std::process::abort();
            }
        });
        Some(Self { _ended: ended })
    }
}

#[test]
fn the_loop_does_what_the_model_says() {
    let count = number("MODEL_PROGRAMS", 5_000);
    let first = number("MODEL_SEED", 1);
    let _watchdog = Watchdog::with_limit(Duration::from_secs(120 + count / 100));
    let (mut endless, mut lines, mut failures) = (0, 0, Vec::new());
    for seed in first..first + count {
        let program = generate::program(seed);
        match model::run(&program) {
            Some(expected) => lines += expected.len(),
            None => endless += 1,
        }
        if differ(&program).is_some() {
            let smallest = shrink::shrink(program, |smaller| differ(smaller).is_some());
            let difference = differ(&smallest).unwrap_or_default();
            failures.push(format!("seed {seed}:\n\n{smallest}\n{difference}"));
            if failures.len() >= 5 {
                break;
            }
        }
        let done = seed - first + 1;
        if done % 10_000 == 0 {
            println!("{done} programs, {lines} lines, {endless} without an end left out");
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(
        endless < count / 4,
        "most programs have an end: {endless} of {count} do not"
    );
}

/// A number of the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|set| set.parse().ok()).unwrap_or(otherwise)
}
