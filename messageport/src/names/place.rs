//! Where the ports of a user are: the one rule that turns an environment into a directory's path.
//!
//! For `Directory` alone. Pure: the environment is an argument, and nothing is opened or created.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the rule looks at.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// `$MESSAGEPORT_DIR`.
    pub(super) chosen: Option<OsString>,
    /// `$XDG_RUNTIME_DIR`.
    pub(super) runtime: Option<OsString>,
    /// The effective user of this process.
    pub(super) user: u32,
    /// Whether `/run/user/<uid>` exists and belongs to that user.
    pub(super) run_user_is_ours: bool,
}

impl Surroundings {
    /// The directory for private ports: the first of these that applies, whether or not it can be
    /// used, so that two programs never find themselves in two name spaces by accident.
    pub(super) fn directory(&self) -> PathBuf {
        if let Some(chosen) = set(self.chosen.as_ref()) {
            return chosen.to_owned();
        }
        if let Some(runtime) = set(self.runtime.as_ref()) {
            return runtime.join("messageport");
        }
        if self.run_user_is_ours {
            return run_user(self.user).join("messageport");
        }
        PathBuf::from(format!("/tmp/messageport-{}", self.user))
    }
}

/// The directory that login sessions keep for a user.
pub(super) fn run_user(user: u32) -> PathBuf {
    PathBuf::from(format!("/run/user/{user}"))
}

/// An empty variable counts as one that is not set.
fn set(variable: Option<&OsString>) -> Option<&Path> {
    variable.filter(|value| !value.is_empty()).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::Surroundings;
    use std::path::Path;

    #[test]
    fn the_first_place_that_applies_is_taken() {
        let mut around = Surroundings {
            chosen: Some("/chosen".into()),
            runtime: Some("/runtime".into()),
            user: 7,
            run_user_is_ours: true,
        };
        assert_eq!(
            around.directory(),
            Path::new("/chosen"),
            "what the user says, as it is"
        );
        around.chosen = None;
        assert_eq!(
            around.directory(),
            Path::new("/runtime/messageport"),
            "the session's"
        );
        around.runtime = None;
        assert_eq!(
            around.directory(),
            Path::new("/run/user/7/messageport"),
            "the user's"
        );
        around.run_user_is_ours = false;
        assert_eq!(
            around.directory(),
            Path::new("/tmp/messageport-7"),
            "else a shared place"
        );
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let around = Surroundings {
            chosen: Some("".into()),
            runtime: Some("".into()),
            ..Default::default()
        };
        assert_eq!(
            around.directory(),
            Path::new("/tmp/messageport-0"),
            "neither counts"
        );
    }
}
