//! A timer as its loop sees it: the closure, and what happens when the date has come.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use runloop::{Cx, Ready, RunLoop, Source, SourceOptions, SourceRef, Why};

use crate::clock;
use crate::grid::Date;
use crate::schedule::Schedule;
use crate::shared::Shared;
use crate::timer::Timer;

impl Timer {
    /// A timer that fires once, this long from now, in the care of this thread's loop and in no mode yet. It is invalid
    /// when its closure has returned.
    ///
    /// Counterpart: `CFRunLoopTimerCreateWithHandler` with an interval of 0.
    ///
    /// ```
    /// use runloop::{Mode, RunLoop};
    /// use std::time::Duration;
    /// use timer_source::Timer;
    ///
    /// let run_loop = RunLoop::current();
    /// run_loop.add(&Timer::once(Duration::from_millis(1), |run_loop, _| run_loop.stop()), Mode::DEFAULT)?;
    /// let _stopped = run_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn once(after: Duration, fire: impl FnOnce(&RunLoop, &Self) + 'static) -> Self {
        Self::make(SourceOptions::new(), Schedule::after(after), Once(fire))
    }

    /// A timer that fires at this interval, the first time one interval from now, in the care of this thread's loop and
    /// in no mode yet.
    ///
    /// Counterpart: `CFRunLoopTimerCreateWithHandler` with an interval.
    ///
    /// ```
    /// use runloop::{Mode, RunLoop};
    /// use std::time::Duration;
    /// use timer_source::Timer;
    ///
    /// let tick = Timer::repeating(Duration::from_secs(1), |_, _| println!("tick"));
    /// RunLoop::current().add(&tick, Mode::COMMON)?;
    /// # Ok::<(), runloop::AddError>(())
    /// ```
    pub fn repeating(interval: Duration, fire: impl FnMut(&RunLoop, &Self) + 'static) -> Self {
        Self::new(Schedule::after(interval).every(interval), fire)
    }

    /// A timer that fires as this schedule says, in the care of this thread's loop and in no mode yet.
    ///
    /// Counterpart: `CFRunLoopTimerCreateWithHandler`.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use timer_source::{Schedule, Timer};
    ///
    /// let now_and_every_minute = Schedule::at(Instant::now()).every(Duration::from_secs(60));
    /// let timer = Timer::new(now_and_every_minute, |_, _| println!("once more"));
    /// assert!(timer.repeats());
    /// ```
    pub fn new(schedule: Schedule, fire: impl FnMut(&RunLoop, &Self) + 'static) -> Self {
        Self::with(SourceOptions::new(), schedule, fire)
    }

    /// As [`new`](Self::new), with options. Two of them mean nothing to a timer: timers fire in the order of their dates,
    /// whatever order they are given, and a nested run never fires one whose closure is running.
    ///
    /// Counterpart: `CFRunLoopTimerCreate`.
    ///
    /// ```
    /// use runloop::SourceOptions;
    /// use std::time::Duration;
    /// use timer_source::{Schedule, Timer};
    ///
    /// // A run may end as finished although this one still has to fire.
    /// let options = SourceOptions::new().name("statistics").passive();
    /// let schedule = Schedule::after(Duration::from_secs(10)).every(Duration::from_secs(10));
    /// let timer = Timer::with(options, schedule, |_, _| println!("all is well"));
    /// assert_eq!(timer.handle().name(), Some("statistics"));
    /// ```
    pub fn with(
        options: SourceOptions,
        schedule: Schedule,
        fire: impl FnMut(&RunLoop, &Self) + 'static,
    ) -> Self {
        Self::make(options, schedule, Repeatedly(fire))
    }

    fn make(options: SourceOptions, schedule: Schedule, closure: impl Fire) -> Self {
        let first = schedule.first(clock::now);
        let shared = Shared::new(first, schedule.interval(), schedule.tolerance());
        let shared = Arc::new(shared);
        let source = TimerSource {
            shared: Arc::clone(&shared),
            closure: Cell::new(Some(closure)),
        };
        let source = SourceRef::with(options, source);
        Self::of(RunLoop::current().adopt(&source), shared)
    }
}

/// The source behind a [`Timer`].
struct TimerSource<F> {
    /// What it has in common with every [`Timer`] that stands for it.
    shared: Arc<Shared>,
    /// Empty while the closure runs, and once the timer has ended.
    closure: Cell<Option<F>>,
}

impl<F: Fire> Source for TimerSource<F> {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        let at = clock::instant(self.shared.date());
        cx.set_deadline_within(at, self.shared.tolerance());
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        // Without the closure this is a nested run of a timer that was made re-entrant: the outer call goes on from here.
        let (Some(handle), Some(closure)) = (cx.handle(), self.closure.take()) else {
            return;
        };
        let date = self.shared.look();
        // The deadline may only have been an order to look, for a date that has passed as well.
        let due = |at| date <= clock::date(at) || date <= clock::now();
        let due = ready.deadline.is_some_and(due);
        let mut firing = Firing {
            source: self,
            timer: Timer::of(handle, Arc::clone(&self.shared)),
            cx,
            date,
            fired: due,
            closure: Some(closure),
        };
        if due {
            F::fire(&mut firing.closure, firing.cx.run_loop(), &firing.timer);
        }
    }

    fn invalidated(&self, _: Why) {
        // Dropping the source would do as much, but that may happen on the way of a panic, when no other may come.
        drop(self.closure.take());
    }
}

impl<F> Drop for TimerSource<F> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// One look at the date of a timer, with its closure if it has come. What follows it also follows a panic.
struct Firing<'f, 's, 'a, F> {
    /// Where the closure comes from and goes back to.
    source: &'s TimerSource<F>,
    /// What the closure is called with.
    timer: Timer,
    /// Where the next date is set.
    cx: &'f mut Cx<'s, 'a>,
    /// The date that was looked at.
    date: Date,
    /// Whether it has come; if not, the loop was only told to look.
    fired: bool,
    /// Gone if it was used up.
    closure: Option<F>,
}

impl<F> Drop for Firing<'_, '_, '_, F> {
    fn drop(&mut self) {
        self.source.closure.set(self.closure.take());
        let shared = &self.source.shared;
        let next = match (self.fired, shared.interval) {
            (false, _) => self.date,
            (true, Some(interval)) => shared.advance(self.date, interval, clock::now()),
            (true, None) => return self.timer.invalidate(),
        };
        self.cx
            .set_deadline_within(clock::instant(next), shared.tolerance());
    }
}

/// A closure in its slot, which it may leave when it is called.
trait Fire: Sized + 'static {
    fn fire(slot: &mut Option<Self>, run_loop: &RunLoop, timer: &Timer);
}

/// A closure that is called as often as its timer fires.
struct Repeatedly<F>(F);

impl<F: FnMut(&RunLoop, &Timer) + 'static> Fire for Repeatedly<F> {
    fn fire(slot: &mut Option<Self>, run_loop: &RunLoop, timer: &Timer) {
        if let Some(Self(closure)) = slot {
            closure(run_loop, timer);
        }
    }
}

/// A closure that is used up by its one call.
struct Once<F>(F);

impl<F: FnOnce(&RunLoop, &Timer) + 'static> Fire for Once<F> {
    fn fire(slot: &mut Option<Self>, run_loop: &RunLoop, timer: &Timer) {
        if let Some(Self(closure)) = slot.take() {
            closure(run_loop, timer);
        }
    }
}
