//! A table for each program: a row a question, a column a peer, ours as a ratio to the best of the others.

use super::lines::Line;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One program's results as a table.
pub(super) struct Table<'a> {
    bench: &'a str,
    peers: Vec<&'a str>,
    rows: BTreeMap<String, BTreeMap<&'a str, &'a Line>>,
}

/// The tables of all programs that have results.
pub(super) fn of(lines: &[Line]) -> Vec<Table<'_>> {
    let benches: BTreeSet<&str> = lines.iter().map(|line| line.bench.as_str()).collect();
    let table = |bench| {
        let own = lines.iter().filter(|line| line.bench == bench);
        let mut peers: Vec<&str> = Vec::new();
        let mut rows: BTreeMap<String, BTreeMap<&str, &Line>> = BTreeMap::new();
        for line in own {
            if !peers.contains(&line.peer.as_str()) {
                peers.push(&line.peer);
            }
            rows.entry(line.question())
                .or_default()
                .insert(&line.peer, line);
        }
        Table { bench, peers, rows }
    };
    benches.into_iter().map(table).collect()
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.bench)?;
        writeln!(
            f,
            "| measured | {} | ours to the best other |",
            self.peers.join(" | ")
        )?;
        writeln!(f, "| --- |{} --- |", " --- |".repeat(self.peers.len()))?;
        for (question, row) in &self.rows {
            let question = question.strip_prefix(self.bench).unwrap_or(question).trim();
            write!(f, "| {question} |")?;
            for peer in &self.peers {
                match row.get(peer) {
                    Some(line) => write!(f, " {} |", figure(line.value))?,
                    None => write!(f, " – |")?,
                }
            }
            match ratio(row) {
                Some(ratio) => writeln!(f, " {ratio:.2} |")?,
                None => writeln!(f, " – |")?,
            }
        }
        Ok(())
    }
}

/// What is ours, as a multiple of the best of the others.
fn ratio(row: &BTreeMap<&str, &Line>) -> Option<f64> {
    let ours = row.values().find(|line| line.is_ours())?;
    let others = row
        .values()
        .filter(|line| !line.is_ours())
        .map(|line| line.value);
    let best = if ours.wants_more() {
        others.reduce(f64::max)
    } else {
        others.reduce(f64::min)
    };
    best.map(|best| ours.value / best)
}

/// A figure with as many digits as it deserves.
fn figure(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
