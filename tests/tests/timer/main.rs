//! Timers as their users see them, through the public interface only.

mod support;

mod clocks;
mod fire;
mod firing;
mod grid;
mod lifetime;
mod manual_clock;
mod moving;
mod system_clocks;
mod threads;
mod tolerance;
mod warnings;
