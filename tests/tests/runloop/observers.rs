//! Observers: their order, their end, and what happens when they change things themselves (B60 to B66).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use runloop::{Activity, AddError, Mode, Observer, Outcome, RunLoop, Signalled};
use tests::{Log, Watchdog};

use crate::support::{moment, run, serve};

/// An observer of one moment that writes its name.
fn named(log: &Log, name: &'static str, order: i32) -> Observer {
    let log = log.clone();
    Observer::new(Activity::BEFORE_SOURCES, order, move |_, _| log.add(name))
}

/// Something to wait for, in the default mode.
fn idle() -> RunLoop {
    let run_loop = RunLoop::current();
    run_loop
        .add(&Signalled::new(|_| {}), Mode::DEFAULT)
        .unwrap();
    run_loop
}

#[test]
fn the_bits_are_those_of_the_original() {
    let bits = [
        (Activity::ENTRY, 1),
        (Activity::BEFORE_TIMERS, 2),
        (Activity::BEFORE_SOURCES, 4),
        (Activity::BEFORE_WAITING, 32),
        (Activity::AFTER_WAITING, 64),
        (Activity::EXIT, 128),
    ];
    for (activity, bit) in bits {
        assert_eq!(activity.bits(), bit, "{}", moment(activity));
    }
}

#[test]
fn observers_are_called_by_order_and_equal_ones_as_they_were_added() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = idle();
    for (name, order) in [("c", 5), ("a", -5), ("d", 5), ("b", 0)] {
        let observer = named(&log, name, order);
        assert!(
            run_loop.add_observer(&observer, Mode::DEFAULT).unwrap(),
            "new"
        );
        assert!(
            !run_loop.add_observer(&observer, Mode::DEFAULT).unwrap(),
            "there already"
        );
    }
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["a", "b", "c", "d"], "each once");
}

#[test]
fn an_observer_sees_only_what_it_asked_for() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = idle();
    let inside = log.clone();
    let observer = Observer::new(Activity::ENTRY | Activity::EXIT, 0, move |_, seen| {
        inside.add(moment(seen));
    });
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["Entry", "Exit"], "nothing else");
}

#[test]
fn one_that_an_earlier_one_removed_or_invalidated_is_skipped() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = idle();
    let [removed, invalidated, left] =
        [("removed", 1), ("invalidated", 1), ("left", 1)].map(|(name, order)| {
            let observer = named(&log, name, order);
            run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
            observer
        });
    let (first, second) = (removed.clone(), invalidated.clone());
    let culprit = Observer::once(Activity::BEFORE_SOURCES, 0, move |run_loop, _| {
        assert!(run_loop.remove_observer(&first, Mode::DEFAULT), "in it");
        second.invalidate();
    });
    run_loop.add_observer(&culprit, Mode::DEFAULT).unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["left"], "of the three");
    assert!(removed.is_valid() && left.is_valid(), "still");
    assert!(!invalidated.is_valid() && !culprit.is_valid(), "not these");
    run_loop.add_observer(&removed, Mode::DEFAULT).unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["left", "removed"], "it may come back, last");
}

#[test]
fn one_that_is_added_meanwhile_waits_for_the_next_moment() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = idle();
    let late = named(&log, "late", 7);
    let inside = log.clone();
    let adder = Observer::once(Activity::BEFORE_SOURCES, 0, move |run_loop, _| {
        run_loop.add_observer(&late, Mode::DEFAULT).unwrap();
        inside.add("added");
    });
    run_loop.add_observer(&adder, Mode::DEFAULT).unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["added"], "not in the same moment");
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["late"], "but in the next");
}

#[test]
fn one_that_is_called_once_is_valid_inside_and_gone_afterwards() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = idle();
    let slot: Rc<RefCell<Option<Observer>>> = Rc::default();
    let (inside, known) = (log.clone(), Rc::clone(&slot));
    let held = Rc::new(());
    let captured = Rc::clone(&held);
    let observer = Observer::once(Activity::all(), 0, move |_, seen| {
        let valid = known.borrow().as_ref().is_some_and(Observer::is_valid);
        inside.add(format!("{} {valid}", moment(seen)));
        let _captured = &captured;
    });
    slot.replace(Some(observer.clone()));
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["Entry true"], "whichever comes first");
    assert!(!observer.is_valid(), "it has been called");
    assert!(
        !run_loop.contains_observer(&observer, Mode::DEFAULT),
        "gone"
    );
    assert_eq!(Rc::strong_count(&held), 1, "its closure is dropped");
    let added = run_loop.add_observer(&observer, Mode::DEFAULT);
    assert!(matches!(added, Err(AddError::Invalid)), "{added:?}");
}

#[test]
fn one_that_is_being_called_is_not_called_by_a_nested_run() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = idle();
    let inner = Mode::new("observers.inner");
    run_loop.add(&Signalled::new(|_| {}), inner).unwrap();
    let inside = log.clone();
    let nesting = Observer::new(Activity::all(), 0, move |_, seen| {
        inside.add(format!("nesting {}", moment(seen)));
        if seen == Activity::BEFORE_SOURCES {
            serve(inner);
        }
    });
    run_loop.add_observer(&nesting, Mode::DEFAULT).unwrap();
    run_loop.add_observer(&nesting, inner).unwrap();
    run_loop
        .add_observer(&named(&log, "other", 1), inner)
        .unwrap();
    serve(Mode::DEFAULT);
    let expected = [
        "nesting Entry",
        "nesting BeforeTimers",
        "nesting BeforeSources",
        "other",
        "nesting Exit",
    ];
    assert_eq!(log.take(), expected, "the other one is");
    serve(inner);
    let lines = log.take();
    assert_eq!(lines[0], "nesting Entry", "afterwards it is called again");
}

#[test]
fn the_mode_still_runs_while_its_exit_is_told() {
    let _watchdog = Watchdog::new();
    let run_loop = idle();
    let seen = Rc::new(Cell::new(None));
    let inside = Rc::clone(&seen);
    let observer = Observer::new(Activity::EXIT, 0, move |run_loop, _| {
        inside.set(run_loop.current_mode());
    });
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(seen.get(), Some(Mode::DEFAULT), "not yet over");
}

#[test]
fn an_observer_of_the_common_set_is_in_every_common_mode_present_and_future() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = idle();
    let [present, future] = ["observers.present", "observers.future"].map(Mode::new);
    for mode in [present, future] {
        run_loop.add(&Signalled::new(|_| {}), mode).unwrap();
    }
    run_loop.add_common_mode(present).unwrap();
    let observer = named(&log, "seen", 0);
    assert!(run_loop.add_observer(&observer, Mode::COMMON).unwrap());
    assert!(!run_loop.add_observer(&observer, Mode::COMMON).unwrap());
    run_loop.add_common_mode(future).unwrap();
    for mode in [Mode::DEFAULT, present, future] {
        assert!(run_loop.contains_observer(&observer, mode), "{mode}");
        serve(mode);
        assert_eq!(log.take(), ["seen"], "{mode}");
    }
    run_loop.add_observer(&observer, present).unwrap();
    assert!(run_loop.remove_observer(&observer, Mode::COMMON), "in it");
    for (mode, left) in [(Mode::DEFAULT, false), (present, true), (future, false)] {
        assert_eq!(run_loop.contains_observer(&observer, mode), left, "{mode}");
    }
    observer.invalidate();
    assert!(!run_loop.contains_observer(&observer, present), "gone");
}

#[test]
fn an_invalidated_observer_drops_its_closure_at_once_or_when_it_has_returned() {
    let _watchdog = Watchdog::new();
    let run_loop = idle();
    let held = Rc::new(());
    let captured = Rc::clone(&held);
    let idle = Observer::new(Activity::all(), 0, move |_, _| drop(Rc::clone(&captured)));
    run_loop.add_observer(&idle, Mode::DEFAULT).unwrap();
    idle.invalidate();
    assert_eq!(Rc::strong_count(&held), 1, "at once");

    let slot: Rc<RefCell<Option<Observer>>> = Rc::default();
    let (known, captured) = (Rc::clone(&slot), Rc::clone(&held));
    let suicidal = Observer::new(Activity::BEFORE_SOURCES, 0, move |_, _| {
        known.take().unwrap().invalidate();
        assert_eq!(Rc::strong_count(&captured), 2, "not while it runs");
    });
    run_loop.add_observer(&suicidal, Mode::DEFAULT).unwrap();
    slot.replace(Some(suicidal));
    serve(Mode::DEFAULT);
    assert_eq!(Rc::strong_count(&held), 1, "when it had returned");
}

#[test]
fn an_observer_stays_when_its_handle_is_dropped() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = idle();
    run_loop
        .add_observer(&named(&log, "seen", 0), Mode::DEFAULT)
        .unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["seen"], "the loop holds it");
}

#[test]
fn an_observer_that_empties_the_mode_at_the_entry_lets_the_run_finish() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let source = Signalled::new(|_| {});
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    let observer = Observer::once(Activity::ENTRY, 0, move |_, _| source.invalidate());
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "it did not sleep");
}
