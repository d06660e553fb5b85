//! What a loop is asked to look at, and whether it sleeps, in one word: how a loop goes to sleep without missing work, and
//! how others wake it without a system call while it is awake.
//!
//! The loop announces its sleep and then looks at the word and at its queues once more; others push first and then mark
//! that in the word, which tells them whether sleep was announced. Of two changes of one word either one is the first:
//! the loop that announces later sees the mark, and whoever marks later sees the announcement, and rings.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, Ordering};

/// Marks that others leave for a loop, and whether it sleeps, or is about to.
#[derive(Debug)]
pub(crate) struct Sleep(AtomicU32);

impl Sleep {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The loop's: from now on whoever brings work rings. What is marked must be looked at once more after this.
    pub(crate) fn announce(&self) {
        self.0.fetch_or(ASLEEP, Ordering::AcqRel);
    }

    /// The loop's: awake again.
    pub(crate) fn end(&self) {
        if self.is_announced() {
            self.0.fetch_and(!ASLEEP, Ordering::AcqRel);
        }
    }

    /// Everybody else's, after pushing: leaves a mark, and says whether this caller must ring. At most one of them must
    /// each time the loop sleeps.
    pub(crate) fn mark(&self, what: u32) -> bool {
        let before = self.0.fetch_or(what, Ordering::AcqRel);
        before & ASLEEP != 0 && self.0.fetch_and(!ASLEEP, Ordering::AcqRel) & ASLEEP != 0
    }

    /// The loop's: takes a mark back before it looks at what that stands for; says whether it was there.
    pub(crate) fn take(&self, what: u32) -> bool {
        self.has(what) && self.0.fetch_and(!what, Ordering::AcqRel) & what != 0
    }

    /// Whether one of these marks is there.
    pub(crate) fn has(&self, what: u32) -> bool {
        self.0.load(Ordering::Acquire) & what != 0
    }

    /// Whether the loop sleeps and nobody has rung yet.
    pub(crate) fn is_announced(&self) -> bool {
        self.has(ASLEEP)
    }
}

/// The order to end the innermost run.
pub(crate) const STOP: u32 = 1;
/// The order to make one more pass.
pub(crate) const WAKE: u32 = 2;
/// There may be something in the inbox.
pub(crate) const POSTED: u32 = 4;
/// Sleep is announced.
const ASLEEP: u32 = 8;

#[cfg(all(test, loom))]
mod loom_tests {
    use super::{POSTED, Sleep};
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
                            if sleep.mark(POSTED) {
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
                // The mark is taken back first: what is pushed after the look leaves another.
                let found = match sleep.take(POSTED) {
                    true => queue.swap(0, Ordering::Relaxed),
                    false => 0,
                };
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
