//! What timers cost, from a thousand pending ones to a million: `cargo run -p benches --release --bin timers`.
//!
//! Each line is a result: the median of five rounds, each in a process of its own, in nanoseconds of the processor or bytes
//! for one timer. `… --bin timers -- case timers=1000000 tolerance=0` measures one case once.

use benches::{Arguments, Case, Result, alternate};
use runloop::{Limit, Mode, ReturnAfter, RunLoop};
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use timer_source::{Schedule, Timer};

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("case") {
        let arguments = Arguments::of_process(1)?;
        let tolerance = Duration::from_secs(arguments.value("tolerance")?);
        return measure(arguments.value("timers")?, tolerance);
    }
    for tolerance in [0, HOUR.as_secs()] {
        for timers in [1_000, 10_000, 100_000, 1_000_000] {
            let words = Arguments::default()
                .with("timers", timers)
                .with("tolerance", tolerance);
            let case = Case {
                bench: "timers",
                arguments: words,
            };
            for (metric, rounds) in &alternate(std::slice::from_ref(&case), ROUNDS)?[0] {
                println!(
                    "bench=timers peer=timer-source {} metric={metric} {rounds}",
                    case.arguments
                );
            }
        }
    }
    Ok(())
}

/// One round.
fn measure(count: usize, tolerance: Duration) -> Result<()> {
    let mut order = Shuffle::new(count);
    let before = resident()?;
    let (timers, add) = each(count, || pending(count, tolerance, &mut order))?;
    println!("memory-bytes={:.1}", (resident()? - before) / count as f64);
    println!("add-ns={add:.1}");
    let ((), cancel) = each(count, || {
        timers.iter().for_each(Timer::invalidate);
        Ok(())
    })?;
    println!("cancel-in-order-ns={cancel:.1}");
    drop(timers);

    let mut timers = pending(count, tolerance, &mut order)?;
    order.shuffle(&mut timers);
    let ((), moved) = each(count, || {
        for timer in &timers {
            timer.set_next_fire_date(Instant::now() + 2 * HOUR);
        }
        Ok(())
    })?;
    println!("move-at-random-ns={moved:.1}");
    let ((), cancel) = each(count, || {
        timers.iter().for_each(Timer::invalidate);
        Ok(())
    })?;
    println!("cancel-at-random-ns={cancel:.1}");
    drop(timers);

    println!("fire-ns={:.1}", fire(count, tolerance, &mut order)?);
    Ok(())
}

/// Makes so many timers, all of which have a date in some hour to come, in no order.
fn pending(count: usize, tolerance: Duration, order: &mut Shuffle) -> Result<Vec<Timer>> {
    let run_loop = RunLoop::current();
    let base = Instant::now() + HOUR;
    let mut timers = Vec::with_capacity(count);
    for _ in 0..count {
        let schedule = Schedule::at(base + order.time()).within(tolerance);
        let timer = Timer::new(schedule, |_, _| {});
        run_loop.add(&timer, Mode::DEFAULT)?;
        timers.push(timer);
    }
    Ok(timers)
}

/// Has so many timers fire in one pass, each of which ends with that.
fn fire(count: usize, tolerance: Duration, order: &mut Shuffle) -> Result<f64> {
    let run_loop = RunLoop::current();
    let base = Instant::now()
        .checked_sub(Duration::from_secs(60))
        .ok_or("a minute ago")?;
    let fired = Rc::new(Cell::new(0));
    for _ in 0..count {
        let fired = Rc::clone(&fired);
        let schedule = Schedule::at(base + order.time() / 100).within(tolerance);
        let timer = Timer::new(schedule, move |_, _| fired.set(fired.get() + 1));
        run_loop.add(&timer, Mode::DEFAULT)?;
    }
    let (_, each) = each(count, || {
        Ok(run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit)?)
    })?;
    if fired.get() == count {
        Ok(each)
    } else {
        Err(format!("{} of {count} fired", fired.get()).into())
    }
}

/// What something does, and the nanoseconds that each of so many times takes of it.
fn each<R>(count: usize, what: impl FnOnce() -> Result<R>) -> Result<(R, f64)> {
    let begun = processor_time();
    let result = what()?;
    Ok((result, (processor_time() - begun) / count as f64))
}

/// The time that the processor has spent on this thread, in nanoseconds: nothing here sleeps, and others may be busy.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// The memory of this process, in bytes.
fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes.ok_or("no memory in the status")?.parse::<f64>()? * 1024.0)
}

/// A generator of times and orders, the same in every run.
struct Shuffle(u64);

impl Shuffle {
    fn new(seed: usize) -> Self {
        Self(0x2545_f491_4f6c_dd1d ^ seed as u64)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Some time within an hour.
    fn time(&mut self) -> Duration {
        Duration::from_nanos(self.below(HOUR.as_nanos() as u64))
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

const HOUR: Duration = Duration::from_secs(3_600);
const ROUNDS: usize = 5;
