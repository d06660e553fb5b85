//! The form of a result: `bench=NAME peer=PEER <parameters> metric=… value=… min=… max=…`.

use std::collections::BTreeMap;

/// One result.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) bench: String,
    pub(super) peer: String,
    pub(super) metric: String,
    pub(super) value: f64,
    /// What else was said, such as sizes and placements.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Line {
    /// The result in a line of text, if it is one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words: BTreeMap<String, String> = text
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let mut number = |key: &str| words.remove(key)?.parse().ok();
        let value = number("value")?;
        for plain in ["min", "max", "unit", "count", "events", "ends", "ratio"] {
            // These say how it was measured, not what.
            words.remove(plain);
        }
        Some(Self {
            bench: words.remove("bench")?,
            peer: words.remove("peer")?,
            metric: words.remove("metric")?,
            value,
            parameters: words,
        })
    }

    /// Everything but the peer and the figures: results that agree in this are compared.
    pub(super) fn question(&self) -> String {
        let parameters = self
            .parameters
            .iter()
            .map(|(key, value)| format!(" {key}={value}"));
        format!(
            "{}{} {}",
            self.bench,
            parameters.collect::<String>(),
            self.metric
        )
    }

    /// Whether it was measured of something of ours.
    pub(super) fn is_ours(&self) -> bool {
        ["messageport", "runloop", "timer-source", "ours"].contains(&self.peer.as_str())
    }

    /// Whether more is better.
    pub(super) fn wants_more(&self) -> bool {
        self.metric.ends_with("-gbs")
    }
}
