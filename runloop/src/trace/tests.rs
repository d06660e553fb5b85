//! How often callbacks make anybody look at the clock.

use std::time::Duration;

use crate::clock::READS;
use crate::{Limit, Mode, Outcome, ReturnAfter, RunLoop, Signalled, SourceOptions};

/// How many of them a pass performs.
const SOURCES: u32 = 10;

/// Signals the sources, has a pass perform them, and says how often the clock was read for that.
fn reads_of_a_pass(sources: &[Signalled]) -> u32 {
    sources.iter().for_each(Signalled::signal);
    let before = READS.get();
    let run = RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
    assert_eq!(run.unwrap(), Outcome::TimedOut, "one pass");
    READS.get() - before
}

fn add(options: SourceOptions) -> Signalled {
    let source = Signalled::with(options, |_| {});
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    source
}

#[test]
fn the_clock_is_read_once_for_each_callback_and_only_while_somebody_wants_to_know() {
    let run_loop = RunLoop::current();
    let sources: Vec<Signalled> = (0..SOURCES).map(|_| add(SourceOptions::new())).collect();
    assert_eq!(reads_of_a_pass(&sources), 0, "nobody");
    run_loop.set_slow_warning(Some(Duration::MAX));
    let once = SOURCES + 1;
    assert_eq!(
        reads_of_a_pass(&sources),
        once,
        "the end of one is the beginning of the next"
    );
    run_loop.set_measuring(true);
    assert_eq!(reads_of_a_pass(&sources), once, "both know from the same");
    run_loop.set_slow_warning(None);
    assert_eq!(reads_of_a_pass(&sources), once, "the other alone");
    run_loop.set_measuring(false);
    assert_eq!(reads_of_a_pass(&sources), 0, "nobody any more");
}

#[test]
fn a_run_inside_a_callback_reads_the_clock_as_often_as_any_other() {
    let inner = Mode::new("trace.inner");
    let run_loop = RunLoop::current();
    let sources: Vec<Signalled> = (0..SOURCES).map(|_| Signalled::new(|_| {})).collect();
    for source in &sources {
        run_loop.add(source, inner).unwrap();
    }
    let outer = Signalled::new(move |run_loop| {
        sources.iter().for_each(Signalled::signal);
        let run = run_loop.run_in_mode(inner, Limit::Now, ReturnAfter::Limit);
        assert_eq!(run.unwrap(), Outcome::TimedOut, "one pass");
    });
    run_loop.add(&outer, Mode::DEFAULT).unwrap();
    run_loop.set_measuring(true);
    let reads = reads_of_a_pass(&[outer]);
    assert_eq!(reads, SOURCES + 1 + 2, "one more for each of the two");
}

#[test]
fn the_clock_is_read_for_sources_with_a_rate_limit_and_for_no_others() {
    let mut sources: Vec<Signalled> = (0..SOURCES).map(|_| add(SourceOptions::new())).collect();
    let hour = Duration::from_secs(3_600);
    sources.push(add(SourceOptions::new().rate_limit(2, hour)));
    assert_eq!(reads_of_a_pass(&sources), 1, "for the one");
    assert_eq!(reads_of_a_pass(&sources), 1, "for the one");
    // Its rest stands among the deadlines, which are looked at in every pass.
    assert_eq!(reads_of_a_pass(&sources), 2, "to see that it has to rest");
    assert_eq!(reads_of_a_pass(&sources), 1, "to see whether that is over");
}
