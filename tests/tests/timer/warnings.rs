//! The warning about a timer in a loop that never runs.

use std::time::Instant;

use runloop::{Mode, RunLoop};
use tests::{Log, Watchdog};
use timer_source::{Schedule, Timer};
use tracing::span::{Attributes, Record};
use tracing::{Event, Id, Level, Metadata, Subscriber};

use crate::support::{HOUR, pass};

/// Writes a line for each warning.
struct Warnings(Log);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.add("warned");
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The warnings of a thread that has a timer of this date in its loop, does something, and ends.
fn warnings(date: Instant, then: fn(&Timer)) -> Vec<String> {
    let log = Log::new();
    let warnings = Warnings(log.clone());
    let thread = std::thread::spawn(move || {
        // For good, so that the thread's own end is heard, too.
        let heard = tracing::subscriber::set_default(warnings);
        std::mem::forget(heard);
        let timer = Timer::new(Schedule::at(date).every(HOUR), |_, _| {});
        RunLoop::current().add(&timer, Mode::DEFAULT).unwrap();
        then(&timer);
    });
    thread.join().unwrap();
    log.take()
}

#[test]
fn a_timer_whose_date_has_passed_in_a_loop_that_never_ran_is_warned_of() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let now = Instant::now();
        let nothing = |_: &Timer| {};
        assert_eq!(warnings(now, Timer::invalidate), ["warned"]);
        assert_eq!(warnings(now + HOUR, Timer::invalidate), [""; 0], "to come");
        assert_eq!(warnings(now, |_| pass()), [""; 0], "it ran");
        let late = |timer: &Timer| {
            pass();
            timer.set_next_fire_date(Instant::now());
        };
        assert_eq!(warnings(now, late), [""; 0], "it has run before");
        assert_eq!(warnings(now, nothing), ["warned"], "at the thread's end");
    });
}
