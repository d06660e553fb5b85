//! Which result a run has when several hold at the end of a pass: every combination, and that no stop is lost by it.

use std::time::Duration;

use runloop::{ManualClock, Mode, Outcome, ReturnAfter, RunLoop, Signalled};
use tests::Watchdog;

use crate::support::serve;

const LIMIT: Duration = Duration::from_millis(10);

/// What holds at the end of the one pass in question.
#[derive(Clone, Copy, Debug)]
struct Holds {
    handled: bool,
    limit: bool,
    stop: bool,
    empty: bool,
}

impl Holds {
    fn all() -> impl Iterator<Item = Self> {
        (0..16).map(|bits| Self {
            handled: bits & 1 != 0,
            limit: bits & 2 != 0,
            stop: bits & 4 != 0,
            empty: bits & 8 != 0,
        })
    }

    fn outcome(self) -> Outcome {
        match self {
            Self { handled: true, .. } => Outcome::HandledSource,
            Self { limit: true, .. } => Outcome::TimedOut,
            Self { stop: true, .. } => Outcome::Stopped,
            Self { empty: true, .. } => Outcome::Finished,
            // The run goes on, and there is nothing else but its limit.
            _ => Outcome::TimedOut,
        }
    }
}

/// A run that returns after one source, in which all this comes to hold in the first pass.
fn run_until(holds: Holds, mode: Mode, clock: &ManualClock) -> Outcome {
    let run_loop = RunLoop::current();
    let keeper = Signalled::new(|_| {});
    run_loop.add(&keeper, mode).unwrap();
    let (clock, kept) = (clock.clone(), keeper.clone());
    let act = move |run_loop: &RunLoop| {
        if holds.limit {
            clock.advance(LIMIT);
        }
        if holds.stop {
            run_loop.stop();
        }
        if holds.empty {
            kept.invalidate();
        }
    };
    let mut source = None;
    if holds.handled {
        let performed = Signalled::new(act);
        run_loop.add(&performed, mode).unwrap();
        performed.signal();
        source = Some(performed);
    } else {
        run_loop.perform(mode, act).unwrap();
    }
    let outcome = run_loop.run_in_mode(mode, LIMIT, ReturnAfter::FirstSource);
    keeper.invalidate();
    if let Some(performed) = source {
        performed.invalidate();
    }
    outcome.unwrap()
}

#[test]
fn every_combination_has_the_result_of_its_first_and_keeps_a_stop_that_is_outvoted() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode) = (RunLoop::current(), Mode::new("precedence.mode"));
    let other = Mode::new("precedence.other");
    for holds in Holds::all() {
        let outcome = run_until(holds, mode, &clock);
        assert_eq!(outcome, holds.outcome(), "{holds:?}");
        let keeper = Signalled::new(|_| {});
        run_loop.add(&keeper, other).unwrap();
        let next = run_loop.run_in_mode(other, LIMIT, ReturnAfter::Limit);
        let kept = holds.stop && outcome != Outcome::Stopped;
        let expected = if kept {
            Outcome::Stopped
        } else {
            Outcome::TimedOut
        };
        assert_eq!(next.unwrap(), expected, "{holds:?}: the next run");
        keeper.invalidate();
        serve(other);
    }
}
