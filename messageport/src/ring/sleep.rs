//! How one side of a ring falls asleep and the other wakes it, with no wake-up lost and no bell rung for nothing.
//!
//! Two words lie between a sleeper and a ringer: a position, which the ringer alone moves, and a flag, in which the
//! sleeper leaves what it waits for. The sleeper sets the flag, then looks at the position again; the ringer moves the
//! position, then looks at the flag. A full fence between the two steps of each makes it impossible that both look too
//! early. Only swaps ever change the flag, so that of two ringers, or of a ringer and a sleeper that thinks better of
//! it, exactly one takes it.
//!
//! The consumer sleeps until `written` moves, the producer until `read` has moved far enough; both use this file. What a
//! bell is, and that a bell rung before the sleeper lies down still wakes it, is the caller's part of the promise.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The two words between a sleeper and a ringer.
#[derive(Debug)]
pub(super) struct Alarm<'a, P, F> {
    /// What the sleeper waits for; moved by the ringer.
    pub(super) position: &'a P,
    /// 0, or what the sleeper asked for.
    pub(super) flag: &'a F,
}

impl<P: Word<u64>, F: Word<u32>> Alarm<'_, P, F> {
    /// The sleeper says that it is about to sleep, and looks again: the answer is the position after that.
    ///
    /// If it is what the sleeper waits for, it must not sleep; the flag may stay, at the price of one useless bell, or
    /// be [withdrawn](Self::withdraw). `wish` is not 0; what it means is agreed with the ringer.
    #[inline]
    pub(super) fn announce(&self, wish: u32) -> u64 {
        debug_assert!(wish != 0, "0 is the flag of one who does not sleep");
        self.flag.swap(wish, Ordering::AcqRel);
        self.flag.fence();
        self.position.load(Ordering::Acquire)
    }

    /// The sleeper will not sleep after all.
    #[inline]
    pub(super) fn withdraw(&self) {
        self.flag.swap(0, Ordering::AcqRel);
    }

    /// The ringer moves the position; whatever it wrote before is seen by whoever sees the position.
    #[inline]
    pub(super) fn publish(&self, position: u64) {
        self.position.store(position, Ordering::Release);
    }

    /// The ringer, after it has published, asks whether it must ring: somebody sleeps, and `grants` says that the
    /// present position is what its wish was for. A yes takes the flag, so it is said once for each announcement.
    #[inline]
    pub(super) fn must_ring(&self, grants: impl FnOnce(u32) -> bool) -> bool {
        self.flag.fence();
        let wish = self.flag.load(Ordering::Relaxed);
        wish != 0 && grants(wish) && self.flag.swap(0, Ordering::AcqRel) != 0
    }
}

/// What the protocol does to a shared word. The model checker, which must see every access, brings words of its own.
pub(super) trait Word<T> {
    fn load(&self, order: Ordering) -> T;
    fn store(&self, value: T, order: Ordering);
    fn swap(&self, value: T, order: Ordering) -> T;
    /// Orders everything before it, by this thread and to any word, with everything after.
    fn fence(&self);
}

impl Word<u32> for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        Self::load(self, order)
    }

    fn store(&self, value: u32, order: Ordering) {
        Self::store(self, value, order);
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        Self::swap(self, value, order)
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

impl Word<u64> for AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        Self::load(self, order)
    }

    fn store(&self, value: u64, order: Ordering) {
        Self::store(self, value, order);
    }

    fn swap(&self, value: u64, order: Ordering) -> u64 {
        Self::swap(self, value, order)
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

#[cfg(all(test, loom))]
mod loom_model;
