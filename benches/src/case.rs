//! Cases: each is measured by a process of its own, the peers of a comparison in turn, so that whatever the machine does
//! meanwhile happens to all of them.

use crate::{Result, Rounds};
use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;

/// The words `key=value` that say what a case measures, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments(Vec<(String, String)>);

impl Arguments {
    /// Those of this process, after `skip` words.
    pub fn of_process(skip: usize) -> Result<Self> {
        let mut found = Self::default();
        for word in std::env::args().skip(1 + skip) {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word} is not of the form key=value"))?;
            found.0.push((key.to_owned(), value.to_owned()));
        }
        Ok(found)
    }

    /// With one word more, or in place of the one of the same key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.0.retain(|(other, _)| other != key);
        self.0.push((key.to_owned(), value.to_string()));
        self
    }

    /// The value of a key.
    pub fn text(&self, key: &str) -> Result<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == key)
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| format!("{key}=… is missing").into())
    }

    /// The value of a key, as what it stands for.
    pub fn value<T: FromStr>(&self, key: &str) -> Result<T> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|_| format!("{key}={text} does not say what is meant").into())
    }

    /// Their words.
    pub fn words(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(key, value)| format!("{key}={value}"))
    }
}

impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, word) in self.words().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&word)?;
        }
        Ok(())
    }
}

/// One program of this package with one set of arguments.
#[derive(Clone, Debug)]
pub struct Case {
    /// The program.
    pub bench: &'static str,
    /// What it measures.
    pub arguments: Arguments,
}

impl Case {
    /// Measures once: the program prints `metric=figure` lines, several if it measures several things.
    ///
    /// # Errors
    ///
    /// The program cannot be started, fails, or prints something else.
    pub fn measure(&self) -> Result<BTreeMap<String, f64>> {
        let output = Command::new(program(self.bench)?)
            .arg("case")
            .args(self.arguments.words())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("{} {}: {}", self.bench, self.arguments, output.status).into());
        }
        let mut figures = BTreeMap::new();
        for line in String::from_utf8(output.stdout)?.lines() {
            let (metric, figure) = line.split_once('=').ok_or("a case prints metric=figure")?;
            figures.insert(metric.to_owned(), figure.parse()?);
        }
        Ok(figures)
    }
}

/// Measures all cases in turn, so many times, and says for each what its rounds gave.
///
/// # Errors
///
/// One of them failed.
pub fn alternate(cases: &[Case], rounds: usize) -> Result<Vec<BTreeMap<String, Rounds>>> {
    let mut all = vec![BTreeMap::<String, Rounds>::new(); cases.len()];
    for round in 1..=rounds {
        for (case, figures) in cases.iter().zip(&mut all) {
            progress(&format!(
                "round {round} of {rounds}: {} {}",
                case.bench, case.arguments
            ));
            for (metric, figure) in case.measure()? {
                figures.entry(metric).or_default().add(figure);
            }
        }
    }
    progress("");
    Ok(all)
}

/// Says on a terminal what is going on, in place of what was said before.
fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// A program of this package, beside the one that is running.
fn program(bench: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(bench))
}
