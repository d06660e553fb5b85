//! What a pass, an event and a source cost.

use std::hint::black_box;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;

use runloop::{Activity, Descriptor, Interest, Mode, Observer, RunLoop, Signalled};
use rustix::event::{EventfdFlags, eventfd};
use socket_source::{Socket, SocketOptions};
use tests::Watchdog;

use crate::support::{Cost, TIMES, alone, pass};

fn ready() -> Descriptor {
    let event: OwnedFd = eventfd(1, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
    let source = Descriptor::new(event, Interest::READABLE, |_, _: &OwnedFd, _| {
        black_box(());
    });
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    source
}

/// One wait, and nothing else.
const A_WAIT: Cost = Cost {
    waits: 1,
    ..Cost::NONE
};

#[test]
fn a_pass_with_ready_descriptors_costs_one_wait_and_no_memory() {
    let _watchdog = Watchdog::new();
    for sources in [1, 100] {
        let cost = alone(move || {
            let _sources: Vec<_> = (0..sources).map(|_| ready()).collect();
            Cost::of_each(TIMES, pass)
        });
        assert_eq!(cost, A_WAIT, "{sources} of them");
    }
}

#[test]
fn a_pass_with_a_signal_costs_no_memory_and_at_most_one_wait() {
    let _watchdog = Watchdog::new();
    let cost = alone(|| {
        let source = Signalled::new(|_| ());
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        Cost::of_each(TIMES, || {
            source.signal();
            pass();
        })
    });
    assert_eq!(cost, A_WAIT);
}

#[test]
fn observers_cost_no_memory_when_they_are_called() {
    let _watchdog = Watchdog::new();
    let cost = alone(|| {
        let _source = ready();
        let observer = Observer::new(Activity::all(), 0, |_, _| ());
        let run_loop = RunLoop::current();
        run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
        Cost::of_each(TIMES, pass)
    });
    assert_eq!(cost, A_WAIT);
}

#[test]
fn a_closure_for_the_own_loop_costs_its_box() {
    let _watchdog = Watchdog::new();
    let cost = alone(|| {
        let _source = ready();
        Cost::of_each(TIMES, || {
            let number = black_box(7_u64);
            let run_loop = RunLoop::current();
            let taken = run_loop.perform(Mode::DEFAULT, move |_| {
                black_box(number);
            });
            assert!(taken.is_ok(), "there is room for one");
            pass();
        })
    });
    let boxed = Cost {
        allocations: 1,
        ..A_WAIT
    };
    assert_eq!(cost, boxed);
}

#[test]
fn a_source_costs_two_allocations_of_112_bytes_beside_its_place_in_the_table() {
    let _watchdog = Watchdog::new();
    let cost = alone(|| {
        let mut kept = Vec::with_capacity(4_096);
        let mut add = |count| {
            for _ in 0..count {
                let source = Signalled::new(|_| ());
                RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
                kept.push(source);
            }
        };
        // The table has room for 4,096 then.
        add(2_100);
        Cost::of_all(1_900, || add(1_900))
    });
    let expected = Cost {
        allocations: 2,
        kept: 112,
        ..Cost::NONE
    };
    assert_eq!(cost, expected, "its value, and what other threads hold");
}

#[test]
fn datagrams_that_are_received_together_allocate_no_more_than_one_by_one() {
    let _watchdog = Watchdog::new();
    for size in [200, 20_000] {
        let [together, alone] = [16, 1].map(|per_call| {
            alone(move || {
                let options = SocketOptions::new().datagrams_per_call(per_call);
                let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
                let socket = Socket::binding_with(options, anywhere, |_, _, event| {
                    black_box(event);
                });
                let socket = socket.unwrap();
                RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
                let client = UdpSocket::bind(anywhere).unwrap();
                let address = socket.local_address().unwrap().as_socket().unwrap();
                client.connect(address).unwrap();
                Cost::of_each(TIMES, || {
                    for _ in 0..4 {
                        client.send(&[1; 20_000][..size]).unwrap();
                    }
                    pass();
                })
            })
        });
        println!("{size}: {together:?}, {alone:?}");
        assert!(
            together.allocations <= alone.allocations,
            "{together:?}, {alone:?}"
        );
        assert_eq!(together.kept, 0, "nothing is kept");
    }
}
