//! How late a timer of 1 ms fires, beside a raw timer descriptor: `cargo run -p benches --release --bin lateness`.
//!
//! `… --bin lateness -- case peer=timer-source firings=500` measures one case once. Early firings are an error, and so is a
//! repeating timer that leaves its grid.

use benches::{Arguments, Case, Result, alternate, percentile_micros};
use runloop::{Mode, RunLoop};
use rustix::event::epoll;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::cell::RefCell;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};
use timer_source::{Schedule, Timer};

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("case") {
        let arguments = Arguments::of_process(1)?;
        let firings = arguments.value("firings")?;
        let mut late = match arguments.text("peer")? {
            "timer-source" => of_timer(firings)?,
            "timerfd" => of_descriptor(firings)?,
            other => return Err(format!("nothing is known of {other}").into()),
        };
        println!("late-p50-us={}", percentile_micros(&mut late, 50));
        println!("late-p99-us={}", percentile_micros(&mut late, 99));
        return Ok(());
    }
    let case = |peer: &str| Case {
        bench: "lateness",
        arguments: Arguments::default().with("peer", peer).with("firings", 500),
    };
    let cases = ["timer-source", "timerfd"].map(case);
    for (case, figures) in cases.iter().zip(alternate(&cases, ROUNDS)?) {
        for (metric, rounds) in figures {
            println!("bench=lateness {} metric={metric} {rounds}", case.arguments);
        }
    }
    Ok(())
}

/// By how much each firing of a repeating timer was later than its date.
fn of_timer(firings: usize) -> Result<Vec<Duration>> {
    let late = Rc::new(RefCell::new(Vec::with_capacity(firings)));
    let measured = Rc::clone(&late);
    let first = Instant::now() + PERIOD;
    let mut dates = 0_u32;
    let timer = Timer::new(Schedule::at(first).every(PERIOD), move |run_loop, timer| {
        let now = Instant::now();
        let date = first + PERIOD * (dates + timer.missed());
        dates += 1;
        let mut measured = measured.borrow_mut();
        measured.push(now.checked_duration_since(date).expect("never early"));
        if measured.len() == firings {
            run_loop.stop();
        }
    });
    let run_loop = RunLoop::current();
    run_loop.add(&timer, Mode::DEFAULT)?;
    let _stopped = run_loop.run()?;
    Ok(late.take())
}

/// The same with a timer descriptor in a poll set, set anew for each date.
fn of_descriptor(firings: usize) -> Result<Vec<Duration>> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&set, timer.as_fd(), epoll::EventData::new_u64(1), flags)?;
    let mut events = Vec::with_capacity(8);
    let mut late = Vec::with_capacity(firings);
    let mut date = monotonic() + PERIOD;
    while late.len() < firings {
        let at = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(date)?,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &at)?;
        events.clear();
        epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), None)?;
        let now = monotonic();
        late.push(now.checked_sub(date).ok_or("the system was early")?);
        date += PERIOD;
        while date <= now {
            date += PERIOD;
        }
    }
    Ok(late)
}

/// The monotonic clock.
fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}

const PERIOD: Duration = Duration::from_millis(1);
const ROUNDS: usize = 10;
