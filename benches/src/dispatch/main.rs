//! A loop with many descriptors of which a few are active: what one event costs, and what adding a descriptor does.
//!
//! `cargo run -p benches --release --bin dispatch` compares our loop with raw epoll; with `--features peers` with everybody
//! else's too. `… --bin dispatch -- case peer=runloop descriptors=1000 active=1 events=100000` measures one case once. A
//! byte is written into each of the active pipes, the loop runs until all have been read, and so on; the order of the pipes
//! is scattered. Every byte that was written is read and counted.

#[cfg(feature = "glib")]
mod glib;
#[cfg(feature = "peers")]
mod others;
mod ours;
mod system;

use benches::{Arguments, Case, Placement, Result, alternate};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::os::fd::OwnedFd;
use std::time::Instant;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("case") => measure(&Arguments::of_process(1)?),
        _ => compare_all(),
    }
}

/// A loop under test: it has been given the reading ends, and counts the bytes it has read.
pub(crate) trait Loop {
    /// Runs until so many bytes have been read in all.
    fn run_until(&mut self, read: u64) -> Result<()>;
}

/// A kind of loop: its name, and the function that gives it the reading ends.
type Peer = (&'static str, fn(Vec<OwnedFd>) -> Result<Box<dyn Loop>>);

/// Everybody who can be measured by this build.
fn peers() -> Vec<Peer> {
    #[cfg_attr(
        not(feature = "peers"),
        expect(unused_mut, reason = "nobody else is here")
    )]
    let mut all: Vec<Peer> = vec![("runloop", ours::new), ("epoll", system::new)];
    #[cfg(feature = "peers")]
    all.extend(others::ALL);
    #[cfg(feature = "glib")]
    all.extend(glib::ALL);
    all
}

fn measure(arguments: &Arguments) -> Result<()> {
    let name = arguments.text("peer")?;
    let descriptors: usize = arguments.value("descriptors")?;
    let (active, events): (u64, u64) = (arguments.value("active")?, arguments.value("events")?);
    let peer = peers().into_iter().find(|peer| peer.0 == name);
    let (_, new) = peer.ok_or_else(|| format!("{name} is not in this build"))?;
    let all = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: all,
            maximum: all,
        },
    )?;
    Placement::Same.take(false)?;
    let mut reading = Vec::with_capacity(descriptors);
    let mut writing = Vec::with_capacity(descriptors);
    for _ in 0..descriptors {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        reading.push(read);
        writing.push(write);
    }
    let begun = Instant::now();
    let mut tested = new(reading)?;
    let added = begun.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(descriptors)?);
    let rounds = events / active;
    let mut written = 0;
    let mut begun = Instant::now();
    for round in 0..rounds + rounds / 10 {
        if round == rounds / 10 {
            begun = Instant::now();
        }
        for one in 0..active {
            // A prime step, so that neighbours in time are none in memory.
            let pipe = usize::try_from((round * active + one) * STEP)? % descriptors;
            rustix::io::write(&writing[pipe], &[1])?;
            written += 1;
        }
        tested.run_until(written)?;
    }
    let each = begun.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(rounds * active)?);
    println!("event-ns={each}");
    println!("add-ns={added}");
    Ok(())
}

/// Compares everybody, and prints a line for each figure.
fn compare_all() -> Result<()> {
    for descriptors in [10, 100, 1_000, 9_000] {
        for active in [1, 100] {
            if active > descriptors {
                continue;
            }
            let words = |peer: &str| {
                Arguments::default()
                    .with("peer", peer)
                    .with("descriptors", descriptors)
                    .with("active", active)
                    .with("events", if peer == "glib" { 2_000 } else { 100_000 })
            };
            // GLib looks at every descriptor for each event, which is known well before there are thousands.
            let cases: Vec<Case> = peers()
                .iter()
                .filter(|peer| peer.0 != "glib" || descriptors <= 1_000)
                .map(|peer| Case {
                    bench: "dispatch",
                    arguments: words(peer.0),
                })
                .collect();
            for (case, figures) in cases.iter().zip(alternate(&cases, ROUNDS)?) {
                for (metric, rounds) in figures {
                    println!("bench=dispatch {} metric={metric} {rounds}", case.arguments);
                }
            }
        }
    }
    Ok(())
}

/// Takes the one byte out of a pipe.
pub(crate) fn take_byte(pipe: &OwnedFd) -> Result<()> {
    let mut byte = [0];
    match rustix::io::read(pipe, &mut byte)? {
        1 => Ok(()),
        _ => Err("a pipe that was ready had nothing to read".into()),
    }
}

/// Checks that what was read is what was written.
#[cfg(feature = "peers")]
pub(crate) fn agree(read: u64, written: u64) -> Result<()> {
    if read == written {
        return Ok(());
    }
    Err(format!("{read} bytes were read of {written}").into())
}

const STEP: u64 = 7_919;
const ROUNDS: usize = 5;
