//! A timer as its users hold it, on any thread.
//!
//! It knows neither the closure nor how the timer is fired; how one is made is with the source.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runloop::{AsSource, SourceHandle};

use crate::deadline;
use crate::grid::Date;
use crate::moment::{self, Moment};
use crate::shared::Shared;

/// A timer: a source that calls its closure at a date, once or again and again.
///
/// It belongs to the loop of the thread that made it, where it fires in the modes it has been added to. Clones are the
/// same timer, and may be used and dropped on any thread. The closure stays on its own thread; it gets the loop and the
/// timer, and is dropped when the timer is invalidated, so one that holds its own timer does not leak then. A timer that
/// no `Timer` value stands for any more lives on while it is in a mode, and ends when it leaves the last.
///
/// - It never fires early, and late only when its loop is busy, asleep with the whole machine, or running another mode.
/// - Timers that are due in one pass fire in the order of their dates, those of one date in the order in which the dates
///   were set.
/// - While its closure runs a nested run of the loop does not fire it again; other timers do fire.
/// - It follows one clock, that of the moments `M`: the monotonic one unless its [`Schedule`](crate::Schedule) says
///   otherwise, which nobody sets and which stands still while the machine is suspended. See [`Moment`] for the others.
/// - When its clock is set, the loop looks anew. A clock set forward brings a date sooner: it fires once for all dates that
///   the clock passed over, which are [missed](Self::missed). A clock set back shows dates again, and a timer that repeats
///   fires at them again, unless it was by less than half of the interval: a clock that is put right by a little does not
///   have one date served twice. Only a date that was set, and has not come yet, is waited for however long that takes.
///
/// A timer in a loop that does not run never fires, and nothing can tell it from one whose loop is about to run. If the
/// timer leaves its modes, or its thread ends, with its date passed in a loop that has never made a pass, a warning is
/// traced.
///
/// Counterpart: `CFRunLoopTimerRef`.
///
/// ```
/// use runloop::{Mode, RunLoop};
/// use std::time::Duration;
/// use timer_source::Timer;
///
/// let run_loop = RunLoop::current();
/// let mut left = 3;
/// let countdown = Timer::repeating(Duration::from_millis(5), move |_, timer| {
///     left -= 1;
///     if left == 0 {
///         timer.invalidate();
///     }
/// });
/// run_loop.add(&countdown, Mode::COMMON)?;
/// let _finished = run_loop.run()?;
/// assert!(!countdown.is_valid(), "it ended itself");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Timer<M = Instant> {
    /// Its source, which knows the loop.
    handle: SourceHandle,
    /// Its dates, which the loop does not know.
    shared: Arc<Shared>,
    /// Its clock.
    clock: PhantomData<fn() -> M>,
}

impl<M: Moment> Timer<M> {
    pub(crate) fn of(handle: SourceHandle, shared: Arc<Shared>) -> Self {
        Self {
            handle,
            shared,
            clock: PhantomData,
        }
    }

    /// Fires it next at another date, which becomes the phase of a repeating timer; `None` means not until it is moved
    /// again. A date that has passed fires it once, in the next pass. From any thread; a sleeping loop notices at once.
    ///
    /// Called while the closure runs, it takes the place of the automatic step to the next date of the grid. It does not
    /// keep a timer that fires once: that one is over when its closure returns. An invalid timer ignores it.
    ///
    /// Counterpart: `CFRunLoopTimerSetNextFireDate`.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use timer_source::Timer;
    ///
    /// let idle = Timer::once(Duration::from_secs(60), |_, _| println!("nobody there"));
    /// let activity = || idle.set_next_fire_date(Instant::now() + Duration::from_secs(60));
    /// activity();
    /// assert!(idle.next_fire_date().is_some());
    /// ```
    pub fn set_next_fire_date(&self, at: impl Into<Option<M>>) {
        if !self.is_valid() {
            return;
        }
        let date = at.into().map_or(Date::NEVER, moment::date);
        self.shared.move_to(date);
        self.tell();
    }

    /// When it fires next; a moment in the past if it is late. While its closure runs this is the date it fires for.
    /// `None` if it is invalid or has no date.
    ///
    /// Counterpart: `CFRunLoopTimerGetNextFireDate`.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// let before = Instant::now();
    /// let timer = timer_source::Timer::once(Duration::from_secs(1), |_, _| {});
    /// assert!(timer.next_fire_date() >= Some(before + Duration::from_secs(1)));
    /// timer.invalidate();
    /// assert_eq!(timer.next_fire_date(), None);
    /// ```
    #[must_use]
    pub fn next_fire_date(&self) -> Option<M> {
        if !self.is_valid() {
            return None;
        }
        moment::moment(self.shared.date())
    }

    /// Fires it once in the next pass, whatever its date is, and leaves that as it is. From any thread; a sleeping loop
    /// notices at once. A timer that fires once is over with that.
    ///
    /// Asking again before it has fired changes nothing, and a date that has come by then is served by the same call. While
    /// its closure runs this asks for another one after it. An invalid timer ignores it.
    ///
    /// Counterpart: none in CoreFoundation; `fire` of Foundation's `Timer`, which calls at once.
    ///
    /// ```
    /// use runloop::{Limit, Mode, ReturnAfter, RunLoop};
    /// use std::time::Duration;
    /// use timer_source::Timer;
    ///
    /// let run_loop = RunLoop::current();
    /// let save = Timer::repeating(Duration::from_secs(60), |_, _| println!("saved"));
    /// run_loop.add(&save, Mode::DEFAULT)?;
    /// let date = save.next_fire_date();
    /// save.fire();
    /// let _timed_out = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit)?;
    /// assert_eq!(save.next_fire_date(), date, "saved, and the minute goes on");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fire(&self) {
        if self.is_valid() {
            self.shared.ask();
            self.tell();
        }
    }

    /// Lets it fire this much later than its date, if that saves a wake-up; zero, unless set. From any thread.
    ///
    /// A loop that is awake fires it as soon as its date has passed, and never before. One that sleeps wakes for it only
    /// when the tolerance is over, and then fires all that are due, so timers whose tolerances overlap share a wake-up:
    /// most of what a timer costs a machine. The next date is counted from the grid, however late this one was. A tenth of
    /// the interval is a good measure; of a repeating timer it is at most half of it.
    ///
    /// Counterpart: `CFRunLoopTimerSetTolerance`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use timer_source::Timer;
    ///
    /// let refresh = Timer::repeating(Duration::from_secs(60), |_, _| println!("what is new?"));
    /// refresh.set_tolerance(Duration::from_secs(6));
    /// assert_eq!(refresh.tolerance(), Duration::from_secs(6));
    /// refresh.set_tolerance(Duration::from_secs(3_600));
    /// assert_eq!(refresh.tolerance(), Duration::from_secs(30), "half of the interval");
    /// ```
    pub fn set_tolerance(&self, tolerance: Duration) {
        self.shared.set_tolerance(tolerance);
        if self.is_valid() {
            self.tell();
        }
    }

    /// How much later than its date it may fire.
    ///
    /// Counterpart: `CFRunLoopTimerGetTolerance`.
    ///
    /// ```
    /// use std::time::Duration;
    /// let timer = timer_source::Timer::once(Duration::from_secs(1), |_, _| {});
    /// assert_eq!(timer.tolerance(), Duration::ZERO);
    /// ```
    #[must_use]
    pub fn tolerance(&self) -> Duration {
        self.shared.tolerance()
    }

    /// The interval at which it repeats, if it does: what it was made with, and at least a microsecond.
    ///
    /// Counterpart: `CFRunLoopTimerGetInterval`, which answers 0 for a timer that fires once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use timer_source::Timer;
    /// let tick = Timer::repeating(Duration::from_secs(1), |_, _| {});
    /// assert_eq!(tick.interval(), Some(Duration::from_secs(1)));
    /// assert_eq!(Timer::repeating(Duration::ZERO, |_, _| {}).interval(), Some(Duration::from_micros(1)));
    /// assert_eq!(Timer::once(Duration::ZERO, |_, _| {}).interval(), None);
    /// ```
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        let interval = self.shared.interval?;
        Some(Duration::from_nanos(interval.get()))
    }

    /// Whether it fires more than once.
    ///
    /// Counterpart: `CFRunLoopTimerDoesRepeat`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use timer_source::Timer;
    /// assert!(!Timer::once(Duration::from_secs(1), |_, _| {}).repeats());
    /// ```
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.shared.interval.is_some()
    }

    /// How many of its dates have gone by without a firing of their own, since it was made.
    ///
    /// A repeating timer that is late fires once, however many dates have gone by, and goes on with the next one after
    /// its closure has returned; those in between are counted then. Dates that were given up by moving the timer are not
    /// missed. The count ends at four billion.
    ///
    /// Counterpart: none; `CFRunLoopTimer` skips them silently.
    ///
    /// ```
    /// use std::time::Duration;
    /// let timer = timer_source::Timer::repeating(Duration::from_secs(1), |_, timer| {
    ///     println!("{} so far", timer.missed());
    /// });
    /// assert_eq!(timer.missed(), 0);
    /// ```
    #[must_use]
    pub fn missed(&self) -> u32 {
        self.shared.missed()
    }

    /// Ends it, from any thread and from its own closure: see [`SourceHandle::invalidate`].
    ///
    /// Counterpart: `CFRunLoopTimerInvalidate`.
    ///
    /// ```
    /// use std::time::Duration;
    /// let timer = timer_source::Timer::once(Duration::ZERO, |_, _| unreachable!("it never fires"));
    /// let elsewhere = timer.clone();
    /// std::thread::spawn(move || elsewhere.invalidate()).join().unwrap();
    /// assert!(!timer.is_valid());
    /// ```
    pub fn invalidate(&self) {
        self.handle.invalidate();
    }

    /// Whether it can still fire: it has not been invalidated, it has not fired its only time, and its thread has not
    /// ended.
    ///
    /// Counterpart: `CFRunLoopTimerIsValid`.
    ///
    /// ```
    /// use std::time::Duration;
    /// assert!(timer_source::Timer::once(Duration::ZERO, |_, _| {}).is_valid());
    /// ```
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.handle.is_valid() && self.shared.is_alive()
    }

    /// Has the loop follow what was set.
    fn tell(&self) {
        deadline::follow::<M>(&self.handle, &self.shared);
    }

    /// The source without its kind.
    ///
    /// Counterpart: `CFRunLoopTimerGetOrder` is [`SourceHandle::order`]; the order of firing does not depend on it.
    ///
    /// ```
    /// use std::time::Duration;
    /// let timer = timer_source::Timer::once(Duration::ZERO, |_, _| {});
    /// assert_eq!(timer.handle().order(), 0);
    /// ```
    #[must_use]
    pub fn handle(&self) -> &SourceHandle {
        &self.handle
    }
}

impl<M: Moment> AsSource for Timer<M> {
    fn as_source(&self) -> &SourceHandle {
        &self.handle
    }
}

impl<M> Clone for Timer<M> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            shared: Arc::clone(&self.shared),
            clock: PhantomData,
        }
    }
}

impl<M: Moment> fmt::Debug for Timer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("source", &self.handle)
            .field("next_fire_date", &self.next_fire_date())
            .field("interval", &self.interval())
            .field("tolerance", &self.tolerance())
            .field("missed", &self.missed())
            .finish()
    }
}
