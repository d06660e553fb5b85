//! The contract between a loop and whatever can wake it.

use std::any::type_name;
use std::io;

use crate::arena::Key;
use crate::core::{Callee, RunLoop};
use crate::cx::Cx;
use crate::mode::Mode;
use crate::readiness::{Prepared, Ready, Stage, Why};

/// Anything that can make a loop do something: a signal from any thread, descriptors, a deadline, in any combination.
///
/// Everything is `&self`, since a source may be called again while it is being called and lives in an `Arc`; state that
/// changes lives in a `Cell` or a `RefCell` (or an atomic, for a source that is shared by threads). The loop holds no
/// borrow of its own while it calls: any method of the loop may be called from here, and anything may be added, removed,
/// invalidated or dropped, the source itself included.
///
/// By default a source is *exclusive*: it belongs to one loop at a time, and while it is being performed a nested run
/// leaves it alone. What is found for it meanwhile waits. See [`SourceOptions::reentrant`](crate::SourceOptions::reentrant)
/// for the other kind.
///
/// Counterpart: the contexts of `CFRunLoopSource`, version 0 (signalled, `schedule`, `cancel`, `perform`) and version 1
/// (`getPort`, `perform`), in one.
///
/// ```
/// use runloop::{Cx, Interest, Mode, Ready, RunLoop, Source, SourceRef, Token};
/// use std::{io, io::Read, os::fd::AsFd, os::unix::net::UnixStream};
///
/// struct Lines(UnixStream);
/// impl Source for Lines {
///     fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
///         cx.watch(Token(0), self.0.as_fd(), Interest::READABLE)
///     }
///     fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {
///         let mut bytes = [0; 512];
///         if let Ok(count) = (&self.0).read(&mut bytes) {
///             println!("{count} bytes");
///         }
///     }
/// }
///
/// let (ours, _theirs) = UnixStream::pair()?;
/// RunLoop::current().add(&SourceRef::new(Lines(ours)), Mode::DEFAULT)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Source: 'static {
    /// The source enters a loop: declare what to watch, and a deadline. Called once per loop, on its thread; the source
    /// is already in its first mode.
    ///
    /// # Errors
    ///
    /// An error undoes the `add` that led here, without a trace.
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Something is ready. Called once per phase of a pass, with one of: a signal, a deadline, all ready descriptors.
    ///
    /// Readiness may be stale; reads and writes should be such that they do not block. A descriptor that is left ready
    /// is reported again in the next pass. Errors are the source's to report.
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>);

    /// The loop is about to sleep, or has woken. Only asked after [`Cx::look_before_sleep`].
    fn prepare<'s>(&'s self, cx: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        let _ = (cx, stage);
        Prepared::Idle
    }

    /// The source has come into a mode. Called once per mode, never with [`Mode::COMMON`].
    fn schedule(&self, run_loop: &RunLoop, mode: Mode) {
        let _ = (run_loop, mode);
    }

    /// The source has left a mode: it was removed or invalidated, or the thread ends.
    fn cancel(&self, run_loop: &RunLoop, mode: Mode) {
        let _ = (run_loop, mode);
    }

    /// The source has left its last mode of this loop, and the loop has forgotten what it watched.
    fn detach(&self, run_loop: &RunLoop) {
        let _ = run_loop;
    }

    /// The source is invalid, has left every loop, and no [`perform`](Self::perform) or [`prepare`](Self::prepare) of it is
    /// running. Called once, on the thread of the loop it left last.
    fn invalidated(&self, why: Why) {
        let _ = why;
    }
}

impl<S: Source> Callee for S {
    fn attach(&self, rl: &RunLoop, key: Key) -> io::Result<()> {
        Source::attach(self, &mut Cx::new(rl, key))
    }

    fn perform(&self, rl: &RunLoop, key: Key, ready: Ready<'_>) {
        Source::perform(self, &mut Cx::new(rl, key), ready);
    }

    fn prepare(&self, rl: &RunLoop, key: Key, stage: Stage) -> Prepared {
        Source::prepare(self, &mut Cx::new(rl, key), stage)
    }

    fn schedule(&self, rl: &RunLoop, mode: Mode) {
        Source::schedule(self, rl, mode);
    }

    fn cancel(&self, rl: &RunLoop, mode: Mode) {
        Source::cancel(self, rl, mode);
    }

    fn detach(&self, rl: &RunLoop) {
        Source::detach(self, rl);
    }

    fn invalidated(&self, why: Why) {
        Source::invalidated(self, why);
    }

    fn kind(&self) -> &'static str {
        type_name::<S>()
    }
}
