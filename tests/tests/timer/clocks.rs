//! Timers that follow other clocks than the monotonic one, most of them a clock that the test sets.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime};

use runloop::{ManualClock, Mode, Outcome, RunLoop};
use tests::{Log, Watchdog, open_descriptors};
use timer_source::{Moment, Schedule, Timer, clock_was_set};

use crate::support::{HOUR, add, pass, pass_of};

/// A moment of a clock that moves only when the test sets it, in hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown(i64);

thread_local! {
    static CLOCK: Cell<i64> = const { Cell::new(0) };
}

impl Shown {
    /// Sets the clock, and serves what follows from that.
    fn set(hours: i64) {
        CLOCK.set(hours);
        clock_was_set();
        pass();
        pass();
    }
}

impl Moment for Shown {
    const STEADY: bool = false;

    fn present() -> Self {
        Self(CLOCK.get())
    }

    fn to_nanos(self) -> i64 {
        self.0 * NANOS_PER_HOUR
    }

    fn from_nanos(nanos: i64) -> Option<Self> {
        Some(Self(nanos / NANOS_PER_HOUR))
    }
}

const NANOS_PER_HOUR: i64 = 3_600 * 1_000_000_000;

/// A moment of a clock that has the loop look far too early.
#[derive(Clone, Copy, Debug)]
struct Hasty(i64);

impl Moment for Hasty {
    const STEADY: bool = false;

    fn present() -> Self {
        Self(CLOCK.get())
    }

    fn to_nanos(self) -> i64 {
        self.0
    }

    fn from_nanos(nanos: i64) -> Option<Self> {
        Some(Self(nanos))
    }

    fn to_instant(self) -> Option<Instant> {
        Some(RunLoop::now())
    }
}

/// A timer of that clock which says for which date it fires, in the default mode.
fn timer(log: &Log, name: &'static str, schedule: Schedule<Shown>) -> Timer<Shown> {
    let log = log.clone();
    let timer = Timer::new(schedule, move |_, timer| {
        log.add(format!("{name} {}", timer.next_fire_date().unwrap().0));
    });
    assert!(RunLoop::current().add(&timer, Mode::DEFAULT).unwrap());
    timer
}

#[test]
fn a_clock_set_forward_brings_a_date_at_once_and_one_set_back_puts_it_off() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = timer(&log, "once", Schedule::at(Shown(10)));
    pass();
    Shown::set(9);
    Shown::set(5);
    assert_eq!(log.take(), [""; 0]);
    let hours = |deadline: Option<Instant>| deadline.unwrap() - Instant::now();
    let away = hours(RunLoop::current().next_deadline(Mode::DEFAULT));
    assert!(away > 4 * HOUR && away <= 5 * HOUR, "{away:?}");
    Shown::set(12);
    assert_eq!(log.take(), ["once 10"]);
    assert!(!timer.is_valid());
}

#[test]
fn dates_that_a_step_brings_fire_in_their_order_and_those_between_are_missed() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let late = timer(&log, "late", Schedule::at(Shown(7)));
    let often = timer(&log, "often", Schedule::at(Shown(3)).every(2 * HOUR));
    let early = timer(&log, "early", Schedule::at(Shown(2)));
    Shown::set(10);
    assert_eq!(log.take(), ["early 2", "often 3", "late 7"]);
    assert_eq!(often.next_fire_date(), Some(Shown(11)), "on the grid");
    assert_eq!(often.missed(), 3, "5, 7 and 9");
    drop((late, early));
}

#[test]
fn a_repeating_timer_fires_again_at_dates_that_a_clock_set_back_shows_again() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let daily = timer(&log, "daily", Schedule::at(Shown(3)).every(24 * HOUR));
    Shown::set(27);
    assert_eq!(log.take(), ["daily 3"]);
    assert_eq!(daily.next_fire_date(), Some(Shown(51)));
    Shown::set(-10_000);
    let next = daily.next_fire_date().unwrap().0;
    assert!((-10_000..=-9_976).contains(&next), "within a day: {next}");
    assert_eq!((next - 3) % 24, 0, "on the grid");
    assert_eq!(log.take(), [""; 0], "and not before");
    Shown::set(next);
    assert_eq!(log.take(), [format!("daily {next}")]);
}

#[test]
fn a_clock_put_back_by_a_little_does_not_have_one_date_served_twice() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let daily = timer(&log, "daily", Schedule::at(Shown(3)).every(24 * HOUR));
    Shown::set(3);
    assert_eq!(log.take(), ["daily 3"]);
    // Not even told: it comes back into its mode with a reading of the clock that is behind the last one.
    CLOCK.set(2);
    RunLoop::current().remove(&daily, Mode::DEFAULT);
    RunLoop::current().add(&daily, Mode::DEFAULT).unwrap();
    for hour in [2, -9, 3, 5] {
        Shown::set(hour);
        assert_eq!(log.take(), [""; 0], "at {hour}");
    }
    assert_eq!(daily.next_fire_date(), Some(Shown(27)));
    Shown::set(27);
    assert_eq!(log.take(), ["daily 27"]);
}

#[test]
fn a_date_that_was_set_is_waited_for_however_far_the_clock_is_set_back() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let first = timer(&log, "first", Schedule::at(Shown(30)).every(HOUR));
    let moved = timer(&log, "moved", Schedule::at(Shown(0)).every(HOUR));
    pass();
    assert_eq!(log.take(), ["moved 0"]);
    moved.set_next_fire_date(Shown(20));
    Shown::set(-500);
    assert_eq!(first.next_fire_date(), Some(Shown(30)));
    assert_eq!(moved.next_fire_date(), Some(Shown(20)));
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_clock_set_while_its_timer_is_in_no_mode_is_noticed_when_it_comes_back() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let timer = timer(&log, "once", Schedule::at(Shown(10)));
    RunLoop::current().remove(&timer, Mode::DEFAULT);
    Shown::set(10);
    assert_eq!(log.take(), [""; 0], "in no mode");
    assert!(RunLoop::current().add(&timer, Mode::DEFAULT).unwrap());
    pass();
    assert_eq!(log.take(), ["once 10"]);
}

/// The word of the step comes too late: the deadline that the loop was given has passed first.
#[test]
fn a_timer_looks_at_its_own_clock_before_it_fires() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let timer = timer(&log, "once", Schedule::at(Shown(1)));
    CLOCK.set(-5);
    clock.advance(HOUR);
    pass();
    assert_eq!(log.take(), [""; 0], "its clock does not show the date");
    let deadline = RunLoop::current().next_deadline(Mode::DEFAULT);
    assert_eq!(
        deadline,
        Some(clock.now() + 6 * HOUR),
        "and it goes on waiting"
    );
    assert!(timer.is_valid());
}

#[test]
fn a_look_that_comes_too_early_fires_nothing() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inside = log.clone();
    let timer = Timer::new(Schedule::at(Hasty(1)), move |_, _| inside.add("fired"));
    RunLoop::current().add(&timer, Mode::DEFAULT).unwrap();
    for _ in 0..3 {
        pass();
        assert_eq!(log.take(), [""; 0], "its clock does not show the date");
    }
    CLOCK.set(1);
    pass();
    assert_eq!(log.take(), ["fired"]);
}

#[test]
fn a_tolerance_and_a_move_from_another_thread_hold_on_any_clock() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let timer = timer(&log, "once", Schedule::at(Shown(100)).within(HOUR));
    let moved = timer.clone();
    std::thread::spawn(move || moved.set_next_fire_date(Shown(2)))
        .join()
        .unwrap();
    pass();
    CLOCK.set(3);
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
    assert_eq!(clock.now(), begun + 3 * HOUR, "two hours, and one more");
    assert_eq!(log.take(), ["once 2"]);
}

#[test]
fn a_tolerance_outlives_a_step_of_the_clock() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let _timer = timer(&log, "once", Schedule::at(Shown(10)).within(HOUR));
    Shown::set(9);
    CLOCK.set(11);
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
    assert_eq!(clock.now(), begun + 2 * HOUR, "an hour, and one more");
    assert_eq!(log.take(), ["once 10"]);
}

#[test]
fn timers_of_one_thread_share_one_descriptor_which_goes_with_the_last() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let run_loop = RunLoop::current();
        let other = Mode::new("org.example.timer.clocks");
        let first = timer(&log, "first", Schedule::at(Shown(1)));
        let in_other = timer(&log, "other", Schedule::at(Shown(1)));
        run_loop.add(&in_other, other).unwrap();
        // Not all of them ours: the poll set of each mode has one.
        let count = || {
            let open = open_descriptors();
            open.values()
                .filter(|what| what.contains("timerfd"))
                .count()
        };
        let with_few = count();
        let more: Vec<_> = (2..50)
            .map(|n| timer(&log, "more", Schedule::at(Shown(n))))
            .collect();
        let wall = Timer::new(Schedule::at(SystemTime::now() + HOUR), |_, _| {});
        run_loop.add(&wall, other).unwrap();
        pass();
        pass_of(other);
        assert_eq!(count(), with_few, "none more");
        more.iter().for_each(Timer::invalidate);
        first.invalidate();
        in_other.invalidate();
        wall.invalidate();
        assert_eq!(count(), with_few - 1, "and none in the end");
        let last = timer(&log, "last", Schedule::at(Shown(1)));
        run_loop.add(&last, other).unwrap();
        run_loop.remove(&last, other);
        let dump = format!("{run_loop:?}");
        assert!(dump.contains(&format!("({other:?}, 0)")), "{dump}");
        last.invalidate();
        let outcome = run_loop.run().unwrap();
        assert_eq!(outcome, Outcome::Finished, "nothing is left in the mode");
    });
}

/// Sets the machine's clock to what it shows already, which is a step of less than a microsecond and tells the system's
/// listeners all the same. Needs the right to set the clock, so it is only run when asked for:
/// `cargo test -p tests --test timer -- --ignored the_machines_clock`.
#[test]
#[ignore = "sets the clock of the machine"]
fn setting_the_machines_clock_has_the_timers_of_a_sleeping_loop_look_anew() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current().handle();
    let timer = timer(&log, "once", Schedule::at(Shown(10)));
    add(&Timer::repeating(HOUR, |_, _| {}));
    // Nobody calls `clock_was_set` here: it is the word of the system that makes the loop look.
    CLOCK.set(10);
    let setter = std::thread::spawn(move || {
        while !run_loop.is_waiting().unwrap() {
            std::thread::yield_now();
        }
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        rustix::time::clock_settime(rustix::time::ClockId::Realtime, now).unwrap();
    });
    while timer.is_valid() {
        let one = RunLoop::current().run_in_mode(
            Mode::DEFAULT,
            Duration::from_secs(60),
            runloop::ReturnAfter::FirstSource,
        );
        assert_eq!(
            one.unwrap(),
            Outcome::HandledSource,
            "the word of the system"
        );
        pass();
    }
    setter.join().unwrap();
    assert_eq!(log.take(), ["once 10"]);
}
