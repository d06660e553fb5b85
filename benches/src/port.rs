//! Round trips between two processes, through a message port and over a bare Unix stream, in one alternated run:
//! `cargo run -p benches --release --bin port`.
//!
//! Each line is a result: the median of five rounds, each of which is the median of many round trips. What comes back is
//! compared with what was sent.

use benches::{Placement, Rounds, median_micros};
use messageport::{Directory, LocalPort, RemotePort};
use runloop::{Mode, RunLoop};
use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, peer, placement, place] = &arguments[..] {
        if role == "serve" {
            Placement::of_name(placement)
                .ok_or("a placement")?
                .take(true)?;
            return if peer == "messageport" {
                serve_port(place)
            } else {
                serve_stream(place)
            };
        }
    }
    for placement in Placement::ALL {
        for (size, trips) in [(64, 20_000), (64 << 10, 2_000), (1 << 20, 300)] {
            compare(placement, size, trips)?;
        }
    }
    Ok(())
}

/// Measures both peers in turn, and prints a line for each.
fn compare(placement: Placement, size: usize, trips: usize) -> Result<()> {
    let mut figures = [
        ("messageport", Rounds::default()),
        ("unix-stream", Rounds::default()),
    ];
    for _ in 0..ROUNDS {
        for (peer, rounds) in &mut figures {
            rounds.add(measure(peer, placement, size, trips)?);
        }
    }
    let floor = figures[1].1.median();
    for (peer, rounds) in &figures {
        let ratio = rounds.median() / floor;
        let placement = placement.name();
        println!(
            "bench=port peer={peer} placement={placement} bytes={size} metric=round-trip {rounds} unit=us ratio={ratio:.2}"
        );
    }
    Ok(())
}

/// One round: a server process of its own, a client on a thread of its own.
fn measure(peer: &str, placement: Placement, size: usize, trips: usize) -> Result<f64> {
    let place = Place::new()?;
    let server = Server::start(peer, placement, &place.0)?;
    let path = place.0.clone();
    let is_port = peer == "messageport";
    let client = std::thread::spawn(move || {
        placement.take(false).map_err(|error| error.to_string())?;
        let measured = if is_port {
            ask_port(&path, size, trips)
        } else {
            ask_stream(&path, size, trips)
        };
        measured.map_err(|error| error.to_string())
    });
    let figure = client.join().map_err(|_| "the client panicked")??;
    drop(server);
    Ok(figure)
}

fn serve_port(place: &str) -> Result<()> {
    let directory = Directory::open(place)?;
    let port = LocalPort::create_in(&directory, NAME, |message| message.data().to_vec())
        .map_err(|refused| refused.error)?;
    let run_loop = RunLoop::current();
    run_loop.add(&port, Mode::DEFAULT)?;
    let _ended = run_loop.run()?;
    Ok(())
}

fn ask_port(place: &Path, size: usize, trips: usize) -> Result<f64> {
    let directory = Directory::open(place)?;
    let remote = patiently(|| RemotePort::connect_in(&directory, NAME))?;
    round_trips(
        size,
        trips,
        |data| Ok(remote.request(1, data)?[..] == *data),
    )
}

fn serve_stream(place: &str) -> Result<()> {
    let (mut stream, _) = UnixListener::bind(Path::new(place).join(NAME))?.accept()?;
    let mut size = [0; 8];
    stream.read_exact(&mut size)?;
    let mut data = vec![0; usize::try_from(u64::from_ne_bytes(size))?];
    while stream.read_exact(&mut data).is_ok() {
        stream.write_all(&data)?;
    }
    Ok(())
}

fn ask_stream(place: &Path, size: usize, trips: usize) -> Result<f64> {
    let mut stream = patiently(|| UnixStream::connect(place.join(NAME)))?;
    stream.write_all(&u64::try_from(size)?.to_ne_bytes())?;
    let mut reply = vec![0; size];
    round_trips(size, trips, |data| {
        stream.write_all(data)?;
        stream.read_exact(&mut reply)?;
        Ok(reply == data)
    })
}

/// The median of many round trips, in microseconds; a tenth more come before it, to warm up.
fn round_trips(
    size: usize,
    trips: usize,
    mut trip: impl FnMut(&[u8]) -> Result<bool>,
) -> Result<f64> {
    let mut data = vec![7; size];
    let mut durations = Vec::with_capacity(trips);
    for number in 0..trips + trips / 10 {
        data[0] = u8::try_from(number % 256)?;
        let begun = Instant::now();
        let same = trip(&data)?;
        durations.push(begun.elapsed());
        if !same {
            return Err("what came back is not what was sent".into());
        }
    }
    Ok(median_micros(&mut durations[trips / 10..]))
}

/// Tries until the server is there.
fn patiently<T, E: Error + 'static>(
    mut attempt: impl FnMut() -> std::result::Result<T, E>,
) -> Result<T> {
    for _ in 0..500 {
        if let Ok(value) = attempt() {
            return Ok(value);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(attempt()?)
}

/// A directory that goes when it is dropped.
struct Place(PathBuf);

impl Place {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("bench-port-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The other process, which ends when this is dropped.
struct Server(Child);

impl Server {
    fn start(peer: &str, placement: Placement, place: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", peer, placement.name()]).arg(place);
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

const NAME: &str = "bench";
const ROUNDS: usize = 5;
