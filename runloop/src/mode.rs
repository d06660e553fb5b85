//! Modes: the names under which sources, observers and closures are gathered, and one of which a loop runs at a time.
//!
//! Names are interned once per process, so that a [`Mode`] is a small number that is copied and compared by value;
//! this file knows nothing of what a loop keeps under a mode.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, PoisonError, RwLock};

/// The name of a set of sources, observers and closures that a run of the loop serves.
///
/// Two modes are equal when their names are, wherever the names were built. Names live as long as the process, so a
/// program has a fixed set of modes rather than one per object.
///
/// Counterpart: `CFRunLoopMode`. CoreFoundation recognises its common pseudo-mode by the address of the string; here it
/// is recognised by value.
///
/// ```
/// use runloop::Mode;
///
/// let tracking = Mode::new("org.example.tracking");
/// assert_eq!(tracking, Mode::new("org.example.tracking"));
/// assert_ne!(tracking, Mode::DEFAULT);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mode(u32);

impl Mode {
    /// The mode that [`RunLoop::run`](crate::RunLoop::run) runs, and in which a program spends most of its time.
    ///
    /// Counterpart: `kCFRunLoopDefaultMode`. Its name is `default`.
    pub const DEFAULT: Self = Self(1);

    /// The pseudo-mode that stands for every mode of the loop's common set, present and future.
    ///
    /// Something added to it is served in each common mode; no loop can run it. The set of a loop always has
    /// [`Mode::DEFAULT`] in it and grows by [`RunLoop::add_common_mode`](crate::RunLoop::add_common_mode).
    ///
    /// Counterpart: `kCFRunLoopCommonModes`. Its name is `common`.
    pub const COMMON: Self = Self(0);

    /// The mode of this name, the same one each time.
    ///
    /// Any string is a name; reversed domain names (`org.example.tracking`) keep libraries out of each other's way. May
    /// be called on any thread.
    ///
    /// ```
    /// assert_eq!(runloop::Mode::new("default"), runloop::Mode::DEFAULT);
    /// ```
    #[must_use]
    pub fn new(name: &str) -> Self {
        if let Some(mode) = known(name) {
            return mode;
        }
        let mut names = NAMES.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&index) = names.index.get(name) {
            return Self(index);
        }
        // Four billion names would not fit into memory, so this is never reached; the last one would be shared.
        let index = u32::try_from(names.list.len()).unwrap_or(u32::MAX);
        let kept: &'static str = Box::leak(name.into());
        names.list.push(kept);
        names.index.insert(kept, index);
        Self(index)
    }

    /// The name it was made with.
    ///
    /// ```
    /// assert_eq!(runloop::Mode::new("org.example.modal").name(), "org.example.modal");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        let names = NAMES.read().unwrap_or_else(PoisonError::into_inner);
        names.list[self.index()]
    }

    /// The place of this mode in tables that have one entry per mode.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mode({:?})", self.name())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Every name that was ever asked for.
struct Names {
    /// The name of each mode, by its number.
    list: Vec<&'static str>,
    /// The number of each name.
    index: HashMap<&'static str, u32>,
}

static NAMES: LazyLock<RwLock<Names>> = LazyLock::new(|| {
    let list = vec!["common", "default"];
    let index = HashMap::from([("common", 0), ("default", 1)]);
    RwLock::new(Names { list, index })
});

fn known(name: &str) -> Option<Mode> {
    let names = NAMES.read().unwrap_or_else(PoisonError::into_inner);
    names.index.get(name).copied().map(Mode)
}

#[cfg(test)]
mod tests {
    use super::Mode;

    #[test]
    fn equal_names_built_in_different_places_are_one_mode() {
        let built: String = ["org.example", "built"].join(".");
        assert_eq!(
            Mode::new(&built),
            Mode::new("org.example.built"),
            "interned by value"
        );
    }

    #[test]
    fn the_two_constants_are_what_their_names_say() {
        assert_eq!(Mode::new("default"), Mode::DEFAULT, "default");
        assert_eq!(Mode::new("common"), Mode::COMMON, "common");
        assert_eq!(Mode::COMMON.name(), "common", "name");
    }
}
