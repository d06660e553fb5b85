//! How soon a request learns that its port's process was killed while it handled it, beside a bare wait for the end of a
//! process: `cargo run -p benches --release --bin death`.
//!
//! `… --bin death -- case peer=messageport deaths=20` measures one case once. A request that ends otherwise than by the death,
//! or not before its deadline of 30 s, is an error.

use benches::{Arguments, Case, Child, Place, Result, alternate, patiently, percentile_micros};
use messageport::{Directory, LocalPort, Message, RemotePort, Reply, SendError};
use runloop::{Mode, RunLoop};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", place] => return serve(place.as_ref()),
        ["case", ..] => return measure(&Arguments::of_process(1)?),
        _ => {}
    }
    let case = |peer: &str| Case {
        bench: "death",
        arguments: Arguments::default().with("peer", peer).with("deaths", 20),
    };
    let cases = ["messageport", "pidfd"].map(case);
    for (case, figures) in cases.iter().zip(alternate(&cases, ROUNDS)?) {
        for (metric, rounds) in figures {
            println!("bench=death {} metric={metric} {rounds}", case.arguments);
        }
    }
    Ok(())
}

fn measure(arguments: &Arguments) -> Result<()> {
    let wait = match arguments.text("peer")? {
        "messageport" => request,
        "pidfd" => wait_for_process,
        other => return Err(format!("nothing is known of {other}").into()),
    };
    let deaths = 0..arguments.value::<u32>("deaths")?;
    let mut delays = deaths.map(|_| die(wait)).collect::<Result<Vec<_>>>()?;
    println!("noticed-p50-us={}", percentile_micros(&mut delays, 50));
    println!("noticed-max-us={}", percentile_micros(&mut delays, 100));
    Ok(())
}

/// Serves a port whose handler says that it is called, and never returns.
fn serve(place: &Path) -> Result<()> {
    let handler = |_: Message| -> Reply {
        std::io::stdout().write_all(b"!").expect("somebody listens");
        std::io::stdout().flush().expect("somebody listens");
        loop {
            std::thread::park();
        }
    };
    let port = LocalPort::create_in(&Directory::open(place)?, NAME, handler)
        .map_err(|refused| refused.error)?;
    RunLoop::current().add(&port, Mode::DEFAULT)?;
    let _stopped = RunLoop::current().run()?;
    Ok(())
}

/// Kills a process that handles a request, and says how long it took until `wait` had noticed.
fn die(wait: fn(RemotePort, Pid) -> Result<()>) -> Result<Duration> {
    let place = Place::new()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").arg(place.path());
    let mut child = Child(command.stdout(Stdio::piped()).spawn()?);
    let mut called = child.0.stdout.take().ok_or("it has an output")?;
    let pid = Pid::from_child(&child.0);
    let directory = Directory::open(place.path())?;
    let remote = patiently(|| RemotePort::connect_in(&directory, NAME))?;
    // Both ways of waiting see the same: a process that is killed in its handler.
    let request = remote.clone();
    let other = std::thread::spawn(move || request.request(1, b"never answered"));
    called.read_exact(&mut [0])?;
    std::thread::scope(|scope| -> Result<Duration> {
        let waiting = scope.spawn(|| -> Result<Instant> {
            wait(remote, pid)?;
            Ok(Instant::now())
        });
        // It is asleep by then, presumably; if not it is only sooner.
        std::thread::sleep(Duration::from_millis(5));
        let killed = Instant::now();
        kill_process(pid, Signal::KILL)?;
        let noticed = waiting.join().map_err(|_| "it panicked")??;
        other.join().map_err(|_| "it panicked")?.err();
        Ok(noticed.duration_since(killed))
    })
}

/// A second request, which the killed process never takes either.
fn request(remote: RemotePort, _: Pid) -> Result<()> {
    match remote.request(2, b"never answered either") {
        Err(SendError::BecameInvalid) => Ok(()),
        other => Err(format!("it ended otherwise: {other:?}").into()),
    }
}

/// The system's own notice.
fn wait_for_process(_: RemotePort, pid: Pid) -> Result<()> {
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    poll(&mut [PollFd::new(&process, PollFlags::IN)], None)?;
    Ok(())
}

const NAME: &str = "doomed";
const ROUNDS: usize = 5;
