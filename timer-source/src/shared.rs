//! What every thread may read and change of a timer: its next date, its interval and tolerance, and the count of what it
//! missed.
//!
//! No lock: a timer's date is one word, in which a mark says that somebody has moved it. Nothing here reads a clock or
//! knows a loop.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::grid::{Date, nanos};

/// The part of a timer that any thread may touch.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The next date in the upper 63 bits, and `MOVED`.
    ///
    /// # Invariant
    ///
    /// Whoever moves the timer sets the mark, and only the timer's own thread clears it. So the step that follows a
    /// firing, which expects the word that the firing left, can never replace a date that was set meanwhile: not even
    /// one that is equal to the date that has just fired.
    word: AtomicI64,
    /// `None` for a timer that fires once.
    pub(crate) interval: Option<NonZeroU64>,
    /// How late it may fire for the sake of others, in nanoseconds, as it was asked for.
    tolerance: AtomicU64,
    /// Dates that went by without a firing of their own.
    missed: AtomicU32,
    /// The thread whose loop it belongs to, or zero once its closure is gone.
    home: AtomicU64,
    /// `ASKED` and `BEGUN`.
    marks: AtomicU8,
}

impl Shared {
    /// The state of a timer of this thread.
    pub(crate) fn new(first: Date, interval: Option<NonZeroU64>, tolerance: Duration) -> Self {
        Self {
            word: AtomicI64::new(first.nanos() << 1),
            interval,
            tolerance: AtomicU64::new(nanos(tolerance)),
            missed: AtomicU32::new(0),
            home: AtomicU64::new(this_thread()),
            marks: AtomicU8::new(0),
        }
    }

    /// The next date; while the timer is being fired, the date it is being fired for.
    pub(crate) fn date(&self) -> Date {
        date_of(self.word.load(Ordering::Acquire))
    }

    /// Sets the next date, and with it the phase of the grid.
    pub(crate) fn move_to(&self, date: Date) {
        self.word
            .store((date.nanos() << 1) | MOVED, Ordering::Release);
    }

    /// The next date, from which on a move is one that came later.
    pub(crate) fn look(&self) -> Date {
        let word = self.word.fetch_and(!MOVED, Ordering::AcqRel);
        if word & MOVED != 0 {
            self.marks.fetch_and(!BEGUN, Ordering::Relaxed);
        }
        date_of(word)
    }

    /// The clock may have been set back: a timer that has begun to repeat never waits for longer than one and a half of its
    /// intervals, and goes back on its grid. A date that was set, and has not come yet, stays.
    pub(crate) fn draw_near(&self, now: Date) {
        let word = self.word.load(Ordering::Acquire);
        let begun = self.marks.load(Ordering::Relaxed) & BEGUN != 0;
        let Some(interval) = self.interval.filter(|_| begun && word & MOVED == 0) else {
            return;
        };
        let near = date_of(word).drawn_near(interval, now).nanos() << 1;
        let (order, otherwise) = (Ordering::AcqRel, Ordering::Relaxed);
        // If this fails somebody has just moved it, and that holds.
        let _moved = self.word.compare_exchange(word, near, order, otherwise);
    }

    /// Goes to the next date of the grid after a firing for the date `fired`, unless the timer was moved since. Returns
    /// the date that holds from here on.
    pub(crate) fn advance(&self, fired: Date, interval: NonZeroU64, now: Date) -> Date {
        let step = fired.step(interval, now);
        let replaced = self.word.compare_exchange(
            fired.nanos() << 1,
            step.next.nanos() << 1,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match replaced {
            Ok(_) => {
                let missed = u32::try_from(step.missed).unwrap_or(u32::MAX);
                let before = self.missed.load(Ordering::Relaxed);
                // Only the timer's own thread counts, so nothing is lost between the two.
                self.missed
                    .store(before.saturating_add(missed), Ordering::Relaxed);
                self.marks.fetch_or(BEGUN, Ordering::Relaxed);
                step.next
            }
            Err(moved) => date_of(moved),
        }
    }

    /// Asks for a firing without a date.
    pub(crate) fn ask(&self) {
        self.marks.fetch_or(ASKED, Ordering::AcqRel);
    }

    /// Whether a firing without a date is asked for.
    pub(crate) fn is_asked(&self) -> bool {
        self.marks.load(Ordering::Acquire) & ASKED != 0
    }

    /// As `is_asked`, and takes it back.
    pub(crate) fn take_asked(&self) -> bool {
        self.is_asked() && self.marks.fetch_and(!ASKED, Ordering::AcqRel) & ASKED != 0
    }

    pub(crate) fn set_tolerance(&self, tolerance: Duration) {
        self.tolerance.store(nanos(tolerance), Ordering::Release);
    }

    /// How late it may fire for the sake of others: never so late that it comes nearer to the date that follows.
    pub(crate) fn tolerance(&self) -> Duration {
        let asked = self.tolerance.load(Ordering::Acquire);
        let most = self
            .interval
            .map_or(u64::MAX, |interval| interval.get() / 2);
        Duration::from_nanos(asked.min(most))
    }

    pub(crate) fn missed(&self) -> u32 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Whether this is the timer's own thread.
    pub(crate) fn is_here(&self) -> bool {
        self.home.load(Ordering::Relaxed) == this_thread()
    }

    /// Whether there is still a closure, so that it can fire.
    pub(crate) fn is_alive(&self) -> bool {
        self.home.load(Ordering::Relaxed) != 0
    }

    /// Writes down that the closure is gone.
    pub(crate) fn end(&self) {
        self.home.store(0, Ordering::Relaxed);
    }
}

const fn date_of(word: i64) -> Date {
    Date::new(word >> 1)
}

/// A number for this thread, which no other ever has: even a thread in each nanosecond would take centuries to use up 64
/// bits.
fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|&number| number)
}

/// Somebody has set the date since the timer's own thread looked last.
const MOVED: i64 = 1;

/// A firing without a date is asked for.
const ASKED: u8 = 1;
/// The next date was reached by a step of the grid, not set. Only the timer's own thread sets and clears it.
const BEGUN: u8 = 2;

#[cfg(test)]
mod tests {
    use super::Shared;
    use crate::grid::Date;
    use std::num::NonZeroU64;
    use std::time::Duration;

    const TEN: NonZeroU64 = NonZeroU64::new(10).unwrap();

    fn timer(first: i64) -> Shared {
        Shared::new(Date::new(first), Some(TEN), Duration::ZERO)
    }

    #[test]
    fn the_step_after_a_firing_goes_to_the_grid_and_counts_what_it_passes() {
        let timer = timer(-100);
        let fired = timer.look();
        assert_eq!(fired, Date::new(-100), "the first date");
        let step = timer.advance(fired, TEN, Date::new(-65));
        assert_eq!(step, Date::new(-60), "the next one on the grid");
        assert_eq!(timer.date(), Date::new(-60), "for everybody to see");
        assert_eq!(timer.missed(), 3, "-90, -80 and -70");
    }

    #[test]
    fn a_date_set_while_the_timer_is_fired_replaces_the_step() {
        for set in [7, 100, 5_000] {
            let timer = timer(100);
            let fired = timer.look();
            timer.move_to(Date::new(set));
            let step = timer.advance(fired, TEN, Date::new(135));
            assert_eq!(step, Date::new(set), "also if it is {fired:?} once more");
            assert_eq!(timer.missed(), 0, "nothing was passed over");
        }
    }

    #[test]
    fn a_date_set_before_the_timer_is_fired_does_not_replace_the_step() {
        let timer = timer(100);
        timer.move_to(Date::new(200));
        let fired = timer.look();
        let step = timer.advance(fired, TEN, Date::new(200));
        assert_eq!(step, Date::new(210), "the moved date has had its turn");
    }

    fn drawn_near(timer: &Shared, now: i64) -> Date {
        timer.draw_near(Date::new(now));
        timer.date()
    }

    #[test]
    fn a_clock_set_back_draws_a_date_near_that_was_reached_by_stepping() {
        let timer = timer(100);
        assert_eq!(drawn_near(&timer, -500), Date::new(100), "the first stays");
        let fired = timer.look();
        timer.advance(fired, TEN, Date::new(104));
        assert_eq!(drawn_near(&timer, 104), Date::new(110), "as before");
        assert_eq!(drawn_near(&timer, -3), Date::new(0), "on the grid");
    }

    #[test]
    fn a_date_that_was_set_and_has_not_come_stays_whatever_the_clock_does() {
        let timer = timer(100);
        let fired = timer.look();
        timer.advance(fired, TEN, Date::new(104));
        timer.move_to(Date::new(5_000));
        assert_eq!(drawn_near(&timer, 0), Date::new(5_000), "just set");
        assert_eq!(timer.look(), Date::new(5_000), "seen by its thread");
        assert_eq!(drawn_near(&timer, 0), Date::new(5_000), "still set");
    }

    #[test]
    fn a_firing_that_is_asked_for_is_taken_once() {
        let timer = timer(0);
        assert!(!timer.take_asked(), "nobody has asked");
        timer.ask();
        timer.ask();
        assert!(timer.is_asked() && timer.take_asked(), "somebody has");
        assert!(!timer.is_asked() && !timer.take_asked(), "and no more");
    }

    #[test]
    fn never_and_the_distant_past_survive_in_the_word() {
        for date in [Date::NEVER, Date::new(i64::MIN), Date::new(-1)] {
            let timer = timer(0);
            timer.move_to(date);
            assert_eq!(timer.date(), date, "as it was set");
            assert_eq!(timer.look(), date, "and as the loop sees it");
        }
    }

    #[test]
    fn the_count_of_missed_dates_ends_at_its_largest_number() {
        let timer = timer(0);
        for _ in 0..3 {
            timer.move_to(Date::new(0));
            let fired = timer.look();
            timer.advance(fired, TEN, Date::new(1 << 40));
        }
        assert_eq!(timer.missed(), u32::MAX, "it does not begin again");
    }

    #[test]
    fn a_tolerance_is_at_most_half_of_the_interval() {
        let repeating = timer(0);
        let once = Shared::new(Date::new(0), None, Duration::from_nanos(7));
        assert_eq!(repeating.tolerance(), Duration::ZERO, "none unless set");
        assert_eq!(once.tolerance(), Duration::from_nanos(7), "as it was made");
        let asked = [
            Duration::from_nanos(4),
            Duration::from_nanos(6),
            Duration::MAX,
        ];
        let most = Duration::from_nanos(5);
        for (asked, expected) in asked.into_iter().zip([asked[0], most, most]) {
            repeating.set_tolerance(asked);
            assert_eq!(repeating.tolerance(), expected, "{asked:?} of ten");
        }
        once.set_tolerance(Duration::MAX);
        assert_eq!(once.tolerance(), Duration::from_nanos(u64::MAX), "no end");
    }
}
