//! Ready-made kinds of source: everyday needs that take a closure instead of an implementation of
//! [`Source`](crate::Source).

mod again;
mod callback;
mod channel;
mod descriptor;
mod signalled;
#[cfg(feature = "signals")]
mod unix_signal;
#[cfg(feature = "signals")]
mod unix_signals;

pub use channel::{Channel, SendError, Sender, channel, channel_with};
pub use descriptor::Descriptor;
pub use signalled::Signalled;
#[cfg(feature = "signals")]
pub use unix_signal::UnixSignal;
#[cfg(feature = "signals")]
pub use unix_signals::{SignalsError, UnixSignals};
