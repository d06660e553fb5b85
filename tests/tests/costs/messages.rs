//! What a message costs its sender, and the port that takes it.

use std::fs::DirBuilder;
use std::hint::black_box;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use messageport::{Directory, LocalPort, Message, RemotePort, Reply};
use runloop::{Mode, RunLoop};
use tests::Watchdog;

use crate::support::{Cost, TIMES, alone, pass};

/// A directory for names that is nobody else's.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("costs-{}-{name}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }

    fn directory(&self) -> Directory {
        Directory::open(&self.0).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Sends messages of this many bytes to a port of the same loop, and has them taken; what each costs on either way.
fn one_way(name: &'static str, bytes: usize, batch: u64) -> (Cost, Cost) {
    alone(move || {
        let place = Place::new(name);
        let taken = |message: Message| {
            black_box(message.data());
        };
        let port = LocalPort::create_in(&place.directory(), name, taken).unwrap();
        RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
        let remote = RemotePort::connect_in(&place.directory(), name).unwrap();
        let data = vec![7; bytes];
        let mut costs = (Cost::NONE, Cost::NONE);
        // Once to warm up.
        for _ in 0..3 {
            costs.0 = Cost::of_all(batch, || {
                (0..batch)
                    .for_each(|n| remote.send(1, &data).unwrap_or_else(|e| panic!("{n} {e}")));
            });
            let before = port.statistics().received;
            costs.1 = Cost::of_all(batch, || (0..batch.div_ceil(25)).for_each(|_| pass()));
            assert_eq!(port.statistics().received - before, batch, "all were taken");
        }
        costs
    })
}

#[test]
fn a_small_message_costs_no_memory_and_no_system_call_of_its_own_on_either_side() {
    let _watchdog = Watchdog::new();
    // A ring and a few passes for all of them together.
    let costs = one_way("small", 64, 1_000);
    assert_eq!(costs, (Cost::NONE, Cost::NONE), "sending, and taking");
}

#[test]
fn a_message_beyond_64_bytes_costs_the_buffer_that_its_handler_gets() {
    let _watchdog = Watchdog::new();
    let (sending, taking) = one_way("larger", 4_096, 400);
    assert_eq!(sending, Cost::NONE);
    let buffer = Cost {
        allocations: 1,
        ..Cost::NONE
    };
    assert_eq!(taking, buffer);
}

/// What a request of this many bytes costs the thread that makes it; the port is on another one.
fn request(name: &'static str, bytes: usize) -> Cost {
    let place = Place::new(name);
    let directory = place.directory();
    let (serving, served) = mpsc::channel();
    let elsewhere = directory.clone();
    let server = thread::spawn(move || {
        let echo = |message: Message| -> Reply { message.into_payload().into() };
        let port = LocalPort::create_in(&elsewhere, name, echo).unwrap();
        let run_loop = RunLoop::current();
        run_loop.add(&port, Mode::DEFAULT).unwrap();
        serving.send(run_loop.handle()).unwrap();
        let _stopped = run_loop.run().unwrap();
    });
    let run_loop = served.recv().unwrap();
    let cost = alone(move || {
        let remote = RemotePort::connect_in(&directory, name).unwrap();
        let data = vec![7; bytes];
        Cost::of_each(TIMES, || {
            assert_eq!(remote.request(1, &data).unwrap().len(), bytes);
        })
    });
    run_loop.stop().unwrap();
    server.join().unwrap();
    cost
}

/// At most one wait, one ring, and what else is counted now and then.
fn is_bounded(cost: Cost, allocations: u64) -> bool {
    let Cost { waits, writes, .. } = cost;
    let rest = Cost {
        waits: 0,
        writes: 0,
        yields: 0,
        ..cost
    };
    let expected = Cost {
        allocations,
        ..Cost::NONE
    };
    waits <= 1 && writes <= 1 && rest == expected
}

#[test]
fn a_small_request_costs_who_makes_it_no_memory_and_at_most_a_ring_and_a_wait() {
    let _watchdog = Watchdog::new();
    let cost = request("asked", 64);
    assert!(is_bounded(cost, 0), "{cost:?}");
}

#[test]
fn a_larger_request_costs_who_makes_it_the_buffer_of_its_reply() {
    let _watchdog = Watchdog::new();
    let cost = request("asked-more", 4_096);
    assert!(is_bounded(cost, 1), "{cost:?}");
}
