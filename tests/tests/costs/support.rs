//! Counting what an operation costs on this thread.

use std::fs;
use std::thread;

use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop};

/// What something has cost this thread, for each time that it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Allocations of memory.
    pub(crate) allocations: u64,
    /// Bytes that are still allocated.
    pub(crate) kept: i64,
    /// Waits of this thread's loop.
    pub(crate) waits: u64,
    /// Settings of its timer descriptor.
    pub(crate) alarms: u64,
    /// How often it gave its processor away.
    pub(crate) yields: u64,
    /// Calls that read something, as the kernel counts them.
    pub(crate) reads: u64,
    /// Calls that write something, as the kernel counts them: a bell is rung by one.
    pub(crate) writes: u64,
}

impl Cost {
    /// Nothing at all.
    pub(crate) const NONE: Self = Self {
        allocations: 0,
        kept: 0,
        waits: 0,
        alarms: 0,
        yields: 0,
        reads: 0,
        writes: 0,
    };

    /// What each of so many repetitions costs, once it has been done often enough for everything to have its size.
    ///
    /// Whatever happens less often than once in all of them does not show: a table that doubles now and then.
    pub(crate) fn of_each(times: u64, mut operation: impl FnMut()) -> Self {
        for _ in 0..WARM_UP {
            operation();
        }
        Self::of_all(times, || (0..times).for_each(|_| operation()))
    }

    /// What something costs, divided by how often it does what is of interest.
    pub(crate) fn of_all(times: u64, operation: impl FnOnce()) -> Self {
        let before = RunLoop::current().statistics();
        let (reads, writes) = transfers();
        let mut transferred = (0, 0);
        let allocated = allocation_counter::measure(|| {
            operation();
        });
        // Looking costs reads itself: as many as a second look says.
        let (after_reads, after_writes) = transfers();
        let (again, _) = transfers();
        transferred.0 = after_reads - reads - (again - after_reads);
        transferred.1 = after_writes - writes;
        let after = RunLoop::current().statistics();
        let signed = i64::try_from(times).unwrap();
        Self {
            allocations: allocated.count_total / times,
            kept: allocated.bytes_current / signed,
            waits: (after.waits - before.waits) / times,
            alarms: (after.alarms - before.alarms) / times,
            yields: (after.yields - before.yields) / times,
            reads: transferred.0 / times,
            writes: transferred.1 / times,
        }
    }
}

/// How many calls of this thread have read something, and how many have written something.
fn transfers() -> (u64, u64) {
    let counts = fs::read_to_string("/proc/thread-self/io").expect("the kernel counts them");
    let count = |name| {
        let mut lines = counts.lines();
        let value = lines.find_map(|line| line.strip_prefix(name));
        value.expect("a line of it").parse().expect("a number")
    };
    (count("syscr: "), count("syscw: "))
}

/// One pass that does not sleep.
pub(crate) fn pass() {
    let limit = ReturnAfter::Limit;
    let ended = RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Now, limit);
    assert_eq!(
        ended.unwrap(),
        Outcome::TimedOut,
        "there is something in the mode"
    );
}

/// Does something on a thread of its own, whose loop is new.
pub(crate) fn alone<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let done = thread::spawn(work).join();
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How often something is done before it is counted.
const WARM_UP: u64 = 300;
/// How often something is usually done to be counted.
pub(crate) const TIMES: u64 = 2_000;
