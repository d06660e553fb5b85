//! Many wake-ups, many modes, many descriptors: what goes wrong only once in a while, or only in numbers.
//!
//! The ordinary run is short. The full one prints how far it is:
//! `STRESS_WAKES=1000000 cargo test -p tests --release --test scale -- --nocapture`.

mod many;
mod wakes;
