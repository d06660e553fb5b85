//! A loop inside somebody else's: what its one descriptor tells, and that nothing is lost or spun for.

mod support;

mod calloop;
mod manual_clock;
mod mio;
mod resting;
mod sleepers;
mod told;
mod tokio;
