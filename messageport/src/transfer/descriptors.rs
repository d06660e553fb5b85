//! The descriptors of a message: none as a rule, which takes one word of what is moved about for every message.

use std::os::fd::{AsRawFd, OwnedFd};

/// The descriptors of a message; closed with it unless they are taken out.
#[derive(Debug, Default)]
pub(crate) struct Descriptors(Option<Box<Several>>);

/// One or more descriptors.
#[derive(Debug)]
struct Several(Vec<OwnedFd>);

impl Descriptors {
    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[OwnedFd] {
        match &self.0 {
            Some(several) => &several.0,
            None => &[],
        }
    }

    /// All of them, of which none is left here.
    pub(crate) fn take(&mut self) -> Vec<OwnedFd> {
        self.0.take().map_or_else(Vec::new, |several| several.0)
    }
}

impl From<Vec<OwnedFd>> for Descriptors {
    fn from(descriptors: Vec<OwnedFd>) -> Self {
        Self((!descriptors.is_empty()).then(|| Box::new(Several(descriptors))))
    }
}

impl PartialEq for Descriptors {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |one: &Self| {
            let all = one.as_slice().iter();
            all.map(AsRawFd::as_raw_fd).collect::<Vec<_>>()
        };
        numbers(self) == numbers(other)
    }
}

impl Eq for Descriptors {}
