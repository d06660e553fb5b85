//! Signals: who is performed, in which order, how often, and where (CoreFoundation's version 0).

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use runloop::{
    Cx, Mode, Outcome, Ready, RunLoop, Signalled, Source, SourceHandle, SourceOptions, SourceRef,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, at_wait, pass, past, ready_pair, run, run_one, serve};

/// A source for several loops; counts.
struct Counted(Arc<AtomicU32>);

impl Source for Counted {
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        cx.run_loop().stop();
    }
}

/// Adds probes of these names and orders to the default mode.
fn probes<const N: usize>(log: &Log, made: [(&'static str, i32); N]) -> [SourceRef<Probe>; N] {
    let sources = made.map(|(name, order)| {
        let source = Probe::new(name, log).with(SourceOptions::new().order(order));
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        source
    });
    log.take();
    sources
}

#[test]
fn signals_given_before_a_perform_are_one() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let [a] = probes(&log, [("a", 0)]);
    for _ in 0..5 {
        a.handle().signal();
    }
    serve(Mode::DEFAULT);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["a signalled"], "once");
}

#[test]
fn an_invalid_source_ignores_signals() {
    let _watchdog = Watchdog::new();
    let source = Signalled::new(|_| unreachable!("it is invalid"));
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    source.invalidate();
    source.signal();
    assert!(!source.handle().is_signalled(), "not even the flag");
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "it is gone");
}

#[test]
fn sources_are_performed_by_order_and_equal_ones_by_their_signals() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let [a, b, c, d] = probes(&log, [("a", 1), ("b", 0), ("c", 1), ("d", i32::MIN)]);
    for source in [&c, &a, &b, &d] {
        source.handle().signal();
    }
    serve(Mode::DEFAULT);
    let expected = ["d signalled", "b signalled", "c signalled", "a signalled"];
    assert_eq!(log.take(), expected, "c was signalled before a");
}

#[test]
fn a_signal_that_a_nested_run_has_taken_is_not_served_again() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let nested = Probe::new("a", &log)
        .performing(|_, _| {
            serve(Mode::DEFAULT);
        })
        .source();
    RunLoop::current().add(&nested, Mode::DEFAULT).unwrap();
    let [b] = probes(&log, [("b", 1)]);
    nested.handle().signal();
    b.handle().signal();
    serve(Mode::DEFAULT);
    assert_eq!(
        log.take(),
        ["a signalled", "b signalled"],
        "by the nested run"
    );
}

#[test]
fn a_source_that_an_earlier_perform_has_invalidated_is_skipped() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let [b] = probes(&log, [("b", 1)]);
    let other = b.handle().clone();
    let source = Probe::new("a", &log).performing(move |_, _| other.invalidate());
    let a = source.source();
    RunLoop::current().add(&a, Mode::DEFAULT).unwrap();
    log.take();
    a.handle().signal();
    b.handle().signal();
    serve(Mode::DEFAULT);
    let lines = log.take();
    assert!(!lines.contains(&"b signalled".to_owned()), "{lines:?}");
}

#[test]
fn a_source_that_an_earlier_perform_has_removed_is_skipped_and_stays_signalled() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let [b] = probes(&log, [("b", 1)]);
    let other = b.clone();
    let a = Signalled::new(move |run_loop| {
        run_loop.remove(&other, Mode::DEFAULT);
    });
    RunLoop::current().add(&a, Mode::DEFAULT).unwrap();
    a.signal();
    b.handle().signal();
    serve(Mode::DEFAULT);
    assert_eq!(
        log.take(),
        ["b cancel default", "b detach"],
        "not performed"
    );
    assert!(b.handle().is_signalled(), "the signal is kept");
    RunLoop::current().add(&b, Mode::DEFAULT).unwrap();
    serve(Mode::DEFAULT);
    let lines = log.take();
    assert_eq!(lines.last().unwrap(), "b signalled", "until it is back");
}

#[test]
fn a_signal_given_inside_the_perform_asks_for_the_next_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let left = Cell::new(2);
    let source = Probe::new("a", &log)
        .performing(move |cx, _| {
            if left.get() > 0 {
                left.set(left.get() - 1);
                cx.signal();
            }
        })
        .source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    source.handle().signal();
    for pass_number in 0..3 {
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["a signalled"], "pass {pass_number}");
    }
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), [""; 0], "no fourth signal");
}

#[test]
fn a_reentrant_source_is_performed_again_by_a_nested_run_and_an_exclusive_one_after_it() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for (options, expected) in [
        (
            SourceOptions::new().reentrant(),
            ["in 1", "in 2", "out 2", "out 1"],
        ),
        (SourceOptions::new(), ["in 1", "out 1", "in 2", "out 2"]),
    ] {
        let (inner, times) = (log.clone(), Rc::new(Cell::new(0)));
        let source = Probe::new("a", &Log::new())
            .performing(move |cx, _| {
                times.set(times.get() + 1);
                let time = times.get();
                inner.add(format!("in {time}"));
                if time == 1 {
                    cx.signal();
                    serve(Mode::DEFAULT);
                }
                inner.add(format!("out {time}"));
            })
            .with(options);
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        source.handle().signal();
        serve(Mode::DEFAULT);
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), expected, "{:?}", source.handle());
        source.invalidate();
    }
}

#[test]
fn a_signal_is_kept_until_a_mode_of_the_source_runs() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mode = Mode::new("signalled.elsewhere");
    let source = Probe::new("a", &log).source();
    source.handle().signal();
    RunLoop::current().add(&source, mode).unwrap();
    RunLoop::current()
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    log.take();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), [""; 0], "its mode has not run");
    assert_eq!(run_one(mode), Outcome::HandledSource, "now it has");
    assert_eq!(log.take(), ["a signalled"], "from before it was added");
}

#[test]
fn a_source_is_scheduled_and_cancelled_once_for_each_concrete_mode() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let [one, two] = ["signalled.one", "signalled.two"].map(Mode::new);
    run_loop.add_common_mode(one).unwrap();
    let slot: Rc<Cell<Option<SourceHandle>>> = Rc::default();
    let (known, members) = (Rc::clone(&slot), log.clone());
    let source = Probe::new("a", &log)
        .hooking(move |run_loop, what| {
            if what == "schedule" {
                let handle = known.take().unwrap();
                let modes = [Mode::DEFAULT, one, two];
                let inside = modes.map(|mode| run_loop.contains(&handle, mode));
                members.add(format!("in {inside:?}"));
                known.set(Some(handle));
            }
        })
        .source();
    slot.set(Some(source.handle().clone()));
    run_loop.add(&source, Mode::COMMON).unwrap();
    assert!(run_loop.add(&source, one).unwrap(), "by itself as well");
    run_loop.add(&source, two).unwrap();
    source.invalidate();
    let expected = [
        "a attach",
        "a schedule default",
        "in [true, true, false]",
        "a schedule signalled.one",
        "in [true, true, false]",
        "a schedule signalled.two",
        "in [true, true, true]",
        "a cancel default",
        "a cancel signalled.one",
        "a cancel signalled.two",
        "a detach",
        "a invalidated Asked",
    ];
    assert_eq!(log.take(), expected, "a member when it is told so");
}

#[test]
fn a_source_in_two_loops_is_performed_once_by_the_first_that_looks() {
    let _watchdog = Watchdog::new();
    let performed = Arc::new(AtomicU32::new(0));
    let counted = Counted(Arc::clone(&performed));
    let source = SourceRef::with(SourceOptions::new().reentrant(), counted);
    let (theirs, (ready, is_ready)) = (source.clone(), mpsc::channel());
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let helper = thread::spawn(move || {
        let run_loop = RunLoop::current();
        run_loop.add(&theirs, Mode::DEFAULT).unwrap();
        ready.send(()).unwrap();
        may_go_on.recv().unwrap();
        pass(Mode::DEFAULT)
    });
    is_ready.recv().unwrap();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    source.handle().signal();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "performed here");
    go_on.send(()).unwrap();
    assert_eq!(helper.join().unwrap(), Outcome::TimedOut, "and not there");
    assert_eq!(performed.load(Ordering::SeqCst), 1, "once");
}

#[test]
fn a_signal_given_on_one_of_its_threads_wakes_the_other_loop_too() {
    let _watchdog = Watchdog::new();
    let performed = Arc::new(AtomicU32::new(0));
    let counted = Counted(Arc::clone(&performed));
    let source = SourceRef::with(SourceOptions::new().reentrant(), counted);
    RunLoop::current()
        .add(&source, Mode::new("signalled.never-run"))
        .unwrap();
    let theirs = source.clone();
    let (sent, handle) = mpsc::channel();
    let helper = thread::spawn(move || {
        let run_loop = RunLoop::current();
        run_loop.add(&theirs, Mode::DEFAULT).unwrap();
        sent.send(run_loop.handle()).unwrap();
        run(Mode::DEFAULT)
    });
    let handle = handle.recv().unwrap();
    crate::support::until(|| handle.is_waiting().unwrap());
    source.handle().signal();
    assert_eq!(helper.join().unwrap(), Outcome::Stopped, "it was woken");
    assert_eq!(performed.load(Ordering::SeqCst), 1, "once");
}

#[test]
fn a_source_that_signals_itself_for_ever_starves_nobody() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let hungry = Probe::new("hungry", &Log::new()).performing(|cx, _| cx.signal());
    let hungry = hungry.source();
    run_loop.add(&hungry, Mode::DEFAULT).unwrap();
    hungry.handle().signal();
    let (ours, theirs) = ready_pair();
    let rounds = Cell::new(0);
    let reader = Probe::new("reader", &log)
        .watching(ours)
        .performing(move |cx, ready| {
            cx.set_deadline(Some(past()));
            if !ready.fds.is_empty() {
                (&theirs).write_all(b"y").unwrap();
                rounds.set(rounds.get() + 1);
            }
            if rounds.get() == 10 {
                cx.run_loop().stop();
            }
        });
    run_loop.add(&reader.source(), Mode::DEFAULT).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "after ten rounds");
    let deadlines = log
        .take()
        .iter()
        .filter(|l| l.ends_with("deadline"))
        .count();
    assert!(deadlines >= 10, "{deadlines} deadlines only");
}

#[test]
fn a_signal_by_an_observer_of_the_wait_is_served_before_the_loop_sleeps() {
    let _watchdog = Watchdog::new();
    let source = Signalled::new(RunLoop::stop);
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    at_wait(0, Mode::DEFAULT, move |_| source.signal());
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "no wake-up needed");
}
