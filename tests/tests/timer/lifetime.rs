//! The end of a timer: who may end it and when, and that its closure goes with it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use runloop::{Limit, Mode, OnPanic, Outcome, ReturnAfter, RunLoop, SourceOptions};
use tests::{Log, Watchdog};
use timer_source::{Schedule, Timer};

use crate::support::{Flag, HOUR, MS, add, once_at, pass};

/// A timer that has been due for a moment, then fires every hour, and whose closure holds a flag.
fn flagged(log: &Log, fire: impl Fn(&RunLoop, &Timer) + 'static) -> Timer {
    let flag = Flag(log.clone(), "dropped");
    Timer::new(
        Schedule::at(Instant::now()).every(HOUR),
        move |run_loop, timer| {
            flag.0.add("fired");
            fire(run_loop, timer);
        },
    )
}

#[test]
fn a_timer_may_end_itself_and_its_closure_goes_when_it_has_returned() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = flagged(&log, {
        let log = log.clone();
        move |_, timer| {
            timer.invalidate();
            assert!(!timer.is_valid());
            log.add("returns");
        }
    });
    add(&timer);
    pass();
    assert_eq!(log.take(), ["fired", "returns", "dropped"]);
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
}

#[test]
fn a_timer_invalidated_by_an_earlier_one_of_its_batch_does_not_fire() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let now = Instant::now();
    let ended = once_at(now + Duration::from_nanos(1), &log, "ended");
    add(&ended);
    add(&Timer::new(Schedule::at(now), {
        let log = log.clone();
        move |_, _| {
            ended.invalidate();
            log.add("ends the other");
        }
    }));
    pass();
    pass();
    assert_eq!(log.take(), ["ends the other"]);
}

#[test]
fn invalidating_twice_and_after_the_end_changes_nothing() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = flagged(&log, |_, _| {});
    add(&timer);
    for _ in 0..3 {
        timer.invalidate();
        assert!(!timer.is_valid());
    }
    pass();
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn a_closure_that_holds_its_own_timer_goes_when_the_timer_is_invalidated() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let own: Rc<RefCell<Option<Timer>>> = Rc::default();
    let timer = flagged(&log, {
        let own = Rc::clone(&own);
        move |_, _| assert!(own.borrow().is_some())
    });
    own.replace(Some(timer.clone()));
    add(&timer);
    pass();
    assert_eq!(log.take(), ["fired"]);
    drop(own);
    timer.invalidate();
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn a_one_shot_that_holds_its_own_timer_goes_when_it_has_fired() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let own: Rc<RefCell<Option<Timer>>> = Rc::default();
    let timer = Timer::once(Duration::ZERO, {
        let (flag, own) = (Flag(log.clone(), "dropped"), Rc::clone(&own));
        move |_, _| {
            flag.0.add("fired");
            drop(own);
        }
    });
    own.replace(Some(timer.clone()));
    drop(own);
    add(&timer);
    drop(timer);
    pass();
    assert_eq!(log.take(), ["fired", "dropped"]);
}

#[test]
fn a_timer_in_no_mode_goes_with_its_last_handle() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = flagged(&log, |_, _| {});
    let second = timer.clone();
    drop(timer);
    assert_eq!(log.take(), [""; 0]);
    drop(second);
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn a_timer_in_a_mode_outlives_its_handles_and_goes_when_it_leaves() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = flagged(&log, |run_loop, timer| {
        assert!(run_loop.remove(timer, Mode::DEFAULT));
    });
    add(&timer);
    drop(timer);
    assert_eq!(log.take(), [""; 0]);
    pass();
    assert_eq!(log.take(), ["fired", "dropped"]);
}

#[test]
fn a_closure_may_use_the_loop_while_it_is_dropped() {
    struct Adds(Log);
    impl Drop for Adds {
        fn drop(&mut self) {
            add(&once_at(Instant::now(), &self.0, "added by a drop"));
            pass();
        }
    }
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let adds = Adds(log.clone());
    let timer = Timer::once(HOUR, move |_, _| drop(adds));
    add(&timer);
    timer.invalidate();
    assert_eq!(log.take(), ["added by a drop"]);
}

#[test]
fn a_panic_ends_the_timer_and_no_other() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = flagged(&log, |_, _| panic!("on purpose"));
    add(&timer);
    add(&once_at(Instant::now(), &log, "other"));
    let panicked = catch_unwind(AssertUnwindSafe(pass));
    assert!(panicked.is_err());
    assert_eq!(log.take(), ["fired", "dropped"]);
    assert!(!timer.is_valid());
    pass();
    assert_eq!(log.take(), ["other"]);
}

#[test]
fn a_closure_that_panics_may_panic_once_more_when_it_is_dropped() {
    struct Panics(Log);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.add("dropped");
            panic!("on purpose, too");
        }
    }
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let panics = Panics(log.clone());
    let timer = Timer::repeating(MS, move |_, _| {
        panics.0.add("fired");
        panic!("on purpose");
    });
    add(&timer);
    timer.set_next_fire_date(Instant::now());
    assert!(catch_unwind(AssertUnwindSafe(pass)).is_err());
    assert_eq!(log.take(), ["fired", "dropped"]);
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
}

#[test]
fn a_timer_that_is_kept_on_panic_goes_on_with_its_next_date() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let options = || SourceOptions::new().on_panic(OnPanic::Keep);
    let schedule = Schedule::at(Instant::now());
    let fire = |log: &Log| {
        let log = log.clone();
        move |_: &RunLoop, _: &Timer| {
            log.add("fired");
            panic!("on purpose");
        }
    };
    let repeating = Timer::with(options(), schedule.every(MS), fire(&log));
    let once = Timer::with(options(), schedule, fire(&log));
    add(&repeating);
    add(&once);
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(pass)).is_err());
    }
    assert_eq!(log.take(), ["fired", "fired"]);
    assert!(!once.is_valid(), "it has had its only time");
    assert!(repeating.is_valid());
    let later = catch_unwind(AssertUnwindSafe(|| {
        RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit)
    }));
    assert!(later.is_err(), "it fires and panics again");
}

#[test]
fn a_timer_ends_with_its_thread() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let thread = std::thread::spawn({
        let log = log.clone();
        move || {
            let timer = flagged(&log, |_, _| {});
            let in_no_mode = flagged(&log, |_, _| {});
            add(&timer);
            (timer, in_no_mode)
        }
    });
    let (timer, in_no_mode) = thread.join().unwrap();
    assert_eq!(log.take(), ["dropped", "dropped"]);
    for timer in [timer, in_no_mode] {
        assert!(!timer.is_valid());
        assert_eq!(timer.next_fire_date(), None);
        timer.set_next_fire_date(Instant::now());
        timer.invalidate();
    }
}
