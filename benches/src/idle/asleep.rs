//! An idle program: a port that is served, a remote that is connected, a listening socket, timers far away.

use benches::{Place, Result};
use messageport::{Directory, LocalPort, RemotePort};
use runloop::{Limit, Mode, ReturnAfter, RunLoop};
use socket_source::Socket;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::time::Duration;
use timer_source::Timer;

/// Prints how often such a program woke, after it had had a second to come to rest.
pub(crate) fn measure(seconds: u64) -> Result<()> {
    let place = Place::new()?;
    let directory = Directory::open(place.path())?;
    let (out, thread) = channel();
    let (done, finish) = channel::<()>();
    let elsewhere = directory.clone();
    let looping = std::thread::spawn(move || -> Result<u64> {
        let port =
            LocalPort::create_in(&elsewhere, "idle", |_| "here").map_err(|e| e.to_string())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Socket::listening(address, |_, _, _| ())?;
        let timers =
            [1_u64, 2, 3].map(|hours| Timer::once(Duration::from_secs(hours * 3_600), |_, _| ()));
        let run_loop = RunLoop::current();
        run_loop.add(&port, Mode::DEFAULT)?;
        run_loop.add(&listener, Mode::DEFAULT)?;
        for timer in &timers {
            run_loop.add(timer, Mode::DEFAULT)?;
        }
        out.send((
            rustix::thread::gettid().as_raw_nonzero().get(),
            run_loop.handle(),
        ))?;
        let _stopped = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit)?;
        Ok(run_loop.statistics().waits)
    });
    let (thread, handle) = thread.recv()?;
    let asking = std::thread::spawn(move || -> Result<()> {
        // Requests leave deadlines behind; the alarm that was set for one may go off once.
        let remote = RemotePort::connect_in(&directory, "idle")?;
        for _ in 0..100 {
            remote.request(1, b"")?;
        }
        finish.recv().ok();
        Ok(())
    });
    std::thread::sleep(Duration::from_secs(1));
    let before = switches(thread)?;
    std::thread::sleep(Duration::from_secs(seconds));
    println!("wakeups={}", switches(thread)? - before);
    handle.stop()?;
    drop(done);
    let waits = looping.join().map_err(|_| "the loop's thread panicked")??;
    asking.join().map_err(|_| "the asking thread panicked")??;
    println!("waits-in-all={waits}");
    Ok(())
}

/// How often a thread of this process has gone to sleep.
fn switches(thread: i32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    Ok(line
        .ok_or("the system tells no more of threads")?
        .trim()
        .parse()?)
}
