//! Word of clocks being set: which timers of this thread follow one that can be, and the one source that waits for it.
//!
//! One descriptor serves all of them, whatever their number and clocks, and only while there are any.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use runloop::{
    AddError, Cx, Interest, Mode, Ready, RunLoop, Source, SourceHandle, SourceOptions, SourceRef,
    Token,
};

use crate::shared::Shared;
use crate::sys::StepWatch;

/// Tells the timers of this thread that a clock has made a jump: each looks anew when its date comes.
///
/// The clocks of [`SystemTime`](std::time::SystemTime) and [`BootInstant`](crate::BootInstant) are watched, so this is only
/// for a [`Moment`](crate::Moment) of one's own. Nothing fires inside this call. It takes time for each timer of the thread
/// that follows such a clock and is in some mode.
///
/// Counterpart: none; a `CFRunLoopTimer` does not notice that the clock was set.
///
/// ```
/// // The simulation has been wound back.
/// timer_source::clock_was_set();
/// ```
pub fn clock_was_set() {
    // Copied first: a change of a deadline may be the occasion to tear another source down, whose hooks come here.
    let timers: Vec<_> = with(|steps| steps.timers.values().cloned().collect()).unwrap_or_default();
    let dated = timers
        .into_iter()
        .map(|timer| ((timer.deadline)(&timer.shared), timer));
    let mut dated: Vec<_> = dated.collect();
    // In the order of their dates, since those that a loop takes for equal are served in the order in which they were set:
    // all that lie before the start of the machine are.
    dated.sort_by_key(|&(at, _)| at);
    for (at, timer) in dated {
        timer
            .handle
            .set_deadline_within(at, timer.shared.tolerance());
    }
}

/// A timer comes into its loop: from now on it hears of clocks being set.
///
/// # Errors
///
/// The system has no descriptor left to watch the clocks with.
pub(crate) fn begin(
    handle: SourceHandle,
    shared: &Arc<Shared>,
    deadline: Deadline,
) -> io::Result<()> {
    if with(|steps| steps.source.is_none()) == Some(true) {
        let options = SourceOptions::new()
            .order(i32::MIN)
            .name("clock steps")
            .passive();
        let source = SourceRef::with(options, Steps(StepWatch::new()?));
        with(|steps| steps.source = Some(source));
    }
    let key = key_of(shared);
    let shared = Arc::clone(shared);
    let follower = Follower {
        handle,
        shared,
        deadline,
    };
    let before = with(|steps| steps.timers.insert(key, follower));
    drop(before);
    Ok(())
}

/// A timer has left its loop.
pub(crate) fn end(shared: &Arc<Shared>) {
    let gone = with(|steps| {
        let gone = steps.timers.remove(&key_of(shared));
        let last = steps.timers.is_empty().then(|| steps.source.take());
        (gone, last.flatten())
    });
    if let Some((_, Some(source))) = &gone {
        source.invalidate();
    }
    drop(gone);
}

/// A timer comes into a mode, where word of the clocks has to reach it.
///
/// # Errors
///
/// As [`RunLoop::add`].
pub(crate) fn enter(run_loop: &RunLoop, mode: Mode) -> Result<(), AddError> {
    let source = with(|steps| {
        let count = steps.modes.entry(mode).or_default();
        *count += 1;
        steps.source.clone().filter(|_| *count == 1)
    });
    if let Some(source) = source.flatten() {
        run_loop.add(&source, mode)?;
    }
    Ok(())
}

/// Ends a timer of this thread.
pub(crate) fn invalidate(shared: &Arc<Shared>) {
    let follower = with(|steps| steps.timers.get(&key_of(shared)).cloned());
    if let Some(Some(follower)) = follower {
        follower.handle.invalidate();
    }
}

/// A timer has left a mode.
pub(crate) fn leave(run_loop: &RunLoop, mode: Mode) {
    let source = with(|steps| {
        let count = steps.modes.get_mut(&mode)?;
        *count -= 1;
        if *count > 0 {
            return None;
        }
        steps.modes.remove(&mode);
        steps.source.clone()
    });
    if let Some(source) = source.flatten() {
        run_loop.remove(&source, mode);
    }
}

/// When the loop has to look at a timer, now that a clock was set.
type Deadline = fn(&Shared) -> Option<Instant>;

/// What this thread knows of clocks that can be set.
#[derive(Default)]
struct Known {
    /// The timers that follow one, by the address of what they share.
    timers: BTreeMap<usize, Follower>,
    /// How many of them are in each mode.
    modes: HashMap<Mode, usize>,
    /// In the modes that any of them is in.
    source: Option<SourceRef<Steps>>,
}

/// A timer on a clock that can be set.
#[derive(Clone)]
struct Follower {
    handle: SourceHandle,
    shared: Arc<Shared>,
    deadline: Deadline,
}

/// The source that waits for clocks to be set. Passive, since it is there for others; the first of those that are ready,
/// so that the dates are right before anything else happens.
struct Steps(StepWatch);

impl Source for Steps {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(Token(0), self.0.as_fd(), Interest::READABLE)
    }

    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {
        if self.0.take() {
            clock_was_set();
        }
    }
}

fn key_of(shared: &Arc<Shared>) -> usize {
    Arc::as_ptr(shared).addr()
}

/// Looks at what this thread knows, or changes it; `None` when the thread has got rid of it already. Nothing that leaves
/// may be dropped inside: a handle may be the last of its timer.
fn with<R>(look: impl FnOnce(&mut Known) -> R) -> Option<R> {
    KNOWN.try_with(|known| look(&mut known.borrow_mut())).ok()
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}
