//! How long to leave something alone that has just failed: pure arithmetic, without a clock.

use std::time::Duration;

/// The length of the next rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self(SHORTEST)
    }

    /// How long to rest now; the time after that, twice as long.
    pub(crate) fn lengthen(&mut self) -> Duration {
        let rest = self.0;
        self.0 = (rest * 2).min(LONGEST);
        rest
    }
}

/// The first rest after something has worked.
const SHORTEST: Duration = Duration::from_millis(100);
/// No rest is longer: whoever waits to be served has noticed by then.
const LONGEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::Backoff;

    #[test]
    fn rests_double_from_a_tenth_of_a_second_to_one_second() {
        let mut backoff = Backoff::new();
        let rests: Vec<u128> = (0..6).map(|_| backoff.lengthen().as_millis()).collect();
        assert_eq!(rests, [100, 200, 400, 800, 1000, 1000], "in milliseconds");
    }
}
