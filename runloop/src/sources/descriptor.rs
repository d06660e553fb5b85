//! A source that watches one descriptor and calls a closure with it.

use std::io;
use std::os::fd::AsFd;

use crate::core::RunLoop;
use crate::cx::Cx;
use crate::options::SourceOptions;
use crate::readiness::{Interest, Readiness, Ready, Token, Why};
use crate::source::Source;
use crate::source_handle::SourceHandle;
use crate::source_ref::{AsSource, SourceRef};
use crate::sources::callback::Callback;

/// A source that owns a descriptor and calls its closure whenever that is ready.
///
/// The closure is called as long as the descriptor stays ready: read what is there, or take the interest away. It stays
/// on the thread that makes the source, and is dropped, with the descriptor, when the source is invalidated and gone from
/// its loop.
///
/// Counterpart: `CFFileDescriptor`, or a `CFRunLoopSource` with a version 1 context.
///
/// ```
/// use runloop::{Descriptor, Interest, Mode, RunLoop};
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// let (ours, mut theirs) = UnixStream::pair()?;
/// let run_loop = RunLoop::current();
/// let reader = Descriptor::new(ours, Interest::READABLE, |run_loop, mut ours, _| {
///     let mut bytes = [0; 64];
///     let count = ours.read(&mut bytes).unwrap_or(0);
///     assert_eq!(&bytes[..count], b"hello");
///     run_loop.stop();
/// });
/// run_loop.add(&reader, Mode::DEFAULT)?;
/// theirs.write_all(b"hello")?;
/// let _stopped = run_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Descriptor {
    handle: SourceHandle,
}

impl Descriptor {
    /// A source in the care of this thread's loop, in no mode yet. It should not block when it is ready: make it
    /// non-blocking where reads or writes of another process could have emptied or filled it meanwhile.
    ///
    /// ```
    /// use runloop::{Descriptor, Interest};
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let source = Descriptor::new(ours, Interest::WRITABLE, |_, _, _| println!("room to write"));
    /// # drop(source);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new<T: AsFd + 'static>(
        owner: T,
        interest: Interest,
        perform: impl FnMut(&RunLoop, &T, Readiness) + 'static,
    ) -> Self {
        Self::with(SourceOptions::new(), owner, interest, perform)
    }

    /// As [`new`](Self::new), with options.
    ///
    /// ```
    /// use runloop::{Descriptor, Interest, SourceOptions};
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// let options = SourceOptions::new().name("control channel");
    /// let source = Descriptor::with(options, ours, Interest::READABLE, |_, _, _| {});
    /// # drop(source);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn with<T: AsFd + 'static>(
        options: SourceOptions,
        owner: T,
        interest: Interest,
        perform: impl FnMut(&RunLoop, &T, Readiness) + 'static,
    ) -> Self {
        let source = DescriptorSource {
            owner,
            interest,
            callback: Callback::new(perform),
        };
        Self {
            handle: RunLoop::current().adopt(&SourceRef::with(options.exclusive(), source)),
        }
    }

    /// Changes what the descriptor is watched for, from any thread; an empty interest pauses it.
    pub fn set_interest(&self, interest: Interest) {
        self.handle.set_interest(THE_ONE, interest);
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

impl AsSource for Descriptor {
    fn as_source(&self) -> &SourceHandle {
        &self.handle
    }
}

struct DescriptorSource<T, F> {
    owner: T,
    interest: Interest,
    callback: Callback<F>,
}

impl<T, F> Source for DescriptorSource<T, F>
where
    T: AsFd + 'static,
    F: FnMut(&RunLoop, &T, Readiness) + 'static,
{
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(THE_ONE, self.owner.as_fd(), self.interest)
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        for &(_, readiness) in ready.fds {
            self.callback
                .call(|perform| perform(cx.run_loop(), &self.owner, readiness));
        }
    }

    fn invalidated(&self, _: Why) {
        self.callback.end();
    }
}

const THE_ONE: Token = Token(0);
