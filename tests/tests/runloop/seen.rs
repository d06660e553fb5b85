//! What is traced of callbacks (a span around each, a warning about a slow one) and what is counted.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use runloop::{
    Activity, ManualClock, Mode, Observer, Prepared, ReturnAfter, RunLoop, Signalled, SourceOptions,
};
use tests::{Log, Watchdog};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Record};
use tracing::{Event, Id, Level, Metadata, Subscriber};

use crate::support::{Probe, hot, serve};

const MILLIS: Duration = Duration::from_millis(1);

/// Writes a line for each span that is entered and left, and for each warning, with all of their fields. It uses the loop
/// each time, which nothing may keep it from.
struct Listener {
    log: Log,
    most: Level,
    spans: Mutex<Vec<String>>,
}

impl Listener {
    /// Listens on this thread, to warnings only or to everything, as long as what comes back is held.
    fn listen(log: &Log, most: Level) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(Self {
            log: log.clone(),
            most,
            spans: Mutex::default(),
        })
    }

    fn uses_the_loop() {
        let run_loop = RunLoop::current();
        assert!(!run_loop.modes().is_empty(), "the tables are free");
        run_loop.add_common_mode(Mode::DEFAULT).unwrap();
    }
}

/// The fields of a span or an event, by name.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    /// In one line: which callback, whose, in which mode and how deep; the type of a source without its path.
    fn line(&self) -> String {
        let value = |name| self.0.get(name).map_or("-", String::as_str);
        let kind = value("kind").rsplit("::").next().unwrap_or_default();
        let [call, source, mode, depth] = ["call", "source", "mode", "depth"].map(value);
        format!(
            "{call} {source} {} {mode} {depth}",
            kind.trim_end_matches('>')
        )
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most && metadata.target().starts_with("runloop")
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        Self::uses_the_loop();
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.push(fields.line());
        Id::from_u64(u64::try_from(spans.len()).unwrap())
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        Self::uses_the_loop();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let took = fields.0.get("took").map_or("", String::as_str);
        self.log.add(format!("slow: {} {took}", fields.line()));
    }
    fn enter(&self, id: &Id) {
        Self::uses_the_loop();
        let place = usize::try_from(id.into_u64()).unwrap() - 1;
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        self.log.add(format!("+ {}", spans[place]));
    }
    fn exit(&self, _: &Id) {
        Self::uses_the_loop();
        self.log.add("-");
    }
}

/// Everything that can be called of a source, an observer and a closure, one inside another's run.
fn call_everything(log: &Log, inner: Mode, outer: Mode, slowly: impl Fn() + Clone + 'static) {
    let run_loop = RunLoop::current();
    let none = Log::new();
    let (a, b, c, d) = (
        slowly.clone(),
        slowly.clone(),
        slowly.clone(),
        slowly.clone(),
    );
    let source = hot(&none, move |_, _| {
        a();
        Prepared::Idle
    })
    .performing(move |_, _| b())
    .hooking(move |_, _| c());
    let source = source.with(SourceOptions::new().name("the source"));
    log.add("add");
    run_loop.add(&source, inner).unwrap();
    source.handle().signal();
    let observer = Observer::once(Activity::ENTRY, 0, move |_, _| d());
    run_loop.add_observer(&observer, inner).unwrap();
    let inside = log.clone();
    let nested = move |_: &RunLoop| {
        inside.add("serve");
        serve(inner);
        slowly();
    };
    run_loop.perform(outer, nested).unwrap();
    serve(outer);
    log.add("invalidate");
    source.invalidate();
}

#[test]
fn every_callback_has_a_span_with_source_kind_mode_and_depth() {
    let _watchdog = Watchdog::new();
    let (inner, outer) = (Mode::new("seen.inner"), Mode::new("seen.outer"));
    let log = Log::new();
    let heard = Listener::listen(&log, Level::TRACE);
    call_everything(&log, inner, outer, || {});
    drop(heard);
    let lines = log.take();
    let entered: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| *line != "-")
        .collect();
    let expected = [
        "add",
        "+ attach the source Probe - 0",
        "+ schedule the source Probe - 0",
        "+ closure - - seen.outer 1",
        "serve",
        "+ observe - - seen.inner 2",
        "+ prepare the source Probe seen.inner 2",
        "+ perform the source Probe seen.inner 2",
        "+ prepare the source Probe seen.inner 2",
        "invalidate",
        "+ cancel the source Probe - 0",
        "+ detach the source Probe - 0",
        "+ invalidated the source Probe - 0",
    ];
    assert_eq!(entered, expected, "in this order");
    let spans = expected.iter().filter(|line| line.starts_with('+')).count();
    let left = lines.iter().filter(|line| *line == "-").count();
    assert_eq!(left, spans, "each is left");
}

#[test]
fn every_slow_callback_is_warned_of_and_none_that_is_not() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let run_loop = RunLoop::current();
    let (inner, outer) = (Mode::new("slow.inner"), Mode::new("slow.outer"));
    let log = Log::new();
    let _heard = Listener::listen(&log, Level::WARN);
    let takes = |time| {
        let clock = clock.clone();
        move || clock.advance(time)
    };
    let quiet = ["add", "serve", "invalidate"];
    call_everything(&log, inner, outer, takes(MILLIS * 100));
    assert_eq!(log.take(), quiet, "off by default");
    run_loop.set_slow_warning(Some(MILLIS * 10));
    // Each is close to the threshold, so that a beginning taken too early would be seen.
    call_everything(&log, inner, outer, takes(MILLIS * 9));
    let closure = "slow: closure - - slow.outer 1 45ms";
    assert_eq!(
        log.take(),
        ["add", "serve", closure, "invalidate"],
        "the sum"
    );
    call_everything(&log, inner, outer, takes(MILLIS * 10));
    let expected = [
        "add",
        "slow: schedule the source Probe - 0 10ms",
        "serve",
        "slow: observe - - slow.inner 2 10ms",
        "slow: prepare the source Probe slow.inner 2 10ms",
        "slow: perform the source Probe slow.inner 2 10ms",
        "slow: prepare the source Probe slow.inner 2 10ms",
        "slow: closure - - slow.outer 1 50ms",
        "invalidate",
        "slow: cancel the source Probe - 0 10ms",
        "slow: detach the source Probe - 0 10ms",
        "slow: invalidated the source Probe - 0 10ms",
    ];
    assert_eq!(log.take(), expected, "each by itself, runs inside included");
    run_loop.set_slow_warning(None);
    call_everything(&log, inner, outer, takes(MILLIS * 100));
    assert_eq!(log.take(), quiet, "off again");
}

#[test]
fn neither_sleep_nor_what_is_between_runs_makes_a_callback_slow() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("slow.not"), Log::new());
    let _heard = Listener::listen(&log, Level::WARN);
    run_loop.set_slow_warning(Some(MILLIS));
    let source = Probe::new("", &Log::new())
        .due(clock.now() + MILLIS * 500)
        .performing(move |cx, _| cx.set_deadline(Some(RunLoop::now() + MILLIS * 500)))
        .source();
    run_loop.add(&source, mode).unwrap();
    let run = run_loop.run_in_mode(mode, MILLIS * 1_800, ReturnAfter::Limit);
    assert!(run.is_ok(), "it sleeps and serves");
    assert_eq!(source.handle().performs(), 3, "in between");
    // The last thing of the run is a callback; what follows is no run's.
    run_loop.perform(mode, |_| {}).unwrap();
    serve(mode);
    clock.advance(MILLIS * 500);
    run_loop.remove(&source, mode);
    clock.advance(MILLIS * 500);
    run_loop.add(&source, mode).unwrap();
    // A callback that adds a source after some time of its own: the hooks of that took none.
    let (inside, within) = (source.clone(), clock.clone());
    let adds = move |run_loop: &RunLoop| {
        // A run inside, whose last is a callback as well.
        run_loop.perform(mode, |_| {}).unwrap();
        serve(mode);
        within.advance(MILLIS * 3);
        run_loop.remove(&inside, mode);
        within.advance(MILLIS * 4);
        run_loop.add(&inside, mode).unwrap();
    };
    run_loop.perform(mode, adds).unwrap();
    serve(mode);
    let line = "slow: closure - - slow.not 1 7ms";
    assert_eq!(log.take(), [line], "the closure alone");
    run_loop.set_slow_warning(None);
}

#[test]
fn a_slow_callback_that_panics_is_warned_of_and_the_next_is_not() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("slow.panic"), Log::new());
    let _heard = Listener::listen(&log, Level::WARN);
    run_loop.set_slow_warning(Some(MILLIS));
    let within = clock.clone();
    let panics = Signalled::with(SourceOptions::new().name("it"), move |_| {
        within.advance(MILLIS * 5);
        panic!("the test's panic");
    });
    run_loop.add(&panics, mode).unwrap();
    panics.signal();
    let caught = catch_unwind(AssertUnwindSafe(|| serve(mode)));
    assert!(caught.is_err(), "it went through");
    clock.advance(MILLIS * 5);
    run_loop.perform(mode, |_| {}).unwrap();
    serve(mode);
    let lines = log.take();
    let slow: Vec<_> = lines.iter().filter(|line| line.contains("ms")).collect();
    assert_eq!(slow.len(), 1, "{lines:?}");
    assert!(slow[0].starts_with("slow: perform it "), "{slow:?}");
    run_loop.set_slow_warning(None);
}

#[test]
fn performs_are_counted_for_each_source_and_times_only_on_demand() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode) = (RunLoop::current(), Mode::new("seen.counts"));
    let takes = |time| {
        let clock = clock.clone();
        let source = Signalled::new(move |_| clock.advance(time));
        run_loop.add(&source, mode).unwrap();
        source
    };
    let (first, second) = (takes(MILLIS), takes(MILLIS * 3));
    let round = |times: u32| {
        for _ in 0..times {
            first.signal();
            second.signal();
            serve(mode);
        }
        let run = run_loop.run_in_mode(mode, MILLIS * 20, ReturnAfter::Limit);
        assert!(run.is_ok(), "it sleeps");
    };
    run_loop.set_slow_warning(Some(Duration::MAX));
    round(2);
    run_loop.set_slow_warning(None);
    let figures = |source: &Signalled| {
        let handle = source.handle();
        (handle.performs(), handle.time_spent())
    };
    assert_eq!(figures(&first), (2, Duration::ZERO), "off by default");
    assert_eq!(
        run_loop.statistics().asleep,
        Duration::ZERO,
        "off by default"
    );
    run_loop.set_measuring(true);
    round(3);
    assert_eq!(figures(&first), (5, MILLIS * 3), "three of them");
    assert_eq!(figures(&second), (5, MILLIS * 9), "three of them");
    assert_eq!(run_loop.statistics().asleep, MILLIS * 20, "the run's wait");
    run_loop.set_measuring(false);
    round(1);
    assert_eq!(figures(&second), (6, MILLIS * 9), "off again");
    assert_eq!(run_loop.statistics().asleep, MILLIS * 20, "off again");
    let handle = first.handle().clone();
    let seen = std::thread::spawn(move || handle.performs()).join();
    assert_eq!(seen.unwrap(), 6, "from any thread");
}

#[test]
fn what_a_loop_really_sleeps_is_measured() {
    let _watchdog = Watchdog::new();
    let (run_loop, mode) = (RunLoop::current(), Mode::new("seen.sleep"));
    let source = Signalled::new(|_| {});
    run_loop.add(&source, mode).unwrap();
    run_loop.set_measuring(true);
    let begun = Instant::now();
    while run_loop.statistics().asleep < MILLIS * 20 {
        let run = run_loop.run_in_mode(mode, MILLIS * 10, ReturnAfter::Limit);
        assert!(run.is_ok(), "it sleeps");
    }
    assert!(
        run_loop.statistics().asleep <= begun.elapsed(),
        "no more than there was"
    );
    run_loop.set_measuring(false);
}
