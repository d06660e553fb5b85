//! What ends the tool early, with the exit status of each.

use messageport::{ConnectError, DirectoryError, OpenError, SendError, TransportError};
use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Why the tool has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The directory of names cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is no link to the port.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A message was not sent or not answered.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The message cannot be read.
    #[error("cannot read {}", path.display())]
    Input { path: PathBuf, source: io::Error },
    /// What was found cannot be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// Names cannot be watched.
    #[error("cannot watch the names of ports")]
    Watch(#[source] Box<dyn Error>),
    /// There is no manual page of that name.
    #[error("there is no command {0:?}")]
    NoCommand(String),
}

impl Failure {
    /// The exit status, as the help lists it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Directory(_) => DIRECTORY,
            Self::Open(error) => of_opening(error),
            Self::Send(error) => of_sending(error),
            Self::NoCommand(_) => USAGE,
            Self::Input { .. } | Self::Output(_) | Self::Watch(_) => OTHER,
        }
    }

    /// Whether all that happened is that nobody reads the output any more.
    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The message with its causes.
    pub(crate) fn chain(&self) -> String {
        let mut message = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        message
    }
}

fn of_opening(error: &OpenError) -> u8 {
    match error {
        OpenError::Name(_) => USAGE,
        OpenError::Directory(_) => DIRECTORY,
        OpenError::Connect(ConnectError::NotFound { .. }) => NOT_FOUND,
        OpenError::Connect(
            ConnectError::PermissionDenied { .. } | ConnectError::ForeignOwner { .. },
        )
        | OpenError::Refused { .. } => REFUSED,
        _ => OTHER,
    }
}

fn of_sending(error: &SendError) -> u8 {
    match error {
        SendError::SendTimeout => SEND_TIMEOUT,
        SendError::ReceiveTimeout => RECEIVE_TIMEOUT,
        SendError::Invalid => INVALID,
        SendError::BecameInvalid => BECAME_INVALID,
        // Refused at once or a moment later is the same to whoever runs the tool.
        SendError::Transport(TransportError::Refused { .. }) => REFUSED,
        SendError::Transport(_) => TRANSPORT,
        _ => OTHER,
    }
}

const OTHER: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const SEND_TIMEOUT: u8 = 4;
const RECEIVE_TIMEOUT: u8 = 5;
const INVALID: u8 = 6;
const BECAME_INVALID: u8 = 7;
const TRANSPORT: u8 = 8;
const REFUSED: u8 = 9;
const DIRECTORY: u8 = 10;
