//! Unix signals as a source: who is called for which, what is merged, and what is left to others.
//!
//! Signals concern a whole process, so each test has its own.

use std::cell::RefCell;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use runloop::{
    Mode, OnPanic, Outcome, RunLoop, Signalled, SignalsError, SourceOptions, UnixSignal,
    UnixSignals,
};
use signal_hook::low_level::raise;
use tests::{Log, Watchdog, in_own_process, open_descriptors};

use crate::support::{pass, run, serve};

/// Receives a signal on this thread, before this returns.
pub(crate) fn receive(signal: UnixSignal) {
    raise(signal.as_raw()).unwrap();
}

fn receive_all<const N: usize>(signals: [UnixSignal; N]) {
    signals.into_iter().for_each(receive);
}

/// A source that writes down what it hears.
pub(crate) fn listener(
    log: &Log,
    name: &'static str,
    signals: impl IntoIterator<Item = UnixSignal>,
) -> UnixSignals {
    let log = log.clone();
    let source = UnixSignals::new(signals, move |_, signal| {
        log.add(format!("{name} {signal}"))
    });
    let source = source.unwrap();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    source
}

#[test]
fn every_source_of_every_loop_hears_each_signal() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let _first = listener(&log, "first", [UnixSignal::USER_1]);
        let _second = listener(&log, "second", [UnixSignal::USER_1, UnixSignal::USER_2]);
        let (ready, is_ready) = channel();
        let elsewhere = thread::spawn(move || {
            let (mut heard, begun) = (0, ready.clone());
            let third = UnixSignals::new([UnixSignal::USER_1], move |run_loop, _| {
                heard += 1;
                ready.send(()).unwrap();
                if heard == 2 {
                    run_loop.stop();
                }
            });
            let third = third.unwrap();
            RunLoop::current().add(&third, Mode::DEFAULT).unwrap();
            begun.send(()).unwrap();
            run(Mode::DEFAULT)
        });
        is_ready.recv().unwrap();
        for _ in 0..2 {
            receive(UnixSignal::USER_1);
            serve(Mode::DEFAULT);
            assert_eq!(
                log.take(),
                ["first SIGUSR1", "second SIGUSR1"],
                "both of this loop"
            );
            // Before the next one, which would be the same otherwise.
            is_ready.recv().unwrap();
        }
        assert_eq!(elsewhere.join().unwrap(), Outcome::Stopped, "heard twice");
        receive(UnixSignal::USER_2);
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["second SIGUSR2"], "who listens for it");
    });
}

#[test]
fn signals_before_the_call_are_one_and_one_during_it_is_another() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let (inside, mut first) = (log.clone(), true);
        let source = UnixSignals::new([UnixSignal::USER_1], move |_, _| {
            inside.add("begins");
            if std::mem::replace(&mut first, false) {
                receive(UnixSignal::USER_1);
                receive(UnixSignal::USER_1);
            }
            inside.add("ends");
        });
        let source = source.unwrap();
        for _ in 0..1_000 {
            receive(UnixSignal::USER_1);
        }
        // They wait for the source to be in a mode that runs.
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        serve(Mode::DEFAULT);
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["begins", "ends", "begins", "ends"], "two");
        assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "and no third");
        assert_eq!(log.count(), 0, "nothing is left");
    });
}

#[test]
fn different_signals_are_calls_of_their_own_lowest_number_first() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let realtime = UnixSignal::realtime(3).unwrap();
        let all = [
            realtime,
            UnixSignal::TERMINATE,
            UnixSignal::HANGUP,
            UnixSignal::TERMINATE,
        ];
        let _source = listener(&log, "heard", all);
        receive_all(all);
        serve(Mode::DEFAULT);
        let expected = ["heard SIGHUP", "heard SIGTERM", "heard SIGRTMIN+3"];
        assert_eq!(log.take(), expected, "each once");
        assert_eq!(
            realtime.as_raw(),
            UnixSignal::realtime(0).unwrap().as_raw() + 3
        );
    });
}

#[test]
fn signals_that_nobody_may_catch_are_errors_that_leave_nothing_behind() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        drop(UnixSignals::new([UnixSignal::USER_1], |_, _| {}));
        let before = open_descriptors();
        // SIGILL, SIGFPE, SIGKILL, SIGSEGV, SIGSTOP.
        for number in [4, 8, 9, 11, 19] {
            let signals = [UnixSignal::USER_1, UnixSignal::from_raw(number)];
            let refused = UnixSignals::new(signals, |_, _| {});
            let forbidden = matches!(refused, Err(SignalsError::Forbidden(signal)) if signal.as_raw() == number);
            assert!(forbidden, "{number}: {refused:?}");
        }
        // The C library keeps 32 and 33 for itself.
        for number in [i32::MIN, -1, 0, 32, 33, 65, 127, 128, 1_000, i32::MAX] {
            let refused = UnixSignals::new([UnixSignal::from_raw(number)], |_, _| {});
            let unknown =
                matches!(refused, Err(SignalsError::Unknown(signal)) if signal.as_raw() == number);
            assert!(unknown, "{number}: {refused:?}");
        }
        assert_eq!(open_descriptors(), before, "nothing is left open");
    });
}

#[test]
fn ending_a_source_takes_nothing_from_others_who_listen() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let others = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(UnixSignal::USER_1.as_raw(), Arc::clone(&others)).unwrap();
        let first = listener(&log, "first", [UnixSignal::USER_1]);
        let second = listener(&log, "second", [UnixSignal::USER_1]);
        receive(UnixSignal::USER_1);
        first.invalidate();
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["second SIGUSR1"], "the one that is left");
        assert!(others.swap(false, Ordering::SeqCst), "and somebody else");
        second.invalidate();
        receive(UnixSignal::USER_1);
        assert!(others.load(Ordering::SeqCst), "who is called as before");
        // Nobody listens for this one any more, and the process lives.
        listener(&log, "third", [UnixSignal::USER_2]).invalidate();
        receive(UnixSignal::USER_2);
    });
}

#[test]
fn a_closure_that_ends_its_own_source_is_not_called_for_the_next_signal() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let slot: Rc<RefCell<Option<UnixSignals>>> = Rc::default();
        let (inside, own) = (log.clone(), Rc::clone(&slot));
        let both = [UnixSignal::HANGUP, UnixSignal::TERMINATE];
        let source = UnixSignals::new(both, move |_, signal| {
            inside.add(signal.to_string());
            own.take().unwrap().invalidate();
        });
        let source = source.unwrap();
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        slot.replace(Some(source));
        receive_all(both);
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
        assert_eq!(log.take(), ["SIGHUP"], "the first");
    });
}

#[test]
fn a_source_that_leaves_its_mode_in_a_call_keeps_the_next_signal() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let slot: Rc<RefCell<Option<UnixSignals>>> = Rc::default();
        let (inside, own) = (log.clone(), Rc::clone(&slot));
        let both = [UnixSignal::HANGUP, UnixSignal::TERMINATE];
        let source = UnixSignals::new(both, move |run_loop, signal| {
            inside.add(signal.to_string());
            let own = own.borrow();
            assert!(run_loop.remove(own.as_ref().unwrap(), Mode::DEFAULT));
        });
        let source = source.unwrap();
        let run_loop = RunLoop::current();
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        slot.replace(Some(source.clone()));
        receive_all(both);
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is there");
        assert_eq!(log.take(), ["SIGHUP"], "the first");
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "again");
        assert_eq!(log.take(), ["SIGTERM"], "the second");
        slot.take();
    });
}

#[test]
fn a_panic_in_the_closure_loses_no_other_signal() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let inside = log.clone();
        let options = SourceOptions::new().on_panic(OnPanic::Keep);
        let both = [UnixSignal::HANGUP, UnixSignal::TERMINATE];
        let source = UnixSignals::with(options, both, move |_, signal| {
            inside.add(signal.to_string());
            assert_ne!(signal, UnixSignal::HANGUP, "the test's panic");
        });
        let source = source.unwrap();
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        receive_all(both);
        assert!(catch_unwind(|| run(Mode::DEFAULT)).is_err(), "at the first");
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["SIGHUP", "SIGTERM"], "both");
    });
}

#[test]
fn a_closure_that_raises_its_own_signal_leaves_the_loop_room_for_others() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let inside = log.clone();
        let source = UnixSignals::new([UnixSignal::USER_1], move |_, _| {
            inside.add("signal");
            receive(UnixSignal::USER_1);
        });
        let source = source.unwrap();
        let other = log.clone();
        let other = Signalled::new(move |run_loop| {
            other.add("other");
            run_loop.stop();
        });
        let run_loop = RunLoop::current();
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        run_loop.add(&other, Mode::DEFAULT).unwrap();
        receive(UnixSignal::USER_1);
        serve(Mode::DEFAULT);
        let storm = log.take().len();
        assert!((1..=64).contains(&storm), "a perform ends: {storm}");
        other.signal();
        assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the other");
        assert!(log.take().contains(&"other".to_owned()), "its turn comes");
    });
}

#[test]
fn a_nested_run_leaves_the_signals_of_a_running_closure_for_later() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let inside = log.clone();
        let both = [UnixSignal::HANGUP, UnixSignal::TERMINATE];
        let source = UnixSignals::new(both, move |_, signal| {
            inside.add(format!("{signal} begins"));
            serve(Mode::DEFAULT);
            inside.add(format!("{signal} ends"));
        });
        let source = source.unwrap();
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        receive_all(both);
        serve(Mode::DEFAULT);
        let expected = [
            "SIGHUP begins",
            "SIGHUP ends",
            "SIGTERM begins",
            "SIGTERM ends",
        ];
        assert_eq!(log.take(), expected, "one in the other never");
    });
}
