//! Many clients, and clients that send without end: everybody has a turn, and nobody has too much.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runloop::{Descriptor, Interest, Limit, Mode, ReturnAfter, RunLoop};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::{Watchdog, in_own_process};
use timer_source::Timer;

use crate::support::{Place, pass, run_until, wait_until};
use tests::raw::{address, socket};

/// Room for so many descriptors in this process.
fn raise_the_limit(current: u64) {
    let limit = Rlimit {
        current: Some(current),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
fn a_client_behind_a_full_queue_is_connected_when_there_is_room() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        raise_the_limit(4_000);
        let place = Place::new();
        let port = place.port("crowd", |message: messageport::Message| {
            message.into_payload()
        });
        let mut queued = Vec::new();
        let full = loop {
            let socket = socket();
            ioctl_fionbio(&socket, true).unwrap();
            match rustix::net::connect(&socket, &address(&place.directory, "crowd")) {
                Ok(()) => queued.push(socket),
                Err(error) => break error,
            }
        };
        assert_eq!(full, Errno::AGAIN, "behind {}", queued.len());
        let (out, handle) = std::sync::mpsc::channel();
        let directory = place.directory.clone();
        let late = std::thread::spawn(move || {
            out.send(RunLoop::current().handle()).unwrap();
            let remote = messageport::RemotePort::connect_in(&directory, "crowd").unwrap();
            remote.request(1, b"in the end").unwrap().to_vec()
        });
        let handle = handle.recv().unwrap();
        wait_until(|| handle.is_waiting() == Ok(true));
        RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
        run_until(|| late.is_finished());
        assert_eq!(late.join().unwrap(), b"in the end");
    });
}

#[test]
fn a_client_with_a_thousand_messages_lets_the_others_have_their_turn() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let order = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&order);
    let _port = place.served("turns", move |message| seen.borrow_mut().push(message.id()));
    let remotes: Vec<_> = (0..3).map(|_| place.connect("turns")).collect();
    for _ in 0..1_000 {
        remotes[0].send(0, b"").unwrap();
    }
    // All of them are known, so that whose turn it is depends on nothing but turns.
    remotes[1].send(1, b"").unwrap();
    remotes[2].send(2, b"").unwrap();
    pass();
    let first: Vec<_> = order.borrow().iter().take(3).copied().collect();
    assert_eq!(first, [0, 1, 2], "one of each");
    run_until(|| order.borrow().len() == 1_002);
}

#[test]
fn a_ring_that_never_runs_dry_keeps_no_timer_and_no_descriptor_waiting() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (count, over) = (Rc::new(Cell::new(0)), Arc::new(AtomicBool::new(false)));
    let (fired, read) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let seen = (Rc::clone(&read), Rc::clone(&count), Rc::clone(&fired));
    let input = Descriptor::new(ours, Interest::READABLE, move |run_loop, _, _| {
        let (read, count, fired) = &seen;
        read.set(count.get());
        if fired.get() > 0 {
            run_loop.stop();
        }
    });
    let seen = (Rc::clone(&fired), Rc::clone(&count));
    // What the descriptor brings comes in the middle of the flood, and so does the timer.
    let timer = Timer::once(Duration::ZERO, move |_, _| {
        seen.0.set(seen.1.get());
        std::io::Write::write_all(&mut theirs, b"x").unwrap();
    });
    let _port = place.served("flood", move |_| {
        count.set(count.get() + 1);
        match count.get() {
            1_000 => drop(RunLoop::current().add(&timer, Mode::DEFAULT).unwrap()),
            ENOUGH => RunLoop::current().stop(),
            _ => {}
        }
    });
    let run_loop = RunLoop::current();
    run_loop.add(&input, Mode::DEFAULT).unwrap();
    let (remote, stop) = (place.connect("flood"), Arc::clone(&over));
    let flood =
        std::thread::spawn(
            move || {
                while !stop.load(Ordering::Relaxed) && remote.send(1, b"").is_ok() {}
            },
        );
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit);
    let _stopped = outcome.unwrap();
    over.store(true, Ordering::Relaxed);
    let (fired, read) = (fired.get(), read.get());
    assert!(0 < fired && fired < ENOUGH, "the timer, after {fired}");
    assert!(0 < read && read < ENOUGH, "the descriptor, after {read}");
    run_until(|| flood.is_finished());
    flood.join().unwrap();
}

/// So many messages without anything else would be a flood that keeps all else waiting.
const ENOUGH: u64 = 3_000_000;
