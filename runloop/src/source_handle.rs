//! A source as any thread may hold it: without its type and without its value.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::arena::Key;
use crate::core::RunLoop;
use crate::deadlines::Deadline;
use crate::readiness::{Interest, Token, Why};
use crate::state::{Request, State};
use crate::thread;

/// A source without its type: what any thread may hold and use.
///
/// On the thread of the source's loop everything takes effect at once; from elsewhere the loop is told, and woken if it
/// sleeps. A handle keeps the source's value alive only if the source was [adopted](RunLoop::adopt). Handles are equal
/// when their sources are the same.
///
/// Counterpart: what other threads do with a `CFRunLoopSourceRef`.
///
/// ```
/// use runloop::{Mode, RunLoop, Signalled};
///
/// let run_loop = RunLoop::current();
/// let source = Signalled::new(|run_loop| run_loop.stop());
/// run_loop.add(&source, Mode::DEFAULT)?;
/// let handle = source.handle().clone();
/// std::thread::spawn(move || handle.signal());
/// let _stopped = run_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SourceHandle {
    state: Arc<State>,
}

impl SourceHandle {
    pub(crate) fn new(state: Arc<State>) -> Self {
        state.add_handle();
        Self { state }
    }

    /// Asks for one perform in the sources phase. Signals given before it is performed are one; a signal given to a
    /// source that is in no loop, or in a mode that does not run, is kept. An invalid source ignores it.
    ///
    /// Counterpart: `CFRunLoopSourceSignal`, followed by `CFRunLoopWakeUp`, which is never needed here.
    pub fn signal(&self) {
        if !self.state.is_valid() || !self.state.set_signalled() {
            return;
        }
        let here = self.locally(|run_loop, key| {
            run_loop.core.with(|tables| tables.list(key));
            run_loop.core.shared.id
        });
        // Whichever of its loops looks first performs it, and this one may not run its mode for long.
        if here.is_none() || self.state.is_in_several() {
            self.state.notify_others(here.unwrap_or(0));
        }
    }

    /// Whether it is signalled and has not been performed for that yet.
    ///
    /// Counterpart: `CFRunLoopSourceIsSignalled`.
    #[must_use]
    pub fn is_signalled(&self) -> bool {
        self.state.is_signalled()
    }

    /// Ends the source. After this returns no callback of it begins on any thread; one that is running on another thread
    /// may still be (see [`invalidate_and_wait`](Self::invalidate_and_wait)). The source leaves all modes of all loops,
    /// each on that loop's thread: here, at once; elsewhere, when that loop looks. Doing it again changes nothing.
    ///
    /// Counterpart: `CFRunLoopSourceInvalidate`.
    pub fn invalidate(&self) {
        self.end();
    }

    /// As [`invalidate`](Self::invalidate), and waits for callbacks that are running on other threads to return.
    ///
    /// A callback of this source that calls this does not wait for itself. Two threads whose callbacks call this for
    /// each other's source wait for ever.
    pub fn invalidate_and_wait(&self) {
        let own = self.locally(RunLoop::calls_of);
        self.end();
        self.state.wait_idle(own.unwrap_or(0));
    }

    /// Whether it can still be performed.
    ///
    /// Counterpart: `CFRunLoopSourceIsValid`.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.state.is_valid()
    }

    /// Sets the moment at which it is performed in the timers phase; `None` clears it. Ignored while it is in no loop.
    pub fn set_deadline(&self, at: Option<Instant>) {
        self.set_deadline_within(at, Duration::ZERO);
    }

    /// As [`set_deadline`](Self::set_deadline), with a tolerance: see [`Cx::set_deadline_within`](crate::Cx::set_deadline_within).
    ///
    /// ```
    /// use runloop::{Cx, Ready, RunLoop, Source, SourceRef};
    /// use std::time::{Duration, Instant};
    ///
    /// struct Cache;
    /// impl Source for Cache {
    ///     fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {
    ///         println!("forgets what is old");
    ///     }
    /// }
    ///
    /// let cache = RunLoop::current().adopt(&SourceRef::new(Cache));
    /// let minute = Duration::from_secs(60);
    /// cache.set_deadline_within(Some(Instant::now() + minute), minute / 10);
    /// ```
    pub fn set_deadline_within(&self, at: Option<Instant>, tolerance: Duration) {
        self.ask(Request::Deadline(Deadline::within(at, tolerance)));
    }

    /// Changes what one of its descriptors is watched for. Ignored if it does not watch such a one; if the system
    /// refuses, the source is invalidated with [`Why::Failed`].
    pub fn set_interest(&self, token: Token, interest: Interest) {
        self.ask(Request::Interest(token, interest));
    }

    /// Its place among sources that are ready in the same phase (`CFRunLoopSourceGetOrder`).
    #[must_use]
    pub fn order(&self) -> i32 {
        self.state.order()
    }

    /// What it is called in traces, if it was given a name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.state.name()
    }

    /// How often it was performed, in all of its loops.
    ///
    /// ```
    /// use runloop::{Mode, RunLoop, Signalled};
    ///
    /// let run_loop = RunLoop::current();
    /// let source = Signalled::new(|run_loop| run_loop.stop());
    /// run_loop.add(&source, Mode::DEFAULT)?;
    /// source.signal();
    /// let _stopped = run_loop.run()?;
    /// assert_eq!(source.handle().performs(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn performs(&self) -> u64 {
        self.state.performs()
    }

    /// What its performs have taken while their loop [measured](RunLoop::set_measuring) times, runs of the loop inside them
    /// included. A perform is added when it ends.
    #[must_use]
    pub fn time_spent(&self) -> Duration {
        self.state.time_spent()
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    fn ask(&self, request: Request) {
        let here = self.locally(|run_loop, key| {
            let id = run_loop.core.shared.id;
            // What other threads have asked for before comes first, so that the latest wish is the one that holds.
            for earlier in self.state.take_requests(id) {
                run_loop.grant(key, earlier);
            }
            run_loop.grant(key, request);
            id
        });
        if here.is_none() || self.state.is_in_several() {
            self.state.request_others(request, here.unwrap_or(0));
        }
    }

    /// Makes it invalid, and takes it out of its loops.
    pub(crate) fn end(&self) {
        let was = self.state.clear_valid();
        let here = self.locally(|run_loop, key| (run_loop.clone(), key));
        let id = here.as_ref().map_or(0, |here| here.0.core.shared.id);
        // The others first: what follows here calls hooks, and one may panic.
        if was && (id == 0 || self.state.is_in_several()) {
            self.state.notify_others(id);
        }
        if let Some((run_loop, key)) = here {
            run_loop.tear_down(key, Why::Asked);
        }
    }

    /// Calls with the loop of this thread, if the source is in it.
    fn locally<R>(&self, call: impl FnOnce(&RunLoop, Key) -> R) -> Option<R> {
        let here = thread::with_current(|run_loop| {
            if run_loop.core.shared.is_forked() {
                return None;
            }
            run_loop
                .find(&self.state)
                .map(|key| (run_loop.clone(), key))
        });
        let (run_loop, key) = here.flatten()?;
        Some(call(&run_loop, key))
    }
}

impl Clone for SourceHandle {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.state))
    }
}

impl Drop for SourceHandle {
    fn drop(&mut self) {
        if !self.state.drop_handle() {
            return;
        }
        // The last handle of an adopted source takes the source with it, on the loop's own thread.
        if self.locally(RunLoop::settle).is_none() {
            self.state.notify();
        }
    }
}

impl PartialEq for SourceHandle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

impl Eq for SourceHandle {}

impl Hash for SourceHandle {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        Arc::as_ptr(&self.state).hash(hasher);
    }
}

impl fmt::Debug for SourceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceHandle").field(&self.state).finish()
    }
}
