//! Timers that may fire a little later than their dates, and so share wake-ups.

use std::time::Duration;

use runloop::{ManualClock, Mode, RunLoop};
use tests::{Log, Watchdog};
use timer_source::{Schedule, Timer};

use crate::support::{HOUR, MS, add, pass, run_until_stopped};

#[test]
fn the_tolerance_of_a_repeating_timer_is_at_most_half_of_its_interval() {
    let _watchdog = Watchdog::new();
    let timer = Timer::repeating(10 * MS, |_, _| {});
    assert_eq!(timer.tolerance(), Duration::ZERO);
    for (asked, expected) in [(3 * MS, 3 * MS), (5 * MS, 5 * MS), (6 * MS, 5 * MS)] {
        timer.set_tolerance(asked);
        assert_eq!(timer.tolerance(), expected, "{asked:?}");
    }
    let schedule = Schedule::after(HOUR).every(10 * MS).within(HOUR);
    assert_eq!(Timer::new(schedule, |_, _| {}).tolerance(), 5 * MS);
    let once = Timer::once(MS, |_, _| {});
    once.set_tolerance(HOUR);
    assert_eq!(once.tolerance(), HOUR, "nothing follows it");
}

/// Two timers of ten milliseconds whose dates are three apart.
#[test]
fn timers_share_wake_ups_and_stay_on_their_grids() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    for (name, first) in [("a", 10), ("b", 13)] {
        let inside = log.clone();
        let schedule = Schedule::at(begun + first * MS).every(10 * MS);
        let timer = Timer::new(schedule.within(4 * MS), move |run_loop, timer| {
            let date = (timer.next_fire_date().unwrap() - begun).as_millis();
            let now = (RunLoop::now() - begun).as_millis();
            inside.add(format!("{name} of {date} at {now}"));
            if inside.count() == 6 {
                run_loop.stop();
            }
        });
        add(&timer);
    }
    let before = RunLoop::current().statistics();
    run_until_stopped();
    let waits = RunLoop::current().statistics().waits - before.waits;
    let expected = [
        "a of 10 at 14",
        "b of 13 at 14",
        "a of 20 at 24",
        "b of 23 at 24",
        "a of 30 at 34",
        "b of 33 at 34",
    ];
    assert_eq!(log.take(), expected);
    assert_eq!(waits, 3, "one for each pair");
}

#[test]
fn a_timer_with_a_tolerance_never_fires_early_and_at_once_in_a_loop_that_is_awake() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let inside = log.clone();
    let timer = Timer::once(10 * MS, move |_, _| inside.add("fired"));
    timer.set_tolerance(HOUR);
    add(&timer);
    clock.advance(10 * MS - Duration::from_nanos(1));
    pass();
    assert_eq!(log.take(), [""; 0]);
    clock.advance(Duration::from_nanos(1));
    pass();
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn a_tolerance_is_kept_by_a_timer_that_is_moved_and_changed_by_one_that_fires() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let inside = log.clone();
    let timer = Timer::repeating(HOUR, move |run_loop, timer| {
        inside.add(format!("{}", (RunLoop::now() - begun).as_millis()));
        timer.set_tolerance(Duration::ZERO);
        if inside.count() == 2 {
            return run_loop.stop();
        }
        timer.set_next_fire_date(begun + 20 * MS);
    });
    timer.set_tolerance(5 * MS);
    timer.set_next_fire_date(begun + 10 * MS);
    add(&timer);
    run_until_stopped();
    assert_eq!(log.take(), ["15", "20"], "late once, and then no more");
}

#[test]
fn a_timer_that_is_moved_in_its_mode_keeps_its_tolerance() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let begun = clock.now();
    let timer = Timer::once(HOUR, |_, _| {});
    timer.set_tolerance(5 * MS);
    add(&timer);
    timer.set_next_fire_date(begun + 10 * MS);
    let _finished = RunLoop::current().run().unwrap();
    assert_eq!(clock.now(), begun + 15 * MS);
}

#[test]
fn a_tolerance_set_from_another_thread_holds() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let inside = log.clone();
    let timer = Timer::once(10 * MS, move |_, _| {
        inside.add(format!("{}", (RunLoop::now() - begun).as_millis()));
    });
    add(&timer);
    let set = timer.clone();
    std::thread::spawn(move || set.set_tolerance(7 * MS))
        .join()
        .unwrap();
    let date = RunLoop::current().next_deadline(Mode::DEFAULT);
    assert_eq!(date, Some(begun + 10 * MS), "the date is the same");
    let _finished = RunLoop::current().run().unwrap();
    assert_eq!(log.take(), ["17"]);
}
