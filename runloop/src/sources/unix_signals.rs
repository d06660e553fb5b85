//! Unix signals as events of a loop.
//!
//! A handler that runs in the middle of anything may do next to nothing: here it sets a flag and writes one byte into a
//! socket, and what the program wants to do about the signal is done by the loop. The flags are what counts. They are
//! memory of this process, whereas the socket is shared with every forked child, whose bytes wake the loop for nothing.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use signal_hook::consts::FORBIDDEN;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::low_level::emulate_default_handler;
use thiserror::Error;

use crate::core::RunLoop;
use crate::cx::Cx;
use crate::options::SourceOptions;
use crate::readiness::{Interest, Ready, Token, Why};
use crate::source::Source;
use crate::source_handle::SourceHandle;
use crate::source_ref::{AsSource, SourceRef};
use crate::sources::again::Again;
use crate::sources::callback::Callback;
use crate::sources::unix_signal::UnixSignal;

/// A source that calls its closure when the process receives one of some signals.
///
/// **Who is called.** Every source that listens for the signal, in whichever loops, once each. Signals of one kind that
/// arrive before the closure is called are one call, as the system itself merges them; different ones that have arrived
/// are one call each, the lowest number first. A signal that arrives while the closure runs is another call, later. The
/// sender is not told of: the system's record of it cannot be read without code of another language.
///
/// **What becomes of the signal.** While any source listens for it, it does not do what it usually does; the closure may
/// have that done by [`UnixSignal::act_as_default`]. A handler that somebody had installed before the first source is
/// still called, and so is everybody who uses the `signal-hook` library. Invalidating the source, or the end of its
/// thread, ends its listening and nobody else's; a signal for which nobody listens any more is then ignored rather than
/// treated as at first, because what was there may have been changed by others since.
///
/// **Where it can be used.** From any program point a signal may come: nothing but the flag and the byte happens there,
/// so a closure that stops the loop is the answer to those who would call `CFRunLoopStop` in a signal handler, which can
/// deadlock. Signals that the program blocks in all its threads do not arrive. In a forked child the signals are taken and
/// nothing is called, neither there nor in the parent, until the child executes a program, which has the usual treatment
/// back, or makes sources of its own.
///
/// ```
/// use runloop::{Mode, RunLoop, UnixSignal, UnixSignals};
///
/// let run_loop = RunLoop::current();
/// let quit = UnixSignals::new([UnixSignal::INTERRUPT, UnixSignal::TERMINATE], |run_loop, signal| {
///     println!("{signal}: stopping");
///     run_loop.stop();
/// })?;
/// run_loop.add(&quit, Mode::COMMON)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct UnixSignals {
    handle: SourceHandle,
}

impl UnixSignals {
    /// Listens for these signals from now on, on the loop of this thread; what comes before the source is in a mode that
    /// runs waits. One that is named twice counts once.
    ///
    /// # Errors
    ///
    /// [`SignalsError`]; nothing is listened for then.
    ///
    /// ```
    /// use runloop::{SignalsError, UnixSignal, UnixSignals};
    /// let refused = UnixSignals::new([UnixSignal::KILL], |_, _| {});
    /// assert!(matches!(refused, Err(SignalsError::Forbidden(UnixSignal::KILL))), "nobody catches that");
    /// ```
    pub fn new(
        signals: impl IntoIterator<Item = UnixSignal>,
        perform: impl FnMut(&RunLoop, UnixSignal) + 'static,
    ) -> Result<Self, SignalsError> {
        Self::with(SourceOptions::new().name("unix signals"), signals, perform)
    }

    /// As [`new`](Self::new), with options.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use runloop::{SourceOptions, UnixSignal, UnixSignals};
    /// let options = SourceOptions::new().name("reload").order(-1);
    /// let reload = UnixSignals::with(options, [UnixSignal::HANGUP], |_, _| println!("reading it again"))?;
    /// # drop(reload);
    /// # Ok::<(), runloop::SignalsError>(())
    /// ```
    pub fn with(
        options: SourceOptions,
        signals: impl IntoIterator<Item = UnixSignal>,
        perform: impl FnMut(&RunLoop, UnixSignal) + 'static,
    ) -> Result<Self, SignalsError> {
        let source = SignalSource::new(signals, Callback::new(perform))?;
        Ok(Self {
            handle: RunLoop::current().adopt(&SourceRef::with(options.exclusive(), source)),
        })
    }

    /// Ends it: see [`SourceHandle::invalidate`].
    pub fn invalidate(&self) {
        self.handle.invalidate();
    }

    /// Whether it has not been invalidated.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.handle.is_valid()
    }

    /// The source without its kind.
    #[must_use]
    pub fn handle(&self) -> &SourceHandle {
        &self.handle
    }
}

impl AsSource for UnixSignals {
    fn as_source(&self) -> &SourceHandle {
        &self.handle
    }
}

impl UnixSignal {
    /// Does what the signal does to a program that does not listen for it: ends the program as killed by it, stops it, or
    /// nothing. For a closure of [`UnixSignals`] that has put things in order.
    ///
    /// # Errors
    ///
    /// [`SignalsError::Unknown`] for a real-time signal or no signal at all; then nothing is done.
    ///
    /// ```
    /// use runloop::UnixSignal;
    /// UnixSignal::WINDOW_CHANGE.act_as_default()?; // which is to do nothing
    /// # Ok::<(), runloop::SignalsError>(())
    /// ```
    pub fn act_as_default(self) -> Result<(), SignalsError> {
        emulate_default_handler(self.as_raw()).map_err(|error| SignalsError::of(self, error))
    }
}

/// Signals cannot be listened for.
///
/// ```
/// use runloop::{SignalsError, UnixSignal, UnixSignals};
/// let refused = UnixSignals::new([UnixSignal::from_raw(1_000)], |_, _| {});
/// assert!(matches!(refused, Err(SignalsError::Unknown(_))));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignalsError {
    /// The system does not let it be caught (kill, stop), or it stands for a fault of the program itself, after which
    /// nothing can go on.
    #[error("{0} cannot be listened for")]
    Forbidden(UnixSignal),
    /// The system has no such signal, or keeps it for itself.
    #[error("{0} is not a signal for programs")]
    Unknown(UnixSignal),
    /// There is no room for the two descriptors that a source needs, or the system refuses for a reason of its own.
    #[error("the system has no room for listening to signals")]
    System(#[source] io::Error),
}

impl SignalsError {
    fn of(signal: UnixSignal, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINVAL) => Self::Unknown(signal),
            _ => Self::System(error),
        }
    }
}

struct SignalSource<F> {
    /// What the handlers write into; shared with `delivery`, which empties it.
    bell: Arc<UnixStream>,
    /// The flags, and the registrations that end with it. Borrowed only where nobody is called.
    delivery: RefCell<SignalDelivery<Arc<UnixStream>, SignalOnly>>,
    callback: Callback<F>,
}

impl<F> SignalSource<F> {
    fn new(
        signals: impl IntoIterator<Item = UnixSignal>,
        callback: Callback<F>,
    ) -> Result<Self, SignalsError> {
        let (ours, theirs) = UnixStream::pair().map_err(SignalsError::System)?;
        let bell = Arc::new(ours);
        let none: [i32; 0] = [];
        let delivery = SignalDelivery::with_pipe(Arc::clone(&bell), theirs, SignalOnly, none)
            .map_err(SignalsError::System)?;
        for signal in signals {
            // The library panics for these.
            if FORBIDDEN.contains(&signal.as_raw()) {
                return Err(SignalsError::Forbidden(signal));
            }
            if !(1..=libc::SIGRTMAX()).contains(&signal.as_raw()) {
                return Err(SignalsError::Unknown(signal));
            }
            let added = delivery.handle().add_signal(signal.as_raw());
            added.map_err(|error| SignalsError::of(signal, error))?;
        }
        Ok(Self {
            bell,
            delivery: RefCell::new(delivery),
            callback,
        })
    }
}

impl<F: FnMut(&RunLoop, UnixSignal) + 'static> Source for SignalSource<F> {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(THE_ONE, self.bell.as_fd(), Interest::READABLE)
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        // The bell is silenced before the flags are looked at, so what is set from here on rings again. A flag is taken
        // just before its call; the guard asks for another perform when flags may be left, also because of a panic.
        let budget = cx.budget(CALLS_PER_PERFORM);
        let mut again = Again::new(cx);
        let mut flags = self.delivery.borrow_mut().pending();
        for _ in 0..budget {
            if !again.may_go_on() {
                return;
            }
            let Some(number) = flags.next() else {
                again.is_not_needed();
                return;
            };
            let signal = UnixSignal::from_raw(number);
            self.callback
                .call(|perform| perform(again.run_loop(), signal));
        }
    }

    fn invalidated(&self, _: Why) {
        self.callback.end();
    }
}

const THE_ONE: Token = Token(0);
/// How many calls one perform makes, so that a storm of signals, or a closure that raises its own, leaves the loop room
/// for others.
const CALLS_PER_PERFORM: usize = 64;
