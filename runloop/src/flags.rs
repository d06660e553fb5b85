//! What is so of a source, in one word that any thread may change: its signal, the mark that a notice of a change is on its
//! way, and how many of its callbacks are running.
//!
//! Whoever changes something sets its flag first and then claims the mark; whoever claims it posts a notice. The loop
//! takes the mark back before it looks at the flags, so that a change it has not seen posts another one.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};

/// The flags of a source: `VALID` and its siblings below; the upper bits count the callbacks that are running.
#[derive(Debug)]
pub(crate) struct Flags(AtomicU32);

impl Flags {
    /// Those of a source that can be performed.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(VALID))
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.0.load(Ordering::Acquire) & flag != 0
    }

    /// Sets a flag; says whether it was not set before.
    pub(crate) fn set(&self, flag: u32) -> bool {
        self.0.fetch_or(flag, Ordering::AcqRel) & flag == 0
    }

    /// Clears a flag; says whether it was set.
    pub(crate) fn clear(&self, flag: u32) -> bool {
        self.0.fetch_and(!flag, Ordering::AcqRel) & flag != 0
    }

    /// Sets the signal; says whether it was not set before.
    pub(crate) fn set_signalled(&self) -> bool {
        // The load keeps a flood of signals from taking the cache line away from the loop each time. It may not be
        // passed by what the caller wrote before: the fence in front orders that against the loop's taking the signal.
        fence(Ordering::SeqCst);
        if self.0.load(Ordering::Relaxed) & SIGNALLED != 0 {
            return false;
        }
        self.set(SIGNALLED)
    }

    /// Takes the signal; says whether it was there. What was written before a signal that this one has made one with
    /// can be read from here on.
    pub(crate) fn take_signal(&self) -> bool {
        let taken = self.clear(SIGNALLED);
        fence(Ordering::SeqCst);
        taken
    }

    /// The loop's, with a notice in hand: takes the mark back, and then says whether there is a signal.
    pub(crate) fn heed(&self) -> bool {
        self.clear(NOTICED);
        self.has(SIGNALLED)
    }

    /// Claims one callback: true if the source was valid at that moment. `end` must follow, whatever the answer.
    ///
    /// One read-modify-write decides between this and the end of the source, after which no callback begins.
    pub(crate) fn begin(&self) -> bool {
        self.0.fetch_add(RUNNING, Ordering::AcqRel) & VALID != 0
    }

    /// Ends what `begin` claimed; says whether somebody may wait for that.
    pub(crate) fn end(&self) -> bool {
        self.0.fetch_sub(RUNNING, Ordering::AcqRel) & AWAITED != 0
    }

    /// How many callbacks are running.
    pub(crate) fn running(&self) -> u32 {
        self.0.load(Ordering::Acquire) / RUNNING
    }
}

/// The mark that a notice is on its way to a further loop of a source.
#[derive(Debug)]
pub(crate) struct Mark(AtomicBool);

impl Mark {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Whether this caller, who has changed a flag, must post a notice.
    pub(crate) fn claim(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// The loop's, with a notice in hand, before it looks at the flags.
    pub(crate) fn take_back(&self) {
        // A swap and not a store: it reads what the last claim wrote, and so sees the flag that was set before that.
        self.0.swap(false, Ordering::AcqRel);
    }
}

/// No callback has been forbidden yet.
pub(crate) const VALID: u32 = 1;
/// A signal has been given and not been taken.
pub(crate) const SIGNALLED: u32 = 2;
/// A notice is on its way to the first loop.
pub(crate) const NOTICED: u32 = 4;
/// Somebody waits for running callbacks to end, or has done so.
pub(crate) const AWAITED: u32 = 8;
/// There may be requests from other threads.
pub(crate) const REQUESTED: u32 = 16;
/// It has been in more than one loop at a time.
pub(crate) const SEVERAL: u32 = 32;
/// `invalidated` has been called, or is about to be.
pub(crate) const TOLD: u32 = 64;
/// One running callback. The bits above are enough for four million, one inside the other: no stack is that deep.
const RUNNING: u32 = 1 << 10;

#[cfg(all(test, loom))]
mod loom_tests {
    use super::{Flags, Mark, NOTICED, SIGNALLED};
    use crate::wake::{POSTED, Sleep};
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Notify};
    use loom::thread;

    /// A source, its loop's inbox as a count of notices, and how the loop sleeps.
    struct Stage {
        flags: Flags,
        /// That of a further loop; `None` for the first, whose mark is one of the flags.
        mark: Option<Mark>,
        /// What was done before the signals.
        done: AtomicUsize,
        notices: AtomicUsize,
        sleep: Sleep,
        bell: Notify,
    }

    impl Stage {
        fn new(further: bool) -> Arc<Self> {
            Arc::new(Self {
                flags: Flags::new(),
                mark: further.then(Mark::new),
                done: AtomicUsize::new(0),
                notices: AtomicUsize::new(0),
                sleep: Sleep::new(),
                bell: Notify::new(),
            })
        }

        /// Another thread's: does something, and signals the source as `SourceHandle::signal` does.
        fn signal(&self) {
            self.done.fetch_add(1, Ordering::Relaxed);
            if !self.flags.set_signalled() {
                return;
            }
            let must_post = match &self.mark {
                Some(mark) => mark.claim(),
                None => self.flags.set(NOTICED),
            };
            if must_post {
                self.notices.fetch_add(1, Ordering::Release);
                if self.sleep.mark(POSTED) {
                    self.bell.notify();
                }
            }
        }

        /// The loop's: sleeps until there is a notice, and heeds it; says whether there is a signal.
        fn sleep_and_heed(&self) -> bool {
            self.sleep.announce();
            if !self.sleep.has(POSTED) {
                self.bell.wait();
            }
            self.sleep.end();
            self.sleep.take(POSTED);
            let notices = self.notices.swap(0, Ordering::AcqRel);
            assert!(notices <= 1, "one notice on its way is enough");
            if notices == 0 {
                return false;
            }
            match &self.mark {
                Some(mark) => {
                    mark.take_back();
                    self.flags.has(SIGNALLED)
                }
                None => self.flags.heed(),
            }
        }
    }

    /// A loop that performs a source which two threads signal, until it has seen what both have done before. One order of
    /// events in which a signal is lost is one in which it sleeps for ever, a deadlock, which the model checker reports.
    fn no_signal_is_lost(further: bool) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(move || {
            let stage = Stage::new(further);
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let stage = Arc::clone(&stage);
                    thread::spawn(move || stage.signal())
                })
                .collect();
            let mut seen = 0;
            // The loop adds the source to one more mode, and so may find a signal before the notice of it.
            if stage.flags.has(SIGNALLED) && stage.flags.take_signal() {
                seen = stage.done.load(Ordering::Relaxed);
            }
            while seen < 2 {
                if stage.sleep_and_heed() && stage.flags.take_signal() {
                    seen = stage.done.load(Ordering::Relaxed);
                }
            }
            for other in others {
                other.join().unwrap();
            }
        });
    }

    /// The notice that the loop heeds is of a signal that it has found before: what comes meanwhile posts no other one
    /// until the mark is taken back, and so must be seen after that.
    fn no_signal_is_lost_beside_a_stale_notice(further: bool) {
        loom::model(move || {
            let stage = Stage::new(further);
            stage.signal();
            assert!(stage.flags.take_signal(), "found, and its notice is there");
            let other = Arc::clone(&stage);
            let other = thread::spawn(move || other.signal());
            while !(stage.sleep_and_heed() && stage.flags.take_signal()) {}
            assert_eq!(stage.done.load(Ordering::Relaxed), 2, "seen");
            other.join().unwrap();
        });
    }

    #[test]
    fn loom_no_signal_is_lost_beside_a_stale_notice_to_the_first_loop() {
        no_signal_is_lost_beside_a_stale_notice(false);
    }

    #[test]
    fn loom_no_signal_is_lost_beside_a_stale_notice_to_a_further_loop() {
        no_signal_is_lost_beside_a_stale_notice(true);
    }

    #[test]
    fn loom_no_signal_of_two_threads_is_lost_on_the_way_to_the_first_loop() {
        no_signal_is_lost(false);
    }

    #[test]
    fn loom_no_signal_of_two_threads_is_lost_on_the_way_to_a_further_loop() {
        no_signal_is_lost(true);
    }
}
