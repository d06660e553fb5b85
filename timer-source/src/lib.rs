#![doc = include_str!("../README.md")]

// Vocabulary and arithmetic: plain values.
mod grid;
mod clock;
mod schedule;

// What every thread may know of a timer.
mod shared;
mod timer;

// What its loop knows.
mod source;

pub use schedule::Schedule;
pub use timer::Timer;
