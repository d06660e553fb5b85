//! Rules 7 and 8: everything wakes a sleeping loop, nothing costs a system call while it is awake, and every queue and
//! every drain has a bound.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use runloop::{
    Cx, Handle, Limit, Mode, Outcome, PerformError, Ready, ReturnAfter, RunLoop, SendError,
    Signalled, Source, SourceHandle, SourceRef, channel,
};
use tests::{Log, Watchdog, open_descriptors};

/// A source that stops the loop, whatever it is performed for.
struct Stopper;

impl Source for Stopper {
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        cx.run_loop().stop();
    }
}

fn asleep(handle: &Handle) -> bool {
    handle.is_waiting().unwrap()
}

#[test]
fn rule_7_everything_that_another_thread_does_wakes_the_loop() {
    type Deed = fn(&Handle, &SourceHandle);
    let _watchdog = Watchdog::new();
    let deeds: [(&str, Deed, Outcome); 7] = [
        ("signal", |_, s| s.signal(), Outcome::Stopped),
        (
            "set_deadline",
            |_, s| s.set_deadline(Some(Instant::now())),
            Outcome::Stopped,
        ),
        ("invalidate", |_, s| s.invalidate(), Outcome::Finished),
        ("stop", |h, _| h.stop().unwrap(), Outcome::Stopped),
        (
            "perform",
            |h, _| h.perform(Mode::DEFAULT, RunLoop::stop).unwrap(),
            Outcome::Stopped,
        ),
        (
            "add",
            |h, _| {
                let source = SourceRef::new(Stopper);
                source.handle().signal();
                h.add(&source, Mode::DEFAULT).unwrap();
            },
            Outcome::Stopped,
        ),
        (
            "remove",
            |h, s| {
                let source = s.clone();
                let remove = move |run_loop: &RunLoop| {
                    run_loop.remove(&source, Mode::DEFAULT);
                };
                h.perform(Mode::DEFAULT, remove).unwrap();
            },
            Outcome::Finished,
        ),
    ];
    for (what, deed, expected) in deeds {
        let (sent, received) = mpsc::channel();
        let sleeper = thread::spawn(move || {
            let run_loop = RunLoop::current();
            let source = SourceRef::new(Stopper);
            run_loop.add(&source, Mode::DEFAULT).unwrap();
            sent.send((run_loop.handle(), source.handle().clone()))
                .unwrap();
            run_loop.run().unwrap()
        });
        let (handle, source) = received.recv().unwrap();
        while !asleep(&handle) {
            thread::yield_now();
        }
        deed(&handle, &source);
        assert_eq!(sleeper.join().unwrap(), expected, "{what}");
    }
}

/// How often the event descriptors of this process were written: nobody reads them.
fn rings() -> u64 {
    let events = open_descriptors().into_iter();
    let events = events.filter(|(_, what)| what.contains("eventfd"));
    let counts = events.filter_map(|(fd, _)| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
        let count = info
            .lines()
            .find_map(|line| line.strip_prefix("eventfd-count:"))?;
        u64::from_str_radix(count.trim(), 16).ok()
    });
    counts.sum()
}

#[test]
fn rule_7_a_wake_up_costs_no_system_call_while_the_loop_is_awake() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let run_loop = RunLoop::current();
        let source = Signalled::new(|_| {});
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        let deadline = run_loop.adopt(&SourceRef::new(Stopper));
        run_loop.add(&deadline, Mode::DEFAULT).unwrap();
        let handle = run_loop.handle();
        run_loop
            .perform(Mode::DEFAULT, move |_| {
                let before = rings();
                let far = Instant::now() + Duration::from_secs(3_600);
                thread::spawn(move || {
                    for _ in 0..100 {
                        source.signal();
                        deadline.set_deadline(Some(far));
                        handle.perform(Mode::DEFAULT, |_| {}).unwrap();
                        handle.wake_up().unwrap();
                        handle.stop().unwrap();
                    }
                    source.invalidate();
                })
                .join()
                .unwrap();
                assert_eq!(rings(), before, "nobody wrote the wake descriptor");
            })
            .unwrap();
        assert_eq!(run_loop.run().unwrap(), Outcome::Stopped, "by the thread");
    });
}

#[test]
fn rule_7_a_sleeping_loop_is_rung_once_for_any_number_of_deeds() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let (sent, received) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let sleeper = thread::spawn(move || {
            let run_loop = RunLoop::current();
            // The first to be performed keeps the loop from going back to sleep until all has been done.
            let busy = Signalled::new(move |_| may_go_on.recv().unwrap());
            let mut sources = vec![busy];
            sources.extend((0..64).map(|_| Signalled::new(|_| {})));
            for source in &sources {
                run_loop.add(source, Mode::DEFAULT).unwrap();
            }
            sent.send((run_loop.handle(), sources)).unwrap();
            run_loop.run().unwrap()
        });
        let (handle, sources) = received.recv().unwrap();
        while !asleep(&handle) {
            thread::yield_now();
        }
        let before = rings();
        for source in &sources {
            source.signal();
            handle.wake_up().unwrap();
            handle.perform(Mode::DEFAULT, |_| {}).unwrap();
        }
        handle.stop().unwrap();
        assert_eq!(rings(), before + 1, "for the first of them");
        // If the stop came before the loop's next look at its sources, nobody waits for this.
        go_on.send(()).ok();
        assert_eq!(sleeper.join().unwrap(), Outcome::Stopped, "by the stop");
    });
}

#[test]
fn rule_8_every_queue_has_a_bound_and_gives_back_what_does_not_fit() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let handle = run_loop.handle();
    for _ in 0..1_024 {
        handle.perform(Mode::DEFAULT, |_| {}).unwrap();
    }
    let refused = handle.perform(Mode::DEFAULT, |_| {});
    assert!(matches!(refused, Err(PerformError::Full(_))), "{refused:?}");
    let refused = run_loop.perform(Mode::DEFAULT, |_| {});
    assert!(matches!(refused, Err(PerformError::Full(_))), "{refused:?}");
    let refused = handle.add(&SourceRef::new(Stopper), Mode::DEFAULT);
    assert!(matches!(refused, Err(PerformError::Full(_))), "{refused:?}");
    let (sender, _receiver) = channel(|_, _: u32| {});
    for value in 0..1_024 {
        sender.send(value).unwrap();
    }
    assert_eq!(sender.send(7), Err(SendError::Full(7)), "it comes back");
}

#[test]
fn rule_8_signals_of_one_source_take_no_room_however_many() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let inside = log.clone();
    let source = Signalled::new(move |_| inside.add("performed"));
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    let signals = source.clone();
    thread::spawn(move || (0..100_000).for_each(|_| signals.signal()))
        .join()
        .unwrap();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "one pass");
    assert_eq!(log.take(), ["performed"], "they are one");
}

#[test]
fn rule_8_a_flood_leaves_room_for_a_deadline() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let (over, taken) = (Arc::new(AtomicBool::new(false)), Rc::new(Cell::new(0_u32)));
    let counted = Rc::clone(&taken);
    let (sender, receiver) = channel(move |_, (): ()| counted.set(counted.get() + 1));
    run_loop.add(&receiver, Mode::DEFAULT).unwrap();
    let (handle, ended) = (run_loop.handle(), Arc::clone(&over));
    let flood = thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            // Whatever does not fit is somebody else's turn.
            let _full = sender.send(()).is_err();
            let _full = handle.perform(Mode::DEFAULT, |_| {}).is_err();
        }
    });
    let source = SourceRef::new(Stopper);
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    for _ in 0..20 {
        let soon = Instant::now() + Duration::from_millis(2);
        source.handle().set_deadline(Some(soon));
        assert_eq!(run_loop.run().unwrap(), Outcome::Stopped, "it was served");
    }
    over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    assert!(taken.get() > 0, "and so was the flood");
}
