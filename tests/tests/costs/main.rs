//! What operations cost in numbers that no other program on the machine can change: allocations, bytes and system calls.
//!
//! A change that adds one to a path that many take fails here, and says where.

mod support;

mod events;
mod messages;
mod threads;
mod timers;
