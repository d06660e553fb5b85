//! What a case leaves behind nowhere: a directory, and a child process.

use crate::Result;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A directory that goes when it is dropped.
#[derive(Debug)]
pub struct Place(PathBuf);

impl Place {
    /// A new one, which only this user can enter.
    pub fn new() -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A process that ends when this is dropped.
#[derive(Debug)]
pub struct Child(pub std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Tries until it works, for five seconds.
pub fn patiently<T, E>(mut attempt: impl FnMut() -> std::result::Result<T, E>) -> Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    for _ in 0..500 {
        if let Ok(value) = attempt() {
            return Ok(value);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(attempt()?)
}
