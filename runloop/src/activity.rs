//! The moments of a run that can be observed.

bitflags::bitflags! {
    /// The moments of a run that an [`Observer`](crate::Observer) can watch.
    ///
    /// A run reports `ENTRY` once, then in every pass `BEFORE_TIMERS` and `BEFORE_SOURCES`, then `BEFORE_WAITING` and
    /// `AFTER_WAITING` around a wait that may sleep (a pass that already had work only looks, and reports neither), and
    /// `EXIT` once.
    ///
    /// Counterpart: `CFRunLoopActivity`, with the same bits.
    ///
    /// ```
    /// use runloop::Activity;
    /// assert!(Activity::all().contains(Activity::BEFORE_WAITING));
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Activity: u8 {
        /// A run begins (`kCFRunLoopEntry`).
        const ENTRY = 1;
        /// Timers are about to be looked at (`kCFRunLoopBeforeTimers`).
        const BEFORE_TIMERS = 2;
        /// Signalled sources are about to be performed (`kCFRunLoopBeforeSources`).
        const BEFORE_SOURCES = 4;
        /// The loop is about to sleep (`kCFRunLoopBeforeWaiting`).
        const BEFORE_WAITING = 32;
        /// The loop has woken, whatever for (`kCFRunLoopAfterWaiting`).
        const AFTER_WAITING = 64;
        /// The run ends (`kCFRunLoopExit`).
        const EXIT = 128;
    }
}
