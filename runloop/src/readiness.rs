//! What a source may wait for and what it is told: interest, readiness, and the words of the [`Source`](crate::Source)
//! contract.
//!
//! Plain values; nothing here knows a loop.

use std::time::{Duration, Instant};

bitflags::bitflags! {
    /// What a source wants to hear of about a descriptor.
    ///
    /// Hang-up and error are always reported as long as the interest is not empty; with an empty interest the
    /// descriptor is not watched at all.
    ///
    /// ```
    /// use runloop::Interest;
    /// assert!(Interest::READABLE.union(Interest::WRITABLE).contains(Interest::READABLE));
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Interest: u8 {
        /// There is something to read, a connection to accept, or the other side has closed.
        const READABLE = 1;
        /// There is room to write, or a connection attempt has ended.
        const WRITABLE = 2;
    }
}

bitflags::bitflags! {
    /// What is true of a descriptor now.
    ///
    /// ```
    /// use runloop::Readiness;
    /// let ended = Readiness::HANGUP;
    /// assert!(ended.is_readable(), "reading would not block: it reports the end");
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Readiness: u8 {
        /// Something can be read.
        const READABLE = 1;
        /// Something can be written.
        const WRITABLE = 2;
        /// Urgent data is there (reported with an interest in reading).
        const PRIORITY = 4;
        /// The other side is gone; what it left may still be read.
        const HANGUP = 8;
        /// The descriptor has an error to report.
        const ERROR = 16;
    }
}

impl Readiness {
    /// Whether a read would return at once, with data, an end, or an error.
    ///
    /// ```
    /// assert!(!runloop::Readiness::WRITABLE.is_readable());
    /// ```
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.intersects(Self::READABLE.union(Self::HANGUP).union(Self::ERROR))
    }

    /// Whether a write would return at once, with success or an error.
    ///
    /// ```
    /// assert!(runloop::Readiness::ERROR.is_writable());
    /// ```
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.intersects(Self::WRITABLE.union(Self::HANGUP).union(Self::ERROR))
    }

    /// What is left of this when only `interest` counts; hang-up and error always do.
    pub(crate) fn wanted_by(self, interest: Interest) -> Self {
        let mut wanted = Self::HANGUP | Self::ERROR;
        if interest.contains(Interest::READABLE) {
            wanted |= Self::READABLE | Self::PRIORITY;
        }
        if interest.contains(Interest::WRITABLE) {
            wanted |= Self::WRITABLE;
        }
        self & wanted
    }
}

/// The name that a source gives to one of its descriptors.
///
/// Chosen by the source, which finds it again in the `fds` of [`Ready`]; unique within that source only.
///
/// ```
/// use runloop::Token;
/// const LISTENER: Token = Token(0);
/// assert_ne!(LISTENER, Token(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u32);

/// Why a source is being performed: one phase of the pass has found something for it.
///
/// In the sources phase `signalled` is true, in the timers phase `deadline` is there, in the descriptor phase `fds` has
/// every descriptor of the source that is ready. Each call has exactly one of the three.
///
/// ```
/// use runloop::Ready;
///
/// fn describe(ready: Ready<'_>) -> String {
///     match (ready.signalled, ready.deadline) {
///         (true, _) => "signalled".to_owned(),
///         (_, Some(_)) => "late enough".to_owned(),
///         _ => format!("{} descriptors are ready", ready.fds.len()),
///     }
/// }
/// # drop(describe);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ready<'a> {
    /// The source was signalled. The signal is already taken: signalling again asks for another call.
    pub signalled: bool,
    /// A [bell](crate::Cx::watch_bell) of the source has rung since its last call for a signal. Only ever true together
    /// with `signalled`.
    pub rung: bool,
    /// The deadline that has passed. It is already cleared: a source that wants another sets it.
    pub deadline: Option<Instant>,
    /// The descriptors that are ready, by the tokens the source gave them.
    pub fds: &'a [(Token, Readiness)],
}

impl<'a> Ready<'a> {
    /// A signal, and nothing else; `rung` says whether a bell was behind it.
    pub(crate) const fn signal(rung: bool) -> Ready<'static> {
        Ready {
            signalled: true,
            rung,
            deadline: None,
            fds: &[],
        }
    }

    /// A deadline, and nothing else.
    pub(crate) const fn deadline(at: Instant) -> Ready<'static> {
        Ready {
            signalled: false,
            rung: false,
            deadline: Some(at),
            fds: &[],
        }
    }

    /// Descriptors, and nothing else.
    pub(crate) const fn fds(fds: &'a [(Token, Readiness)]) -> Self {
        Ready {
            signalled: false,
            rung: false,
            deadline: None,
            fds,
        }
    }
}

/// The occasion on which a source that looks before sleep is asked.
///
/// ```
/// assert_ne!(runloop::Stage::Look, runloop::Stage::Announce);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Say whether there is work, and touch nothing: this may be asked thousands of times in a row.
    Look,
    /// The loop is about to sleep, to return, or to begin a nested run: tell whoever could bring work that a wake-up is
    /// needed from now on, then look once more.
    Announce,
    /// The loop has slept after an `Announce`, and no callback of this pass has run yet.
    Woken,
}

/// A source's answer to [`Source::prepare`](crate::Source::prepare).
///
/// ```
/// use std::time::Duration;
/// assert_ne!(runloop::Prepared::Idle, runloop::Prepared::Spin(Duration::from_micros(50)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// Nothing to do.
    Idle,
    /// There is work: as good as a signal.
    Ready,
    /// Nothing yet, but work is expected so soon that looking again for this long, counted from this answer, is cheaper
    /// than sleeping. Only heeded at [`Stage::Look`].
    Spin(Duration),
}

/// Why a source has become invalid.
///
/// ```
/// assert_eq!(runloop::Why::Asked, runloop::Why::Asked);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Somebody called `invalidate`.
    Asked,
    /// It was added from another thread, and its [`attach`](crate::Source::attach) or a later change of interest failed
    /// on the loop's own.
    Failed,
    /// One of its callbacks panicked.
    Panicked,
}
