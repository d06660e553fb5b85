//! The dates of repeating timers: kept whatever delays a firing, skipped and counted where it took too long.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use runloop::{Mode, RunLoop};
use tests::{Log, Watchdog};
use timer_source::{Schedule, Timer};

use crate::support::{HOUR, MS, add, once_at, pass, pass_of, run_until_stopped, work_until};

#[test]
fn a_callback_longer_than_the_interval_leaves_the_grid_where_it_is() {
    let _watchdog = Watchdog::new();
    let interval = 10 * MS;
    let first = Instant::now() + interval;
    let timer = Timer::new(Schedule::at(first).every(interval), move |run_loop, _| {
        work_until(first + interval * 7 / 2);
        run_loop.stop();
    });
    add(&timer);
    run_until_stopped();
    let ended = Instant::now();
    let next = timer.next_fire_date().unwrap();
    assert!(
        next >= first + 4 * interval,
        "the first date after the callback"
    );
    assert!(next - interval <= ended, "and no later one");
    assert_eq!(
        (next - first).as_nanos() % interval.as_nanos(),
        0,
        "on the grid"
    );
    let skipped = (next - first).as_nanos() / interval.as_nanos() - 1;
    assert_eq!(u128::from(timer.missed()), skipped, "and counted");
}

#[test]
fn missed_dates_are_made_up_for_by_one_firing() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let interval = 5 * MS;
    let first = Instant::now();
    let timer = Timer::new(Schedule::at(first).every(interval), {
        let log = log.clone();
        move |_, _| log.add("fired")
    });
    add(&timer);
    work_until(first + 10 * interval);
    // The interval is short, but the next date after the firing has not passed when this pass began.
    pass();
    assert_eq!(log.take(), ["fired"]);
    assert!(timer.missed() >= 10, "{} missed", timer.missed());
    assert!(timer.next_fire_date() > Some(first + 10 * interval));
}

#[test]
fn time_in_a_mode_that_does_not_run_is_missed_too() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let elsewhere = Mode::new("org.example.timer.elsewhere");
    let first = Instant::now();
    let timer = Timer::new(Schedule::at(first).every(MS), {
        let log = log.clone();
        move |_, _| log.add("fired")
    });
    add(&timer);
    let other = once_at(first + 20 * MS, &log, "other");
    RunLoop::current().add(&other, elsewhere).unwrap();
    work_until(first + 20 * MS);
    pass_of(elsewhere);
    assert_eq!(log.take(), ["other"]);
    pass();
    assert_eq!(log.take(), ["fired"]);
    assert!(timer.missed() >= 20, "{} missed", timer.missed());
}

#[test]
fn a_timer_does_not_drift() {
    let _watchdog = Watchdog::new();
    let interval = 2 * MS;
    let first = Instant::now() + interval;
    let dates = Rc::new(RefCell::new(Vec::new()));
    let timer = Timer::new(Schedule::at(first).every(interval), {
        let dates = Rc::clone(&dates);
        move |run_loop, timer| {
            let mut dates = dates.borrow_mut();
            dates.push(timer.next_fire_date().unwrap());
            work_until(Instant::now() + Duration::from_micros(300));
            if dates.len() == 50 {
                run_loop.stop();
            }
        }
    });
    add(&timer);
    run_until_stopped();
    let dates = dates.borrow();
    assert_eq!(dates[0], first);
    for pair in dates.windows(2) {
        assert!(pair[0] < pair[1], "each date once");
    }
    for date in &*dates {
        assert_eq!((*date - first).as_nanos() % interval.as_nanos(), 0);
    }
    let last = timer.next_fire_date().unwrap();
    let periods = (last - first).as_nanos() / interval.as_nanos();
    assert_eq!(periods, 50 + u128::from(timer.missed()), "fired or missed");
}

#[test]
fn a_first_date_in_the_past_is_the_phase_of_the_rest() {
    let _watchdog = Watchdog::new();
    let first = Instant::now();
    work_until(first + 3 * MS);
    let timer = Timer::new(Schedule::at(first).every(HOUR), |_, _| {});
    assert_eq!(timer.next_fire_date(), Some(first));
    add(&timer);
    pass();
    assert_eq!(timer.next_fire_date(), Some(first + HOUR));
}

#[test]
fn a_date_too_far_away_is_never() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let once = Timer::once(Duration::MAX, |_, _| unreachable!("never"));
    let repeating = Timer::repeating(Duration::MAX, |_, _| unreachable!("never"));
    let no_second = Timer::new(Schedule::at(Instant::now()).every(Duration::MAX), {
        let log = log.clone();
        move |_, _| log.add("first and last")
    });
    for timer in [&once, &repeating, &no_second] {
        add(timer);
    }
    pass();
    pass();
    assert_eq!(log.take(), ["first and last"]);
    for timer in [once, repeating, no_second] {
        assert!(timer.is_valid());
        assert_eq!(timer.next_fire_date(), None);
    }
    assert_eq!(RunLoop::current().next_deadline(Mode::DEFAULT), None);
}
