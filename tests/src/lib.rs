//! What the tests share: a watchdog, an ordered log, and a count of open descriptors.

use std::collections::BTreeMap;
use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
                eprintln!("watchdog: {test} has not ended after {limit:?}");
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
