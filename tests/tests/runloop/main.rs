//! The run loop as its users see it, through its public interface only.

mod support;

mod batches;
mod bells;
mod children;
mod children_lost;
mod closures;
mod deadlines;
mod defects;
mod descriptors;
mod fairness;
mod files;
mod files_watched;
mod forks;
mod kinds;
mod manual_clock;
mod membership;
mod nested;
mod observability;
mod observers;
mod panics;
mod panics_in_hooks;
mod parking;
mod prepare;
mod races;
mod removal;
mod results;
mod signalled;
mod spinning;
mod stopping;
mod threads;
mod tolerance;
mod traces;
mod unix_signals;
mod unix_signals_anywhere;
mod waking;
