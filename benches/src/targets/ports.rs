//! The targets of message ports.

use super::Limit::{AtLeast, AtMost};
use super::sample::Sample;
use super::{Verdict, at};
use benches::{Reference, Result};

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

pub(super) fn small_same(sample: &mut Sample, _: &Reference) -> Verdict {
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

pub(super) fn small_cross(sample: &mut Sample, _: &Reference) -> Verdict {
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

pub(super) fn large(sample: &mut Sample, _: &Reference) -> Verdict {
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

pub(super) fn one_way_small(sample: &mut Sample, reference: &Reference) -> Verdict {
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

pub(super) fn one_way_large(sample: &mut Sample, reference: &Reference) -> Verdict {
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

pub(super) fn system_calls(sample: &mut Sample, _: &Reference) -> Verdict {
    let cases = [
        "placement=same manner=awake requests=10000",
        "placement=cross manner=asleep requests=10000",
        "placement=cross manner=awake requests=10000",
    ];
    let [same, asleep, awake] = sample.compare("calls", cases, "each")?;
    Ok(vec![
        at("same", same, AtMost(4.0)),
        at("cross, asleep", asleep, AtMost(6.0)),
        at("cross, awake", awake, AtMost(0.05)),
    ])
}

pub(super) fn sparse(sample: &mut Sample, _: &Reference) -> Verdict {
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
