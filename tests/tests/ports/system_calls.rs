//! What a small request costs in system calls, as both sides count them themselves.

use messageport::RemotePort;
use runloop::RunLoop;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::time::Instant;
use tests::{Watchdog, in_own_process};

use crate::children::{COUNT, Child, ECHO};
use crate::support::{Place, patiently};

/// What both sides of a link have done.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// Requests that were sent, taken and answered, as each side counts them.
    requests: [u64; 4],
    discarded: u64,
    rings: u64,
    /// Waits of the two loops.
    waits: u64,
    /// Everything else that is a system call.
    others: u64,
}

impl Counts {
    fn now(remote: &RemotePort) -> Self {
        let theirs = remote.request_with(COUNT, b"", patiently()).unwrap();
        let theirs: Vec<u64> = theirs
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect();
        let [
            sent,
            received,
            discarded,
            rings,
            wakes,
            looks,
            waits,
            alarms,
        ] = theirs[..]
        else {
            panic!("eight counts: {theirs:?}");
        };
        let (ours, own) = (remote.statistics(), RunLoop::current().statistics());
        Self {
            requests: [ours.sent, received, sent, ours.received],
            discarded: ours.discarded + discarded,
            rings: ours.rings + rings,
            waits: own.waits + waits,
            others: ours.wakes + ours.looks + wakes + looks + own.alarms + alarms,
        }
    }

    fn since(self, before: Self) -> Self {
        let mut requests = self.requests;
        requests
            .iter_mut()
            .zip(before.requests)
            .for_each(|(count, before)| *count -= before);
        Self {
            requests,
            discarded: self.discarded - before.discarded,
            rings: self.rings - before.rings,
            waits: self.waits - before.waits,
            others: self.others - before.others,
        }
    }
}

/// The processors on which this process may run.
fn processors() -> Vec<usize> {
    let all = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| all.is_set(cpu))
        .collect()
}

/// Keeps this thread, and processes that it starts from now on, on one processor.
fn stay_on(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).unwrap();
}

/// Makes many requests of 64 bytes. Each may take a ring and a wait on either side, and beside them both sides look
/// whether the other is alive, each once a millisecond at most.
fn count_calls(role: &str, [here, there]: [usize; 2]) {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    stay_on(there);
    let _child = Child::start(role, &place, "counted");
    stay_on(here);
    RunLoop::current().set_spinning(role != "sleepy");
    let remote = place.connect("counted");
    let data = [7; 64];
    for _ in 0..100 {
        remote.request_with(ECHO, &data, patiently()).unwrap();
    }
    let (before, begun) = (Counts::now(&remote), Instant::now());
    for _ in 0..REQUESTS {
        let reply = remote.request_with(ECHO, &data, patiently()).unwrap();
        assert_eq!(reply.len(), data.len());
    }
    let counts = Counts::now(&remote).since(before);
    println!("{REQUESTS} requests, {role} on {here} and {there}: {counts:?}");
    // The last of all is the one that asks for the counts, and has its reply not counted by whoever makes it.
    assert_eq!(counts.requests, [REQUESTS + 1; 4], "each side counts all");
    assert_eq!(counts.discarded, 0, "nothing was thrown away");
    let most = 2 * (REQUESTS + 1);
    assert!(
        counts.rings <= most,
        "a ring for each direction: {counts:?}"
    );
    // A wait more now and then is for what else wakes a loop.
    assert!(
        counts.waits <= most + REQUESTS / 20,
        "a wait on each side: {counts:?}"
    );
    if role == "sleepy" {
        // Whoever may not look again and again sleeps, unless the reply is there at once.
        assert!(counts.waits >= REQUESTS / 4, "it sleeps: {counts:?}");
    }
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap();
    assert!(
        counts.others <= 2 * millis + REQUESTS / 20,
        "nothing but a look each millisecond, and it took {millis}: {counts:?}"
    );
}

#[test]
fn a_small_request_takes_at_most_four_system_calls_on_one_processor() {
    in_own_process!({
        let cpu = processors()[0];
        count_calls("server", [cpu, cpu]);
    });
}

#[test]
fn a_small_request_between_processors_that_sleep_takes_a_ring_and_a_wait_on_either_side() {
    in_own_process!({
        // With one processor it is the test above.
        let cpus = processors();
        count_calls("sleepy", [cpus[0], cpus[cpus.len() - 1]]);
    });
}

const REQUESTS: u64 = 10_000;
