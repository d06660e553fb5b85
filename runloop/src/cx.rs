//! What a source may do to the loop while the loop calls it.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::arena::Key;
use crate::clock::Tick;
use crate::core::{Owner, RunLoop, Watch};
use crate::deadlines::Deadline;
use crate::mode::Mode;
use crate::readiness::{Interest, Token};
use crate::source_handle::SourceHandle;
use crate::sys::poller::Held;

/// A source's access to the loop that is calling it.
///
/// `'s` is the life of the source: what [`watch`](Cx::watch) takes must be borrowed for as long, so a watched descriptor
/// cannot be closed before the loop has forgotten it. The type is invariant in `'s` to keep it so.
///
/// ```compile_fail
/// use runloop::{Cx, Interest, Ready, Source, Token};
/// use std::os::{fd::AsFd, unix::net::UnixStream};
///
/// struct Leaky;
/// impl Source for Leaky {
///     fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> std::io::Result<()> {
///         let (ours, _) = UnixStream::pair()?;
///         cx.watch(Token(0), ours.as_fd(), Interest::READABLE) // closed at the end of this function: refused
///     }
///     fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {}
/// }
/// ```
pub struct Cx<'s, 'a> {
    run_loop: &'a RunLoop,
    key: Key,
    source: PhantomData<fn(&'s ()) -> &'s ()>,
}

impl<'s, 'a> Cx<'s, 'a> {
    pub(crate) fn new(run_loop: &'a RunLoop, key: Key) -> Self {
        Self {
            run_loop,
            key,
            source: PhantomData,
        }
    }

    /// The loop that is calling. Any of its methods may be called, [`run_in_mode`](RunLoop::run_in_mode) included.
    #[must_use]
    pub fn run_loop(&self) -> &'a RunLoop {
        self.run_loop
    }

    /// The mode that is running; `None` in an [`attach`](crate::Source::attach) outside of every run.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.run_loop.current_mode()
    }

    /// This source without its type, or `None` if it has left the loop.
    #[must_use]
    pub fn handle(&self) -> Option<SourceHandle> {
        let state = self.run_loop.core.with(|tables| {
            let entry = tables.sources.get(self.key)?;
            Some(Arc::clone(&entry.state))
        });
        state.map(SourceHandle::new)
    }

    /// Watches a descriptor that the source owns, in every mode of this loop that the source is in, now or later.
    ///
    /// The source is performed in the descriptor phase for as long as the descriptor is ready for what `interest` says.
    /// A descriptor that another source of this loop watches already may be watched as well.
    ///
    /// One that has reported nothing but hang-up or error a thousand times in a row, with nothing done about it, loses its
    /// interest, and a warning is traced: it would keep the loop from ever sleeping.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the source has a watch of that token in this loop; `NotFound` if it is no longer in this loop;
    /// what the system says if the descriptor cannot be polled (`PermissionDenied` for a regular file) or there is no
    /// room. Nothing is watched then.
    pub fn watch(
        &mut self,
        token: Token,
        fd: BorrowedFd<'s>,
        interest: Interest,
    ) -> io::Result<()> {
        let callee = self.run_loop.core.with(|tables| {
            let entry = tables.sources.get(self.key)?;
            Some(Arc::clone(&entry.callee))
        });
        let callee = callee.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        self.add(token, Held::new(fd, Owner::Source(callee)), interest)
    }

    /// As [`watch`](Self::watch), for a descriptor that comes and goes while the source stays: the loop holds a share of
    /// its owner until it has forgotten it.
    ///
    /// # Errors
    ///
    /// As [`watch`](Self::watch).
    pub fn watch_shared<F: AsFd + 'static>(
        &mut self,
        token: Token,
        owner: Arc<F>,
        interest: Interest,
    ) -> io::Result<()> {
        // Reborrowed from a second share, so that the first can move into the owner.
        let borrowed = Arc::clone(&owner);
        let held = Held::new(borrowed.as_fd(), Owner::Shared(owner));
        self.add(token, held, interest)
    }

    /// Watches a bell: a descriptor that is never read. Each time it becomes readable anew this source is signalled; the
    /// descriptor is not among the ready ones that the source is told of.
    ///
    /// For event descriptors between processes and the like, whose ring says only that something has happened, somewhere
    /// that the source knows how to look at.
    ///
    /// # Errors
    ///
    /// As [`watch`](Self::watch).
    pub fn watch_bell<F: AsFd + 'static>(&mut self, token: Token, owner: Arc<F>) -> io::Result<()> {
        let borrowed = Arc::clone(&owner);
        let held = Held::new(borrowed.as_fd(), Owner::Shared(owner));
        let watch = self.describe(token, held, Interest::READABLE);
        self.add_watch(Watch {
            edge: true,
            ..watch
        })
    }

    /// Changes what a descriptor is watched for. An empty interest stops watching it without forgetting it.
    ///
    /// # Errors
    ///
    /// `NotFound` if the source has no such watch; what the system says if there is no room.
    pub fn set_interest(&mut self, token: Token, interest: Interest) -> io::Result<()> {
        self.run_loop
            .core
            .with(|tables| tables.set_interest(self.key, token, interest))
    }

    /// Forgets a descriptor; says whether it was watched. What the loop shared of it is let go of before this returns.
    pub fn unwatch(&mut self, token: Token) -> bool {
        let gone = self
            .run_loop
            .core
            .with(|tables| tables.remove_watch(self.key, token));
        gone.is_some()
    }

    /// Sets the moment at which the source is performed in the timers phase, in place of the former one; `None` clears
    /// it.
    ///
    /// It is served once, never early, and late only when the loop is busy or its mode does not run. A deadline that has
    /// passed is served at once, or in the next pass if this pass is serving deadlines already.
    pub fn set_deadline(&mut self, at: Option<Instant>) {
        self.set_deadline_within(at, Duration::ZERO);
    }

    /// As [`set_deadline`](Self::set_deadline), with a tolerance: a loop that is awake serves the deadline as soon as it
    /// has passed, but one that sleeps need not wake for it until this much later. So deadlines whose tolerances overlap
    /// share a wake-up, which costs many times what serving them does.
    ///
    /// A tolerance that reaches beyond any moment that can come has a sleeping loop never wake for this deadline alone.
    ///
    /// Counterpart: `CFRunLoopTimerSetTolerance`, for any source.
    pub fn set_deadline_within(&mut self, at: Option<Instant>, tolerance: Duration) {
        let deadline = Deadline::within(at, tolerance);
        self.run_loop.move_deadline(self.key, deadline);
    }

    /// The deadline that is set, if any.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let at = self
            .run_loop
            .core
            .with(|t| t.sources.get(self.key).map(|entry| entry.deadline.at));
        at.filter(|&at| at != Tick::NEVER).map(Tick::to_instant)
    }

    /// Signals this source: it is performed in the next sources phase.
    pub fn signal(&mut self) {
        self.run_loop.signal_source(self.key);
    }

    /// Has the source asked by [`prepare`](crate::Source::prepare) before the loop sleeps, until it answers
    /// [`Prepared::Idle`](crate::Prepared::Idle) to an announcement.
    pub fn look_before_sleep(&mut self) {
        self.run_loop.heat(self.key);
    }

    /// How much this perform should do before it leaves the loop to others: what
    /// [`SourceOptions::budget`](crate::SourceOptions::budget) says, or `usual`. What is left is for the next perform: leave
    /// the descriptor ready, or [`signal`](Self::signal).
    #[must_use]
    pub fn budget(&self, usual: usize) -> usize {
        let budget = self
            .run_loop
            .core
            .with(|tables| tables.sources.get(self.key)?.state.budget());
        budget.unwrap_or(usual)
    }

    /// Whether the source is valid and in the mode that is running.
    pub(crate) fn is_wanted(&self) -> bool {
        self.run_loop.core.with(|tables| {
            let (entry, mode) = (tables.sources.get(self.key), tables.running());
            entry
                .zip(mode)
                .is_some_and(|(entry, mode)| entry.is_in(mode) && entry.state.is_valid())
        })
    }

    fn add(&self, token: Token, fd: Held<Owner>, interest: Interest) -> io::Result<()> {
        self.add_watch(self.describe(token, fd, interest))
    }

    fn describe(&self, token: Token, fd: Held<Owner>, interest: Interest) -> Watch {
        Watch {
            source: self.key,
            token,
            interest,
            edge: false,
            parked: false,
            next: u32::MAX,
            served: 0,
            barren: 0,
            fd,
        }
    }

    fn add_watch(&self, watch: Watch) -> io::Result<()> {
        let refused = self.run_loop.core.with(|tables| tables.add_watch(watch));
        refused.map_err(|(error, _watch)| error)
    }
}

impl fmt::Debug for Cx<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx")
            .field("run_loop", self.run_loop)
            .finish_non_exhaustive()
    }
}
