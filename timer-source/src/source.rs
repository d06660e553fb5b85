//! A timer as its loop sees it: the closure, and what happens when the date has come.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runloop::{Cx, Mode, Ready, RunLoop, Source, SourceOptions, SourceRef, Why};

use crate::deadline::{deadline, deadline_anew};
use crate::grid::Date;
use crate::moment::{self, Moment};
use crate::schedule::Schedule;
use crate::shared::Shared;
use crate::steps;
use crate::timer::Timer;

impl Timer<Instant> {
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
}

impl<M: Moment> Timer<M> {
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
    pub fn new(schedule: Schedule<M>, fire: impl FnMut(&RunLoop, &Self) + 'static) -> Self {
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
        schedule: Schedule<M>,
        fire: impl FnMut(&RunLoop, &Self) + 'static,
    ) -> Self {
        Self::make(options, schedule, Repeatedly(fire))
    }

    fn make(options: SourceOptions, schedule: Schedule<M>, closure: impl Fire<M>) -> Self {
        let shared = Shared::new(schedule.first(), schedule.interval(), schedule.tolerance());
        let shared = Arc::new(shared);
        let source = TimerSource {
            shared: Arc::clone(&shared),
            closure: Cell::new(Some(closure)),
            clock: PhantomData,
        };
        let source = SourceRef::with(options, source);
        Self::of(RunLoop::current().adopt(&source), shared)
    }
}

/// The source behind a [`Timer`].
struct TimerSource<F, M> {
    /// What it has in common with every [`Timer`] that stands for it.
    shared: Arc<Shared>,
    /// Empty while the closure runs, and once the timer has ended.
    closure: Cell<Option<F>>,
    clock: PhantomData<fn() -> M>,
}

impl<F: Fire<M>, M: Moment> Source for TimerSource<F, M> {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        if !M::STEADY {
            let handle = cx.handle().ok_or(io::ErrorKind::NotFound)?;
            steps::begin(handle, &self.shared, deadline_anew::<M>)?;
        }
        let at = deadline_anew::<M>(&self.shared);
        cx.set_deadline_within(at, self.shared.tolerance());
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        // Without the closure this is a nested run of a timer that was made re-entrant: the outer call goes on from here.
        let (Some(handle), Some(closure)) = (cx.handle(), self.closure.take()) else {
            return;
        };
        let asked = self.shared.take_asked();
        let date = self.shared.look();
        let occasion = if ready.deadline.is_some_and(|at| has_come::<M>(date, at)) {
            Occasion::Date
        } else if asked {
            Occasion::Asked
        } else {
            Occasion::Look
        };
        let mut firing = Firing {
            source: self,
            timer: Timer::of(handle, Arc::clone(&self.shared)),
            cx,
            date,
            occasion,
            closure: Some(closure),
        };
        if occasion != Occasion::Look {
            F::fire(&mut firing.closure, firing.cx.run_loop(), &firing.timer);
        }
    }

    fn schedule(&self, run_loop: &RunLoop, mode: Mode) {
        if M::STEADY {
            return;
        }
        if let Err(error) = steps::enter(run_loop, mode) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                mode = mode.name(),
                "a timer could not be told of its clock being set, and is invalidated"
            );
            steps::invalidate(&self.shared);
        }
    }

    fn cancel(&self, run_loop: &RunLoop, mode: Mode) {
        if !M::STEADY {
            steps::leave(run_loop, mode);
        }
    }

    fn detach(&self, run_loop: &RunLoop) {
        if !M::STEADY {
            steps::end(&self.shared);
        }
        if run_loop.statistics().passes == 0 && self.shared.date() <= moment::now::<M>() {
            tracing::warn!("a timer's date has passed in a loop that never ran");
        }
    }

    fn invalidated(&self, _: Why) {
        // Dropping the source would do as much, but that may happen on the way of a panic, when no other may come.
        drop(self.closure.take());
    }
}

impl<F, M> Drop for TimerSource<F, M> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

/// Whether the date has come, now that the loop has served a deadline. That may have been an order to look, or a clock may
/// have been set since it was told.
fn has_come<M: Moment>(date: Date, served: Instant) -> bool {
    let on_time = |at: M| M::STEADY && at.to_instant().is_some_and(|at| at <= served);
    moment::moment(date).is_some_and(on_time) || date <= moment::now::<M>()
}

/// Why a timer is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    /// Its date has come.
    Date,
    /// Somebody wants it to fire without a date.
    Asked,
    /// The loop was only told to look.
    Look,
}

/// One look at a timer, with its closure. What follows it also follows a panic.
struct Firing<'f, 's, 'a, F, M: Moment> {
    /// Where the closure comes from and goes back to.
    source: &'s TimerSource<F, M>,
    /// What the closure is called with.
    timer: Timer<M>,
    /// Where the next date is set.
    cx: &'f mut Cx<'s, 'a>,
    /// The date that was looked at.
    date: Date,
    /// Whether it fires, and for what.
    occasion: Occasion,
    /// Gone if it was used up.
    closure: Option<F>,
}

impl<F, M: Moment> Drop for Firing<'_, '_, '_, F, M> {
    fn drop(&mut self) {
        self.source.closure.set(self.closure.take());
        let shared = &self.source.shared;
        match (self.occasion, shared.interval) {
            (Occasion::Look, _) | (Occasion::Asked, Some(_)) => {}
            (Occasion::Date, Some(interval)) => {
                shared.advance(self.date, interval, moment::now::<M>());
            }
            (Occasion::Date | Occasion::Asked, None) => return self.timer.invalidate(),
        }
        self.cx
            .set_deadline_within(deadline::<M>(shared), shared.tolerance());
    }
}

/// A closure in its slot, which it may leave when it is called.
trait Fire<M>: Sized + 'static {
    fn fire(slot: &mut Option<Self>, run_loop: &RunLoop, timer: &Timer<M>);
}

/// A closure that is called as often as its timer fires.
struct Repeatedly<F>(F);

impl<F: FnMut(&RunLoop, &Timer<M>) + 'static, M> Fire<M> for Repeatedly<F> {
    fn fire(slot: &mut Option<Self>, run_loop: &RunLoop, timer: &Timer<M>) {
        if let Some(Self(closure)) = slot {
            closure(run_loop, timer);
        }
    }
}

/// A closure that is used up by its one call.
struct Once<F>(F);

impl<F: FnOnce(&RunLoop, &Timer<M>) + 'static, M> Fire<M> for Once<F> {
    fn fire(slot: &mut Option<Self>, run_loop: &RunLoop, timer: &Timer<M>) {
        if let Some(Self(closure)) = slot.take() {
            closure(run_loop, timer);
        }
    }
}
