//! What modes and descriptors cost as they become more: `cargo run -p benches --release --bin many-modes`.
//!
//! Three curves, each a line per size with the median of five rounds: adding a source to k modes, for each mode; a pass of
//! one mode beside m others that do not run; serving n descriptors that are all ready, for each, and serving one that is
//! ready among n that are not. What should not depend on a size has the ratio 1 to the smallest.

use std::error::Error;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use benches::Rounds;
use runloop::{Descriptor, Interest, Limit, Mode, Outcome, ReturnAfter, RunLoop};
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("case") {
        return measure_private_run();
    }
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    println!("bench=many-modes descriptors-allowed={:?}", limit.maximum);
    curve(
        "add-to-modes",
        "ns-per-mode",
        &[1, 10, 100, 1_000],
        add_to_modes,
    )?;
    curve(
        "pass-beside-modes",
        "ns",
        &[0, 10, 100, 1_000, 10_000],
        pass_beside_modes,
    )?;
    curve(
        "serve-all-ready",
        "ns-per-descriptor",
        &[10, 100, 1_000, 10_000],
        serve_all,
    )?;
    curve("serve-one-of", "ns", &[10, 100, 1_000, 10_000], serve_one)
}

/// Measures each size in each round, the sizes in turn.
fn curve(
    metric: &str,
    unit: &str,
    sizes: &'static [usize],
    measure: fn(usize) -> Result<f64>,
) -> Result<()> {
    let mut rounds = vec![Rounds::default(); sizes.len()];
    for _ in 0..ROUNDS {
        for (figures, &size) in rounds.iter_mut().zip(sizes) {
            // A thread of its own has a loop of its own, which goes with it.
            let measured =
                std::thread::spawn(move || measure(size).map_err(|error| error.to_string()));
            figures.add(measured.join().map_err(|_| "the measurement panicked")??);
        }
    }
    let floor = rounds.first().map_or(f64::NAN, Rounds::median);
    for (figures, size) in rounds.iter().zip(sizes) {
        let ratio = figures.median() / floor;
        println!(
            "bench=many-modes peer=runloop size={size} metric={metric}-{unit} {figures} ratio={ratio:.2}"
        );
    }
    Ok(())
}

fn add_to_modes(modes: usize) -> Result<f64> {
    let run_loop = RunLoop::current();
    let modes = named(modes);
    // The modes have their poll sets, so that only the adding is measured.
    let first = source(0)?;
    for &mode in &modes {
        run_loop.add(&first, mode)?;
    }
    let second = source(0)?;
    let begun = Instant::now();
    for &mode in &modes {
        run_loop.add(&second, mode)?;
    }
    Ok(per(begun.elapsed(), modes.len()))
}

/// What a run in a private mode whose source is ready costs over the bare wait: `… --bin many-modes -- case` prints it.
fn measure_private_run() -> Result<()> {
    let run_loop = RunLoop::current();
    let private = named(1)[0];
    let busy = Descriptor::new(event(1)?, Interest::READABLE, |_, _: &OwnedFd, _| {});
    run_loop.add(&busy, private)?;
    let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let ready = event(1)?;
    let data = epoll::EventData::new_u64(1);
    epoll::add(&set, ready.as_fd(), data, epoll::EventFlags::IN)?;
    let mut events = Vec::with_capacity(8);
    let (mut runs, mut waits) = (Rounds::default(), Rounds::default());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..PASSES {
            let ended = run_loop.run_in_mode(private, Limit::Now, ReturnAfter::FirstSource)?;
            if ended != Outcome::HandledSource {
                return Err("a source that is ready was not served".into());
            }
        }
        runs.add(per(begun.elapsed(), PASSES));
        let begun = Instant::now();
        for _ in 0..PASSES {
            events.clear();
            epoll::wait(
                &set,
                spare_capacity(&mut events),
                Some(&Timespec::default()),
            )?;
        }
        waits.add(per(begun.elapsed(), PASSES));
    }
    println!("over-the-wait-ns={}", runs.median() - waits.median());
    Ok(())
}

fn pass_beside_modes(others: usize) -> Result<f64> {
    let run_loop = RunLoop::current();
    // As many of them have descriptors as may be open, the others a source without one.
    let idle = source(0)?;
    for (number, mode) in named(others).into_iter().enumerate() {
        if number < 1_000 {
            run_loop.add(&idle, mode)?;
        } else {
            run_loop.add(&runloop::Signalled::new(|_| {}), mode)?;
        }
    }
    let busy = Descriptor::new(event(1)?, Interest::READABLE, |_, _: &OwnedFd, _| {});
    run_loop.add(&busy, Mode::DEFAULT)?;
    let begun = Instant::now();
    for _ in 0..PASSES {
        pass()?;
    }
    Ok(per(begun.elapsed(), PASSES))
}

fn serve_all(descriptors: usize) -> Result<f64> {
    let run_loop = RunLoop::current();
    for _ in 0..descriptors {
        let busy = Descriptor::new(event(1)?, Interest::READABLE, |_, _: &OwnedFd, _| {});
        run_loop.add(&busy, Mode::DEFAULT)?;
    }
    pass()?;
    // A pass takes at most 256 of them from the kernel.
    let served = descriptors.min(256);
    let passes = PASSES / served + 1;
    let begun = Instant::now();
    for _ in 0..passes {
        pass()?;
    }
    Ok(per(begun.elapsed(), passes * served))
}

fn serve_one(descriptors: usize) -> Result<f64> {
    let run_loop = RunLoop::current();
    for _ in 1..descriptors {
        run_loop.add(&source(0)?, Mode::DEFAULT)?;
    }
    run_loop.add(&source(1)?, Mode::DEFAULT)?;
    let begun = Instant::now();
    for _ in 0..PASSES {
        pass()?;
    }
    Ok(per(begun.elapsed(), PASSES))
}

fn pass() -> Result<()> {
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit)?;
    if outcome != Outcome::TimedOut {
        return Err("a pass ends with its time".into());
    }
    Ok(())
}

fn named(count: usize) -> Vec<Mode> {
    (0..count)
        .map(|number| Mode::new(&format!("bench-{number}")))
        .collect()
}

fn event(count: u32) -> Result<OwnedFd> {
    Ok(eventfd(
        count,
        EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC,
    )?)
}

/// A source with a descriptor that is ready or not, and is never read.
fn source(count: u32) -> Result<Descriptor> {
    Ok(Descriptor::new(
        event(count)?,
        Interest::READABLE,
        |_, _: &OwnedFd, _| {},
    ))
}

/// Nanoseconds for each of so many.
fn per(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(u32::try_from(count.max(1)).unwrap_or(u32::MAX))
}

const ROUNDS: usize = 5;
const PASSES: usize = 20_000;
