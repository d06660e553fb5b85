//! A loop as a person reads it.

use std::fmt;

use crate::core::RunLoop;

impl fmt::Debug for RunLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(tables) = self.core.look() else {
            return f.write_str("RunLoop(..)");
        };
        let modes: Vec<_> = tables
            .modes()
            .map(|mode| (mode.mode, mode.members))
            .collect();
        f.debug_struct("RunLoop")
            .field("running", &tables.running())
            .field("sources", &tables.sources.len())
            .field("modes", &modes)
            .finish_non_exhaustive()
    }
}
