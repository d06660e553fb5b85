//! Two threads that wake each other, and one that floods the other's loop.
//!
//! `cargo run -p benches --release --bin wake` compares our loops with the bare system; with `--features peers` with
//! everybody else's too. `… --bin wake -- case peer=runloop task=ping-pong placement=same count=20000` measures one case
//! once. Ping-pong: each side sleeps in its loop until the other wakes it, and each turn is counted on both sides. Flood:
//! one side posts numbers as fast as the other takes them, and the other checks their order.

#[cfg(feature = "glib")]
mod glib;
#[cfg(feature = "peers")]
mod others;
mod ours;
mod system;

use benches::{Arguments, Case, Placement, Result, alternate};
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("case") => measure(&Arguments::of_process(1)?),
        _ => compare_all(),
    }
}

/// A way of waking another thread: its name, what it does, and the function that measures it.
type Peer = (&'static str, &'static str, fn(Plan) -> Result<Duration>);

/// What is measured: how often, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) placement: Placement,
    pub(crate) count: u64,
}

/// Everybody who can be measured by this build.
fn peers() -> Vec<Peer> {
    #[cfg_attr(
        not(feature = "peers"),
        expect(unused_mut, reason = "nobody else is here")
    )]
    let mut all: Vec<Peer> = vec![
        ("runloop", "ping-pong", ours::ping_pong),
        ("runloop", "flood-channel", ours::flood_channel),
        ("runloop", "flood-perform", ours::flood_perform),
        ("futex", "ping-pong", system::futex_ping_pong),
        ("eventfd", "ping-pong", system::eventfd_ping_pong),
        ("std-channel", "flood-channel", system::flood_std),
    ];
    #[cfg(feature = "peers")]
    all.extend(others::ALL);
    #[cfg(feature = "glib")]
    all.extend(glib::ALL);
    all
}

fn measure(arguments: &Arguments) -> Result<()> {
    let (name, task) = (arguments.text("peer")?, arguments.text("task")?);
    let placement = Placement::of_name(arguments.text("placement")?).ok_or("no placement")?;
    let count = arguments.value("count")?;
    let peer = peers()
        .into_iter()
        .find(|peer| (peer.0, peer.1) == (name, task));
    let (_, _, run) = peer.ok_or_else(|| format!("{name} {task} is not in this build"))?;
    // Once to warm up.
    run(Plan {
        placement,
        count: count / 10,
    })?;
    let taken = run(Plan { placement, count })?;
    println!(
        "each-ns={}",
        taken.as_secs_f64() * 1e9 / f64::from(u32::try_from(count)?)
    );
    Ok(())
}

/// Compares everybody in everything, and prints a line for each.
fn compare_all() -> Result<()> {
    for (task, count) in [
        ("ping-pong", 20_000),
        ("flood-channel", 500_000),
        ("flood-perform", 300_000),
    ] {
        for placement in [Placement::Same, Placement::Cross] {
            let cases: Vec<Case> = peers()
                .iter()
                .filter(|peer| peer.1 == task)
                .map(|peer| Case {
                    bench: "wake",
                    arguments: words(peer.0, task, placement, count),
                })
                .collect();
            for (case, figures) in cases.iter().zip(alternate(&cases, ROUNDS)?) {
                for (metric, rounds) in figures {
                    println!("bench=wake {} metric={metric} {rounds}", case.arguments);
                }
            }
        }
    }
    Ok(())
}

fn words(peer: &str, task: &str, placement: Placement, count: u64) -> Arguments {
    Arguments::default()
        .with("peer", peer)
        .with("task", task)
        .with("placement", placement.name())
        .with("count", count)
}

/// Runs two sides on threads of their own, the second of which answers the first, and says how long the first took.
pub(crate) fn two_sides<A, B: Send>(
    plan: Plan,
    first: impl FnOnce() -> Result<A>,
    second: impl FnOnce() -> Result<B> + Send,
) -> Result<Duration> {
    std::thread::scope(|scope| {
        let second = scope.spawn(move || {
            plan.placement.take(true)?;
            second()
        });
        plan.placement.take(false)?;
        let begun = Instant::now();
        first()?;
        second.join().map_err(|_| "the other side panicked")??;
        Ok(begun.elapsed())
    })
}

/// One side posts numbers with `send`, the other takes them with `receive` and checks their order.
pub(crate) fn flood(
    plan: Plan,
    mut receive: impl FnMut() -> Result<u64>,
    send: impl FnMut(u64) -> Result<()> + Send,
) -> Result<Duration> {
    let first = || (0..plan.count).try_for_each(|number| agree(receive()?, number));
    two_sides(plan, first, || post_all(plan, send))
}

/// Posts all numbers.
pub(crate) fn post_all(plan: Plan, send: impl FnMut(u64) -> Result<()>) -> Result<()> {
    (0..plan.count).try_for_each(send)
}

/// Checks that what was taken in is what was posted.
pub(crate) fn agree(taken: u64, posted: u64) -> Result<()> {
    if taken == posted {
        return Ok(());
    }
    Err(format!("{taken} came of {posted}").into())
}

const ROUNDS: usize = 5;
