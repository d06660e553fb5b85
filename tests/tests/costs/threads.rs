//! What it costs another thread to send something to a loop, and the loop to take it.

use std::hint::black_box;
use std::sync::mpsc;
use std::thread;

use runloop::{Handle, Mode, RunLoop, Signalled, channel};
use tests::Watchdog;

use crate::support::{Cost, TIMES, alone, pass};

/// What sending costs another thread while this loop is awake: many are taken in a pass, with nobody asleep.
fn sending(send: impl FnOnce() -> Cost + Send) -> Cost {
    thread::scope(|scope| scope.spawn(send).join().unwrap())
}

#[test]
fn a_value_for_a_loop_that_is_awake_costs_no_memory_and_no_system_call() {
    let _watchdog = Watchdog::new();
    let (sent, taken) = alone(|| {
        let (sender, source) = channel(|_, number: u64| {
            black_box(number);
        });
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        // Once to warm up; of a thousand that wait four performs take 256 each.
        let mut costs = (Cost::NONE, Cost::NONE);
        for _ in 0..2 {
            costs.0 = sending(|| {
                Cost::of_all(1_000, || {
                    (0..1_000).for_each(|number| sender.send(number).unwrap());
                })
            });
            costs.1 = Cost::of_all(1_000, || (0..5).for_each(|_| pass()));
        }
        costs
    });
    assert_eq!(sent, Cost::NONE, "sending");
    assert_eq!(taken, Cost::NONE, "taking");
}

fn send_closure(handle: &Handle, number: u64) {
    let sent = handle.perform(Mode::DEFAULT, move |_| {
        black_box(number);
    });
    assert!(sent.is_ok(), "there is room");
}

#[test]
fn a_closure_for_a_loop_that_is_awake_costs_its_box_and_no_system_call() {
    let _watchdog = Watchdog::new();
    let (sent, taken) = alone(|| {
        let idle = Signalled::new(|_| ());
        let run_loop = RunLoop::current();
        run_loop.add(&idle, Mode::DEFAULT).unwrap();
        let handle = run_loop.handle();
        let mut costs = (Cost::NONE, Cost::NONE);
        for _ in 0..2 {
            costs.0 = sending(|| {
                Cost::of_all(1_000, || {
                    (0..1_000).for_each(|number| send_closure(&handle, number));
                })
            });
            costs.1 = Cost::of_all(1_000, pass);
        }
        costs
    });
    assert_eq!((sent.allocations, sent.writes), (1, 0), "sending");
    assert_eq!((taken.allocations, taken.waits), (0, 0), "taking");
}

#[test]
fn of_all_that_is_sent_to_a_sleeping_loop_only_the_first_rings_its_bell() {
    let _watchdog = Watchdog::new();
    let (give, take) = mpsc::channel();
    let sleeper = thread::spawn(move || {
        let run_loop = RunLoop::current();
        // Whatever else is sent finds the loop busy with this one.
        let (go_on, wait) = mpsc::channel::<()>();
        let busy = Signalled::new(move |_| wait.recv().unwrap());
        let last = Signalled::new(|run_loop| run_loop.stop());
        run_loop.add(&busy, Mode::DEFAULT).unwrap();
        run_loop.add(&last, Mode::DEFAULT).unwrap();
        give.send((run_loop.handle(), busy, last, go_on)).unwrap();
        let _stopped = run_loop.run().unwrap();
    });
    let (handle, busy, last, go_on) = take.recv().unwrap();
    while !handle.is_waiting().unwrap() {
        thread::yield_now();
    }
    let first = Cost::of_all(1, || busy.signal());
    assert_eq!(first.writes, 1, "the bell");
    let rest = Cost::of_all(1, || (0..TIMES).for_each(|_| last.signal()));
    assert_eq!(rest.writes, 0, "it is awake, or will be");
    go_on.send(()).unwrap();
    sleeper.join().unwrap();
}
