//! The fourteen targets in the order of their numbers.

use super::{Target, loops, ports};

pub(super) const ALL: [Target; 14] = [
    Target {
        number: "T1",
        asks: "port round trip, 64 B, same",
        judge: ports::small_same,
    },
    Target {
        number: "T2",
        asks: "port round trip, 64 B, cross, both busy",
        judge: ports::small_cross,
    },
    Target {
        number: "T3",
        asks: "port round trip, 64 KiB and 1 MiB, against ipc-channel",
        judge: ports::large,
    },
    Target {
        number: "T4",
        asks: "one way, 64 B",
        judge: ports::one_way_small,
    },
    Target {
        number: "T5",
        asks: "one way, 1 MiB, against copying memory",
        judge: ports::one_way_large,
    },
    Target {
        number: "T6",
        asks: "loop dispatch against raw epoll and calloop",
        judge: loops::dispatch,
    },
    Target {
        number: "T7",
        asks: "thread to loop",
        judge: loops::wake,
    },
    Target {
        number: "T8",
        asks: "a million timers",
        judge: loops::timers,
    },
    Target {
        number: "T9",
        asks: "lateness of a timer of 1 ms above a raw timer descriptor",
        judge: loops::lateness,
    },
    Target {
        number: "T10",
        asks: "a run in a private mode with its source ready, over the bare wait",
        judge: loops::private_run,
    },
    Target {
        number: "T11",
        asks: "an idle program",
        judge: loops::idle,
    },
    Target {
        number: "T12",
        asks: "memory of a link, a source, a loop",
        judge: loops::memory,
    },
    Target {
        number: "T13",
        asks: "system calls of a small request, both sides together",
        judge: ports::system_calls,
    },
    Target {
        number: "T14",
        asks: "port round trip, 64 B, one a millisecond, free",
        judge: ports::sparse,
    },
];
