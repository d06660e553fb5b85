//! What has been measured so far for the targets, so that what two of them need is measured once.

use benches::{Arguments, Case, Result, Rounds, alternate};
use std::collections::BTreeMap;

/// Figures by case and metric.
pub(crate) struct Sample {
    known: BTreeMap<String, BTreeMap<String, Rounds>>,
    /// The ends of ports, and of what they are compared with, are threads of one process where they can be.
    threads: bool,
}

impl Sample {
    pub(crate) fn new(threads: bool) -> Self {
        Self {
            known: BTreeMap::new(),
            threads,
        }
    }

    /// The middle figures of several cases that are compared, measured in turn.
    ///
    /// # Errors
    ///
    /// A case failed, or does not measure this.
    pub(crate) fn compare<const N: usize>(
        &mut self,
        bench: &'static str,
        cases: [&str; N],
        metric: &str,
    ) -> Result<[f64; N]> {
        let known = cases
            .iter()
            .all(|case| self.known.contains_key(&key(bench, case)));
        if !known {
            let measured: Vec<Case> = cases
                .iter()
                .map(|words| {
                    Ok(Case {
                        bench,
                        arguments: self.placed(arguments(words)?)?,
                    })
                })
                .collect::<Result<_>>()?;
            for (case, figures) in cases.iter().zip(alternate(&measured, ROUNDS)?) {
                self.known.insert(key(bench, case), figures);
            }
        }
        let mut found = [f64::NAN; N];
        for (figure, case) in found.iter_mut().zip(cases) {
            let rounds = self
                .known
                .get(&key(bench, case))
                .and_then(|figures| figures.get(metric));
            *figure = rounds
                .ok_or_else(|| format!("{bench} {case} gives no {metric}"))?
                .median();
        }
        Ok(found)
    }

    /// The arguments of a case, with its ends where they are to be.
    fn placed(&self, arguments: Arguments) -> Result<Arguments> {
        let moves = self.threads && arguments.text("ends").is_ok();
        // Its waiting object is for processes.
        Ok(if moves && arguments.text("peer")? != "iceoryx2" {
            arguments.with("ends", "threads")
        } else {
            arguments
        })
    }
}

fn key(bench: &str, case: &str) -> String {
    format!("{bench} {case}")
}

/// The arguments in a line of `key=value` words.
fn arguments(words: &str) -> Result<Arguments> {
    words
        .split_whitespace()
        .try_fold(Arguments::default(), |all, word| {
            let (key, value) = word
                .split_once('=')
                .ok_or("a word is not of the form key=value")?;
            Ok(all.with(key, value))
        })
}

/// Rounds of each comparison.
const ROUNDS: usize = 5;
