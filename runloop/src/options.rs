//! What is settled about a source when it is made.

use std::fmt;

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
#[derive(Clone, Default)]
pub struct SourceOptions {
    pub(crate) order: i32,
    pub(crate) name: Option<Box<str>>,
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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traits {
    pub(crate) reentrant: bool,
    pub(crate) kept_on_panic: bool,
    pub(crate) passive: bool,
}
