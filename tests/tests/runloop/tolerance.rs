//! Deadlines with a tolerance: served as soon as they have passed while the loop is awake, and together when it has to
//! wake for one.

use std::time::{Duration, Instant};

use runloop::{Activity, ManualClock, Mode, Observer, Outcome, RunLoop, SourceRef};
use tests::{Log, Watchdog};

use crate::support::{Probe, far, run, serve, until};

const MS: Duration = Duration::from_millis(1);

/// A source in the default mode that writes down the millisecond in which it is served, and stops the loop when it is the
/// last of so many.
fn source(log: &Log, name: &'static str, begun: Instant, last: usize) -> SourceRef<Probe> {
    let inside = log.clone();
    let probe = Probe::new(name, &Log::new()).performing(move |cx, ready| {
        if ready.deadline.is_some() {
            let passed = RunLoop::now() - begun;
            inside.add(format!("{name} at {}", passed.as_millis()));
        }
        if inside.count() == last {
            cx.run_loop().stop();
        }
    });
    let source = probe.source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    source
}

/// How often the kernel is asked for twenty deadlines a millisecond apart, in a time that does not pass by itself.
fn waits(tolerance: Duration) -> u64 {
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let sources: Vec<_> = (1..=20)
        .map(|n| {
            let source = source(&log, "p", begun, 20);
            let at = Some(begun + n * MS);
            source.handle().set_deadline_within(at, tolerance);
            source
        })
        .collect();
    let before = RunLoop::current().statistics();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the last");
    let after = RunLoop::current().statistics();
    sources.iter().for_each(SourceRef::invalidate);
    after.waits - before.waits
}

#[test]
fn deadlines_whose_tolerances_overlap_share_a_wait() {
    let _watchdog = Watchdog::new();
    assert_eq!(waits(Duration::ZERO), 20, "one each without a tolerance");
    assert_eq!(
        waits(5 * MS),
        4,
        "those at 1 to 6, 7 to 12, 13 to 18, 19 and 20"
    );
    assert_eq!(waits(40 * MS), 1, "all");
}

#[test]
fn the_alarm_is_set_once_for_deadlines_whose_tolerances_overlap() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let begun = Instant::now();
    let _sources: Vec<_> = (0..20)
        .map(|n| {
            let source = source(&log, "p", begun, 20);
            let at = Some(begun + n * MS / 4 + 5 * MS);
            source.handle().set_deadline_within(at, 30 * MS);
            source
        })
        .collect();
    let before = RunLoop::current().statistics();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the last");
    let after = RunLoop::current().statistics();
    let alarms = after.alarms - before.alarms;
    assert!(alarms <= 1, "none of the later ones is earlier: {alarms}");
}

#[test]
fn the_loop_sleeps_to_the_end_of_the_smallest_tolerance_and_serves_all_that_have_passed() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let deadlines = [
        ("d", 46, 500),
        ("a", 10, 100),
        ("c", 45, 0),
        ("b", 20, 27),
        ("e", 60, 2),
    ];
    let _sources = deadlines.map(|(name, at, tolerance)| {
        let source = source(&log, name, begun, 5);
        let at = Some(begun + at * MS);
        source.handle().set_deadline_within(at, tolerance * MS);
        source
    });
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the last");
    let expected = ["a at 45", "b at 45", "c at 45", "d at 62", "e at 62"];
    assert_eq!(log.take(), expected, "in the order of their dates");
}

#[test]
fn a_loop_that_is_awake_serves_a_deadline_as_soon_as_it_has_passed() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let source = source(&log, "p", begun, 9);
    source
        .handle()
        .set_deadline_within(Some(begun + MS), far() - begun);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), [""; 0], "never early");
    clock.advance(MS);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p at 1"], "in the next pass");
}

/// The callback takes longer than the deadline is away, so the loop is awake when it passes.
#[test]
fn a_loop_does_not_fall_asleep_over_a_deadline_that_has_passed() {
    for standing in [true, false] {
        let _watchdog = Watchdog::with_limit(Duration::from_secs(30));
        let log = Log::new();
        let clock = standing.then(ManualClock::new);
        let begun = RunLoop::now();
        let tolerant = source(&log, "tolerant", begun, 1);
        let tolerance = Duration::from_secs(3_600);
        let at = Some(begun + MS);
        tolerant.handle().set_deadline_within(at, tolerance);
        let busy = Probe::new("busy", &Log::new()).performing(move |_, _| {
            if let Some(clock) = &clock {
                clock.advance(MS);
            }
            until(|| RunLoop::now() > begun + MS || clock.is_some());
        });
        let busy = busy.source();
        RunLoop::current().add(&busy, Mode::DEFAULT).unwrap();
        busy.handle().signal();
        assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the other");
        busy.invalidate();
        tolerant.invalidate();
    }
}

#[test]
fn a_tolerance_without_end_never_wakes_the_loop_and_one_that_is_set_anew_does() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let endless = source(&log, "endless", begun, 9);
    let changing = source(&log, "changing", begun, 2);
    let at = |ms| Some(begun + ms * MS);
    endless.handle().set_deadline_within(at(1), Duration::MAX);
    changing.handle().set_deadline_within(at(2), Duration::MAX);
    changing.handle().set_deadline_within(at(3), 4 * MS);
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the second");
    assert_eq!(log.take(), ["endless at 7", "changing at 7"], "together");
}

#[test]
fn a_tolerance_holds_in_every_mode_and_goes_with_its_deadline() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let (begun, other) = (clock.now(), Mode::new("tolerance.other"));
    let tolerant = source(&log, "p", begun, 1);
    tolerant
        .handle()
        .set_deadline_within(Some(begun + MS), 9 * MS);
    RunLoop::current().add(&tolerant, other).unwrap();
    assert_eq!(run(other), Outcome::Stopped, "by it");
    assert_eq!(log.take(), ["p at 10"], "in a mode it came into later");
    tolerant.handle().set_deadline(Some(begun + 11 * MS));
    assert_eq!(run(other), Outcome::Stopped, "by it");
    assert_eq!(log.take(), ["p at 11"], "without one");
    assert_eq!(
        RunLoop::current().next_deadline(Mode::DEFAULT),
        None,
        "served"
    );
}

#[test]
fn a_date_that_passes_just_before_the_wait_is_served_and_not_slept_over() {
    let _watchdog = Watchdog::new();
    let (log, begun) = (Log::new(), Instant::now());
    let source = source(&log, "p", begun, 1);
    let at = begun + MS;
    // The end of its tolerance is far away: a loop that slept until then would not end within the test.
    source.handle().set_deadline_within(Some(at), far() - begun);
    let observer = Observer::new(Activity::BEFORE_WAITING, 0, move |_, _| {
        while Instant::now() <= at {
            std::hint::spin_loop();
        }
    });
    RunLoop::current()
        .add_observer(&observer, Mode::DEFAULT)
        .unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the source");
    assert_eq!(log.count(), 1, "served");
}
