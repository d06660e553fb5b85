//! What is settled about a source when it is made.

use std::fmt;
use std::time::Duration;

use crate::pace::RateLimit;

/// What is settled about a source when it is made: its order, its name, and how it is treated.
///
/// Counterpart: the `order` and the description of `CFRunLoopSourceContext`; the rest is new.
///
/// ```
/// use runloop::{OnPanic, SourceOptions};
///
/// let options = SourceOptions::new().order(-5).name("input").on_panic(OnPanic::Keep);
/// # drop(options);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SourceOptions {
    pub(crate) order: i32,
    pub(crate) name: Option<Box<str>>,
    pub(crate) budget: Option<usize>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) traits: Traits,
}

impl SourceOptions {
    /// Order 0, no name, exclusive, invalidated when it panics, keeping its modes alive.
    ///
    /// ```
    /// let options = runloop::SourceOptions::new();
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Its place among sources that are ready in the same phase: lower ones first, equal ones as they became ready, or,
    /// where descriptors are found ready again and again, as the system lists them.
    #[must_use]
    pub fn order(mut self, order: i32) -> Self {
        self.order = order;
        self
    }

    /// What it is called in traces and dumps.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Lets it be performed again while it is being performed, by a nested run, and lets it be in the loops of several
    /// threads at once.
    ///
    /// Such a source must consume what made it ready before it runs the loop: otherwise the nested run finds the same
    /// readiness again at once. The kinds of this crate that take a closure ignore it, since a closure that may change
    /// what it has captured cannot run inside itself.
    #[must_use]
    pub fn reentrant(mut self) -> Self {
        self.traits.reentrant = true;
        self
    }

    /// Whether nothing was asked for, as for most sources.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// As it was before `reentrant`.
    #[must_use]
    pub(crate) fn exclusive(mut self) -> Self {
        self.traits.reentrant = false;
        self
    }

    /// What becomes of it when one of its callbacks panics.
    #[must_use]
    pub fn on_panic(mut self, policy: OnPanic) -> Self {
        self.traits.kept_on_panic = policy == OnPanic::Keep;
        self
    }

    /// How much one perform does at most, in the source's own measure, before it leaves the loop to others and goes on in the
    /// next pass. Zero counts as one.
    ///
    /// A loop performs each source at most once for each of its three reasons in a pass (a signal, its deadline, all of its
    /// ready descriptors), so that a source that always has something to do starves nobody. The budget bounds the one
    /// perform: for a [`channel`](crate::channel) it is in values (256 unless set), for changes of files in changes (256),
    /// for Unix signals in calls (64). A kind with one call in a perform has no use for it, and sockets and message ports
    /// have options of their own. A [`Source`](crate::Source) of a user reads it with [`Cx::budget`](crate::Cx::budget);
    /// the loop itself does not cut a perform short.
    ///
    /// ```
    /// use runloop::{SourceOptions, channel_with};
    /// let options = SourceOptions::new().name("lines").budget(16);
    /// let (_sender, _source) = channel_with(options, 1_024, |_, line: String| println!("{line}"));
    /// ```
    #[must_use]
    pub fn budget(mut self, most: usize) -> Self {
        self.budget = Some(most.max(1));
        self
    }

    /// Has the source performed at most `performs` times in a stretch of `per`; what comes beyond is kept, and served when
    /// the stretch is over. Zero performs count as one, and no time is no limit.
    ///
    /// A stretch begins with its first perform and not at multiples of anything, so that with one perform there is always
    /// `per` between the beginnings of two, and with more of them at most twice as many less one come in any time of that
    /// length. Performs for signals, descriptors and deadlines count alike.
    ///
    /// While the source rests its signal stays as it is (further ones are the same one), its descriptors are not polled as
    /// soon as they are found ready, so that they neither wake the loop nor make it spin, and its deadline is served late.
    /// Nothing is lost, the source is still in its modes, and [`next_deadline`](crate::RunLoop::next_deadline) is the end
    /// of the rest if that comes first. A loop wakes for it by itself, and finds in the pass after that what was kept; a
    /// deadline it finds at once. Each loop of a source that is in several counts for itself.
    ///
    /// The clock is read once for each such perform, and never for sources without a limit.
    ///
    /// ```
    /// use runloop::{Signalled, SourceOptions};
    /// use std::time::Duration;
    /// let options = SourceOptions::new().name("redraw").rate_limit(60, Duration::from_secs(1));
    /// let redraw = Signalled::with(options, |_| println!("drawn"));
    /// redraw.signal(); // as often as anything changes
    /// ```
    #[must_use]
    pub fn rate_limit(mut self, performs: u32, per: Duration) -> Self {
        let most = performs.max(1);
        self.rate_limit = (!per.is_zero()).then_some(RateLimit { most, per });
        self
    }

    /// Lets a run end as finished although this source is in its mode.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.traits.passive = true;
        self
    }
}

impl fmt::Debug for SourceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceOptions")
            .field("order", &self.order)
            .field("name", &self.name)
            .field("budget", &self.budget)
            .field("rate_limit", &self.rate_limit)
            .field("traits", &self.traits)
            .finish()
    }
}

/// What becomes of a source when one of its callbacks panics. The panic unwinds out of the run in either case.
///
/// ```
/// let options = runloop::SourceOptions::new().on_panic(runloop::OnPanic::Invalidate);
/// # drop(options);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnPanic {
    /// It is invalidated; everything else goes on.
    #[default]
    Invalidate,
    /// It stays as it is, and is performed again when it is ready again.
    Keep,
}

/// The yes-or-no part of the options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    pub(crate) reentrant: bool,
    pub(crate) kept_on_panic: bool,
    pub(crate) passive: bool,
}
