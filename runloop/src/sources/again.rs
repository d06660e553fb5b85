//! What a source needs that makes many calls in one perform: leave to make the next, and another perform for the rest.

use crate::core::RunLoop;
use crate::cx::Cx;

/// Signals its source when it goes, unless it was told that nothing is left: also on the way of a panic.
pub(crate) struct Again<'c, 's, 'a> {
    cx: &'c mut Cx<'s, 'a>,
    needed: bool,
}

impl<'c, 's, 'a> Again<'c, 's, 'a> {
    pub(crate) fn new(cx: &'c mut Cx<'s, 'a>) -> Self {
        Self { cx, needed: true }
    }

    /// Whether the source may make another call: no call before has ended it, or taken it out of the running mode.
    pub(crate) fn may_go_on(&self) -> bool {
        self.cx.is_wanted()
    }

    /// All has been taken.
    pub(crate) fn is_not_needed(&mut self) {
        self.needed = false;
    }

    pub(crate) fn run_loop(&self) -> &'a RunLoop {
        self.cx.run_loop()
    }
}

impl Drop for Again<'_, '_, '_> {
    fn drop(&mut self) {
        if self.needed {
            self.cx.signal();
        }
    }
}
