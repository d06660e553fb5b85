//! Time that a test moves: a clock that stands still until it is told otherwise, or until its loop would sleep.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use crate::clock::{Tick, jump_to, stand_at};
use crate::core::RunLoop;
use crate::thread::with_current;

/// The clock of this thread's loop, in the hands of a test.
///
/// While one exists, time stands still for the loop of this thread, and moves in two ways only: somebody moves it, or the
/// loop would sleep. Then time jumps to the next deadline of the running mode, or to the end of the run if that comes
/// first, and nobody waits. So a test of an hour takes no time, and the same things happen in the same order each time.
///
/// - Deadlines, limits of runs and [`RunLoop::now`](crate::RunLoop::now) follow it, and so do the monotonic timers of
///   `timer-source`. [`Instant::now`] does not: take moments from [`now`](Self::now) instead.
/// - What is ready comes first. The jump is made when the loop has looked and found nothing: no signal, no closure, no
///   descriptor. What another thread is still about to bring counts as nothing, however soon it would have come.
/// - With neither a deadline nor a limit to jump to the loop sleeps as ever, until somebody wakes it.
/// - A run that only looks ([`Limit::Now`](crate::Limit::Now)) never moves time.
/// - A source that gives itself a deadline that has passed, while deadlines are being served, is served one nanosecond
///   later: that is how it waits for the next pass.
/// - Sources do not have the loop spin, since that would take for ever.
///
/// It is the thread that has such a clock, so a second value is the same clock, and clones are. Time goes by itself again
/// when the last is dropped: the loop is back at the system's time, and dates stay as they are. Moments of the system's
/// clock that other threads send mean what they say, on a clock that may be behind it or ahead.
///
/// Needs the feature `manual-clock`, which is meant for tests. Counterpart: none.
///
/// ```
/// use runloop::{Limit, ManualClock, Mode, Outcome, ReturnAfter, RunLoop, Signalled};
/// use std::time::{Duration, Instant};
///
/// let clock = ManualClock::new();
/// let begun = Instant::now();
/// let run_loop = RunLoop::current();
/// run_loop.add(&Signalled::new(|_| {}), Mode::DEFAULT)?; // something to wait for
///
/// let before = clock.now();
/// let outcome = run_loop.run_in_mode(Mode::DEFAULT, Duration::from_secs(3_600), ReturnAfter::Limit)?;
/// assert_eq!(outcome, Outcome::TimedOut);
/// assert_eq!(clock.now() - before, Duration::from_secs(3_600));
/// assert!(begun.elapsed() < Duration::from_secs(3_600), "nobody waited");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Inside somebody else's poll ([`readiness`](crate::RunLoop::readiness)) nothing moves this clock by itself, since it is that
/// poll that sleeps, and in the system's time. Whoever moves it makes the descriptor readable if a deadline has come by that,
/// and the next [`serve`](crate::Embedding::serve) calls what is due:
///
/// ```
/// use runloop::{ManualClock, Mode, RunLoop, Signalled};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let run_loop = RunLoop::current();
/// let source = Signalled::new(|_| println!("a minute later"));
/// run_loop.add(&source, Mode::DEFAULT)?;
/// let embedding = run_loop.readiness(Mode::DEFAULT)?;
///
/// source.handle().set_deadline(Some(clock.now() + Duration::from_secs(60)));
/// assert!(!embedding.is_ready()?, "however long the poll around would wait");
/// clock.advance(Duration::from_secs(60));
/// assert!(embedding.is_ready()?, "at once");
/// let _timed_out = embedding.serve()?; // a minute later
/// assert!(!embedding.is_ready()?, "served");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ManualClock {
    /// It is one of those that hold the clock of their thread, and stays there.
    on_its_thread: PhantomData<*const ()>,
}

impl ManualClock {
    /// Stops the time of this thread's loop, if it does not stand still already.
    ///
    /// ```
    /// use runloop::{ManualClock, RunLoop};
    /// let clock = ManualClock::new();
    /// assert_eq!(RunLoop::now(), clock.now());
    /// assert_eq!(RunLoop::now(), clock.now(), "however long that took");
    /// ```
    #[must_use = "time goes by itself again when the clock is dropped"]
    pub fn new() -> Self {
        let before = HOLDS.replace(HOLDS.get() + 1);
        if before == 0 {
            stand_at(Some(Tick::of_the_system()));
        }
        Self {
            on_its_thread: PhantomData,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn now(&self) -> Instant {
        Tick::now().to_instant()
    }

    /// Moves it forward. What has become due is served when the loop looks next; nothing is called here.
    ///
    /// ```
    /// use runloop::ManualClock;
    /// use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let before = clock.now();
    /// clock.advance(Duration::from_millis(250));
    /// assert_eq!(clock.now() - before, Duration::from_millis(250));
    /// ```
    pub fn advance(&self, by: Duration) {
        jump_to(Tick::now().after(by));
        tell();
    }

    /// Moves it to a later moment; one that has passed changes nothing, since time does not go backwards.
    pub fn advance_to(&self, at: Instant) {
        jump_to(Tick::from_instant(at));
        tell();
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

impl Clone for ManualClock {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl Drop for ManualClock {
    fn drop(&mut self) {
        let left = HOLDS.get() - 1;
        HOLDS.set(left);
        if left == 0 {
            stand_at(None);
            tell();
        }
    }
}

/// Tells the loop of this thread, if it has one, that time is another.
fn tell() {
    with_current(RunLoop::time_has_moved);
}

thread_local! {
    /// How many hold the clock of this thread.
    static HOLDS: Cell<usize> = const { Cell::new(0) };
}
