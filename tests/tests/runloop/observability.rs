//! What a person can see of a loop: everything that is in it, by name, and how often each source was performed.

use std::fmt::{self, Write};

use runloop::{Activity, Mode, Observer, RunLoop, Signalled, SourceOptions};
use tests::{Log, Watchdog};

use crate::support::{Probe, far, pair, serve};

/// The lines of a dump from the one that begins a part to the one that ends it.
fn part<'a>(dump: &'a str, name: &str) -> &'a str {
    let begin = dump
        .find(&format!("{name} {{"))
        .unwrap_or_else(|| panic!("{name} in {dump}"));
    let end = dump[begin..].find("\n        }").expect("it ends");
    &dump[begin..begin + end]
}

#[test]
fn a_dump_names_modes_sources_kinds_orders_dates_observers_and_what_waits() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode) = (RunLoop::current(), Mode::new("observability.dump"));
    let log = Log::new();
    let (ours, _theirs) = pair();
    let busy = Probe::new("p", &log).watching(ours).due(far());
    let busy = busy.with(SourceOptions::new().name("the probe").order(7));
    run_loop.add(&busy, mode).unwrap();
    run_loop.add(&busy, Mode::DEFAULT).unwrap();
    let options = SourceOptions::new().name("the signal");
    let signalled = Signalled::with(options, |_| {});
    run_loop.add(&signalled, mode).unwrap();
    for _ in 0..3 {
        signalled.signal();
        serve(mode);
    }
    signalled.signal();
    run_loop
        .add_observer(&Observer::new(Activity::EXIT, -4, |_, _| {}), mode)
        .unwrap();
    run_loop.perform(mode, |_| {}).unwrap();
    let dump = format!("{run_loop:#?}");
    let shown = part(&dump, "observability.dump");
    for expected in [
        "sources: 2",
        "closures: 1",
        "next_deadline: in 8",
        "-4",
        "EXIT",
    ] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    let shown = part(&dump, "the probe");
    for expected in [
        "Probe\"",
        "order: 7",
        "next_deadline: in 8",
        "watches: 1",
        "performed: 0",
        "Mode(\"observability.dump\")",
    ] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    let shown = part(&dump, "the signal");
    for expected in ["next_deadline: never", "performed: 3", "signalled: true"] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    assert!(dump.contains("performs: 3"), "of all sources: {dump}");
    let short = format!("{run_loop:?}");
    assert!(!short.contains('\n'), "one line: {short}");
}

#[test]
fn a_dump_from_inside_a_callback_shows_the_runs_and_the_source_that_is_performed() {
    let _watchdog = Watchdog::new();
    let (run_loop, log) = (RunLoop::current(), Log::new());
    let (outer, inner) = (Mode::new("dump.outer"), Mode::new("dump.inner"));
    let inside = log.clone();
    let options = SourceOptions::new().name("innermost");
    let shown = Signalled::with(options, move |run_loop| {
        inside.add(format!("{run_loop:#?}"));
    });
    run_loop.add(&shown, inner).unwrap();
    shown.signal();
    run_loop.perform(outer, move |_| serve(inner)).unwrap();
    serve(outer);
    let dump = log.take().concat();
    let running = dump.split("embedded:").next().unwrap();
    let (first, second) = (running.find("dump.outer"), running.find("dump.inner"));
    assert!(
        first.is_some() && first < second,
        "the innermost last: {running}"
    );
    assert!(part(&dump, "innermost").contains("performing: 1"), "{dump}");
}

/// Writes to nowhere, but uses the loop each time.
struct Busy(RunLoop);

impl Write for Busy {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        self.0.perform(Mode::new("dump.busy"), |_| {}).ok();
        Ok(())
    }
}

#[test]
fn whoever_a_dump_is_written_to_may_use_the_loop() {
    let run_loop = RunLoop::current();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    write!(Busy(run_loop.clone()), "{run_loop:#?} {run_loop:?}").unwrap();
    assert!(run_loop.modes().contains(&Mode::new("dump.busy")), "it did");
}
