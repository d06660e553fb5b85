//! What is told of every callback: a span around it, a warning when it was slow, and what it took, for whoever asked for
//! that.
//!
//! Nothing is borrowed while any of this is told, so whoever listens may use the loop.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::clock::Tick;
use crate::core::{Callee, RunLoop};
use crate::mode::Mode;
use crate::state::State;

/// A callback, by what it is called in traces.
#[derive(Clone, Copy)]
pub(crate) enum Call<'a> {
    /// A method of a source.
    Source(&'static str, &'a Arc<dyn Callee>, &'a State),
    Observer,
    Closure,
}

impl<'a> Call<'a> {
    const fn what(self) -> &'static str {
        match self {
            Self::Source(method, ..) => method,
            Self::Observer => "observe",
            Self::Closure => "closure",
        }
    }

    fn source(self) -> Option<&'a str> {
        match self {
            Self::Source(_, _, state) => state.name(),
            Self::Observer | Self::Closure => None,
        }
    }

    fn kind(self) -> Option<&'static str> {
        match self {
            Self::Source(_, callee, _) => Some(callee.kind()),
            Self::Observer | Self::Closure => None,
        }
    }
}

impl RunLoop {
    /// Makes a callback; inside its span, and with an eye on the clock, if anybody wants to know of either.
    pub(crate) fn call<R>(&self, call: Call<'_>, callback: impl FnOnce() -> R) -> R {
        let traced = LevelFilter::current() >= LevelFilter::TRACE;
        if traced || self.core.timing.is_on() {
            self.call_watched(call, callback)
        } else {
            callback()
        }
    }

    /// Apart from the usual way of a call, which is short without it.
    #[inline(never)]
    fn call_watched<R>(&self, call: Call<'_>, callback: impl FnOnce() -> R) -> R {
        let span = tracing::trace_span!(
            "callback",
            call = call.what(),
            source = call.source(),
            kind = call.kind(),
            mode = self.current_mode().map(Mode::name),
            depth = self.depth(),
        );
        let watched = self
            .core
            .timing
            .is_on()
            .then(|| Stopwatch::start(self, call));
        let result = span.in_scope(callback);
        drop(watched);
        result
    }

    /// Sleeps, which may be of interest, too.
    pub(crate) fn slumber<R>(&self, sleep: impl FnOnce() -> R) -> R {
        let timing = &self.core.timing;
        if !timing.measuring.get() {
            timing.last.set(None);
            return sleep();
        }
        let begun = timing.last.take().unwrap_or_else(Tick::now);
        let result = sleep();
        let ended = Tick::now();
        timing.last.set(Some(ended));
        self.core
            .count(|so_far| so_far.asleep += begun.until(ended));
        result
    }

    /// How many runs are in progress.
    fn depth(&self) -> usize {
        self.core.with(|tables| tables.activations.len())
    }

    fn warn_of(&self, call: Call<'_>, took: Duration) {
        tracing::warn!(
            call = call.what(),
            source = call.source(),
            kind = call.kind(),
            mode = self.current_mode().map(Mode::name),
            depth = self.depth(),
            ?took,
            "a callback was slow"
        );
    }
}

/// Sees how long a callback takes.
///
/// The end of one callback of a run is the beginning of the next, so that the clock is read once for each; what the loop
/// itself does in between is a matter of microseconds at most, and does not sleep.
struct Stopwatch<'a> {
    run_loop: &'a RunLoop,
    call: Call<'a>,
    begun: Tick,
    /// Whether it was begun inside another callback, of which no run is in between.
    inside: bool,
}

impl<'a> Stopwatch<'a> {
    fn start(run_loop: &'a RunLoop, call: Call<'a>) -> Self {
        let timing = &run_loop.core.timing;
        Self {
            run_loop,
            call,
            begun: timing.last.take().unwrap_or_else(Tick::now),
            inside: timing.inside.replace(true),
        }
    }
}

impl Drop for Stopwatch<'_> {
    fn drop(&mut self) {
        let timing = &self.run_loop.core.timing;
        timing.inside.set(self.inside);
        // A callback that panics is told of in another way, and a listener that panicked now would end the process.
        if thread::panicking() {
            return;
        }
        let ended = Tick::now();
        let took = self.begun.until(ended);
        if let (true, Call::Source("perform", _, state)) = (timing.measuring.get(), self.call) {
            state.add_time(took);
        }
        if timing.slow.get().is_some_and(|limit| took >= limit) {
            // What the listener takes for it is nobody's callback.
            return self.run_loop.warn_of(self.call, took);
        }
        if !self.inside && self.run_loop.current_mode().is_some() {
            timing.last.set(Some(ended));
        }
    }
}

#[cfg(test)]
mod tests;
