//! Whether this process is a forked child of the one in which something was made.
//!
//! A child shares its parent's poll sets, sockets and memory, so everything made before the `fork` must keep its hands
//! off in the child. Asking for the process id would cost a system call each time; a counter that every `fork` moves in
//! the child costs one load.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// Remembers the process in which it was made, and tells a forked child from it.
///
/// For the authors of sources whose descriptors a child must not touch; the loop has its own. Its clones remember the
/// same process.
///
/// ```
/// let made_here = runloop::ForkGuard::new();
/// assert!(!made_here.is_forked());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ForkGuard(u32);

impl ForkGuard {
    /// Remembers this process.
    ///
    /// ```
    /// let guard = runloop::ForkGuard::new();
    /// assert!(!guard.is_forked());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        REGISTERED.call_once(register);
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Whether this process is a forked child (or a child's child) of the one that was remembered.
    ///
    /// Costs one load. A process started by `vfork` or by `clone` without the C library's knowledge is not noticed;
    /// such a process may do nothing but `exec`.
    #[inline]
    #[must_use]
    pub fn is_forked(self) -> bool {
        FORKS.load(Ordering::Relaxed) != self.0
    }
}

impl Default for ForkGuard {
    fn default() -> Self {
        Self::new()
    }
}

/// How many forks lie between the first process and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);
static REGISTERED: Once = Once::new();

fn register() {
    #[expect(unsafe_code, reason = "the C library's fork hook has no safe wrapper")]
    // SAFETY: the hook is a function that lives as long as the process; it takes no argument, only touches an atomic,
    // and so is async-signal-safe as a child of a threaded process needs.
    let failed = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    // Only ENOMEM is possible; a process this short of memory at its first use of the loop is told so.
    assert!(failed == 0, "no memory for the fork hook");
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
