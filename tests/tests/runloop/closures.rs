//! Closures performed by a loop: when they run, in which order, how many may wait, and what becomes of the rest.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use runloop::{Limit, Mode, Outcome, PerformError, ReturnAfter, RunLoop, Signalled};
use tests::{Log, Watchdog};

use crate::support::{run, serve, until};

/// A closure that writes a line.
fn line(log: &Log, text: &'static str) -> impl FnOnce(&RunLoop) + Send + 'static {
    let log = log.clone();
    move |_| log.add(text)
}

#[test]
fn closures_run_in_the_order_they_came_each_in_its_mode() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let other = Mode::new("closures.other");
    for (mode, text) in [
        (Mode::DEFAULT, "1"),
        (other, "2"),
        (Mode::COMMON, "3"),
        (Mode::DEFAULT, "4"),
    ] {
        run_loop.perform(mode, line(&log, text)).unwrap();
    }
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(log.take(), ["1", "3", "4"], "common ones in their place");
    assert_eq!(run(other), Outcome::Finished, "nothing is left");
    assert_eq!(log.take(), ["2"], "when its mode runs");
}

#[test]
fn closures_of_this_thread_and_of_others_keep_their_common_order() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let handle = run_loop.handle();
    run_loop.perform(Mode::DEFAULT, line(&log, "1")).unwrap();
    let from_afar = line(&log, "2");
    thread::spawn(move || handle.perform(Mode::DEFAULT, from_afar).unwrap())
        .join()
        .unwrap();
    run_loop.perform(Mode::DEFAULT, line(&log, "3")).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(log.take(), ["1", "2", "3"], "as they came");
}

#[test]
fn a_closure_queued_by_a_closure_runs_at_the_next_opportunity_only() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let source = Signalled::new({
        let log = log.clone();
        move |_| log.add("source")
    });
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.signal();
    let again = log.clone();
    run_loop
        .perform(Mode::DEFAULT, move |run_loop| {
            again.add("first");
            run_loop
                .perform(Mode::DEFAULT, line(&again, "second"))
                .unwrap();
        })
        .unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["first", "source", "second"], "not at once");
}

#[test]
fn a_closure_that_always_queues_another_starves_nobody() {
    fn again(run_loop: &RunLoop) {
        run_loop.perform(Mode::DEFAULT, again).unwrap();
    }
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    again(&run_loop);
    let (ours, _theirs) = crate::support::ready_pair();
    let reader = runloop::Descriptor::new(ours, runloop::Interest::READABLE, |run_loop, _, _| {
        run_loop.stop();
    });
    run_loop.add(&reader, Mode::DEFAULT).unwrap();
    assert_eq!(
        run(Mode::DEFAULT),
        Outcome::Stopped,
        "the reader had a turn"
    );
}

#[test]
fn a_nested_run_goes_on_with_the_closures_that_are_left() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let nested = log.clone();
    run_loop
        .perform(Mode::DEFAULT, move |_| {
            nested.add("1 begins");
            assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "2 and 3");
            nested.add("1 ends");
        })
        .unwrap();
    run_loop.perform(Mode::DEFAULT, line(&log, "2")).unwrap();
    run_loop.perform(Mode::DEFAULT, line(&log, "3")).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(log.take(), ["1 begins", "2", "3", "1 ends"], "each once");
}

#[test]
fn a_full_loop_gives_the_closure_back() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    for _ in 0..1_024 {
        run_loop
            .perform(Mode::DEFAULT, line(&log, "taken"))
            .unwrap();
    }
    let handle = run_loop.handle();
    let refused = run_loop.perform(Mode::DEFAULT, line(&log, "local"));
    let Err(PerformError::Full(local)) = refused else {
        panic!("{refused:?}");
    };
    let sent = line(&log, "sent");
    let refused = thread::spawn(move || handle.perform(Mode::DEFAULT, sent)).join();
    let Err(PerformError::Full(sent)) = refused.unwrap() else {
        panic!("the bound holds for other threads too");
    };
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(log.take().len(), 1_024, "those that were taken");
    run_loop.perform(Mode::DEFAULT, local).unwrap();
    run_loop.handle().perform(Mode::DEFAULT, sent).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(log.take(), ["local", "sent"], "there is room again");
}

#[test]
fn the_bound_can_be_set() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    run_loop.set_closure_limit(1);
    run_loop.perform(Mode::DEFAULT, |_| {}).unwrap();
    let second = run_loop.perform(Mode::DEFAULT, |_| {});
    assert!(matches!(second, Err(PerformError::Full(_))), "{second:?}");
    run_loop.set_closure_limit(2);
    run_loop.perform(Mode::DEFAULT, |_| {}).unwrap();
}

#[test]
fn a_running_closure_has_left_its_place_to_another() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    run_loop.set_closure_limit(1);
    let times = Rc::new(Cell::new(0));
    let counted = Rc::clone(&times);
    run_loop
        .perform(Mode::DEFAULT, move |run_loop| {
            counted.set(1);
            let more = Rc::clone(&counted);
            let sent = run_loop.perform(Mode::DEFAULT, move |_| more.set(2));
            assert!(sent.is_ok(), "there is room for one");
        })
        .unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(times.get(), 2, "both ran");
}

#[test]
fn closures_that_never_ran_are_dropped_on_the_thread_as_it_ends() {
    let _watchdog = Watchdog::new();
    struct Noted(Log, thread::ThreadId);
    impl Drop for Noted {
        fn drop(&mut self) {
            let place = if thread::current().id() == self.1 {
                "here"
            } else {
                "elsewhere"
            };
            self.0.add(format!("dropped {place}"));
            // The destructor may use the loop: it is closed by now.
            let refused = RunLoop::current().run();
            self.0.add(format!("{refused:?}"));
        }
    }
    let log = Log::new();
    let (sent, receive) = mpsc::channel();
    let (more, go) = mpsc::channel::<()>();
    let inside = log.clone();
    let ended = thread::spawn(move || {
        let run_loop = RunLoop::current();
        let never = Mode::new("closures.never");
        let noted = Noted(inside.clone(), thread::current().id());
        run_loop.perform(never, move |_| drop(noted)).unwrap();
        sent.send((run_loop.handle(), thread::current().id()))
            .unwrap();
        go.recv().unwrap();
    });
    let (handle, id) = receive.recv().unwrap();
    let noted = Noted(log.clone(), id);
    handle.perform(Mode::DEFAULT, move |_| drop(noted)).unwrap();
    more.send(()).unwrap();
    ended.join().unwrap();
    let lines = log.take();
    let closed = "Err(Unreachable(Closed))".to_owned();
    let one = ["dropped here".to_owned(), closed];
    assert_eq!(lines, [one.clone(), one].concat(), "both, and neither ran");
}

#[test]
fn a_closure_of_this_thread_may_keep_what_cannot_leave_it() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let seen: Rc<RefCell<Vec<u32>>> = Rc::default();
    let inside = Rc::clone(&seen);
    run_loop
        .perform(Mode::DEFAULT, move |_| inside.borrow_mut().push(1))
        .unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(*seen.borrow(), [1], "it ran");
}

#[test]
fn a_closure_alone_does_not_end_a_run_that_returns_after_one_source() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let source = Signalled::new(|_| {});
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    let handle = run_loop.handle();
    let helper = thread::spawn(move || {
        until(|| handle.is_waiting().unwrap());
        handle.perform(Mode::DEFAULT, |_| {}).unwrap();
        handle
            .perform(Mode::DEFAULT, move |_| source.signal())
            .unwrap();
    });
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::FirstSource);
    assert_eq!(outcome.unwrap(), Outcome::HandledSource, "by the signal");
    helper.join().unwrap();
}
