//! Sources that rest, as the poll around their mode sees them.

use std::cell::Cell;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use runloop::{
    Cx, Interest, Limit, ManualClock, Mode, Ready, ReturnAfter, RunLoop, Signalled, Source,
    SourceOptions, SourceRef, Token,
};
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

/// A source whose descriptor is always ready, and which runs its mode inside of its first call.
struct Nested(UnixStream, Cell<u32>);

impl Source for Nested {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(Token(0), self.0.as_fd(), Interest::READABLE)
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        let before = self.1.replace(self.1.get() + 1);
        if let Some(mode) = cx.mode().filter(|_| before == 0) {
            for _ in 0..2 {
                let run = cx
                    .run_loop()
                    .run_in_mode(mode, Limit::Now, ReturnAfter::Limit);
                let _outcome = run.unwrap();
            }
        }
    }
}

#[test]
fn what_waits_for_a_rest_is_not_polled_when_the_call_in_which_that_began_has_returned() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode) = (RunLoop::current(), Mode::new("resting.nested"));
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"x").unwrap();
    let options = SourceOptions::new().reentrant().rate_limit(2, SECOND);
    let source = SourceRef::with(options, Nested(ours, Cell::new(0)));
    run_loop.add(&source, mode).unwrap();
    let embedding = run_loop.readiness(mode).unwrap();
    let _outcome = embedding.serve().unwrap();
    assert_eq!(source.handle().performs(), 2, "one inside the other");
    assert!(!embedding.is_ready().unwrap(), "until it has rested");
    clock.advance(SECOND);
    assert!(embedding.is_ready().unwrap(), "it has");
}
