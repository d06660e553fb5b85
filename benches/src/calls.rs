//! What a small request costs in system calls, by the counters of both sides:
//! `cargo run -p benches --release --bin calls [PLACEMENT [asleep|awake [REQUESTS]]]`, or one case of it with
//! `-- case placement=… manner=… requests=…`.
//!
//! Asleep, neither side looks again before it sleeps; awake, both do while it pays. `benches/system_calls.sh` runs it under
//! `strace` and compares.

use benches::{Arguments, Placement, Result};
use messageport::{Directory, LocalPort, RemotePort, Statistics};
use runloop::{Mode, RunLoop};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["serve", placement, manner, place] = words[..] {
        return serve(placement, manner, place);
    }
    if words.first() == Some(&"case") {
        let case = Arguments::of_process(1)?;
        let requests = case.value("requests")?;
        let counts = measure(case.text("placement")?, case.text("manner")?, requests)?;
        println!("each={}", each(counts, requests));
        return Ok(());
    }
    let placement = words.first().copied().unwrap_or("same");
    let manner = words.get(1).copied().unwrap_or("awake");
    let requests = words.get(2).copied().unwrap_or("10000").parse()?;
    let counts = measure(placement, manner, requests)?;
    let calls: u64 = counts.iter().sum();
    let each = each(counts, requests);
    let sorts: Vec<String> = SORTS
        .iter()
        .zip(counts)
        .map(|(sort, count)| format!("{sort}={count}"))
        .collect();
    println!(
        "bench=calls placement={placement} manner={manner} requests={requests} calls={calls} each={each:.3} {}",
        sorts.join(" ")
    );
    Ok(())
}

/// Counts the calls that both sides make.
fn measure(placement: &str, manner: &str, requests: u64) -> Result<Counts> {
    let place = std::env::temp_dir().join(format!("bench-calls-{}", std::process::id()));
    std::fs::create_dir_all(&place)?;
    let mut server = Command::new(std::env::current_exe()?)
        .args(["serve", placement, manner])
        .arg(&place)
        .spawn()?;
    let asked = ask(placement, manner, &place, requests);
    // It ends by itself when it is told, or is ended here.
    if asked.is_err() {
        server.kill()?;
    }
    server.wait()?;
    std::fs::remove_dir_all(&place)?;
    asked
}

/// The calls of one request.
fn each(counts: Counts, requests: u64) -> f64 {
    let calls: u64 = counts.iter().sum();
    // Small numbers: exact in a float.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
    let each = calls as f64 / requests as f64;
    each
}

fn settle_down(placement: &str, manner: &str, second: bool) -> Result<()> {
    let placement = Placement::of_name(placement).ok_or("same, cross or free")?;
    placement.take(second)?;
    RunLoop::current().set_spinning(manner != "asleep");
    Ok(())
}

/// Answers with the same bytes; or, to message 2, with how many system calls it has made; to message 0 it ends.
fn serve(placement: &str, manner: &str, place: &str) -> Result<()> {
    settle_down(placement, manner, true)?;
    let port = LocalPort::create_in(&Directory::open(place)?, NAME, |message| {
        let run_loop = RunLoop::current();
        match message.id() {
            0 => run_loop.stop(),
            COUNT => {
                let counts = count(message.port().statistics());
                return counts.into_iter().flat_map(u64::to_ne_bytes).collect();
            }
            _ => {}
        }
        message.data().to_vec()
    })
    .map_err(|refused| refused.error)?;
    let run_loop = RunLoop::current();
    run_loop.add(&port, Mode::DEFAULT)?;
    let _stopped = run_loop.run()?;
    Ok(())
}

/// Makes the requests; says how many system calls of each sort both sides have counted meanwhile.
fn ask(placement: &str, manner: &str, place: &Path, requests: u64) -> Result<Counts> {
    settle_down(placement, manner, false)?;
    let directory = Directory::open(place)?;
    let remote = RemotePort::connect_within_in(&directory, NAME, Duration::from_secs(10))?;
    let both = || -> Result<Counts> {
        let mut both = count(remote.statistics());
        let theirs = remote.request(COUNT, b"")?;
        for (count, theirs) in both.iter_mut().zip(theirs.chunks_exact(8)) {
            *count += u64::from_ne_bytes(theirs.try_into()?);
        }
        Ok(both)
    };
    let before = both()?;
    for _ in 0..requests {
        remote.request(1, &[7; 64])?;
    }
    let mut counts = both()?;
    remote.send(0, b"")?;
    for (count, before) in counts.iter_mut().zip(before) {
        *count -= before;
    }
    Ok(counts)
}

/// System calls by what they are for, in the order of [`SORTS`].
type Counts = [u64; 5];

/// The system calls that this end and its loop have counted.
fn count(statistics: Statistics) -> Counts {
    let own = RunLoop::current().statistics();
    let Statistics {
        rings,
        wakes,
        looks,
        ..
    } = statistics;
    [rings, own.waits, wakes, looks, own.alarms]
}

const SORTS: [&str; 5] = ["rings", "waits", "wakes", "looks", "alarms"];
const NAME: &str = "bench";
const COUNT: i32 = 2;
