//! The name of a port: what may be one.
//!
//! For everybody who names a port. Pure: it knows neither directories nor file names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a port: 1 to 255 bytes of UTF-8 without control characters.
///
/// Names are compared byte by byte; there is no folding of case and no normalisation. Any name is
/// safe as it is: slashes and dots in it mean nothing to the file system.
///
/// ```
/// # use messageport::{NameError, PortName};
/// let name = PortName::new("org.example/editor")?;
/// assert_eq!(name.as_str(), "org.example/editor");
/// assert_eq!(PortName::new(""), Err(NameError::Empty));
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortName(Arc<str>);

impl PortName {
    /// The longest name in bytes.
    pub const LENGTH_MAX: usize = 255;

    /// The name `name`, exactly as it is.
    ///
    /// # Errors
    ///
    /// Names that are empty, longer than 255 bytes or contain control characters (NUL is one) are
    /// refused, never changed.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > Self::LENGTH_MAX {
            return Err(NameError::TooLong { length: name.len() });
        }
        match name.find(char::is_control) {
            Some(position) => Err(NameError::Control { position }),
            None => Ok(Self(name.into())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl AsRef<str> for PortName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for PortName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for PortName {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<String> for PortName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(&name)
    }
}

/// Why a text is not the name of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    #[error("a port's name has at least one byte")]
    Empty,
    /// The text is too long.
    #[error(
        "a port's name has at most {} bytes, not {length}",
        PortName::LENGTH_MAX
    )]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The text contains a control character.
    #[error("a port's name has no control character, but there is one at byte {position}")]
    Control {
        /// Where the first one starts, in bytes.
        position: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::{NameError, PortName};

    #[test]
    fn a_name_has_1_to_255_bytes_and_is_never_cut() {
        assert_eq!(
            PortName::new(""),
            Err(NameError::Empty),
            "nothing is no name"
        );
        let longest = "x".repeat(255);
        assert_eq!(
            PortName::new(&longest).unwrap().as_str(),
            longest,
            "255 bytes stay 255"
        );
        let longer = "x".repeat(256);
        let refused = Err(NameError::TooLong { length: 256 });
        assert_eq!(PortName::new(&longer), refused, "256 are refused");
        let umlauts = "ä".repeat(128);
        assert_eq!(
            PortName::new(&umlauts),
            refused,
            "bytes count, not characters"
        );
    }

    #[test]
    fn a_name_has_no_control_characters() {
        for (text, position) in [("a\0b", 1), ("\n", 0), ("ab\u{7f}", 2), ("ä\u{85}", 2)] {
            let refused = Err(NameError::Control { position });
            assert_eq!(PortName::new(text), refused, "{text:?} has one");
        }
    }

    #[test]
    fn every_way_to_make_a_name_checks_it() {
        assert_eq!(
            "a b".parse::<PortName>().unwrap().to_string(),
            "a b",
            "parsed"
        );
        assert!("".parse::<PortName>().is_err(), "parsing checks");
        assert!(PortName::try_from("\t").is_err(), "conversion checks");
        assert!(
            PortName::try_from(String::new()).is_err(),
            "owned conversion checks"
        );
    }
}
