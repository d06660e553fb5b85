//! Sources as their users hold them, with their type, and whatever can be added to a loop.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::core::Callee;
use crate::options::SourceOptions;
use crate::readiness::Why;
use crate::source::Source;
use crate::source_handle::SourceHandle;
use crate::state::State;

/// A source, with its type: what is added to loops, and a shared reference to the value.
///
/// Clones are the same source. It may cross threads if the value may.
///
/// Counterpart: `CFRunLoopSourceRef`.
///
/// ```
/// use runloop::{Cx, Mode, Ready, RunLoop, Source, SourceRef};
///
/// struct Greeter;
/// impl Source for Greeter {
///     fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {
///         println!("hello");
///     }
/// }
///
/// let greeter = SourceRef::new(Greeter);
/// let run_loop = RunLoop::current();
/// assert!(run_loop.add(&greeter, Mode::DEFAULT)?, "it was not there before");
/// greeter.handle().signal();
/// # Ok::<(), runloop::AddError>(())
/// ```
pub struct SourceRef<S> {
    handle: SourceHandle,
    value: Arc<S>,
}

impl<S: Source> SourceRef<S> {
    /// A source of order 0 without a name, exclusive.
    ///
    /// ```
    /// # use runloop::{Cx, Ready, Source, SourceRef};
    /// # struct Nothing;
    /// # impl Source for Nothing { fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {} }
    /// let source = SourceRef::new(Nothing);
    /// assert!(source.handle().is_valid());
    /// ```
    pub fn new(value: S) -> Self {
        Self::with(SourceOptions::new(), value)
    }

    /// A source with these options.
    ///
    /// ```
    /// # use runloop::{Cx, Ready, Source, SourceOptions, SourceRef};
    /// # struct Nothing;
    /// # impl Source for Nothing { fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {} }
    /// let source = SourceRef::with(SourceOptions::new().order(3), Nothing);
    /// assert_eq!(source.handle().order(), 3);
    /// ```
    pub fn with(options: SourceOptions, value: S) -> Self {
        Self {
            handle: SourceHandle::new(State::new(options)),
            value: Arc::new(value),
        }
    }

    /// The source without its type.
    #[must_use]
    pub fn handle(&self) -> &SourceHandle {
        &self.handle
    }

    /// Ends the source: see [`SourceHandle::invalidate`]. For a source that is in no loop, its
    /// [`invalidated`](Source::invalidated) is called here.
    pub fn invalidate(&self) {
        self.end(Why::Asked);
    }

    /// Ends a source that could not be added where it was sent.
    pub(crate) fn fail(&self) {
        self.end(Why::Failed);
    }

    fn end(&self, why: Why) {
        self.handle.end();
        let state = self.handle.state();
        if state.is_homeless() && state.claim_end() {
            self.value.invalidated(why);
        }
    }
}

impl<S> Deref for SourceRef<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.value
    }
}

impl<S> Clone for SourceRef<S> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            value: Arc::clone(&self.value),
        }
    }
}

impl<S> fmt::Debug for SourceRef<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceRef")
            .field(self.handle.state())
            .finish()
    }
}

/// Whatever can be added to a loop as a source.
///
/// Kinds of source are usually a newtype over a [`SourceHandle`] of a source that their constructor had
/// [adopted](crate::RunLoop::adopt); such a kind implements this with one line.
///
/// ```
/// use runloop::{AsSource, RunLoop, SourceHandle};
///
/// struct Pump(SourceHandle);
/// impl AsSource for Pump {
///     fn as_source(&self) -> &SourceHandle {
///         &self.0
///     }
/// }
/// ```
pub trait AsSource {
    /// The source without its type.
    fn as_source(&self) -> &SourceHandle;

    /// The value, for those who hold it: without it a loop can only add what it has adopted.
    fn value(&self) -> Option<SourceValue> {
        None
    }
}

impl AsSource for SourceHandle {
    fn as_source(&self) -> &SourceHandle {
        self
    }
}

impl<S: Source> AsSource for SourceRef<S> {
    fn as_source(&self) -> &SourceHandle {
        &self.handle
    }

    fn value(&self) -> Option<SourceValue> {
        let value: Arc<dyn Callee> = Arc::<S>::clone(&self.value);
        Some(SourceValue(value))
    }
}

/// A share of a source's value, on its way into a loop. Only a [`SourceRef`] can give one.
///
/// ```
/// use runloop::{AsSource, Signalled};
/// assert!(Signalled::new(|_| {}).value().is_none(), "the loop has adopted it");
/// ```
pub struct SourceValue(pub(crate) Arc<dyn Callee>);

impl fmt::Debug for SourceValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceValue").field(&self.0.kind()).finish()
    }
}
