//! The fourteen targets in the order of their numbers.

use super::sample::Sample;
use super::{Limit, Ratio, Target};
use Limit::{AtLeast, AtMost};
use benches::{Reference, Result};

pub(super) const ALL: [Target; 13] = [
    Target {
        number: "T1",
        asks: "port round trip, 64 B, same",
        judge: small_same,
    },
    Target {
        number: "T2",
        asks: "port round trip, 64 B, cross, both busy",
        judge: small_cross,
    },
    Target {
        number: "T3",
        asks: "port round trip, 64 KiB and 1 MiB, against ipc-channel",
        judge: large,
    },
    Target {
        number: "T4",
        asks: "one way, 64 B",
        judge: one_way_small,
    },
    Target {
        number: "T5",
        asks: "one way, 1 MiB, against copying memory",
        judge: one_way_large,
    },
    Target {
        number: "T6",
        asks: "loop dispatch against raw epoll and calloop",
        judge: dispatch,
    },
    Target {
        number: "T7",
        asks: "thread to loop",
        judge: wake,
    },
    Target {
        number: "T8",
        asks: "a million timers",
        judge: timers,
    },
    Target {
        number: "T9",
        asks: "lateness of a timer of 1 ms above a raw timer descriptor",
        judge: lateness,
    },
    Target {
        number: "T10",
        asks: "a run in a private mode with its source ready, over the bare wait",
        judge: private_run,
    },
    Target {
        number: "T11",
        asks: "an idle program",
        judge: idle,
    },
    Target {
        number: "T12",
        asks: "memory of a link, a source, a loop",
        judge: memory,
    },
    Target {
        number: "T14",
        asks: "port round trip, 64 B, one a millisecond, free",
        judge: sparse,
    },
];

type Verdict = Result<Vec<Ratio>>;

fn at(what: &'static str, measured: f64, limit: Limit) -> Ratio {
    Ratio {
        what,
        measured,
        limit,
    }
}

/// The arguments of one case of the port benchmark; memory that both share has threads at its ends.
macro_rules! port {
    ($peer:literal, $placement:literal, echo, $size:literal, $count:literal) => {
        concat!(
            "peer=",
            $peer,
            " placement=",
            $placement,
            " ends=processes role=echo size=",
            $size,
            " count=",
            $count
        )
    };
    ($peer:literal, $placement:literal, sink, $size:literal, $count:literal) => {
        concat!(
            "peer=",
            $peer,
            " placement=",
            $placement,
            " ends=processes role=sink size=",
            $size,
            " count=",
            $count
        )
    };
    ($peer:literal, $placement:literal, threads, $size:literal, $count:literal) => {
        concat!(
            "peer=",
            $peer,
            " placement=",
            $placement,
            " ends=threads role=echo size=",
            $size,
            " count=",
            $count
        )
    };
}

fn small_same(sample: &mut Sample, _: &Reference) -> Verdict {
    let cases = [
        port!("messageport", "same", echo, "64", "20000"),
        port!("unix-stream", "same", echo, "64", "20000"),
        port!("ipc-channel", "same", echo, "64", "20000"),
    ];
    let [ours, stream, channel] = sample.compare("port", cases, TRIP)?;
    Ok(vec![
        at("of a bare stream", ours / stream, AtMost(0.70)),
        at("of ipc-channel", ours / channel, AtMost(0.80)),
    ])
}

fn small_cross(sample: &mut Sample, _: &Reference) -> Verdict {
    let cases = [
        port!("messageport", "cross", echo, "64", "50000"),
        port!("memory-spin", "cross", threads, "64", "50000"),
        port!("ipc-channel", "cross", echo, "64", "10000"),
        port!("iceoryx2", "cross", echo, "64", "50000"),
    ];
    let [ours, spin, channel, busy] = sample.compare("port", cases, TRIP)?;
    Ok(vec![
        at("of spinning memory", ours / spin, AtMost(2.0)),
        at("of ipc-channel", ours / channel, AtMost(0.02)),
        at("of iceoryx2 busy", ours / busy, AtMost(0.5)),
    ])
}

fn large(sample: &mut Sample, _: &Reference) -> Verdict {
    let mut ratio = |cases| -> Result<f64> {
        let [ours, channel] = sample.compare("port", cases, TRIP)?;
        Ok(ours / channel)
    };
    let same_64k = ratio([
        port!("messageport", "same", echo, "65536", "4000"),
        port!("ipc-channel", "same", echo, "65536", "4000"),
    ])?;
    let same_1m = ratio([
        port!("messageport", "same", echo, "1048576", "600"),
        port!("ipc-channel", "same", echo, "1048576", "600"),
    ])?;
    let cross_64k = ratio([
        port!("messageport", "cross", echo, "65536", "4000"),
        port!("ipc-channel", "cross", echo, "65536", "4000"),
    ])?;
    let cross_1m = ratio([
        port!("messageport", "cross", echo, "1048576", "600"),
        port!("ipc-channel", "cross", echo, "1048576", "600"),
    ])?;
    Ok(vec![
        at("same 64 KiB", same_64k, AtMost(0.60)),
        at("same 1 MiB", same_1m, AtMost(0.45)),
        at("cross 64 KiB", cross_64k, AtMost(0.40)),
        at("cross 1 MiB", cross_1m, AtMost(0.25)),
    ])
}

fn one_way_small(sample: &mut Sample, reference: &Reference) -> Verdict {
    let mut verdict = Vec::new();
    let same = [
        port!("messageport", "same", sink, "64", "1000000"),
        port!("ipc-channel", "same", sink, "64", "200000"),
        port!("zeromq", "same", sink, "64", "400000"),
    ];
    let cross = [
        port!("messageport", "cross", sink, "64", "1000000"),
        port!("ipc-channel", "cross", sink, "64", "200000"),
        port!("zeromq", "cross", sink, "64", "400000"),
    ];
    let [ours, channel, zero] = sample.compare("port", same, "one-way-ns")?;
    verdict.push(at(
        "same, scaled ns",
        ours / reference.scale(),
        AtMost(130.0),
    ));
    verdict.push(at(
        "same, of ipc-channel",
        ours / channel,
        AtMost(1.0 / 15.0),
    ));
    verdict.push(at("same, of ZeroMQ", ours / zero, AtMost(0.5)));
    let [ours, channel, zero] = sample.compare("port", cross, "one-way-ns")?;
    verdict.push(at(
        "cross, scaled ns",
        ours / reference.scale(),
        AtMost(150.0),
    ));
    verdict.push(at(
        "cross, of ipc-channel",
        ours / channel,
        AtMost(1.0 / 15.0),
    ));
    verdict.push(at("cross, of ZeroMQ", ours / zero, AtMost(0.5)));
    Ok(verdict)
}

fn one_way_large(sample: &mut Sample, reference: &Reference) -> Verdict {
    let cases = [
        port!("messageport", "same", sink, "1048576", "2000"),
        port!("messageport", "cross", sink, "1048576", "2000"),
    ];
    let [same, cross] = sample.compare("port", cases, "one-way-gbs")?;
    Ok(vec![
        at("same", same / reference.copy_gbs, AtLeast(0.40)),
        at("cross", cross / reference.copy_gbs, AtLeast(0.70)),
    ])
}

/// The arguments of one case of the dispatch benchmark.
macro_rules! dispatch {
    ($peer:literal, $descriptors:literal, $active:literal) => {
        concat!(
            "peer=",
            $peer,
            " descriptors=",
            $descriptors,
            " active=",
            $active,
            " events=100000"
        )
    };
}

fn dispatch(sample: &mut Sample, _: &Reference) -> Verdict {
    let mut verdict = Vec::new();
    let mut judge = |cases, raw, other, most| -> Result<()> {
        let [ours, epoll, calloop] = sample.compare("dispatch", cases, "event-ns")?;
        verdict.push(at(raw, ours / epoll, AtMost(1.15)));
        verdict.push(at(other, ours / calloop, AtMost(most)));
        Ok(())
    };
    let one = [
        dispatch!("runloop", "1000", "1"),
        dispatch!("epoll", "1000", "1"),
        dispatch!("calloop", "1000", "1"),
    ];
    judge(one, "1 of 1,000, of epoll", "of calloop", 0.55)?;
    let hundred = [
        dispatch!("runloop", "1000", "100"),
        dispatch!("epoll", "1000", "100"),
        dispatch!("calloop", "1000", "100"),
    ];
    judge(hundred, "100 of 1,000, of epoll", "of calloop", 1.0)?;
    // Two descriptors a pipe: as many as the hard limit of 20,000 leaves room for.
    let one = [
        dispatch!("runloop", "9900", "1"),
        dispatch!("epoll", "9900", "1"),
        dispatch!("calloop", "9900", "1"),
    ];
    judge(one, "1 of 9,900, of epoll", "of calloop", 0.55)?;
    let hundred = [
        dispatch!("runloop", "9900", "100"),
        dispatch!("epoll", "9900", "100"),
        dispatch!("calloop", "9900", "100"),
    ];
    judge(hundred, "100 of 9,900, of epoll", "of calloop", 1.0)?;
    Ok(verdict)
}

/// The arguments of one case of the wake benchmark.
macro_rules! wake {
    ($peer:literal, $task:literal, $placement:literal, $count:literal) => {
        concat!(
            "peer=",
            $peer,
            " task=",
            $task,
            " placement=",
            $placement,
            " count=",
            $count
        )
    };
}

fn wake(sample: &mut Sample, reference: &Reference) -> Verdict {
    let cases = [
        wake!("runloop", "ping-pong", "same", "30000"),
        wake!("futex", "ping-pong", "same", "30000"),
        wake!("tokio", "ping-pong", "same", "30000"),
        wake!("mio", "ping-pong", "same", "30000"),
        wake!("calloop", "ping-pong", "same", "30000"),
    ];
    let [ours, others @ ..] = sample.compare("wake", cases, "each-ns")?;
    let best = others.into_iter().fold(f64::INFINITY, f64::min);
    let floods = [
        wake!("runloop", "flood-channel", "same", "1000000"),
        wake!("runloop", "flood-channel", "cross", "1000000"),
    ];
    let [channel_same, channel_cross] = sample.compare("wake", floods, "each-ns")?;
    let floods = [
        wake!("runloop", "flood-perform", "same", "500000"),
        wake!("runloop", "flood-perform", "cross", "500000"),
    ];
    let [perform_same, perform_cross] = sample.compare("wake", floods, "each-ns")?;
    let scale = reference.scale();
    Ok(vec![
        at("ping-pong, of the best peer", ours / best, AtMost(1.1)),
        at(
            "channel same, scaled ns",
            channel_same / scale,
            AtMost(50.0),
        ),
        at(
            "channel cross, scaled ns",
            channel_cross / scale,
            AtMost(50.0),
        ),
        at(
            "perform same, scaled ns",
            perform_same / scale,
            AtMost(120.0),
        ),
        at(
            "perform cross, scaled ns",
            perform_cross / scale,
            AtMost(120.0),
        ),
    ])
}

fn timers(sample: &mut Sample, reference: &Reference) -> Verdict {
    let case = ["timers=1000000 tolerance=0"];
    let scale = reference.scale();
    let mut figure = |metric| {
        sample
            .compare("timers", case, metric)
            .map(|[figure]| figure)
    };
    Ok(vec![
        at("add, scaled ns", figure("add-ns")? / scale, AtMost(350.0)),
        at(
            "cancel in order, scaled ns",
            figure("cancel-in-order-ns")? / scale,
            AtMost(200.0),
        ),
        at(
            "cancel at random, scaled ns",
            figure("cancel-at-random-ns")? / scale,
            AtMost(600.0),
        ),
        at("fire, scaled ns", figure("fire-ns")? / scale, AtMost(800.0)),
        at("bytes each", figure("memory-bytes")?, AtMost(256.0)),
    ])
}

fn lateness(sample: &mut Sample, _: &Reference) -> Verdict {
    let cases = ["peer=timer-source firings=500", "peer=timerfd firings=500"];
    let [ours, raw] = sample.compare("lateness", cases, "late-p50-us")?;
    Ok(vec![at("microseconds above", ours - raw, AtMost(5.0))])
}

fn private_run(sample: &mut Sample, reference: &Reference) -> Verdict {
    let [over] = sample.compare("modes", [""], "over-the-wait-ns")?;
    let scaled = over / reference.scale();
    Ok(vec![at("scaled ns", scaled, AtMost(500.0))])
}

fn idle(sample: &mut Sample, _: &Reference) -> Verdict {
    let [wakeups] = sample.compare("idle", ["what=asleep seconds=10"], "wakeups")?;
    Ok(vec![at("wake-ups in 10 s", wakeups, AtMost(0.0))])
}

fn memory(sample: &mut Sample, _: &Reference) -> Verdict {
    let links = [
        "what=link state=new",
        "what=link state=used",
        "what=link state=burst",
    ];
    let [new, used, burst] = sample.compare("idle", links, "shared-bytes")?;
    let [kernel, _, _] = sample.compare("idle", links, "kernel-bytes")?;
    let [source, looping] = sample.compare("idle", ["what=source", "what=loop"], "bytes")?;
    Ok(vec![
        at("a new link, bytes shared", new, AtMost(16_384.0)),
        at("a used one", used, AtMost(16_384.0)),
        at("after a burst", burst, AtMost(16_384.0)),
        at("in the kernel", kernel, AtMost(8_192.0)),
        at("a source", source, AtMost(250.0)),
        at("a loop", looping, AtMost(16_384.0)),
    ])
}

fn sparse(sample: &mut Sample, _: &Reference) -> Verdict {
    let cases = [
        concat!(
            port!("messageport", "free", echo, "64", "1000"),
            " pause=1000"
        ),
        concat!(
            port!("ipc-channel", "free", echo, "64", "1000"),
            " pause=1000"
        ),
        concat!(
            port!("memory-futex", "free", threads, "64", "1000"),
            " pause=1000"
        ),
    ];
    let [ours, channel, futex] = sample.compare("port", cases, TRIP)?;
    Ok(vec![
        at("of ipc-channel", ours / channel, AtMost(0.75)),
        at("of memory and a futex", ours / futex, AtMost(1.3)),
    ])
}

const TRIP: &str = "round-trip-us";
