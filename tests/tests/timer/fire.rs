//! Firing a timer without waiting for its date.

use runloop::{Limit, ManualClock, Mode, Outcome, ReturnAfter, RunLoop};
use tests::{Log, Watchdog};
use timer_source::{Schedule, Timer};

use crate::support::{HOUR, MS, add, pass, pass_of, run_until_stopped};

/// A repeating timer in the default mode that says so.
fn hourly(log: &Log) -> Timer {
    let log = log.clone();
    let timer = Timer::repeating(HOUR, move |_, _| log.add("fired"));
    add(&timer);
    timer
}

#[test]
fn a_timer_that_is_fired_runs_its_closure_in_the_next_pass_and_keeps_its_date() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let timer = hourly(&log);
    for _ in 0..2 {
        timer.fire();
        assert_eq!(log.take(), [""; 0], "not here");
        pass();
        assert_eq!(log.take(), ["fired"]);
        pass();
        assert_eq!(log.take(), [""; 0], "once");
        assert_eq!(timer.next_fire_date(), Some(begun + HOUR));
        clock.advance(10 * MS);
    }
    clock.advance_to(begun + HOUR);
    pass();
    assert_eq!(log.take(), ["fired"], "at its date, all the same");
    assert_eq!(timer.next_fire_date(), Some(begun + 2 * HOUR));
    assert_eq!(timer.missed(), 0);
}

#[test]
fn a_one_shot_that_is_fired_is_over() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inside = log.clone();
    let timer = Timer::once(HOUR, move |_, timer| {
        assert!(timer.is_valid(), "until its closure has returned");
        inside.add("fired");
    });
    add(&timer);
    timer.fire();
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
    assert_eq!(log.take(), ["fired"]);
    assert!(!timer.is_valid());
    timer.fire();
    pass();
    assert_eq!(log.take(), [""; 0], "an invalid timer ignores it");
}

#[test]
fn a_date_that_has_come_is_served_by_the_same_call() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let timer = hourly(&log);
    clock.advance(HOUR);
    timer.fire();
    timer.fire();
    pass();
    pass();
    assert_eq!(log.take(), ["fired"]);
    assert_eq!(timer.next_fire_date(), Some(begun + 2 * HOUR));
}

#[test]
fn a_timer_that_fires_itself_fires_once_a_pass_and_keeps_its_date() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    // Of a clock that stands still the next pass would be in the same moment, and what is set while deadlines are served
    // comes a moment later.
    let begun = RunLoop::now();
    let inside = log.clone();
    let timer = Timer::new(Schedule::at(begun).every(HOUR), move |_, timer| {
        inside.add("fired");
        timer.fire();
    });
    add(&timer);
    for _ in 0..3 {
        pass();
        assert_eq!(log.take(), ["fired"]);
        assert_eq!(timer.next_fire_date(), Some(begun + HOUR));
    }
}

#[test]
fn a_timer_without_a_date_can_be_fired_and_a_move_inside_takes_its_place() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let date = clock.now() + 5 * HOUR;
    let inside = log.clone();
    let timer = Timer::new(Schedule::never().every(HOUR), move |_, timer| {
        if inside.count() == 1 {
            timer.set_next_fire_date(date);
        }
        inside.add("fired");
    });
    add(&timer);
    timer.fire();
    pass();
    assert_eq!(timer.next_fire_date(), None);
    timer.fire();
    pass();
    assert_eq!(log.take(), ["fired", "fired"]);
    assert_eq!(timer.next_fire_date(), Some(date));
    assert_eq!(RunLoop::current().next_deadline(Mode::DEFAULT), Some(date));
}

#[test]
fn a_firing_waits_for_a_mode_of_its_timer() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let other = Mode::new("org.example.timer.fire");
    let inside = log.clone();
    let timer = Timer::repeating(HOUR, move |_, _| inside.add("fired"));
    timer.fire();
    pass_of(other);
    RunLoop::current().add(&timer, other).unwrap();
    pass();
    assert_eq!(log.take(), [""; 0]);
    pass_of(other);
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn firing_from_another_thread_wakes_the_loop_and_is_no_handled_source() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inside = log.clone();
    let timer = Timer::repeating(HOUR, move |run_loop, _| {
        inside.add("fired");
        run_loop.stop();
    });
    add(&timer);
    let (fired, run_loop) = (timer.clone(), RunLoop::current().handle());
    let helper = std::thread::spawn(move || {
        while !run_loop.is_waiting().unwrap() {
            std::thread::yield_now();
        }
        fired.fire();
    });
    let outcome =
        RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::FirstSource);
    assert_eq!(outcome.unwrap(), Outcome::Stopped);
    helper.join().unwrap();
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn a_timer_fired_in_its_own_nested_run_fires_when_that_is_over() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inside = log.clone();
    let timer = Timer::repeating(HOUR, move |run_loop, timer| {
        inside.add("begins");
        if inside.count() > 2 {
            return run_loop.stop();
        }
        timer.fire();
        pass();
        inside.add("ends");
    });
    add(&timer);
    timer.fire();
    run_until_stopped();
    assert_eq!(log.take(), ["begins", "ends", "begins"]);
}
