//! What a thread does with its own loop.

use std::time::{Duration, Instant};

use crate::clock::{self, Tick};
use crate::core::{Closure, RunLoop, Tables};
use crate::error::{AddError, PerformError, RunError};
use crate::handle::Handle;
use crate::limit::{Limit, Outcome, ReturnAfter};
use crate::mode::Mode;
use crate::observer::Observer;
use crate::plan::Plan;
use crate::source::Source;
use crate::source_handle::SourceHandle;
use crate::source_ref::{AsSource, SourceRef};
use crate::statistics::Statistics;
use crate::thread;
use crate::wake::WAKE;

impl RunLoop {
    /// The loop of this thread.
    ///
    /// Never fails: what needs the system is made by the first [`add`](Self::add). In a destructor that runs while the
    /// thread ends it answers a closed loop.
    ///
    /// Counterpart: `CFRunLoopGetCurrent`.
    ///
    /// ```
    /// let run_loop = runloop::RunLoop::current();
    /// assert_eq!(run_loop.current_mode(), None);
    /// ```
    #[must_use]
    pub fn current() -> Self {
        thread::current()
    }

    /// The loop of the thread in which the process began, from any thread and before that thread has touched it.
    ///
    /// Counterpart: `CFRunLoopGetMain`.
    ///
    /// ```
    /// let main = runloop::RunLoop::main();
    /// std::thread::spawn(move || main.wake_up()).join().unwrap()?;
    /// # Ok::<(), runloop::Unreachable>(())
    /// ```
    #[must_use]
    pub fn main() -> Handle {
        Handle::new(thread::main())
    }

    /// The present, as the loop of this thread measures it: [`Instant::now`], unless a test has taken its clock in hand
    /// (feature `manual-clock`). Sources measure their deadlines from here, so that their users can test them.
    ///
    /// ```
    /// use std::time::Instant;
    /// let before = Instant::now();
    /// assert!(runloop::RunLoop::now() >= before);
    /// ```
    #[must_use]
    pub fn now() -> Instant {
        clock::standing().map_or_else(Instant::now, Tick::to_instant)
    }

    /// This loop for other threads.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(std::sync::Arc::clone(&self.core.shared))
    }

    /// Runs [`Mode::DEFAULT`] until it is stopped or the mode is empty.
    ///
    /// Counterpart: `CFRunLoopRun`.
    ///
    /// # Errors
    ///
    /// [`RunError`] if the loop is closed or belongs to the parent of this process, or the system refuses to wait.
    pub fn run(&self) -> Result<Outcome, RunError> {
        self.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit)
    }

    /// Runs one mode: waits for its sources and calls them back until the limit, a stop, an empty mode or, if asked for,
    /// the first source.
    ///
    /// May be called from any callback, for any mode, the running one included; the inner run has its own limit and its
    /// own stop. [`Limit::Now`] makes exactly one pass that does not block, and serves all that is ready in it.
    ///
    /// With [`ReturnAfter::FirstSource`] a run serves one source and returns; only when signals have kept it from asking
    /// the kernel for long does it serve one descriptor as well.
    ///
    /// Counterpart: `CFRunLoopRunInMode`.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and [`RunError::CommonMode`] for [`Mode::COMMON`].
    pub fn run_in_mode(
        &self,
        mode: Mode,
        limit: impl Into<Limit>,
        return_after: ReturnAfter,
    ) -> Result<Outcome, RunError> {
        let deadline = limit.into().deadline();
        self.activate(&Plan {
            mode,
            deadline,
            return_after,
            when_empty: false,
        })
    }

    /// As [`run_in_mode`](Self::run_in_mode), but goes on sleeping when the mode is empty: something may yet be added,
    /// from a callback or from another thread.
    ///
    /// # Errors
    ///
    /// As [`run_in_mode`](Self::run_in_mode).
    pub fn wait_in_mode(
        &self,
        mode: Mode,
        limit: impl Into<Limit>,
        return_after: ReturnAfter,
    ) -> Result<Outcome, RunError> {
        let deadline = limit.into().deadline();
        self.activate(&Plan {
            mode,
            deadline,
            return_after,
            when_empty: true,
        })
    }

    /// Ends the innermost run at its next decision, or the next run at once if none is in progress.
    ///
    /// Counterpart: `CFRunLoopStop`, which is lost on a loop that does not run.
    pub fn stop(&self) {
        if self.current_mode().is_some() {
            self.core.stopped.set(true);
        } else {
            self.core.stop_kept.set(true);
            self.core.with(Tables::stir_all);
        }
    }

    /// Has the loop make one more pass instead of sleeping. Nothing in this crate needs it.
    ///
    /// Counterpart: `CFRunLoopWakeUp`.
    pub fn wake_up(&self) {
        // An unreachable loop has nothing to wake for.
        let _woken = self.core.shared.order(WAKE);
    }

    /// Adds a source to a mode, or to all common modes, present and future, for [`Mode::COMMON`]. Says whether something
    /// changed.
    ///
    /// Takes effect at once, also on a mode that is running.
    ///
    /// Counterpart: `CFRunLoopAddSource`, `CFRunLoopAddTimer`.
    ///
    /// # Errors
    ///
    /// [`AddError`]; nothing has changed then.
    pub fn add(&self, source: &impl AsSource, mode: Mode) -> Result<bool, AddError> {
        let value = source.value().map(|value| value.0);
        self.add_source(source.as_source().state(), value, mode)
    }

    /// Whether a source is in a mode, or in the common set for [`Mode::COMMON`].
    ///
    /// Counterpart: `CFRunLoopContainsSource`, `CFRunLoopContainsTimer`.
    #[must_use]
    pub fn contains(&self, source: &impl AsSource, mode: Mode) -> bool {
        let Some(key) = self.find(source.as_source().state()) else {
            return false;
        };
        self.core.with(|tables| tables.contains(key, mode))
    }

    /// Takes a source out of a mode, or out of the common set for [`Mode::COMMON`]. Says whether something changed.
    ///
    /// A source that was added both by itself and with the common set stays in its mode until both are taken back. Taking
    /// a source of the common set out of one mode leaves it in the set.
    ///
    /// Counterpart: `CFRunLoopRemoveSource`, `CFRunLoopRemoveTimer`.
    pub fn remove(&self, source: &impl AsSource, mode: Mode) -> bool {
        if self.core.shared.is_forked() {
            return false;
        }
        let key = self.find(source.as_source().state());
        key.is_some_and(|key| self.remove_source(key, mode))
    }

    /// Keeps a source in this loop's care, in no mode yet, and gives back a handle without its type.
    ///
    /// The value stays on this thread, and lives until the source is invalidated, the thread ends, or the last handle is
    /// dropped while it is in no mode. This is how a kind of source whose closures need not be `Send` has handles that
    /// are.
    #[must_use]
    pub fn adopt<S: Source>(&self, source: &SourceRef<S>) -> SourceHandle {
        if let Some(value) = source.value() {
            self.adopt_source(source.handle().state(), value.0);
        }
        source.handle().clone()
    }

    /// Has a source of this loop asked before the next sleep: see [`Cx::look_before_sleep`](crate::Cx::look_before_sleep).
    /// For code that is about to run the loop until the source has something to tell.
    pub fn look_before_sleep(&self, source: &impl AsSource) {
        if let Some(key) = self.find(source.as_source().state()) {
            self.heat(key);
        }
    }

    /// Adds an observer to a mode, or to all common modes for [`Mode::COMMON`]. Says whether something changed; an
    /// invalid observer is not added.
    ///
    /// Counterpart: `CFRunLoopAddObserver`.
    ///
    /// # Errors
    ///
    /// [`AddError::Invalid`] or [`AddError::Unreachable`].
    pub fn add_observer(&self, observer: &Observer, mode: Mode) -> Result<bool, AddError> {
        self.core.shared.reachable()?;
        if !observer.is_valid() {
            return Err(AddError::Invalid);
        }
        Ok(self.seat(observer.as_observing(), observer.order(), mode))
    }

    /// Whether an observer is in a mode, or in the common set (`CFRunLoopContainsObserver`).
    #[must_use]
    pub fn contains_observer(&self, observer: &Observer, mode: Mode) -> bool {
        self.is_seated(&observer.as_observing(), mode)
    }

    /// Takes an observer out of a mode, or out of the common set. Says whether something changed
    /// (`CFRunLoopRemoveObserver`).
    pub fn remove_observer(&self, observer: &Observer, mode: Mode) -> bool {
        self.unseat_from(&observer.as_observing(), mode)
    }

    /// Calls a closure once, when `mode` runs (or any common mode, for [`Mode::COMMON`]): see [`Handle::perform`]. This
    /// one stays on the thread, so the closure need not be `Send`.
    ///
    /// Counterpart: `CFRunLoopPerformBlock`.
    ///
    /// # Errors
    ///
    /// As [`Handle::perform`].
    pub fn perform<F>(&self, mode: Mode, closure: F) -> Result<(), PerformError<F>>
    where
        F: FnOnce(&Self) + 'static,
    {
        if let Err(why) = self.core.shared.reachable() {
            return Err(PerformError::Unreachable(closure, why));
        }
        // What other threads have sent came first.
        self.collect();
        if !self.core.shared.reserve_closure() {
            return Err(PerformError::Full(closure));
        }
        self.core
            .with(|tables| tables.queue(mode, Closure::Local(Box::new(closure))));
        Ok(())
    }

    /// How many closures may wait for this loop at a time, its own and those of other threads; 1,024 unless set.
    pub fn set_closure_limit(&self, most: usize) {
        self.core.shared.set_capacity(most);
    }

    /// Whether sources may have this loop look again and again for a moment instead of sleeping at once; they may unless
    /// this is set to false, which saves power and costs time. It also decides whether the loop, after other threads have
    /// sent something, may give its processor to them once before it sleeps, as it does where that has paid.
    pub fn set_spinning(&self, allowed: bool) {
        self.core.spinning.set(allowed);
    }

    /// Whether looking again and again instead of sleeping is allowed: it is not after
    /// [`set_spinning(false)`](Self::set_spinning), nor while the clock stands still for a test.
    ///
    /// For what waits beside the loop, as it is asked before the loop is run; a source just answers
    /// [`Prepared::Spin`](crate::Prepared::Spin).
    #[must_use]
    pub fn may_spin(&self) -> bool {
        self.core.spinning.get() && clock::standing().is_none()
    }

    /// Has a warning traced about each callback that takes this long or longer; `None`, as it is at first, about none.
    ///
    /// It says the name and kind of the source, which of its callbacks it was (or that it was an observer or a closure), the
    /// mode, how many runs were in progress, and what it took, runs of the loop inside included. The clock is read once for
    /// each callback as long as this is on. Whoever listens may use the loop.
    ///
    /// ```
    /// use std::time::Duration;
    /// runloop::RunLoop::current().set_slow_warning(Some(Duration::from_millis(16)));
    /// ```
    pub fn set_slow_warning(&self, threshold: Option<Duration>) {
        self.core.timing.slow.set(threshold);
    }

    /// Whether times are added up: how long the loop sleeps ([`Statistics::asleep`]) and what each source's performs take
    /// ([`SourceHandle::time_spent`]). They are not unless this is set, since the clock is read once for each callback then.
    pub fn set_measuring(&self, on: bool) {
        self.core.timing.measuring.set(on);
    }

    /// Whether the loop sleeps. As seen from its own thread that is when a mode is [embedded](Self::readiness) and no run
    /// is active, or in a signal handler.
    ///
    /// Counterpart: `CFRunLoopIsWaiting`; other threads ask [`Handle::is_waiting`].
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.core.shared.sleep.is_announced()
    }

    /// What the loop has done so far, in numbers.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.core.statistics.get()
    }

    /// The mode of the innermost run, or `None` outside of every run.
    ///
    /// Counterpart: `CFRunLoopCopyCurrentMode`.
    #[must_use]
    pub fn current_mode(&self) -> Option<Mode> {
        self.core.with(|tables| tables.running())
    }

    /// The modes that something has been added to, those that were made common, and [`Mode::DEFAULT`]; never
    /// [`Mode::COMMON`].
    ///
    /// Counterpart: `CFRunLoopCopyAllModes`, which does not list a common mode that nothing was added to.
    #[must_use]
    pub fn modes(&self) -> Vec<Mode> {
        self.core
            .with(|tables| tables.modes().map(|entry| entry.mode).collect())
    }

    /// Makes a mode one of those that [`Mode::COMMON`] stands for; what is in the common set comes into it. Says whether
    /// it was not one before. A mode stays common.
    ///
    /// Counterpart: `CFRunLoopAddCommonMode`.
    ///
    /// # Errors
    ///
    /// [`AddError::Invalid`] for [`Mode::COMMON`] itself; [`AddError::PollSet`] if some source of the set could not come
    /// into it (those that could have).
    pub fn add_common_mode(&self, mode: Mode) -> Result<bool, AddError> {
        self.core.shared.reachable()?;
        if mode == Mode::COMMON {
            return Err(AddError::Invalid);
        }
        let new = self.core.with(|tables| {
            let new = !tables.common_modes.contains(&mode);
            if new {
                tables.common_modes.push(mode);
                tables.mode_or_new(mode).common = true;
            }
            new
        });
        if new {
            self.join_common_observers(mode);
            self.join_common_sources(mode).map_err(AddError::PollSet)?;
        }
        Ok(new)
    }

    /// The earliest deadline of any source in a mode, which may have passed already.
    ///
    /// Counterpart: `CFRunLoopGetNextTimerFireDate`.
    #[must_use]
    pub fn next_deadline(&self, mode: Mode) -> Option<Instant> {
        self.core
            .with(|tables| tables.first_deadline(mode))
            .map(Tick::to_instant)
    }

    /// Adds a source where nobody could be given an error.
    pub(crate) fn add_or_fail<S: Source>(&self, source: &SourceRef<S>, mode: Mode) {
        if let Err(error) = self.add(source, mode) {
            let name = source.handle().name();
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                source = name,
                error,
                "a source sent here could not be added"
            );
            source.fail();
        }
    }
}
