//! A source that is performed when it is signalled: CoreFoundation's version 0.

use crate::core::RunLoop;
use crate::cx::Cx;
use crate::options::SourceOptions;
use crate::readiness::{Ready, Why};
use crate::source::Source;
use crate::source_handle::SourceHandle;
use crate::source_ref::{AsSource, SourceRef};
use crate::sources::callback::Callback;

/// A source that calls its closure after it has been signalled, from any thread.
///
/// The closure stays on the thread that makes the source, and is dropped when the source is invalidated.
///
/// Counterpart: `CFRunLoopSource` with a version 0 context.
///
/// ```
/// use runloop::{Mode, RunLoop, Signalled};
///
/// let run_loop = RunLoop::current();
/// let done = Signalled::new(|run_loop| run_loop.stop());
/// run_loop.add(&done, Mode::DEFAULT)?;
/// let from_afar = done.clone();
/// std::thread::spawn(move || from_afar.signal());
/// let _stopped = run_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Signalled {
    handle: SourceHandle,
}

impl Signalled {
    /// A source in the care of this thread's loop, in no mode yet.
    ///
    /// ```
    /// let source = runloop::Signalled::new(|_| println!("signalled"));
    /// source.signal(); // kept until the source is in a mode that runs
    /// ```
    pub fn new(perform: impl FnMut(&RunLoop) + 'static) -> Self {
        Self::with(SourceOptions::new(), perform)
    }

    /// As [`new`](Self::new), with options.
    ///
    /// ```
    /// use runloop::{Signalled, SourceOptions};
    /// let urgent = Signalled::with(SourceOptions::new().order(-1), |_| println!("first"));
    /// # drop(urgent);
    /// ```
    pub fn with(options: SourceOptions, perform: impl FnMut(&RunLoop) + 'static) -> Self {
        let source = SourceRef::with(options.exclusive(), SignalledSource(Callback::new(perform)));
        Self {
            handle: RunLoop::current().adopt(&source),
        }
    }

    /// Asks for one call of the closure: see [`SourceHandle::signal`].
    pub fn signal(&self) {
        self.handle.signal();
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

impl AsSource for Signalled {
    fn as_source(&self) -> &SourceHandle {
        &self.handle
    }
}

struct SignalledSource<F>(Callback<F>);

impl<F: FnMut(&RunLoop) + 'static> Source for SignalledSource<F> {
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        self.0.call(|perform| perform(cx.run_loop()));
    }

    fn invalidated(&self, _: Why) {
        self.0.end();
    }
}
