//! Fake times against the arithmetic of the grid.

use super::{Date, INTERVAL_MIN, Step, interval, nanos};
use std::num::NonZeroU64;
use std::time::Duration;

fn every(nanos: u64) -> NonZeroU64 {
    NonZeroU64::new(nanos).unwrap()
}

fn step(from: i64, by: u64, now: i64) -> (i64, u64) {
    let Step { next, missed } = Date::new(from).step(every(by), Date::new(now));
    (next.nanos(), missed)
}

#[test]
fn the_next_date_is_one_interval_after_the_last_however_late_it_fired() {
    assert_eq!(step(100, 10, 100), (110, 0), "on time");
    assert_eq!(step(100, 10, 109), (110, 0), "just before the next");
}

#[test]
fn the_next_date_is_strictly_later_than_now() {
    assert_eq!(
        step(100, 10, 110),
        (120, 1),
        "a date that is now has gone by"
    );
    assert_eq!(step(100, 10, 111), (120, 1), "and so has one before");
}

#[test]
fn a_callback_of_three_and_a_half_intervals_misses_three_dates() {
    assert_eq!(step(0, 10, 35), (40, 3), "10, 20 and 30");
}

#[test]
fn a_date_that_has_not_come_is_followed_by_the_one_after_it() {
    assert_eq!(step(100, 10, 42), (110, 0), "no step backwards");
}

#[test]
fn division_agrees_with_stepping_for_random_grids() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut next = |below: u64| random.u64(..below);
    for round in 0..20_000 {
        let from = i64::try_from(next(2_000)).unwrap() - 1_000;
        let by = 1 + next(50);
        let now = from + i64::try_from(next(500)).unwrap() - 10;
        let mut stepped = from + i64::try_from(by).unwrap();
        let mut missed = 0;
        while stepped <= now {
            stepped += i64::try_from(by).unwrap();
            missed += 1;
        }
        assert_eq!(
            step(from, by, now),
            (stepped, missed),
            "round {round}: from {from} by {by}, now {now}"
        );
    }
}

#[test]
fn a_tenth_of_a_microsecond_after_ten_years_of_suspension_takes_one_division() {
    let decade = 10 * 365 * 86_400 * 1_000_000_000;
    let expected = u64::try_from(decade).unwrap() / 100;
    assert_eq!(step(0, 100, decade), (decade + 100, expected), "next");
}

#[test]
fn extreme_dates_and_intervals_neither_panic_nor_come_early() {
    let dates = [
        i64::MIN,
        i64::MIN >> 1,
        -1,
        0,
        1,
        i64::MAX >> 2,
        (i64::MAX >> 1) - 1,
        i64::MAX >> 1,
        i64::MAX,
    ];
    let intervals = [1, 2, u64::MAX >> 2, u64::MAX >> 1, u64::MAX - 1, u64::MAX];
    for from in dates.map(Date::new) {
        for now in dates.map(Date::new) {
            for by in intervals.map(every) {
                let Step { next, .. } = from.step(by, now);
                assert!(
                    next > now || next == Date::NEVER,
                    "{from:?} by {by}, now {now:?}: {next:?}"
                );
                assert!(next > from || next == Date::NEVER, "later than the last");
            }
        }
    }
}

#[test]
fn a_date_that_cannot_be_represented_is_never() {
    assert_eq!(Date::new(0).after(u64::MAX), Date::NEVER, "584 years");
    assert_eq!(Date::NEVER.after(1), Date::NEVER, "later than never");
    assert_eq!(
        step(0, u64::MAX, 5).0,
        Date::NEVER.nanos(),
        "an endless interval"
    );
}

#[test]
fn a_date_leaves_one_bit_of_its_word_free() {
    for extreme in [i64::MIN, i64::MAX] {
        let date = Date::new(extreme);
        assert_eq!(
            Date::new((date.nanos() << 1) >> 1),
            date,
            "it survives a shift"
        );
    }
}

#[test]
fn an_interval_is_never_zero_and_never_overflows() {
    assert_eq!(interval(Duration::ZERO).get(), nanos(INTERVAL_MIN), "zero");
    assert_eq!(
        interval(Duration::from_nanos(1)).get(),
        nanos(INTERVAL_MIN),
        "one"
    );
    assert_eq!(interval(Duration::from_micros(2)).get(), 2_000, "as asked");
    assert_eq!(interval(Duration::MAX).get(), u64::MAX, "the longest");
}

fn drawn_near(date: i64, by: u64, now: i64) -> i64 {
    Date::new(date)
        .drawn_near(every(by), Date::new(now))
        .nanos()
}

#[test]
fn a_clock_set_forward_passes_over_dates_and_the_grid_stays() {
    // An hour is 60 here: due at 100, and the clock goes from 95 to 1_000.
    assert_eq!(step(100, 60, 1_000), (1_060, 15), "fired once, at 1,000");
    assert_eq!(drawn_near(100, 60, 1_000), 100, "which is due at once");
}

#[test]
fn a_clock_set_back_brings_the_dates_of_the_grid_again() {
    assert_eq!(drawn_near(1_060, 60, 95), 100, "not a thousand later");
    assert_eq!(drawn_near(1_060, 60, 100), 160, "strictly later than now");
    assert_eq!(drawn_near(1_060, 60, 99), 100, "but no later than needed");
    assert_eq!(drawn_near(160, 60, 69), 100, "by more than half");
    assert_eq!(drawn_near(1_060, 60, -1_000), -980, "however far");
}

#[test]
fn a_date_that_is_one_and_a_half_intervals_away_or_less_stays() {
    assert_eq!(drawn_near(160, 60, 70), 160, "just as far as it can be");
    assert_eq!(drawn_near(160, 60, 99), 160, "and not 100 once more");
    assert_eq!(drawn_near(160, 60, 159), 160, "near");
    assert_eq!(drawn_near(160, 60, 500), 160, "past");
    assert_eq!(drawn_near(Date::NEVER.nanos(), 60, 0), Date::NEVER.nanos());
}

#[test]
fn drawing_near_agrees_with_stepping_back_and_never_overflows() {
    for date in 0..300 {
        for by in 1..20 {
            let (mut stepped, by_signed) = (date, i64::try_from(by).unwrap());
            if date - 50 > by_signed + by_signed / 2 {
                while stepped - by_signed > 50 {
                    stepped -= by_signed;
                }
            }
            assert_eq!(drawn_near(date, by, 50), stepped, "{date} by {by}");
        }
    }
    for extreme in [i64::MIN, i64::MAX, i64::MAX >> 1, 0] {
        for by in [1, u64::MAX >> 1, u64::MAX] {
            for now in [i64::MIN, i64::MAX, 0] {
                drawn_near(extreme, by, now);
            }
        }
    }
}

#[test]
fn a_date_is_as_far_away_on_another_clock() {
    let shifted = |date, here, there| {
        let (here, there) = (Date::new(here), Date::new(there));
        Date::new(date).shifted(here, there).nanos()
    };
    assert_eq!(shifted(1_500, 1_000, 7), 507, "to come");
    assert_eq!(shifted(900, 1_000, 7), -93, "past, and by as much");
    let never = Date::NEVER.nanos();
    assert_eq!(shifted(never, -5, 7), never, "no overflow");
}
