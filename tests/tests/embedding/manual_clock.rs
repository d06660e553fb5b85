//! A clock that a test moves, as the poll around an embedded mode sees it.

use std::time::{Duration, Instant};

use runloop::{ManualClock, Mode, RunLoop, Signalled};
use tests::Watchdog;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn moving_the_clock_makes_readable_what_has_a_deadline_by_that_and_nothing_else() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode) = (RunLoop::current(), Mode::new("manual.moved"));
    let (source, other) = (Signalled::new(|_| {}), Signalled::new(|_| {}));
    run_loop.add(&source, mode).unwrap();
    let embedding = run_loop.readiness(mode).unwrap();
    let elsewhere = run_loop.readiness(Mode::new("manual.elsewhere")).unwrap();
    run_loop.add(&other, elsewhere.mode()).unwrap();
    source
        .handle()
        .set_deadline_within(Some(clock.now() + MINUTE), MINUTE);
    for _ in 0..2 {
        assert!(!embedding.is_ready().unwrap(), "within its tolerance");
        clock.advance(MINUTE - Duration::from_nanos(1));
    }
    assert!(!embedding.is_ready().unwrap(), "two nanoseconds are left");
    clock.advance_to(clock.now() + Duration::from_nanos(2));
    assert!(embedding.is_ready().unwrap(), "the end of its tolerance");
    assert!(!elsewhere.is_ready().unwrap(), "nothing is due there");
    assert_eq!(source.handle().performs(), 0, "nothing is called by that");
    let _outcome = embedding.serve().unwrap();
    assert_eq!(source.handle().performs(), 1, "but by a run");
    assert!(!embedding.is_ready().unwrap(), "served");
}

#[test]
fn what_waits_for_a_clock_that_is_let_go_comes_by_the_clock_of_the_system() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode) = (RunLoop::current(), Mode::new("manual.let_go"));
    let source = Signalled::new(|_| {});
    run_loop.add(&source, mode).unwrap();
    let embedding = run_loop.readiness(mode).unwrap();
    let at = Instant::now() + Duration::from_millis(5);
    source.handle().set_deadline(Some(at));
    drop(clock);
    while !embedding.is_ready().unwrap() {
        std::thread::yield_now();
    }
    assert!(Instant::now() >= at, "not early");
    let _outcome = embedding.serve().unwrap();
    assert_eq!(source.handle().performs(), 1, "served");
}
