//! A signal of the system: its number and its name.

use std::fmt;

/// A signal of the system, by its number.
///
/// ```
/// use runloop::UnixSignal;
/// assert_eq!(UnixSignal::INTERRUPT.to_string(), "SIGINT");
/// assert_eq!(UnixSignal::from_raw(UnixSignal::HANGUP.as_raw()), UnixSignal::HANGUP);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixSignal(i32);

impl UnixSignal {
    /// The terminal is gone; for a service, the request to read its configuration again (`SIGHUP`).
    pub const HANGUP: Self = Self(libc::SIGHUP);
    /// Ctrl-C in a terminal (`SIGINT`).
    pub const INTERRUPT: Self = Self(libc::SIGINT);
    /// Ctrl-\ in a terminal (`SIGQUIT`).
    pub const QUIT: Self = Self(libc::SIGQUIT);
    /// The program has given up (`SIGABRT`).
    pub const ABORT: Self = Self(libc::SIGABRT);
    /// The end that nobody can refuse (`SIGKILL`).
    pub const KILL: Self = Self(libc::SIGKILL);
    /// Free for the program's use (`SIGUSR1`).
    pub const USER_1: Self = Self(libc::SIGUSR1);
    /// Free for the program's use (`SIGUSR2`).
    pub const USER_2: Self = Self(libc::SIGUSR2);
    /// A write to a pipe that nobody reads (`SIGPIPE`); Rust programs ignore it from their start.
    pub const PIPE: Self = Self(libc::SIGPIPE);
    /// The alarm clock of the process (`SIGALRM`).
    pub const ALARM: Self = Self(libc::SIGALRM);
    /// The polite request to end (`SIGTERM`).
    pub const TERMINATE: Self = Self(libc::SIGTERM);
    /// A child has ended or stopped (`SIGCHLD`).
    pub const CHILD: Self = Self(libc::SIGCHLD);
    /// A stopped process goes on (`SIGCONT`).
    pub const CONTINUE: Self = Self(libc::SIGCONT);
    /// Ctrl-Z in a terminal (`SIGTSTP`).
    pub const TERMINAL_STOP: Self = Self(libc::SIGTSTP);
    /// The terminal has another size (`SIGWINCH`).
    pub const WINDOW_CHANGE: Self = Self(libc::SIGWINCH);

    /// The signal of this number.
    ///
    /// ```
    /// assert_eq!(runloop::UnixSignal::from_raw(2), runloop::UnixSignal::INTERRUPT);
    /// ```
    #[must_use]
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// A real-time signal, counted from the first that the C library leaves to programs; `None` beyond the last.
    ///
    /// ```
    /// use runloop::UnixSignal;
    /// assert_eq!(UnixSignal::realtime(2).unwrap().to_string(), "SIGRTMIN+2");
    /// assert_eq!(UnixSignal::realtime(200), None);
    /// ```
    #[must_use]
    pub fn realtime(place: u8) -> Option<Self> {
        let number = libc::SIGRTMIN().checked_add(i32::from(place))?;
        (number <= libc::SIGRTMAX()).then_some(Self(number))
    }

    /// Its number.
    #[must_use]
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// Its name, unless it is a real-time signal or no signal at all.
    ///
    /// ```
    /// use runloop::UnixSignal;
    /// assert_eq!(UnixSignal::from_raw(15).name(), Some("SIGTERM"));
    /// assert_eq!(UnixSignal::from_raw(1_000).name(), None);
    /// ```
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let found = NAMES.iter().find(|(number, _)| *number == self.0);
        found.map(|(_, name)| *name)
    }
}

impl fmt::Display for UnixSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = libc::SIGRTMIN();
        match self.name() {
            Some(name) => f.write_str(name),
            None if (first..=libc::SIGRTMAX()).contains(&self.0) => {
                write!(f, "SIGRTMIN+{}", self.0 - first)
            }
            None => write!(f, "signal {}", self.0),
        }
    }
}

const NAMES: [(i32, &str); 30] = [
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGQUIT, "SIGQUIT"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGKILL, "SIGKILL"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGPIPE, "SIGPIPE"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGCHLD, "SIGCHLD"),
    (libc::SIGCONT, "SIGCONT"),
    (libc::SIGSTOP, "SIGSTOP"),
    (libc::SIGTSTP, "SIGTSTP"),
    (libc::SIGTTIN, "SIGTTIN"),
    (libc::SIGTTOU, "SIGTTOU"),
    (libc::SIGURG, "SIGURG"),
    (libc::SIGXCPU, "SIGXCPU"),
    (libc::SIGXFSZ, "SIGXFSZ"),
    (libc::SIGVTALRM, "SIGVTALRM"),
    (libc::SIGPROF, "SIGPROF"),
    (libc::SIGWINCH, "SIGWINCH"),
    (libc::SIGIO, "SIGIO"),
    (libc::SIGPWR, "SIGPWR"),
    (libc::SIGSYS, "SIGSYS"),
];
