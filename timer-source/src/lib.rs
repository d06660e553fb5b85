#![doc = include_str!("../README.md")]

// Vocabulary and arithmetic: plain values.
mod grid;
mod sys;
mod boot_instant;
mod moment;
mod schedule;

// What every thread may know of a timer.
mod shared;

// What the loop is told of it, and when that changes.
mod deadline;
mod steps;
mod timer;

// What its loop knows.
mod source;

pub use boot_instant::BootInstant;
pub use moment::Moment;
pub use schedule::Schedule;
pub use steps::clock_was_set;
pub use timer::Timer;
