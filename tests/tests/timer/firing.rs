//! How timers fire: when, in which order, in which modes, and how often.

use std::time::{Duration, Instant};

use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop, Signalled, SourceOptions};
use tests::{Log, Watchdog};
use timer_source::{Schedule, Timer};

use crate::support::{HOUR, MS, add, once_at, pass, pass_of, run_until_stopped};

#[test]
fn a_one_shot_fires_once_and_the_run_finishes() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let start = Instant::now();
    let timer = Timer::once(20 * MS, {
        let log = log.clone();
        move |_, _| log.add("fired")
    });
    add(&timer);
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
    assert!(start.elapsed() >= 20 * MS);
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn a_one_shot_is_valid_inside_its_callback_and_invalid_after_it() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = Timer::once(Duration::ZERO, {
        let log = log.clone();
        move |_, timer| log.add(format!("valid: {}", timer.is_valid()))
    });
    add(&timer);
    pass();
    assert_eq!(log.take(), ["valid: true"]);
    assert!(!timer.is_valid());
    assert_eq!(timer.next_fire_date(), None);
    assert!(!RunLoop::current().contains(&timer, Mode::DEFAULT));
    assert!(RunLoop::current().add(&timer, Mode::DEFAULT).is_err());
}

#[test]
fn a_date_set_inside_its_callback_does_not_save_a_one_shot() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = Timer::once(Duration::ZERO, {
        let log = log.clone();
        move |_, timer| {
            log.add("fired");
            timer.set_next_fire_date(Instant::now());
        }
    });
    add(&timer);
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn a_repeating_timer_fires_for_the_first_time_after_one_interval() {
    let _watchdog = Watchdog::new();
    let start = Instant::now();
    let timer = Timer::repeating(20 * MS, |run_loop, _| run_loop.stop());
    add(&timer);
    run_until_stopped();
    assert!(start.elapsed() >= 20 * MS);
    assert!(timer.is_valid());
}

#[test]
fn a_timer_never_fires_early() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..1_000 {
        let date = Instant::now() + Duration::from_nanos(random.u64(..60_000_000));
        let log = log.clone();
        add(&Timer::new(Schedule::at(date), move |_, timer| {
            let now = Instant::now();
            assert_eq!(timer.next_fire_date(), Some(date));
            assert!(now >= date, "{:?} early", date - now);
            log.add("fired");
        }));
    }
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
    assert_eq!(log.take().len(), 1_000);
}

#[test]
fn due_timers_fire_in_the_order_of_their_dates() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let now = Instant::now();
    for (nanos, line) in [(3, "third"), (1, "first"), (2, "second")] {
        add(&once_at(now + Duration::from_nanos(nanos), &log, line));
    }
    pass();
    assert_eq!(log.take(), ["first", "second", "third"]);
}

#[test]
fn timers_of_one_date_fire_in_the_order_of_insertion_whatever_their_order_is() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let now = Instant::now();
    for number in 0..20 {
        let options = SourceOptions::new().order(-number);
        let log = log.clone();
        add(&Timer::with(options, Schedule::at(now), move |_, _| {
            log.add(number.to_string());
        }));
    }
    pass();
    let expected: Vec<String> = (0..20).map(|number: i32| number.to_string()).collect();
    assert_eq!(log.take(), expected);
}

#[test]
fn a_timer_fires_only_in_its_modes_and_once_for_all_of_them() {
    let _watchdog = Watchdog::new();
    let (run_loop, log) = (RunLoop::current(), Log::new());
    let [first, second, third] =
        ["first", "second", "third"].map(|name| Mode::new(&format!("org.example.timer.{name}")));
    let timer = Timer::new(Schedule::at(Instant::now()).every(HOUR), {
        let log = log.clone();
        move |run_loop, _| log.add(run_loop.current_mode().unwrap().name())
    });
    let other = once_at(Instant::now() + HOUR, &log, "other");
    for (timer, mode) in [(&timer, first), (&timer, second), (&other, third)] {
        assert!(run_loop.add(timer, mode).unwrap());
    }
    for mode in [third, second, first] {
        pass_of(mode);
    }
    assert_eq!(log.take(), [second.name()]);
    assert_eq!(run_loop.next_deadline(first), timer.next_fire_date());
    assert_eq!(run_loop.next_deadline(second), timer.next_fire_date());
}

#[test]
fn a_common_timer_fires_in_a_mode_that_becomes_common_later() {
    let _watchdog = Watchdog::new();
    let (run_loop, log) = (RunLoop::current(), Log::new());
    let mode = Mode::new("org.example.timer.late");
    let timer = once_at(Instant::now(), &log, "fired");
    run_loop.add(&timer, Mode::COMMON).unwrap();
    run_loop.add_common_mode(mode).unwrap();
    pass_of(mode);
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn a_timer_that_is_removed_keeps_its_date_for_when_it_comes_back() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = once_at(Instant::now(), &log, "fired");
    let date = timer.next_fire_date();
    add(&timer);
    assert!(RunLoop::current().remove(&timer, Mode::DEFAULT));
    pass();
    assert_eq!(timer.next_fire_date(), date);
    assert_eq!(log.take(), [""; 0]);
    add(&timer);
    pass();
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn a_nested_run_in_its_callback_does_not_fire_a_timer_again_and_fires_others() {
    let _watchdog = Watchdog::new();
    for options in [SourceOptions::new(), SourceOptions::new().reentrant()] {
        let log = Log::new();
        let start = Instant::now();
        let schedule = Schedule::at(start).every(Duration::from_micros(10));
        add(&Timer::with(options, schedule, {
            let log = log.clone();
            move |_, timer| {
                log.add("begins");
                pass();
                timer.set_next_fire_date(Instant::now());
                pass();
                pass();
                log.add("ends");
                timer.invalidate();
            }
        }));
        add(&once_at(start, &log, "other"));
        pass();
        assert_eq!(log.take(), ["begins", "other", "ends"]);
    }
}

#[test]
fn the_date_reads_as_the_one_that_fires_while_the_callback_runs() {
    let _watchdog = Watchdog::new();
    let first = Instant::now();
    let timer = Timer::new(Schedule::at(first).every(HOUR), move |_, timer| {
        assert_eq!(timer.next_fire_date(), Some(first));
    });
    add(&timer);
    pass();
    assert_eq!(timer.next_fire_date(), Some(first + HOUR));
}

#[test]
fn a_timer_is_not_a_handled_source() {
    let _watchdog = Watchdog::new();
    let (run_loop, log) = (RunLoop::current(), Log::new());
    add(&once_at(Instant::now(), &log, "fired"));
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::FirstSource);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut);
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn a_passive_timer_lets_the_run_finish() {
    let _watchdog = Watchdog::new();
    let options = SourceOptions::new().passive();
    add(&Timer::with(options, Schedule::after(HOUR), |_, _| {}));
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
}

#[test]
fn a_timer_of_the_smallest_interval_leaves_other_sources_their_turn() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let busy = Timer::repeating(Duration::ZERO, |_, _| {});
    let other = Signalled::new({
        let log = log.clone();
        move |_| log.add("signalled")
    });
    add(&busy);
    add(&once_at(Instant::now(), &log, "timer"));
    add(&Timer::once(20 * MS, |run_loop, _| run_loop.stop()));
    RunLoop::current().add(&other, Mode::DEFAULT).unwrap();
    other.signal();
    run_until_stopped();
    assert_eq!(log.take(), ["signalled", "timer"]);
    assert_eq!(busy.interval(), Some(Duration::from_micros(1)));
}

#[test]
fn a_due_timer_that_a_timer_adds_waits_for_the_next_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let added = once_at(Instant::now(), &log, "added");
    add(&Timer::once(Duration::ZERO, {
        let log = log.clone();
        move |_, _| {
            add(&added);
            log.add("adds");
        }
    }));
    pass();
    assert_eq!(log.take(), ["adds"]);
    pass();
    assert_eq!(log.take(), ["added"]);
}
