//! What message ports promise: names, delivery, how each call can end, and what a hostile or dying peer can do.
//!
//! An ordinary run is short. In the full one a hundred processes race for a name a thousand times, ten million messages go
//! through one link, and messages of a gibibyte there and back, for which it needs 8 GiB of memory; it prints what it has
//! done: `PORTS_FULL=1 cargo test -p tests --test ports -- --nocapture --test-threads=1 racing threads memory sizes::`.

mod support;

mod calls;
mod children;
mod creating;
mod crowds;

mod death;
mod deferring;
mod delivery;
mod departing;
mod descriptors;
mod ending;
mod finding;
mod forked;
mod fuzzing;
mod hostile;
mod invalidation;
mod killing;
mod limits;
mod memory;
mod modes;
mod names;
mod noticing;
mod passing;
mod passing_ending;
mod passing_full;
mod passing_hostile;
mod queues;
mod racing;
mod reentrancy;
mod refusing;
mod room;
mod shared;
mod sizes;
mod slow;
mod socket_bells;
mod statuses;
mod stopping;
mod system_calls;
mod table;
mod threads;
mod waking;
mod watching;
