//! One full run of every program of this package, as Markdown tables with ratios and as plots.
//!
//! `… -- report DIRECTORY` runs them and writes `results.txt`, `results.md` and a plot for each curve; `… -- report DIRECTORY
//! from FILE` makes the same of lines that were printed before.

mod lines;
mod plots;
mod tables;

use benches::Result;
use lines::Line;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes the report into a directory.
pub(crate) fn write(words: &[String]) -> Result<()> {
    let (directory, text) = match words {
        [directory] => (directory, run_all()?),
        [directory, from, file] if from == "from" => (directory, std::fs::read_to_string(file)?),
        _ => return Err("say `report DIRECTORY` or `report DIRECTORY from FILE`".into()),
    };
    let directory = Path::new(directory);
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("results.txt"), &text)?;
    let lines: Vec<Line> = text.lines().filter_map(Line::parse).collect();
    let mut tables = std::fs::File::create(directory.join("results.md"))?;
    for table in tables::of(&lines) {
        writeln!(tables, "{table}")?;
    }
    plots::draw(&lines, directory)
}

/// Runs every program, and gives what they print.
fn run_all() -> Result<String> {
    let mut text = String::new();
    for bench in PROGRAMS {
        let program = std::env::current_exe()?.with_file_name(bench);
        let output = Command::new(program).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("{bench}: {}", output.status).into());
        }
        text.push_str(std::str::from_utf8(&output.stdout)?);
    }
    Ok(text)
}

const PROGRAMS: [&str; 8] = [
    "port",
    "wake",
    "dispatch",
    "timers",
    "lateness",
    "death",
    "many-modes",
    "idle",
];
