//! Timers on a clock that a test moves.

use crate::support::{HOUR, MS, add, once_at, pass, run_until_stopped};
use runloop::{ManualClock, Mode, Outcome, RunLoop};
use std::time::Duration;
use tests::{Log, Watchdog};
use timer_source::{Schedule, Timer};

#[test]
fn a_day_of_hourly_firings_takes_no_time_and_never_drifts() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let inside = log.clone();
    add(&Timer::repeating(HOUR, move |run_loop, _| {
        let hours = (RunLoop::now() - begun).as_secs_f64() / HOUR.as_secs_f64();
        inside.add(format!("{hours}"));
        if inside.count() == 24 {
            run_loop.stop();
        }
    }));
    run_until_stopped();
    let expected: Vec<_> = (1..=24).map(|hour| hour.to_string()).collect();
    assert_eq!(log.take(), expected, "each on its hour");
}

#[test]
fn the_dates_that_a_moved_clock_passes_over_are_missed() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let inside = log.clone();
    let timer = Timer::repeating(10 * MS, move |_, _| inside.add("fired"));
    add(&timer);
    clock.advance(35 * MS);
    pass();
    assert_eq!(log.take(), ["fired"], "once, for all of them");
    assert_eq!(timer.missed(), 2, "20 and 30 ms");
    assert_eq!(timer.next_fire_date(), Some(begun + 40 * MS), "on the grid");
}

#[test]
fn a_timer_moved_by_another_thread_fires_on_its_own_clock() {
    let _watchdog = Watchdog::new();
    for moved_to in [Duration::ZERO, HOUR] {
        let (log, clock) = (Log::new(), ManualClock::new());
        // The other thread's time has gone on meanwhile, and that may not move ours.
        std::thread::sleep(2 * MS);
        let begun = clock.now();
        let timer = once_at(begun + 2 * HOUR, &log, "fired");
        add(&timer);
        std::thread::spawn(move || timer.set_next_fire_date(begun + moved_to))
            .join()
            .unwrap();
        assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
        assert_eq!(log.take(), ["fired"], "at its new date");
        assert_eq!(clock.now(), begun + moved_to, "and at no other");
    }
}

#[test]
fn timers_of_one_date_and_of_several_fire_in_their_order() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let timers = [("c", 3), ("a", 1), ("b1", 2), ("b2", 2)]
        .map(|(name, hours)| once_at(begun + hours * HOUR, &log, name));
    for timer in &timers {
        RunLoop::current().add(timer, Mode::DEFAULT).unwrap();
    }
    let weekly = Timer::new(Schedule::after(168 * HOUR), |_, _| unreachable!("too far"));
    add(&weekly);
    clock.advance(2 * HOUR);
    pass();
    assert_eq!(log.take(), ["a", "b1", "b2"], "those that are due");
    clock.advance(HOUR);
    pass();
    assert_eq!(log.take(), ["c"], "and the next");
}
