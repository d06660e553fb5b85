//! How often a source may be performed: pure arithmetic, with the present passed in.

use std::time::Duration;

use crate::clock::Tick;

/// So many performs in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit {
    /// At least one.
    pub(crate) most: u32,
    /// How long a stretch is; not zero.
    pub(crate) per: Duration,
}

/// How far a source is with the performs that its limit leaves it.
#[derive(Debug)]
pub(crate) struct Pace {
    limit: RateLimit,
    /// When the stretch in progress began.
    begun: Tick,
    /// The performs in it.
    done: u32,
}

impl Pace {
    pub(crate) const fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            begun: Tick(0),
            done: 0,
        }
    }

    /// Whether one more perform is within the limit. A stretch begins with its first perform.
    pub(crate) fn admits(&mut self, now: Tick) -> bool {
        if self.done > 0 && now >= self.end() {
            self.done = 0;
        }
        if self.done == 0 {
            self.begun = now;
        }
        self.done < self.limit.most
    }

    /// Counts a perform.
    pub(crate) fn count(&mut self) {
        self.done = self.done.saturating_add(1);
    }

    /// When the stretch in progress is over; `NEVER` if that is too far away.
    pub(crate) fn end(&self) -> Tick {
        self.begun.after(self.limit.per)
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, RateLimit};
    use crate::clock::Tick;
    use std::time::Duration;

    fn pace(most: u32, per: Duration) -> Pace {
        Pace::new(RateLimit { most, per })
    }

    fn performs(pace: &mut Pace, now: u64) -> u32 {
        let mut count = 0;
        while pace.admits(Tick(now)) {
            pace.count();
            count += 1;
        }
        count
    }

    #[test]
    fn a_stretch_begins_with_a_perform_and_has_so_many_of_them() {
        let mut pace = pace(3, Duration::from_nanos(10));
        assert_eq!(performs(&mut pace, 100), 3, "all of the first");
        assert_eq!(performs(&mut pace, 109), 0, "one nanosecond is left");
        assert_eq!(pace.end(), Tick(110), "from the first perform");
        assert_eq!(performs(&mut pace, 110), 3, "all of the second");
        assert!(pace.admits(Tick(500)), "long over");
        pace.count();
        assert_eq!(pace.end(), Tick(510), "not a multiple of the first");
    }

    #[test]
    fn asking_without_performing_begins_no_stretch() {
        let mut pace = pace(1, Duration::from_nanos(10));
        assert!(pace.admits(Tick(100)), "nothing yet");
        assert_eq!(performs(&mut pace, 105), 1, "the first");
        assert_eq!(pace.end(), Tick(115), "from that on");
    }

    #[test]
    fn a_stretch_without_an_end_has_no_second() {
        let mut pace = pace(2, Duration::MAX);
        assert_eq!(performs(&mut pace, 1), 2, "the only ones");
        assert_eq!(pace.end(), Tick::NEVER, "too far away");
        assert_eq!(performs(&mut pace, Tick::NEVER.0 - 1), 0, "never again");
    }
}
