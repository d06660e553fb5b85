//! Unix signals as events of a loop.
//!
//! A handler that runs in the middle of anything may do next to nothing; here it writes one byte into a socket, and what
//! the program wants to do about the signal is done by the loop.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use signal_hook::SigId;
use signal_hook::consts;
use signal_hook::low_level::{pipe, unregister};

use crate::core::RunLoop;
use crate::cx::Cx;
use crate::options::SourceOptions;
use crate::readiness::{Interest, Ready, Token, Why};
use crate::source::Source;
use crate::source_handle::SourceHandle;
use crate::source_ref::{AsSource, SourceRef};
use crate::sources::callback::Callback;

/// A source that calls its closure when the process receives one of some signals.
///
/// While it exists the signals do not do what they usually do; several sources, in several loops, may listen for the same
/// signal, and each is called. Signals of one kind that come close together are one call. Invalidating the source stops
/// the listening; a signal for which nobody listens any more is ignored rather than treated as at first.
///
/// Counterpart: none in CoreFoundation, where `CFRunLoopStop` in a signal handler can deadlock.
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
    /// Listens for these signals from now on; what comes before the source is in a loop waits.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a signal that cannot be caught (kill, stop) or must not be (a fault of the program itself), or
    /// what the system says when there is no room for a descriptor.
    ///
    /// ```
    /// use runloop::{UnixSignal, UnixSignals};
    /// assert!(UnixSignals::new([UnixSignal::from_raw(9)], |_, _| {}).is_err(), "nobody catches that");
    /// ```
    pub fn new(
        signals: impl IntoIterator<Item = UnixSignal>,
        perform: impl FnMut(&RunLoop, UnixSignal) + 'static,
    ) -> io::Result<Self> {
        let ears = signals
            .into_iter()
            .map(Ear::new)
            .collect::<io::Result<Vec<_>>>()?;
        let source = SignalSource {
            ears,
            callback: Callback::new(perform),
        };
        let options = SourceOptions::new().name("unix signals");
        Ok(Self {
            handle: RunLoop::current().adopt(&SourceRef::with(options, source)),
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

/// A signal of the system, by its number.
///
/// ```
/// use runloop::UnixSignal;
/// assert_eq!(UnixSignal::INTERRUPT.to_string(), "SIGINT");
/// assert_eq!(UnixSignal::from_raw(UnixSignal::HANGUP.as_raw()), UnixSignal::HANGUP);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnixSignal(i32);

impl UnixSignal {
    /// Ctrl-C in a terminal (`SIGINT`).
    pub const INTERRUPT: Self = Self(consts::SIGINT);
    /// The polite request to end (`SIGTERM`).
    pub const TERMINATE: Self = Self(consts::SIGTERM);
    /// Ctrl-\ in a terminal (`SIGQUIT`).
    pub const QUIT: Self = Self(consts::SIGQUIT);
    /// The terminal is gone; for a service, the request to read its configuration again (`SIGHUP`).
    pub const HANGUP: Self = Self(consts::SIGHUP);
    /// A child has ended or stopped (`SIGCHLD`).
    pub const CHILD: Self = Self(consts::SIGCHLD);
    /// The terminal has another size (`SIGWINCH`).
    pub const WINDOW_CHANGE: Self = Self(consts::SIGWINCH);
    /// Free for the program's use (`SIGUSR1`).
    pub const USER_1: Self = Self(consts::SIGUSR1);
    /// Free for the program's use (`SIGUSR2`).
    pub const USER_2: Self = Self(consts::SIGUSR2);

    /// The signal of this number.
    ///
    /// ```
    /// assert_eq!(runloop::UnixSignal::from_raw(2), runloop::UnixSignal::INTERRUPT);
    /// ```
    #[must_use]
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn as_raw(self) -> i32 {
        self.0
    }
}

impl fmt::Display for UnixSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_hook::low_level::signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// One signal, and the socket into which its handler writes.
struct Ear {
    signal: UnixSignal,
    bytes: UnixStream,
    registration: SigId,
}

impl Ear {
    fn new(signal: UnixSignal) -> io::Result<Self> {
        if consts::FORBIDDEN.contains(&signal.0) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let (bytes, theirs) = UnixStream::pair()?;
        bytes.set_nonblocking(true)?;
        let registration = pipe::register(signal.0, theirs)?;
        Ok(Self {
            signal,
            bytes,
            registration,
        })
    }

    /// Takes the bytes off; says whether there were any.
    fn was_rung(&self) -> bool {
        let mut bytes = [0; 64];
        let mut rung = false;
        // Signals of one kind are few; what is left after this makes the socket ready again.
        for _ in 0..READS_MAX {
            match (&self.bytes).read(&mut bytes) {
                Ok(count) if count > 0 => rung = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        rung
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        unregister(self.registration);
    }
}

struct SignalSource<F> {
    ears: Vec<Ear>,
    callback: Callback<F>,
}

impl<F: FnMut(&RunLoop, UnixSignal) + 'static> Source for SignalSource<F> {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        for (token, ear) in (0..).zip(&self.ears) {
            cx.watch(Token(token), ear.bytes.as_fd(), Interest::READABLE)?;
        }
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        for (token, _) in ready.fds {
            let ear = usize::try_from(token.0)
                .ok()
                .and_then(|place| self.ears.get(place));
            if let Some(ear) = ear.filter(|ear| ear.was_rung()) {
                self.callback
                    .call(|perform| perform(cx.run_loop(), ear.signal));
            }
        }
    }

    fn invalidated(&self, _: Why) {
        self.callback.end();
    }
}

/// How many times the socket of a signal is read before the loop looks at anything else.
const READS_MAX: usize = 4;
