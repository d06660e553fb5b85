//! Messages between two processes, or two threads: round trips, and one way.
//!
//! `cargo run -p benches --release --bin port` compares our ports with bare streams and shared memory;
//! with `--features peers` with everybody else's too. `… --bin port -- case peer=messageport placement=same ends=processes
//! role=echo size=64 count=20000` measures one case once. What comes back is compared with what was sent, and what goes one
//! way carries numbers that the other side checks.

mod memory;
mod ours;
#[cfg(feature = "peers")]
mod others;
mod peer;
mod streams;

use benches::{
    Arguments, Case, Child, Place, Placement, Result, alternate, median_micros, percentile_micros,
};
use memory::{SharedMemory, Wait};
use peer::{Ends, Peer, Role, Task, set_number};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("case") => measure(&Arguments::of_process(1)?),
        Some("serve") => serve(&Arguments::of_process(1)?),
        _ => compare_all(),
    }
}

/// Everybody who can be measured by this build.
fn peers() -> Vec<Box<dyn Peer>> {
    #[cfg_attr(
        not(feature = "peers"),
        expect(unused_mut, reason = "nobody else is here")
    )]
    let mut all: Vec<Box<dyn Peer>> = vec![
        Box::new(ours::Ports),
        Box::new(streams::Streams),
        Box::new(SharedMemory(Wait::Spin)),
        Box::new(SharedMemory(Wait::Futex)),
    ];
    #[cfg(feature = "peers")]
    all.extend(others::all());
    all
}

/// What the arguments of a case say.
struct Plan {
    peer: Box<dyn Peer>,
    placement: Placement,
    ends: Ends,
    task: Task,
    /// Between two round trips.
    pause: Duration,
}

impl Plan {
    fn of(arguments: &Arguments) -> Result<Self> {
        let name = arguments.text("peer")?;
        let peer = peers().into_iter().find(|peer| peer.name() == name);
        let role = match arguments.text("role")? {
            "echo" => Role::Echo,
            "sink" => Role::Sink,
            other => return Err(format!("{other} is no role").into()),
        };
        let ends = match arguments.text("ends")? {
            "processes" => Ends::Processes,
            "threads" => Ends::Threads,
            other => return Err(format!("{other} are no ends").into()),
        };
        Ok(Self {
            peer: peer.ok_or_else(|| format!("{name} is not in this build"))?,
            placement: Placement::of_name(arguments.text("placement")?).ok_or("no placement")?,
            ends,
            task: Task {
                role,
                size: arguments.value("size")?,
                count: arguments.value("count")?,
            },
            pause: Duration::from_micros(arguments.value("pause").unwrap_or(0)),
        })
    }
}

/// The serving side, as a process of its own.
fn serve(arguments: &Arguments) -> Result<()> {
    let plan = Plan::of(arguments)?;
    plan.placement.take(true)?;
    plan.peer
        .serve(Path::new(arguments.text("place")?), plan.task)
}

/// Measures one case, and prints its figures.
fn measure(arguments: &Arguments) -> Result<()> {
    let plan = Plan::of(arguments)?;
    if !plan.peer.can(plan.task, plan.ends) {
        return Err(format!("{} cannot do this", plan.peer.name()).into());
    }
    let place = Place::new()?;
    let path = place.path().to_owned();
    let _server = match plan.ends {
        Ends::Processes => {
            let arguments = arguments.clone().with("place", path.display());
            let mut command = Command::new(std::env::current_exe()?);
            Some(Child(command.arg("serve").args(arguments.words()).spawn()?))
        }
        Ends::Threads => {
            let (placement, task, name) = (plan.placement, plan.task, plan.peer.name());
            std::thread::spawn(move || -> Result<()> {
                placement.take(true)?;
                let peer = peers().into_iter().find(|peer| peer.name() == name);
                peer.ok_or("it was there just now")?.serve(&path, task)
            });
            None
        }
    };
    plan.placement.take(false)?;
    let mut client = plan.peer.connect(place.path(), plan.task)?;
    match plan.task.role {
        Role::Echo => round_trips(&mut *client, &plan),
        Role::Sink => one_way(&mut *client, plan.task),
    }
}

/// Prints the median and a high percentile of many round trips; the first tenth is for warming up.
fn round_trips(client: &mut dyn peer::Client, plan: &Plan) -> Result<()> {
    let mut data = vec![7; plan.task.size];
    let mut reply = Vec::new();
    let mut durations = Vec::with_capacity(usize::try_from(plan.task.count)?);
    for number in 0..plan.task.count {
        if !plan.pause.is_zero() {
            std::thread::sleep(plan.pause);
        }
        set_number(&mut data, number);
        let begun = Instant::now();
        client.round_trip(&data, &mut reply)?;
        durations.push(begun.elapsed());
        if reply != data {
            return Err("what came back is not what was sent".into());
        }
    }
    let measured = &mut durations[usize::try_from(plan.task.count / 10)?..];
    println!("round-trip-us={}", median_micros(measured));
    println!("round-trip-p99-us={}", percentile_micros(measured, 99));
    Ok(())
}

/// Prints what one message costs when many are sent without waiting, until the last has been taken in.
fn one_way(client: &mut dyn peer::Client, task: Task) -> Result<()> {
    let mut data = vec![7; task.size];
    let warm = task.count / 10;
    let mut begun = Instant::now();
    for number in 0..task.count {
        if number == warm {
            begun = Instant::now();
        }
        set_number(&mut data, number);
        client.send(&data)?;
    }
    client.settle()?;
    let nanos = begun.elapsed().as_secs_f64() * 1e9;
    let messages = u32::try_from(task.count - warm)?;
    let each = nanos / f64::from(messages);
    println!("one-way-ns={each}");
    println!(
        "one-way-gbs={}",
        f64::from(u32::try_from(task.size)?) / each
    );
    Ok(())
}

/// Compares all peers of this build in everything.
fn compare_all() -> Result<()> {
    for placement in [Placement::Same, Placement::Cross] {
        for size in ECHOED {
            let count = (ECHOED_IN_ALL / size.max(1) as u64).clamp(3, 10_000);
            compare("echo", placement, size, count)?;
        }
        for (size, count) in [(64, 200_000), (4 << 10, 50_000), (1 << 20, 500)] {
            compare("sink", placement, size, count)?;
        }
    }
    Ok(())
}

/// Compares all peers that can do it in one thing, and prints a line for each figure.
fn compare(role: &str, placement: Placement, size: usize, count: u64) -> Result<()> {
    let mut cases = Vec::new();
    for peer in peers() {
        let ends = if peer.name().starts_with("memory") {
            "threads"
        } else {
            "processes"
        };
        let arguments = Arguments::default()
            .with("peer", peer.name())
            .with("placement", placement.name())
            .with("ends", ends)
            .with("role", role)
            .with("size", size)
            .with("count", count);
        let plan = Plan::of(&arguments)?;
        let sensible = placement != Placement::Same || !plan.peer.is_busy();
        if sensible && plan.peer.can(plan.task, plan.ends) {
            cases.push(Case {
                bench: "port",
                arguments,
            });
        }
    }
    let found = alternate(&cases, ROUNDS)?;
    for (case, figures) in cases.iter().zip(found) {
        for (metric, rounds) in figures {
            println!("bench=port {} metric={metric} {rounds}", case.arguments);
        }
    }
    Ok(())
}

/// The sizes of what goes forth and back.
const ECHOED: [usize; 9] = [
    0,
    64,
    1 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    8 << 20,
    64 << 20,
];
/// How many bytes a case moves each way, about, so that large ones take no longer than small ones.
const ECHOED_IN_ALL: u64 = 128 << 20;
const ROUNDS: usize = 5;
