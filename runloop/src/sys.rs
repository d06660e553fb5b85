//! The operating system's side of the loop: waiting, being woken, and the time.
//!
//! A platform supplies, and the rest of the crate uses, exactly this:
//!
//! - [`Poller`](poller::Poller): a set of descriptors and the wait for them, level-triggered, through `polling`;
//! - [`Doorbell`](linux::Doorbell): a descriptor that any thread can make ready, safe in a signal handler;
//! - [`Alarm`](linux::Alarm): a descriptor that becomes ready at a moment of the monotonic clock;
//! - [`monotonic_nanos`] and [`on_main_thread`];
//! - [`fork`]: whether this process is a forked child of the one that asked first.
//!
//! Linux is the one platform so far; another is a sibling of `linux.rs` and a branch in `poller.rs`.

pub(crate) mod fork;
pub(crate) mod linux;
pub(crate) mod poller;

pub(crate) use linux::{Alarm, Doorbell, monotonic_nanos, on_main_thread};
