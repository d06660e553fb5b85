#![doc = include_str!("../README.md")]
//!
//! [`timer-source`]: ../timer_source/index.html
//! [`socket-source`]: ../socket_source/index.html
//! [`messageport`]: ../messageport/index.html

// Vocabulary: plain values.
mod mode;
mod readiness;
mod activity;
mod limit;
mod statistics;
mod error;

// The operating system, and the time it tells.
mod sys;
mod clock;
mod pace;
mod options;

// Data structures that know no loop.
mod arena;
mod queue;
mod deadlines;
mod wake;
mod timing;
mod aside;
mod flags;

// What other threads hold.
mod shared;
mod state;

// The loop's tables, and the changes made to them.
mod member;
mod plan;
mod batch;
mod devices;
mod core;
mod watches;
mod tables;
mod rest;

// What the loop does: callbacks, memberships, one pass.
mod trace;
mod callout;
mod attach;
mod membership;
mod inbox;
mod notify;
mod hot;
mod alarm;
mod wait;
mod embedded;
mod claim;
mod pass;
mod run;
mod close;
mod thread;

// What callers see.
mod source_handle;
mod cx;
mod source;
mod source_ref;
mod observer;
mod handle;
mod run_loop;
mod embedding;
mod dump;
#[cfg(feature = "manual-clock")]
mod manual_clock;
mod sources;

pub use activity::Activity;
pub use core::RunLoop;
pub use cx::Cx;
pub use embedding::Embedding;
pub use error::{AddError, PerformError, RunError, Unreachable};
pub use handle::Handle;
pub use limit::{Limit, Outcome, ReturnAfter};
#[cfg(feature = "manual-clock")]
pub use manual_clock::ManualClock;
pub use mode::Mode;
pub use observer::Observer;
pub use options::{OnPanic, SourceOptions};
pub use readiness::{Interest, Prepared, Readiness, Ready, Stage, Token, Why};
pub use source::Source;
pub use source_handle::SourceHandle;
pub use source_ref::{AsSource, SourceRef, SourceValue};
#[cfg(any(feature = "signals", feature = "children"))]
pub use sources::UnixSignal;
pub use sources::{Channel, Descriptor, SendError, Sender, Signalled, channel, channel_with};
#[cfg(feature = "children")]
pub use sources::{ChildError, ChildExit, ChildRefused, ChildSignalError, ExitLost};
#[cfg(feature = "files")]
pub use sources::{FileChange, FileChanges, FileEntry, FileInterest, FileWatch, FilesError};
#[cfg(feature = "signals")]
pub use sources::{SignalsError, UnixSignals};
pub use statistics::Statistics;
pub use sys::fork::ForkGuard;
