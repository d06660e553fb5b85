//! Moving a timer on its own thread: from outside, from its own callback, and from another one of the same batch.

use std::time::{Duration, Instant};

use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop};
use tests::{Log, Watchdog};
use timer_source::{Schedule, Timer};

use crate::support::{HOUR, MS, add, once_at, pass, run_until_stopped, work_until};

/// A timer that fires now and every hour, says so, and then does this to itself.
fn hourly(log: &Log, then: impl Fn(&Timer) + 'static) -> Timer {
    let log = log.clone();
    Timer::new(Schedule::at(Instant::now()).every(HOUR), move |_, timer| {
        log.add("fired");
        then(timer);
    })
}

#[test]
fn a_date_set_outside_is_the_next_date_and_the_new_phase() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = hourly(&log, |_| {});
    add(&timer);
    let moved = Instant::now() + 10 * MS;
    timer.set_next_fire_date(moved);
    assert_eq!(timer.next_fire_date(), Some(moved));
    assert_eq!(RunLoop::current().next_deadline(Mode::DEFAULT), Some(moved));
    pass();
    assert_eq!(log.take(), [""; 0], "not at the old date");
    work_until(moved);
    pass();
    assert_eq!(log.take(), ["fired"]);
    assert_eq!(timer.next_fire_date(), Some(moved + HOUR));
}

#[test]
fn a_date_set_before_the_timer_is_added_is_kept() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = once_at(Instant::now() + HOUR, &log, "fired");
    timer.set_next_fire_date(Instant::now());
    add(&timer);
    pass();
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn a_date_set_inside_the_callback_replaces_the_automatic_step() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let date = Instant::now() + 2 * HOUR;
    let timer = hourly(&log, move |timer| timer.set_next_fire_date(date));
    add(&timer);
    pass();
    assert_eq!(timer.next_fire_date(), Some(date));
    assert_eq!(RunLoop::current().next_deadline(Mode::DEFAULT), Some(date));
    assert_eq!(timer.missed(), 0);
}

#[test]
fn a_past_date_set_inside_the_callback_fires_once_more_in_the_next_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let again = std::cell::Cell::new(true);
    let timer = hourly(&log, move |timer| {
        if again.take() {
            // The very date that it is being fired for.
            timer.set_next_fire_date(timer.next_fire_date());
        }
    });
    let first = timer.next_fire_date().unwrap();
    add(&timer);
    for expected in [&["fired"][..], &["fired"], &[], &[]] {
        pass();
        assert_eq!(log.take(), expected);
    }
    assert_eq!(timer.next_fire_date(), Some(first + HOUR));
}

#[test]
fn a_past_date_set_outside_fires_once() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = hourly(&log, |_| {});
    add(&timer);
    pass();
    let past = Instant::now();
    work_until(past + MS);
    timer.set_next_fire_date(past);
    log.take();
    for expected in [&["fired"][..], &[], &[]] {
        pass();
        assert_eq!(log.take(), expected);
    }
    assert_eq!(timer.next_fire_date(), Some(past + HOUR));
}

#[test]
fn a_timer_that_always_sets_a_past_date_fires_once_a_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let over = Instant::now();
    let timer = hourly(&log, move |timer| timer.set_next_fire_date(over));
    add(&timer);
    for _ in 0..3 {
        pass();
        assert_eq!(log.take(), ["fired"]);
    }
}

#[test]
fn a_timer_set_to_never_keeps_the_run_waiting_until_it_is_moved_again() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = once_at(Instant::now(), &log, "fired");
    add(&timer);
    timer.set_next_fire_date(None);
    assert_eq!(timer.next_fire_date(), None);
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, 10 * MS, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut);
    timer.set_next_fire_date(Instant::now());
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn a_timer_postponed_by_an_earlier_one_of_its_batch_does_not_fire_at_its_old_date() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let now = Instant::now();
    let date = now + 20 * MS;
    let postponed = Timer::new(Schedule::at(now + Duration::from_nanos(1)), {
        let log = log.clone();
        move |run_loop, _| {
            assert!(Instant::now() >= date);
            log.add("postponed");
            run_loop.stop();
        }
    });
    let postponing = Timer::new(Schedule::at(now), {
        let (log, postponed) = (log.clone(), postponed.clone());
        move |_, _| {
            postponed.set_next_fire_date(date);
            log.add("postpones");
        }
    });
    add(&postponed);
    add(&postponing);
    pass();
    assert_eq!(log.take(), ["postpones"]);
    run_until_stopped();
    assert_eq!(log.take(), ["postponed"]);
}

#[test]
fn a_timer_removed_by_an_earlier_one_of_its_batch_does_not_fire() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let now = Instant::now();
    let removed = once_at(now + Duration::from_nanos(1), &log, "removed");
    let removing = Timer::new(Schedule::at(now), {
        let (log, removed) = (log.clone(), removed.clone());
        move |run_loop, _| {
            assert!(run_loop.remove(&removed, Mode::DEFAULT));
            log.add("removes");
        }
    });
    add(&removed);
    add(&removing);
    pass();
    pass();
    assert_eq!(log.take(), ["removes"]);
    assert!(removed.is_valid());
}

#[test]
fn moving_an_invalid_timer_changes_nothing() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = once_at(Instant::now(), &log, "fired");
    add(&timer);
    timer.invalidate();
    timer.set_next_fire_date(Instant::now());
    pass();
    assert_eq!(timer.next_fire_date(), None);
    assert_eq!(log.take(), [""; 0]);
}
