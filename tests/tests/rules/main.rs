//! The ten rules of the design, each by tests that would fail if the run loop broke it. The message port, the timers and
//! the sockets have tests of their own for what the rules ask of them.

mod borrows;
mod claims;
mod sources;
mod wakes;
mod world;
