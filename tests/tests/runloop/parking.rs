//! Parking: what becomes ready for a source while it is being performed waits until its callback ends (L17).

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use runloop::{
    Activity, Descriptor, Interest, Mode, Observer, Outcome, ReturnAfter, RunLoop, Signalled,
    SourceRef, Token,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, drain, pair, past, ready_pair, run_one, serve};

fn added(log: &Log, probe: Probe) -> SourceRef<Probe> {
    let source = probe.source();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    log.take();
    source
}

/// The nested run neither calls the source again nor spins over its descriptor, and afterwards it is back.
#[test]
fn a_ready_descriptor_of_a_source_being_performed_is_parked_and_put_back() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    let passes = Rc::new(Cell::new(0));
    let counted = Rc::clone(&passes);
    let observer = Observer::new(Activity::BEFORE_TIMERS, 0, move |_, _| {
        counted.set(counted.get() + 1);
    });
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    let (ours, theirs) = ready_pair();
    let inside = log.clone();
    let source = Descriptor::new(ours, Interest::READABLE, move |run_loop, ours, _| {
        inside.add("in");
        let limit = Duration::from_millis(10);
        let outcome = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
        inside.add(format!(
            "{:?}, {} left to read",
            outcome.unwrap(),
            drain(ours)
        ));
    });
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "the byte");
    let expected = ["in", "TimedOut, 1 left to read"];
    assert_eq!(log.take(), expected, "it was not called again inside");
    assert!(passes.get() <= 3, "the runs made {} passes", passes.get());
    (&theirs).write_all(b"y").unwrap();
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "it is back");
    assert_eq!(log.take(), expected, "as before");
}

#[test]
fn parking_holds_in_every_mode_and_ends_with_the_outermost_call() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let other = Mode::new("descriptors.parked");
    let (ours, theirs) = pair();
    let probe = Probe::new("p", &log).watching(ours).performing({
        let theirs = theirs.try_clone().unwrap();
        move |cx, ready| {
            if ready.deadline.is_some() {
                (&theirs).write_all(b"x").unwrap();
                cx.signal();
                for mode in [Mode::DEFAULT, other, Mode::DEFAULT] {
                    serve(mode);
                }
            }
        }
    });
    let source = probe.due(past()).source();
    for mode in [Mode::DEFAULT, other] {
        run_loop.add(&source, mode).unwrap();
    }
    log.take();
    // The deadline is served after the wait of its pass, so the byte is found by the next.
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p deadline"], "nothing inside");
    serve(other);
    assert_eq!(log.take(), ["p signalled", "p ready 0"], "all of it, later");
}

#[test]
fn a_deadline_of_a_source_being_performed_is_parked_and_put_back() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inside = log.clone();
    let source = added(
        &log,
        Probe::new("p", &log).performing(move |cx, ready| {
            if ready.signalled {
                cx.set_deadline(Some(past()));
                let limit = Duration::from_millis(5);
                let run_loop = cx.run_loop();
                let outcome = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
                inside.add(format!("{:?}", outcome.unwrap()));
            }
        }),
    );
    source.handle().signal();
    serve(Mode::DEFAULT);
    serve(Mode::DEFAULT);
    assert_eq!(
        log.take(),
        ["p signalled", "TimedOut", "p deadline"],
        "the nested run slept, and the deadline is served after it"
    );
}

#[test]
fn what_is_parked_can_be_disabled_removed_or_invalidated_meanwhile() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for what in ["disable", "remove", "invalidate"] {
        let (ours, theirs) = ready_pair();
        let slot: Rc<RefCell<Option<SourceRef<Probe>>>> = Rc::default();
        let (known, left) = (Rc::clone(&slot), Cell::new(true));
        let probe = Probe::new("p", &log).performing(move |cx, _| {
            if !left.replace(false) {
                return;
            }
            serve(Mode::DEFAULT);
            let source = known.borrow().clone().unwrap();
            match what {
                "disable" => cx.set_interest(Token(7), Interest::empty()).unwrap(),
                "remove" => assert!(cx.run_loop().remove(&source, Mode::DEFAULT), "in it"),
                _ => source.invalidate(),
            }
        });
        let ours = Arc::new(ours);
        let probe = probe.attaching({
            let ours = Arc::clone(&ours);
            move |cx| cx.watch_shared(Token(7), Arc::clone(&ours), Interest::READABLE)
        });
        let source = added(&log, probe);
        slot.replace(Some(source.clone()));
        for _ in 0..3 {
            serve(Mode::DEFAULT);
        }
        let calls = log.take().iter().filter(|l| *l == "p ready 7").count();
        assert_eq!(calls, 1, "{what}");
        source.invalidate();
        slot.take();
        drop(theirs);
    }
}
