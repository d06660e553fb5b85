//! Programs for which the loop and the model differed once, made small; and some that never did, for the rules that they pin.

use crate::agree;
use crate::program::Action::{
    Add, AddCommon, AddObserver, Advance, Due, Elsewhere, HangUp, Invalidate, Look,
    LookBeforeSleep, Panic, Remove, Run, SendStop, Signal, Watch, Write,
};
use crate::program::{
    Answer::{Idle, Ready},
    For::{APass, Millis},
    How::{Catching, One, Plain, WhenEmpty},
    In::{A, B, C, Common},
    List, ObserverDef, Program, Script, SourceDef,
    Trait::Reentrant,
};
use tests::Watchdog;

/// A source that does this in its calls.
fn source(calls: Vec<Script>) -> SourceDef {
    SourceDef {
        calls: List(calls),
        ..SourceDef::default()
    }
}

/// A program with these sources.
fn program(sources: Vec<SourceDef>, main: Script) -> Program {
    Program {
        sources: List(sources),
        observers: List::default(),
        main,
    }
}

#[test]
fn what_its_own_thread_asks_of_a_reentrant_source_takes_effect_at_once() {
    let _watchdog = Watchdog::new();
    let mut reentrant = source(vec![]);
    reentrant.traits = List(vec![Reentrant]);
    reentrant.watches = List(vec![1]);
    let main = vec![
        Add(0, B),
        Due(0, Some(-2)),
        Look,
        Due(0, None),
        Watch(0, 0, false),
        Write(1),
        Run(B, APass, Plain),
    ];
    agree(&program(vec![reentrant], List(main)));
}

#[test]
fn adding_to_the_common_set_what_has_left_a_mode_of_it_changes_something() {
    let _watchdog = Watchdog::new();
    let main = vec![Add(0, Common), Remove(0, A), Add(0, Common), Add(0, Common)];
    agree(&program(vec![source(vec![])], List(main)));
}

#[test]
fn an_observer_that_panicked_is_in_no_mode() {
    let _watchdog = Watchdog::new();
    for moments in [1, 128] {
        let mut program = program(
            vec![source(vec![])],
            List(vec![
                Add(0, A),
                AddObserver(0, Common),
                Run(A, APass, Plain),
            ]),
        );
        program.observers.0.push(ObserverDef {
            moments,
            calls: List(vec![List(vec![Panic])]),
            ..ObserverDef::default()
        });
        agree(&program);
    }
}

#[test]
fn equal_observers_are_called_in_the_order_in_which_they_came_into_the_mode() {
    let _watchdog = Watchdog::new();
    let main = vec![
        Add(0, B),
        AddObserver(1, A),
        AddObserver(0, B),
        AddCommon(B),
        AddObserver(1, Common),
        Run(B, Millis(2), Plain),
    ];
    let mut program = program(vec![source(vec![])], List(main));
    for _ in 0..2 {
        program.observers.0.push(ObserverDef {
            moments: 32,
            ..ObserverDef::default()
        });
    }
    agree(&program);
}

#[test]
fn an_observer_that_leaves_a_mode_and_comes_back_meanwhile_waits_for_the_next_moment() {
    let _watchdog = Watchdog::new();
    let again = vec![
        crate::program::Action::RemoveObserver(1, A),
        AddObserver(1, A),
    ];
    let main = vec![
        Add(0, A),
        AddObserver(0, A),
        AddObserver(1, A),
        AddObserver(1, B),
        Run(A, APass, Plain),
        Run(A, APass, Plain),
    ];
    let mut program = program(vec![source(vec![])], List(main));
    for calls in [List(vec![List(again)]), List(vec![])] {
        program.observers.0.push(ObserverDef {
            moments: 2,
            calls,
            ..ObserverDef::default()
        });
    }
    agree(&program);
}

#[test]
fn equal_deadlines_are_served_in_the_order_in_which_they_were_set_whenever_the_mode_was_joined() {
    let _watchdog = Watchdog::new();
    let main = vec![
        Add(0, C),
        Add(1, A),
        Due(0, Some(5)),
        Due(1, Some(5)),
        Signal(1),
        Run(A, Millis(9), WhenEmpty),
    ];
    let late = vec![List(vec![Add(0, A)])];
    agree(&program(vec![source(vec![]), source(late)], List(main)));
}

#[test]
fn a_deadline_that_waited_for_the_end_of_a_call_keeps_its_place_among_equals() {
    let _watchdog = Watchdog::new();
    // The first one is being performed when a nested run finds it due; the second one comes into the mode only after that.
    let inside = vec![
        Due(0, Some(1)),
        Due(1, Some(1)),
        Advance(1),
        Run(A, APass, Plain),
        Add(1, A),
    ];
    let main = vec![Add(0, A), Add(1, B), Signal(0), Run(A, Millis(3), Plain)];
    let nested = source(vec![List(inside)]);
    agree(&program(vec![nested, source(vec![])], List(main)));
}

#[test]
fn equal_sources_are_performed_in_the_order_of_their_signals_wherever_those_waited() {
    let _watchdog = Watchdog::new();
    let later = |order| SourceDef {
        order,
        ..source(vec![])
    };
    // The first one could have been performed in A, and was not; the second one could only be performed in B.
    for (earlier, since) in [(0, 1), (1, 0)] {
        let main = vec![
            Add(0, A),
            Add(0, B),
            Add(1, B),
            Add(2, A),
            Signal(earlier),
            Signal(since),
            Signal(2),
            Run(A, APass, One),
            Run(B, APass, Plain),
        ];
        agree(&program(vec![later(1), later(1), later(0)], List(main)));
    }
}

#[test]
fn a_signalled_source_that_leaves_the_mode_before_its_turn_is_not_performed_in_it() {
    let _watchdog = Watchdog::new();
    let main = vec![
        Add(0, A),
        Add(1, A),
        Add(1, B),
        Signal(0),
        Signal(1),
        Run(A, APass, Plain),
        Run(B, APass, Plain),
    ];
    let first = source(vec![List(vec![Remove(1, A)])]);
    agree(&program(vec![first, source(vec![])], List(main)));
}

#[test]
fn a_panic_while_deadlines_are_served_puts_off_no_deadline_that_is_set_after_it() {
    let _watchdog = Watchdog::new();
    let main = vec![
        Add(0, A),
        Add(1, A),
        Due(0, Some(-1)),
        Run(A, APass, Catching),
        Due(1, Some(-2)),
        Look,
        Run(A, APass, Plain),
    ];
    let panics = source(vec![List(vec![Panic])]);
    agree(&program(vec![panics, source(vec![])], List(main)));
}

#[test]
fn a_source_that_is_to_watch_a_descriptor_for_nothing_is_not_told_of_its_end() {
    let _watchdog = Watchdog::new();
    let watcher = |order, calls| SourceDef {
        order,
        watches: List(vec![0]),
        ..source(calls)
    };
    // Both are in one batch, and the first one speaks for the second.
    let first = watcher(0, vec![List(vec![Watch(1, 0, false)])]);
    let main = vec![
        Add(0, A),
        Add(1, A),
        HangUp(0),
        Run(A, APass, Plain),
        Run(A, APass, Plain),
        Watch(1, 0, true),
        Run(A, APass, Plain),
    ];
    agree(&program(vec![first, watcher(1, vec![])], List(main)));
}

#[test]
fn a_stop_that_is_sent_just_before_the_wait_is_taken_by_the_next_decision_and_not_before() {
    let _watchdog = Watchdog::new();
    // The time is over when that comes, so the run ends by that, and the one in its observer of the end is stopped.
    let observer = ObserverDef {
        moments: 32 | 128,
        calls: List(vec![
            List(vec![SendStop, Advance(3), Signal(0)]),
            List(vec![Run(A, Millis(1), Plain)]),
        ]),
        ..ObserverDef::default()
    };
    let main = vec![
        Add(0, A),
        AddObserver(0, Common),
        Run(A, Millis(3), WhenEmpty),
    ];
    agree(&Program {
        observers: List(vec![observer]),
        ..program(vec![source(vec![])], List(main))
    });
}

#[test]
fn a_source_whose_signal_a_nested_run_has_served_begins_no_rest() {
    let _watchdog = Watchdog::new();
    let mut limited = source(vec![]);
    limited.limit = Some((2, Some(5)));
    let nests = source(vec![List(vec![Due(1, Some(0)), Run(A, APass, Plain)])]);
    let main = vec![
        Add(0, A),
        Add(1, A),
        Signal(0),
        Signal(1),
        Run(A, APass, Plain),
    ];
    agree(&program(vec![nests, limited], List(main)));
}

#[test]
fn a_source_whose_descriptors_a_nested_run_has_served_begins_no_rest() {
    let _watchdog = Watchdog::new();
    let mut limited = source(vec![List(vec![Run(A, APass, Catching)])]);
    limited.limit = Some((2, Some(5)));
    limited.traits = List(vec![Reentrant]);
    limited.watches = List(vec![0]);
    let main = vec![
        Write(0),
        Add(0, A),
        Due(0, Some(-2)),
        Run(A, APass, Catching),
    ];
    agree(&program(vec![limited], List(main)));
}

#[test]
fn a_source_that_ends_while_it_is_asked_is_told_so_when_that_is_over() {
    let _watchdog = Watchdog::new();
    let mut asked = source(vec![]);
    asked.asked = List(vec![(List(vec![Invalidate(0), Look]), Ready)]);
    let main = vec![Add(0, A), LookBeforeSleep(0), Run(A, APass, WhenEmpty)];
    agree(&program(vec![asked], List(main)));
}

#[test]
fn work_that_a_source_finds_when_it_is_asked_does_not_wait_for_the_notice_of_a_signal() {
    let _watchdog = Watchdog::new();
    let signalled = List(vec![Elsewhere(Box::new(Signal(0)))]);
    let mut asked = source(vec![]);
    asked.asked = List(vec![(signalled, Ready), (List(vec![]), Idle)]);
    let main = vec![Add(0, A), LookBeforeSleep(0), Run(A, APass, WhenEmpty)];
    agree(&program(vec![asked], List(main)));
}
