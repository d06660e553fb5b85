//! What a timer costs: making, moving, cancelling and firing it.

use std::time::{Duration, Instant};

use runloop::{Mode, RunLoop, Signalled};
use tests::Watchdog;
use timer_source::{Schedule, Timer};

use crate::support::{Cost, TIMES, alone, pass};

const HOUR: Duration = Duration::from_secs(3_600);

fn pending(count: u64) -> Vec<Timer> {
    let run_loop = RunLoop::current();
    let timer = |number| {
        let timer = Timer::once(HOUR + Duration::from_micros(number), |_, _| ());
        run_loop.add(&timer, Mode::DEFAULT).unwrap();
        timer
    };
    (0..count).map(timer).collect()
}

#[test]
fn a_pending_timer_costs_three_allocations_of_176_bytes_and_no_system_call() {
    let _watchdog = Watchdog::new();
    let cost = alone(|| {
        // The tables have room for 4,096 then.
        let before = pending(2_100);
        let mut kept = Vec::new();
        let cost = Cost::of_all(1_900, || kept = pending(1_900));
        drop((before, kept));
        cost
    });
    let expected = Cost {
        allocations: 3,
        // And 16 for the handle.
        kept: 176 + 16,
        ..Cost::NONE
    };
    assert_eq!(cost, expected);
}

#[test]
fn moving_a_timer_and_cancelling_it_cost_no_memory_and_no_system_call() {
    let _watchdog = Watchdog::new();
    for tolerance in [Duration::ZERO, HOUR] {
        let cost = alone(move || {
            let timers = pending(TIMES);
            timers
                .iter()
                .for_each(|timer| timer.set_tolerance(tolerance));
            let mut times = (0..).map(Duration::from_micros);
            let mut next = timers.iter().cycle();
            let moved = Cost::of_each(TIMES, || {
                let at = Instant::now() + HOUR + times.next().unwrap();
                next.next().unwrap().set_next_fire_date(at);
            });
            let cancelled = Cost::of_all(TIMES, || timers.iter().for_each(Timer::invalidate));
            (moved, cancelled)
        });
        assert_eq!(cost.0, Cost::NONE, "moving, {tolerance:?}");
        assert_eq!((cost.1.allocations, cost.1.waits), (0, 0), "{tolerance:?}");
    }
}

#[test]
fn firing_costs_no_memory_and_a_repeating_timer_no_setting_of_the_alarm_while_the_loop_is_awake() {
    let _watchdog = Watchdog::new();
    let cost = alone(|| {
        let run_loop = RunLoop::current();
        let awake = Signalled::new(|_| ());
        run_loop.add(&awake, Mode::DEFAULT).unwrap();
        let schedule = Schedule::after(Duration::ZERO).every(Duration::from_micros(1));
        let timer = Timer::new(schedule, |_, _| ());
        run_loop.add(&timer, Mode::DEFAULT).unwrap();
        let before = timer.handle().performs();
        let cost = Cost::of_each(TIMES, || {
            let now = Instant::now();
            while now.elapsed() < Duration::from_micros(2) {}
            pass();
        });
        assert!(timer.handle().performs() - before >= TIMES, "it has fired");
        cost
    });
    let a_wait = Cost {
        waits: 1,
        ..Cost::NONE
    };
    assert_eq!(cost, a_wait);
}
