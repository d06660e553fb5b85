//! The memory of links, sources and loops, as the system counts it.

use benches::{Place, Result};
use messageport::{Directory, LocalPort, RemotePort};
use runloop::{Mode, RunLoop, Signalled};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::Duration;

/// Prints what a link takes: pages that both sides share, and memory of the kernel.
pub(crate) fn of_links(state: &str) -> Result<()> {
    let place = Place::new()?;
    let directory = Directory::open(place.path())?;
    let (out, ready) = channel();
    let elsewhere = directory.clone();
    std::thread::spawn(move || -> Result<()> {
        let port = LocalPort::create_in(&elsewhere, "links", |message| {
            message.data().len().to_string()
        })
        .map_err(|error| error.to_string())?;
        let run_loop = RunLoop::current();
        run_loop.add(&port, Mode::DEFAULT)?;
        out.send(())?;
        let _stopped = run_loop.run()?;
        Ok(())
    });
    ready.recv()?;
    let warm = RemotePort::connect_in(&directory, "links")?;
    warm.request(1, b"")?;
    let (shared, kernel) = (shared_memory()?, kernel_memory()?);
    let mut links = Vec::new();
    for _ in 0..LINKS {
        links.push(RemotePort::connect_in(&directory, "links")?);
    }
    for link in &links {
        match state {
            "new" => {}
            "used" => {
                (0..10_000).try_for_each(|_| link.request(1, b"a small message").map(drop))?
            }
            "burst" => link.send(1, &vec![1; 4 << 20])?,
            other => return Err(format!("{other} is no state").into()),
        }
    }
    if state != "new" {
        for link in &links {
            link.request(1, b"")?;
        }
    }
    if state == "burst" {
        // The memory of a burst is given back by the first call after a second.
        std::thread::sleep(Duration::from_millis(1_100));
        for link in &links {
            link.request(1, b"")?;
        }
    }
    let count = f64::from(LINKS);
    println!("shared-bytes={}", (shared_memory()? - shared) / count);
    println!("kernel-bytes={}", (kernel_memory()? - kernel) / count);
    Ok(())
}

/// Prints what a signalled source takes, in a mode.
pub(crate) fn of_sources() -> Result<()> {
    let run_loop = RunLoop::current();
    let make = |count: u32| -> Result<Vec<Signalled>> {
        let mut sources = Vec::with_capacity(usize::try_from(count)?);
        for _ in 0..count {
            let source = Signalled::new(|_| ());
            run_loop.add(&source, Mode::DEFAULT)?;
            sources.push(source);
        }
        Ok(sources)
    };
    let _warm = make(1_000)?;
    let before = resident()?;
    let sources = make(SOURCES)?;
    println!("bytes={}", (resident()? - before) / f64::from(SOURCES));
    drop(sources);
    Ok(())
}

/// Prints what a loop takes, beside the thread it is on.
pub(crate) fn of_loops() -> Result<()> {
    let of_threads = |with_loops: bool| -> Result<f64> {
        let before = resident()?;
        let (up, end) = (
            Arc::new(Barrier::new(LOOPS + 1)),
            Arc::new(Barrier::new(LOOPS + 1)),
        );
        let threads: Vec<_> = (0..LOOPS)
            .map(|_| {
                let (up, end) = (Arc::clone(&up), Arc::clone(&end));
                std::thread::spawn(move || -> Result<()> {
                    let source = with_loops.then(|| Signalled::new(|_| ()));
                    if let Some(source) = &source {
                        RunLoop::current().add(source, Mode::DEFAULT)?;
                    }
                    up.wait();
                    end.wait();
                    Ok(())
                })
            })
            .collect();
        up.wait();
        let taken = resident()? - before;
        end.wait();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(taken)
    };
    // The first makes the stacks, which the others have again.
    of_threads(true)?;
    let bare = of_threads(false)?;
    let looping = of_threads(true)?;
    println!(
        "bytes={}",
        (looping - bare) / f64::from(u32::try_from(LOOPS)?)
    );
    Ok(())
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<f64> {
    of_file("/proc/self/status", &["VmRSS:"])
}

/// Pages in memory files, in bytes, of the whole machine: nobody else is expected to make any meanwhile.
fn shared_memory() -> Result<f64> {
    of_file("/proc/meminfo", &["Shmem:"])
}

/// The kernel's own tables, in bytes, of the whole machine.
fn kernel_memory() -> Result<f64> {
    of_file("/proc/meminfo", &["Slab:", "PageTables:"])
}

/// The sum of some lines of a file, which gives them in KiB.
fn of_file(path: &str, names: &[&str]) -> Result<f64> {
    let text = std::fs::read_to_string(path)?;
    let mut sum = 0.0;
    for name in names {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let figure = line.ok_or("the system tells no more of memory")?.trim();
        sum += figure.trim_end_matches(" kB").trim().parse::<f64>()? * 1024.0;
    }
    Ok(sum)
}

const LINKS: u32 = 32;
const SOURCES: u32 = 100_000;
const LOOPS: usize = 64;
