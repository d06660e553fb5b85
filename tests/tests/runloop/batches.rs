//! What one wait found, when a callback changes what was found before its turn (L3 to L7).

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use runloop::{
    Descriptor, Interest, Mode, Outcome, Readiness, RunLoop, SourceOptions, SourceRef, Token,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, drain, far, pair, past, ready_pair, run_one, serve};

/// Adds a probe to the default mode and forgets what that wrote.
fn added(log: &Log, probe: Probe, order: i32) -> SourceRef<Probe> {
    let source = probe.with(SourceOptions::new().order(order));
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    source
}

#[test]
fn ready_descriptors_are_performed_by_order_and_equal_ones_as_they_became_ready() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mut others = Vec::new();
    for (name, order) in [("c", 1), ("b", 0), ("d", 1), ("a", -1)] {
        let (ours, theirs) = pair();
        added(&log, Probe::new(name, &log).watching(ours), order);
        others.push(theirs);
    }
    for place in [2, 0, 3, 1] {
        others[place].write_all(b"x").unwrap();
    }
    serve(Mode::DEFAULT);
    let expected = ["a ready 0", "b ready 0", "d ready 0", "c ready 0"];
    assert_eq!(log.take(), expected, "d became ready before c");
}

#[test]
fn the_order_of_one_batch_says_nothing_of_the_next() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mut others = Vec::new();
    for name in ["a", "b", "c"] {
        let (ours, theirs) = pair();
        let probe = Probe::new(name, &log).watching(ours);
        let (more, further) = pair();
        added(&log, probe.watching(more), 0);
        others.push([theirs, further]);
    }
    for places in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
        for token in [0, 1] {
            for place in places {
                others[place][token].write_all(b"x").unwrap();
            }
        }
        serve(Mode::DEFAULT);
        // The kernel keeps what it has told of in its place until it finds it quiet.
        serve(Mode::DEFAULT);
        let expected = places.map(|place| format!("{} ready 0 1", ["a", "b", "c"][place]));
        assert_eq!(log.take(), expected, "as they became ready, each once");
    }
}

#[test]
fn all_ready_descriptors_of_a_source_come_in_one_call() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (mut probe, mut others) = (Probe::new("many", &log), Vec::new());
    for _ in 0..5 {
        let (ours, theirs) = pair();
        probe = probe.watching(ours);
        others.push(theirs);
    }
    added(&log, probe, 0);
    let (between, theirs) = ready_pair();
    added(&log, Probe::new("other", &log).watching(between), 0);
    for place in [4, 0, 2] {
        others[place].write_all(b"x").unwrap();
    }
    serve(Mode::DEFAULT);
    assert_eq!(
        log.take(),
        ["other ready 0", "many ready 4 0 2"],
        "once each"
    );
    drop(theirs);
}

#[test]
fn more_descriptors_than_one_wait_takes_are_all_served() {
    const MANY: usize = 300;
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mut others = Vec::new();
    for _ in 0..MANY {
        let (ours, theirs) = ready_pair();
        added(&log, Probe::new("p", &log).watching(ours), 0);
        others.push(theirs);
    }
    serve(Mode::DEFAULT);
    serve(Mode::DEFAULT);
    assert_eq!(log.take().len(), MANY, "in two passes, each once");
}

#[test]
fn runs_that_return_after_one_source_serve_every_ready_descriptor_in_turn() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let mut others = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] {
        let (ours, theirs) = ready_pair();
        added(&log, Probe::new(name, &log).watching(ours), 0);
        others.push(theirs);
    }
    for _ in 0..others.len() {
        assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "one each");
    }
    let mut lines = log.take();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), others.len(), "each of them once: {lines:?}");
}

#[test]
fn an_event_never_reaches_a_new_source_with_the_same_descriptor_number() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let run_loop = RunLoop::current();
        let (ours, theirs) = ready_pair();
        let number = ours.as_raw_fd();
        let old = Descriptor::with(
            SourceOptions::new().order(1),
            ours,
            Interest::READABLE,
            |_, _, _| unreachable!("it is invalid"),
        );
        run_loop.add(&old, Mode::DEFAULT).unwrap();
        let (first, second) = ready_pair();
        let new = Rc::new(RefCell::new(None));
        let (inside, kept) = (log.clone(), Rc::clone(&new));
        let culprit = Probe::new("culprit", &log)
            .watching(first)
            .performing(move |cx, _| {
                old.invalidate();
                let (quiet, others) = pair();
                assert_eq!(quiet.as_raw_fd(), number, "the lowest that is free");
                let source = Probe::new("new", &inside).watching(quiet).source();
                cx.run_loop().add(&source, Mode::DEFAULT).unwrap();
                kept.replace(Some((source, others)));
            });
        added(&log, culprit, 0);
        serve(Mode::DEFAULT);
        let expected = ["culprit ready 0", "new attach", "new schedule default"];
        assert_eq!(log.take(), expected, "the old event is nobody's");
        drop((theirs, second, new));
    });
}

#[test]
fn an_event_never_reaches_a_new_watch_of_the_same_token() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (first, theirs) = ready_pair();
    let (second, others) = pair();
    let second = Arc::new(second);
    let probe = Probe::new("p", &log)
        .watching(first)
        .due(past())
        .performing(move |cx, ready| {
            if ready.deadline.is_some() {
                assert!(cx.unwatch(Token(0)), "it was watched");
                assert!(!cx.unwatch(Token(0)), "once");
                let watched = cx.watch_shared(Token(0), Arc::clone(&second), Interest::READABLE);
                watched.unwrap();
            }
        });
    added(&log, probe, 0);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p deadline"], "the old event is nobody's");
    (&others).write_all(b"x").unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p ready 0"], "the new watch works");
    drop(theirs);
}

#[test]
fn a_descriptor_disabled_by_an_earlier_callback_of_the_batch_is_not_performed() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (first, mut more) = ready_pair();
    let (second, theirs) = ready_pair();
    let victim = added(&log, Probe::new("victim", &log).watching(second), 1);
    let other = victim.handle().clone();
    let want = Cell::new(Interest::empty());
    let switch = Probe::new("switch", &log)
        .watching(first)
        .performing(move |_, _| {
            other.set_interest(Token(0), want.replace(Interest::READABLE));
        });
    added(&log, switch, 0);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["switch ready 0"], "the other is disabled");
    more.write_all(b"x").unwrap();
    serve(Mode::DEFAULT);
    serve(Mode::DEFAULT);
    assert_eq!(
        log.take(),
        ["switch ready 0", "victim ready 0"],
        "enabled again, the event is found again"
    );
    drop(theirs);
}

#[test]
fn a_delivery_is_what_the_interest_of_the_moment_wants() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let (ours, theirs) = ready_pair();
    let seen = log.clone();
    let victim = Descriptor::with(
        SourceOptions::new().order(1),
        ours,
        Interest::READABLE | Interest::WRITABLE,
        move |_, _, readiness| seen.add(format!("{readiness:?}")),
    );
    run_loop.add(&victim, Mode::DEFAULT).unwrap();
    let (first, more) = ready_pair();
    let switch = Probe::new("switch", &log)
        .watching(first)
        .performing(move |_, _| victim.set_interest(Interest::WRITABLE));
    added(&log, switch, 0);
    serve(Mode::DEFAULT);
    let expected = [
        "switch ready 0".to_owned(),
        format!("{:?}", Readiness::WRITABLE),
    ];
    assert_eq!(log.take(), expected, "reading is not wanted any more");
    drop((theirs, more));
}

#[test]
fn an_event_that_a_nested_run_has_served_is_not_served_again() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (first, a) = ready_pair();
    let (second, b) = ready_pair();
    let nesting = Probe::new("nesting", &log)
        .watching(first)
        .performing(|_, _| serve(Mode::DEFAULT));
    added(&log, nesting, 0);
    added(&log, Probe::new("other", &log).watching(second), 1);
    serve(Mode::DEFAULT);
    assert_eq!(
        log.take(),
        ["nesting ready 0", "other ready 0"],
        "by the nested run, and only by it"
    );
    drop((a, b));
}

#[test]
fn an_event_that_a_nested_run_did_not_serve_is_served_by_the_outer_one() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let elsewhere = Mode::new("batches.elsewhere");
    RunLoop::current()
        .perform(elsewhere, |_| {})
        .expect("there is room");
    let (first, a) = ready_pair();
    let (second, b) = ready_pair();
    let nesting = Probe::new("nesting", &log)
        .watching(first)
        .performing(move |_, _| serve(elsewhere));
    added(&log, nesting, 0);
    added(&log, Probe::new("other", &log).watching(second), 1);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["nesting ready 0", "other ready 0"], "both");
    drop((a, b));
}

#[test]
fn a_deadline_that_an_earlier_callback_of_the_batch_postponed_is_not_served() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for (name, moved) in [("postponed", Some(far())), ("cancelled", None)] {
        let first = past();
        let victim = added(&log, Probe::new(name, &log).due(past()), 0);
        let other = victim.handle().clone();
        let culprit = Probe::new("culprit", &log)
            .due(first)
            .performing(move |_, _| other.set_deadline(moved));
        let culprit = added(&log, culprit, 0);
        serve(Mode::DEFAULT);
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["culprit deadline"], "{name}");
        let next = RunLoop::current().next_deadline(Mode::DEFAULT);
        assert_eq!(next, moved, "{name}");
        victim.invalidate();
        culprit.invalidate();
    }
}

#[test]
fn a_deadline_set_to_a_moment_that_is_over_is_served_in_the_next_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (rounds, over) = (Cell::new(0), past());
    let probe = Probe::new("p", &log).due(past()).performing(move |cx, _| {
        rounds.set(rounds.get() + 1);
        if rounds.get() < 3 {
            cx.set_deadline(Some(over));
        }
    });
    added(&log, probe, 0);
    for round in 0..3 {
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["p deadline"], "one in pass {round}");
    }
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), [""; 0], "no fourth");
}

#[test]
fn so_is_one_that_is_set_after_a_nested_run_has_served_others() {
    let _watchdog = Watchdog::with_limit(Duration::from_secs(30));
    let log = Log::new();
    let over = past();
    let inner = added(&log, Probe::new("inner", &log), 0);
    let inner = inner.handle().clone();
    let outer = Probe::new("outer", &log)
        .due(over)
        .performing(move |cx, _| {
            inner.set_deadline(Some(over));
            // The deadline of the other waits for the next pass too, and the nested run makes one.
            serve(Mode::DEFAULT);
            cx.set_deadline(Some(over));
        });
    added(&log, outer, 0);
    for round in 0..2 {
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["outer deadline", "inner deadline"], "{round}");
    }
}

#[test]
fn one_source_is_performed_once_for_each_of_its_reasons_in_a_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = pair();
    let probe = Probe::new("p", &log).watching(ours).due(past());
    let source = added(&log, probe, 0);
    source.handle().signal();
    theirs.write_all(b"x").unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(
        log.take(),
        ["p signalled", "p deadline", "p ready 0"],
        "in the order of the phases"
    );
    assert_eq!(drain(&theirs), 0, "nothing was sent back");
}
