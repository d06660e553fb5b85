//! Sources that rest, as the poll around their mode sees them.

use std::time::Duration;

use runloop::{ManualClock, Mode, RunLoop, Signalled, SourceOptions};
use tests::{Log, Watchdog};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_signal_of_a_source_that_rests_does_not_make_the_descriptor_readable_before_the_end_of_that() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("resting.signal"), Log::new());
    let inside = log.clone();
    let options = SourceOptions::new().rate_limit(1, SECOND);
    let source = Signalled::with(options, move |_| inside.add("signal"));
    run_loop.add(&source, mode).unwrap();
    let embedding = run_loop.readiness(mode).unwrap();
    let serve = |lines: &[&str]| {
        let _outcome = embedding.serve().unwrap();
        assert_eq!(log.take(), lines, "what was performed");
    };
    source.signal();
    assert!(embedding.is_ready().unwrap(), "the first");
    serve(&["signal"]);
    source.signal();
    serve(&[]);
    assert!(!embedding.is_ready().unwrap(), "it rests");
    source.handle().set_deadline(Some(clock.now()));
    assert!(!embedding.is_ready().unwrap(), "it still does");
    let second = Mode::new("resting.second");
    let elsewhere = run_loop.readiness(second).unwrap();
    run_loop.add(&source, second).unwrap();
    assert!(!elsewhere.is_ready().unwrap(), "there as well");
    clock.advance(SECOND);
    // Its deadline is served as its rest ends, and that is the one perform of the next second.
    serve(&["signal"]);
    let _finds_nothing = embedding.serve().unwrap();
    assert!(!embedding.is_ready().unwrap(), "it rests again");
    clock.advance(SECOND);
    serve(&[]);
    assert!(embedding.is_ready().unwrap(), "its signal was kept");
    serve(&["signal"]);
}

#[test]
fn the_poll_around_wakes_by_itself_at_the_end_of_a_rest() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("resting.alarm"), Log::new());
    let inside = log.clone();
    let options = SourceOptions::new().rate_limit(1, SECOND / 20);
    let source = Signalled::with(options, move |_| inside.add("signal"));
    run_loop.add(&source, mode).unwrap();
    let embedding = run_loop.readiness(mode).unwrap();
    for _ in 0..3 {
        source.signal();
        while log.count() == 0 {
            crate::support::until(|| embedding.is_ready().unwrap());
            let _outcome = embedding.serve().unwrap();
        }
        assert_eq!(log.take(), ["signal"], "once for each");
    }
}
