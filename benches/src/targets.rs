//! The targets: what each needs measured, and when it is met.

mod list;
mod loops;
mod ports;
mod sample;

use benches::{Reference, Result};
use sample::Sample;

/// What is to be reached: its number, what is asked for, and how that is judged.
pub(crate) struct Target {
    number: &'static str,
    asks: &'static str,
    judge: fn(&mut Sample, &Reference) -> Verdict,
}

/// A measured figure and its limit.
pub(crate) struct Ratio {
    what: &'static str,
    measured: f64,
    limit: Limit,
}

/// Which way a figure has to be.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Ratio {
    fn is_met(&self) -> bool {
        match self.limit {
            Limit::AtMost(most) => self.measured <= most,
            Limit::AtLeast(least) => self.measured >= least,
        }
    }
}

/// What a target's judge finds.
type Verdict = Result<Vec<Ratio>>;

/// A figure with its limit.
fn at(what: &'static str, measured: f64, limit: Limit) -> Ratio {
    Ratio {
        what,
        measured,
        limit,
    }
}

/// Measures what the named targets need, or all of them, and prints one line each. After the word `threads`, the ends of ports
/// are threads of one process.
pub(crate) fn measure(words: &[String]) -> Result<()> {
    let (threads, names) = match words {
        [first, names @ ..] if first == "threads" => (true, names),
        names => (false, names),
    };
    let reference = Reference::measure()?;
    println!(
        "reference: epoll_wait {:.0} ns, copying {:.1} GB/s",
        reference.wait_ns, reference.copy_gbs
    );
    let mut sample = Sample::new(threads);
    for target in list::ALL {
        if !names.is_empty() && !names.iter().any(|name| name == target.number) {
            continue;
        }
        let ratios = (target.judge)(&mut sample, &reference)?;
        let met = ratios.iter().all(Ratio::is_met);
        let details: Vec<String> = ratios
            .iter()
            .map(|ratio| {
                let (sign, limit) = match ratio.limit {
                    Limit::AtMost(most) => ("<=", most),
                    Limit::AtLeast(least) => (">=", least),
                };
                let mark = if ratio.is_met() { "" } else { " (!)" };
                let limit = (limit * 1_000.0).round() / 1_000.0;
                format!("{} {:.3} {sign} {limit}{mark}", ratio.what, ratio.measured)
            })
            .collect();
        let verdict = if met { "met" } else { "NOT MET" };
        println!(
            "{} {verdict}: {}; {}",
            target.number,
            target.asks,
            details.join("; ")
        );
    }
    Ok(())
}
