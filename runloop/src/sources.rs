//! Ready-made kinds of source: everyday needs that take a closure instead of an implementation of
//! [`Source`](crate::Source).

mod again;
mod callback;
mod channel;
#[cfg(feature = "children")]
mod child_exit;
#[cfg(feature = "children")]
mod child_process;
mod descriptor;
#[cfg(feature = "files")]
mod file_change;
#[cfg(feature = "files")]
mod file_changes;
#[cfg(feature = "files")]
mod file_queue;
#[cfg(feature = "files")]
mod file_watches;
mod signalled;
#[cfg(any(feature = "signals", feature = "children"))]
mod unix_signal;
#[cfg(feature = "signals")]
mod unix_signals;

pub use channel::{Channel, SendError, Sender, channel, channel_with};
#[cfg(feature = "children")]
pub use child_exit::ChildExit;
#[cfg(feature = "children")]
pub use child_process::{ChildError, ChildRefused, ChildSignalError, ExitLost};
pub use descriptor::Descriptor;
#[cfg(feature = "files")]
pub use file_change::{FileChange, FileEntry, FileInterest, FileWatch, FilesError};
#[cfg(feature = "files")]
pub use file_changes::FileChanges;
pub use signalled::Signalled;
#[cfg(any(feature = "signals", feature = "children"))]
pub use unix_signal::UnixSignal;
#[cfg(feature = "signals")]
pub use unix_signals::{SignalsError, UnixSignals};
