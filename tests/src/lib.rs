//! What the tests share: a watchdog, an ordered log, a count of open descriptors, and processes of their own.

pub mod hostile;
mod process;
pub mod raw;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::fd::RawFd;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use process::{Child, fork, fork_and_wait, leave, run_in_own_process};

/// Ends the process, with a message, if it is not dropped in time: a test that hangs fails instead.
///
/// Hold it for the length of the test: `let _watchdog = Watchdog::new();`.
#[derive(Debug)]
#[must_use = "the watchdog goes off duty when it is dropped"]
pub struct Watchdog {
    /// Hanging up tells the thread that all is well.
    _off_duty: Sender<()>,
}

impl Watchdog {
    /// A watchdog that waits two minutes, far more than any test takes on the slowest machine.
    pub fn new() -> Self {
        Self::with_limit(Duration::from_secs(120))
    }

    /// A watchdog that waits this long.
    pub fn with_limit(limit: Duration) -> Self {
        let (off_duty, waiting) = channel();
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        std::thread::spawn(move || {
            if waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // Not `eprintln`, which the test harness would keep to itself and lose.
                writeln!(
                    std::io::stderr(),
                    "watchdog: {test} has not ended after {limit:?}"
                )
                .ok();
                std::process::abort();
            }
        });
        Self {
            _off_duty: off_duty,
        }
    }
}

impl Default for Watchdog {
    fn default() -> Self {
        Self::new()
    }
}

/// Waits for something that another thread or process brings about.
pub fn wait_until(mut holds: impl FnMut() -> bool) {
    // Most of what is waited for is a few microseconds away.
    for turn in 0.. {
        if holds() {
            return;
        }
        if turn < 100 {
            std::thread::yield_now();
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What happened, in order, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a line.
    pub fn add(&self, line: impl Into<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.into());
    }

    /// How many lines there are so far.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The lines so far, which are forgotten.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The descriptors this process has open, by what they are: compare before and after to find a leak.
///
/// Other tests of the same process open and close descriptors too, so a test that compares runs alone in its process: it
/// is the only test of its file, or a child process.
pub fn open_descriptors() -> BTreeMap<String, String> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    let named = entries.filter_map(Result::ok).filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        Some((
            entry.file_name().into_string().ok()?,
            target.to_string_lossy().into_owned(),
        ))
    });
    named.collect()
}

/// The descriptors that are in some poll set of this process: pairs of the poll set and what it watches.
pub fn watched_descriptors() -> Vec<(RawFd, RawFd)> {
    let number = |text: &str| text.trim().parse::<RawFd>().ok();
    let mut watched = Vec::new();
    for (fd, _) in open_descriptors() {
        let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")) else {
            continue;
        };
        let targets = info.lines().filter_map(|line| line.strip_prefix("tfd:"));
        let targets = targets.filter_map(|rest| number(rest.split("events").next()?));
        watched.extend(targets.filter_map(|target| Some((number(&fd)?, target))));
    }
    watched
}
