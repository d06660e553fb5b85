//! Shorthands for what the tests do all the time.

use std::time::{Duration, Instant};

use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop};
use tests::Log;
use timer_source::{Schedule, Timer};

/// One pass of the default mode: serves all that is due, and does not sleep.
pub(crate) fn pass() {
    pass_of(Mode::DEFAULT);
}

/// One pass of a mode that has something in it, now or before.
pub(crate) fn pass_of(mode: Mode) {
    let outcome = RunLoop::current().run_in_mode(mode, Limit::Now, ReturnAfter::Limit);
    assert!(
        matches!(outcome, Ok(Outcome::TimedOut | Outcome::Finished)),
        "{outcome:?}"
    );
}

/// Runs the default mode until it is stopped.
pub(crate) fn run_until_stopped() {
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Stopped);
}

/// Puts a timer into the default mode.
pub(crate) fn add(timer: &Timer) {
    assert!(RunLoop::current().add(timer, Mode::DEFAULT).unwrap());
}

/// A timer that fires once at this moment, and says so.
pub(crate) fn once_at(at: Instant, log: &Log, line: &'static str) -> Timer {
    let log = log.clone();
    Timer::new(Schedule::at(at), move |_, _| log.add(line))
}

/// Works, without looking at the loop, until this moment has passed.
pub(crate) fn work_until(at: Instant) {
    while Instant::now() <= at {
        std::hint::spin_loop();
    }
}

/// Longer than any test.
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// A millisecond.
pub(crate) const MS: Duration = Duration::from_millis(1);

/// Says so when it is dropped: what a closure captures to show when it goes.
#[derive(Debug)]
pub(crate) struct Flag(pub(crate) Log, pub(crate) &'static str);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}
