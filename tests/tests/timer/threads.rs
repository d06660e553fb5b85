//! Timers in the hands of other threads: moved, ended and dropped there while their loop sleeps or fires them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use runloop::{Handle, Limit, Mode, Outcome, ReturnAfter, RunLoop};
use tests::{Log, Watchdog};
use timer_source::{Schedule, Timer};

use crate::support::{Flag, HOUR, MS, add, once_at, pass, run_until_stopped};

/// Does something on another thread as soon as this thread's loop sleeps.
fn when_asleep(then: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    let run_loop: Handle = RunLoop::current().handle();
    thread::spawn(move || {
        while !run_loop.is_waiting().unwrap() {
            thread::yield_now();
        }
        then();
    })
}

/// A timer that fires in an hour and stops the loop.
fn stopping() -> Timer {
    Timer::once(HOUR, |run_loop, _| run_loop.stop())
}

#[test]
fn a_timer_moved_earlier_from_another_thread_wakes_the_loop() {
    let _watchdog = Watchdog::new();
    let timer = stopping();
    add(&timer);
    let moved = timer.clone();
    let mover = when_asleep(move || moved.set_next_fire_date(Instant::now() + 10 * MS));
    let start = Instant::now();
    run_until_stopped();
    assert!(start.elapsed() >= 10 * MS);
    mover.join().unwrap();
}

#[test]
fn a_timer_moved_later_from_another_thread_does_not_fire_at_its_old_date() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let start = Instant::now();
    let timer = once_at(start + 1_000 * MS, &log, "moved");
    add(&timer);
    add(&Timer::new(
        Schedule::at(start + 1_001 * MS),
        |run_loop, _| {
            run_loop.stop();
        },
    ));
    let later = Instant::now() + HOUR;
    let moved = timer.clone();
    let mover = when_asleep(move || moved.set_next_fire_date(later));
    run_until_stopped();
    mover.join().unwrap();
    assert_eq!(log.take(), [""; 0]);
    assert_eq!(timer.next_fire_date(), Some(later));
    assert_eq!(RunLoop::current().next_deadline(Mode::DEFAULT), Some(later));
}

#[test]
fn a_later_date_set_here_outlives_an_earlier_one_set_there() {
    let _watchdog = Watchdog::new();
    let timer = stopping();
    add(&timer);
    let moved = timer.clone();
    let elsewhere = thread::spawn(move || moved.set_next_fire_date(Instant::now() + 2 * HOUR));
    elsewhere.join().unwrap();
    // The loop has not looked yet: what it finds in its inbox is older than this.
    timer.set_next_fire_date(Instant::now());
    let outcome =
        RunLoop::current().run_in_mode(Mode::DEFAULT, Duration::from_secs(60), ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::Stopped);
}

#[test]
fn of_two_dates_set_at_once_the_loop_waits_for_the_one_that_the_timer_tells() {
    let _watchdog = Watchdog::new();
    let timer = stopping();
    add(&timer);
    for round in 1..=300 {
        let movers = [HOUR * (2 * round), HOUR * (2 * round + 1)].map(|after| {
            let timer = timer.clone();
            thread::spawn(move || timer.set_next_fire_date(Instant::now() + after))
        });
        for mover in movers {
            mover.join().unwrap();
        }
        pass();
        let deadline = RunLoop::current().next_deadline(Mode::DEFAULT);
        assert_eq!(deadline, timer.next_fire_date(), "round {round}");
    }
}

#[test]
fn a_date_set_from_another_thread_while_the_timer_fires_is_not_lost() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = Timer::repeating(Duration::ZERO, {
        let log = log.clone();
        move |_, _| log.add("fired")
    });
    let done = Arc::new(AtomicBool::new(false));
    add(&timer);
    for round in 0..300 {
        timer.set_next_fire_date(Instant::now());
        let (moved, set) = (timer.clone(), Arc::clone(&done));
        let mover = thread::spawn(move || {
            moved.set_next_fire_date(None);
            set.store(true, Ordering::Release);
        });
        while !done.swap(false, Ordering::AcqRel) {
            pass();
        }
        mover.join().unwrap();
        pass();
        log.take();
        pass();
        assert_eq!(timer.next_fire_date(), None, "round {round}");
        assert_eq!(log.take(), [""; 0], "round {round}");
    }
}

#[test]
fn moving_a_timer_from_another_thread_is_not_a_handled_source() {
    let _watchdog = Watchdog::new();
    let timer = Timer::once(HOUR, |_, _| unreachable!("it is always an hour away"));
    add(&timer);
    let (moved, run_loop) = (timer.clone(), RunLoop::current().handle());
    let mover = when_asleep(move || {
        moved.set_next_fire_date(Instant::now() + HOUR);
        run_loop.stop().unwrap();
    });
    let outcome =
        RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::FirstSource);
    assert_eq!(outcome.unwrap(), Outcome::Stopped);
    mover.join().unwrap();
}

#[test]
fn a_timer_invalidated_from_another_thread_lets_the_run_finish() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let flag = Flag(log.clone(), "dropped");
    let timer = Timer::once(HOUR, move |_, _| drop(flag));
    add(&timer);
    let ended = timer.clone();
    let ender = when_asleep({
        let log = log.clone();
        move || {
            log.add("ends it");
            ended.invalidate();
        }
    });
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    ender.join().unwrap();
    assert_eq!(log.take(), ["ends it", "dropped"]);
}

#[test]
fn no_callback_begins_after_another_thread_has_invalidated_and_waited() {
    let _watchdog = Watchdog::new();
    for _ in 0..100 {
        let log = Log::new();
        let timer = Timer::repeating(Duration::ZERO, {
            let log = log.clone();
            move |_, _| log.add("fired")
        });
        add(&timer);
        let ender = thread::spawn({
            let log = log.clone();
            move || {
                timer.handle().invalidate_and_wait();
                log.add("ended");
            }
        });
        assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
        ender.join().unwrap();
        assert_eq!(log.take().last().unwrap(), "ended");
    }
}

#[test]
fn the_closure_of_a_timer_that_is_dropped_elsewhere_is_dropped_on_its_own_thread() {
    struct Here(Log, thread::ThreadId);
    impl Drop for Here {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.1);
            self.0.add("dropped");
        }
    }
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let here = Here(log.clone(), thread::current().id());
    let timer = Timer::once(HOUR, move |_, _| drop(here));
    thread::spawn(move || drop(timer)).join().unwrap();
    assert_eq!(log.take(), [""; 0]);
    pass();
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn a_timer_can_be_read_from_any_thread() {
    let _watchdog = Watchdog::new();
    let date = Instant::now() + HOUR;
    let timer = Timer::new(Schedule::at(date).every(MS), |_, _| {});
    let read = thread::spawn(move || {
        (
            timer.next_fire_date(),
            timer.interval(),
            timer.repeats(),
            timer.missed(),
            timer.is_valid(),
        )
    });
    let expected = (Some(date), Some(MS), true, 0, true);
    assert_eq!(read.join().unwrap(), expected);
}
