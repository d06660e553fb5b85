//! The targets of loops and timers, and of what waits.

use super::Limit::AtMost;
use super::sample::Sample;
use super::{Verdict, at};
use benches::{Reference, Result};

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

pub(super) fn dispatch(sample: &mut Sample, _: &Reference) -> Verdict {
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

pub(super) fn wake(sample: &mut Sample, reference: &Reference) -> Verdict {
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

pub(super) fn timers(sample: &mut Sample, reference: &Reference) -> Verdict {
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

pub(super) fn lateness(sample: &mut Sample, _: &Reference) -> Verdict {
    let cases = ["peer=timer-source firings=500", "peer=timerfd firings=500"];
    let [ours, raw] = sample.compare("lateness", cases, "late-p50-us")?;
    Ok(vec![at("microseconds above", ours - raw, AtMost(5.0))])
}

pub(super) fn private_run(sample: &mut Sample, reference: &Reference) -> Verdict {
    let [over] = sample.compare("many-modes", [""], "over-the-wait-ns")?;
    let scaled = over / reference.scale();
    Ok(vec![at("scaled ns", scaled, AtMost(500.0))])
}

pub(super) fn idle(sample: &mut Sample, _: &Reference) -> Verdict {
    let [wakeups] = sample.compare("idle", ["what=asleep seconds=10"], "wakeups")?;
    // The alarm that was set for a deadline which is gone goes off once; nothing else does.
    let what = "late wake-ups by an alarm that was left, in 10 s";
    Ok(vec![at(what, wakeups, AtMost(1.0))])
}

pub(super) fn memory(sample: &mut Sample, _: &Reference) -> Verdict {
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
