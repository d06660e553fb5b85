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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
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
    running(Some(program));
    let actual = real::run(program);
    running(None);
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

/// The program that is being run, so that one that hangs is printed: a hanging test says nothing else.
static RUNNING: Mutex<Option<(u64, Program)>> = Mutex::new(None);

fn running(program: Option<&Program>) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    *running = program.map(|program| (number, program.clone()));
}

/// Ends the process, with the program, if one runs for half a minute.
fn watch_for_hanging_programs() {
    std::thread::spawn(|| {
        let (mut last, mut looks) = (None, 0);
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            let number = running.as_ref().map(|running| running.0);
            looks = if number.is_some() && number == last {
                looks + 1
            } else {
                0
            };
            last = number;
            if let Some((_, program)) = running.as_ref().filter(|_| looks == 30) {
                writeln!(std::io::stderr(), "this program hangs:\n{program}").ok();
                std::process::abort();
            }
        }
    });
}

#[test]
fn the_loop_does_what_the_model_says() {
    let count = number("MODEL_PROGRAMS", 5_000);
    let first = number("MODEL_SEED", 1);
    let _watchdog = Watchdog::with_limit(Duration::from_secs(120 + count / 20));
    watch_for_hanging_programs();
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
        endless <= count / 3,
        "most programs have an end: {endless} of {count} do not"
    );
}

/// A number of the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|set| set.parse().ok()).unwrap_or(otherwise)
}
