//! The sleeper's flag: how a loop goes to sleep without missing work, and how others wake it without a system call
//! while it is awake.
//!
//! The loop announces its sleep and then looks at its queues once more; others push first and ring only if sleep is
//! announced. The two fences make it impossible that the loop misses the push and the pusher misses the announcement.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Whether the loop sleeps, or is about to.
#[derive(Debug)]
pub(crate) struct Sleep(AtomicBool);

impl Sleep {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The loop's: from now on whoever brings work rings. The queues must be looked at once more after this.
    pub(crate) fn announce(&self) {
        // A swap rather than a store, so that the ringer's swap reads this very write: with plain stores the protocol is
        // right but a model checker cannot see it.
        self.0.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    /// The loop's: awake again.
    pub(crate) fn end(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }

    /// Everybody else's, after pushing: whether this caller must ring. At most one of them each time the loop sleeps.
    pub(crate) fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::AcqRel)
    }

    /// Whether the loop sleeps and nobody has rung yet.
    pub(crate) fn is_announced(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::Sleep;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Notify};
    use loom::thread;

    /// A loop that takes what two others push; each order of events that they can have is tried. One in which the loop
    /// sleeps on something that was pushed is a deadlock, which the model checker reports.
    fn no_push_is_slept_through(pushes_each: usize) {
        let mut builder = loom::model::Builder::new();
        // Three changes of thread at bad moments: more find nothing new, and take hours.
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let shared = Arc::new((Sleep::new(), AtomicUsize::new(0), Notify::new()));
            let pushers: Vec<_> = (0..2)
                .map(|_| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        let (sleep, queue, bell) = &*shared;
                        for _ in 0..pushes_each {
                            queue.fetch_add(1, Ordering::Relaxed);
                            if sleep.must_ring() {
                                bell.notify();
                            }
                        }
                    })
                })
                .collect();
            let (sleep, queue, bell) = &*shared;
            let mut taken = 0;
            while taken < 2 * pushes_each {
                sleep.announce();
                let found = queue.swap(0, Ordering::Relaxed);
                if found == 0 {
                    bell.wait();
                }
                sleep.end();
                taken += found;
            }
            for pusher in pushers {
                pusher.join().unwrap();
            }
        });
    }

    #[test]
    fn loom_no_push_of_two_threads_is_slept_through() {
        no_push_is_slept_through(1);
    }
}
