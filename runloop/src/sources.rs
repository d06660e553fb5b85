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
pub use signalled::Signalled;
#[cfg(any(feature = "signals", feature = "children"))]
pub use unix_signal::UnixSignal;
#[cfg(feature = "signals")]
pub use unix_signals::{SignalsError, UnixSignals};
