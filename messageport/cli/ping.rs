//! How long a port takes to reply, in figures.

use crate::arguments::Ping;
use crate::connect;
use crate::failure::Failure;
use messageport::{Directory, RemotePort, SendError};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Sends requests one after the other and prints what they took.
pub(crate) fn ping(directory: &Directory, ping: &Ping) -> Result<(), Failure> {
    let remote = connect(directory, &ping.name, ping.link.wait())?;
    let data = vec![0; usize::try_from(ping.size).unwrap_or(usize::MAX)];
    let mut taken = Vec::new();
    let outcome = measure(&remote, ping, &data, &mut taken);
    taken.sort_unstable();
    let pid = remote.peer().pid;
    let owner = pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    );
    let mut report = format!(
        "{} of {} requests of {} bytes answered by {owner}\n",
        taken.len(),
        ping.count,
        data.len()
    );
    if let (Some(min), Some(max)) = (taken.first(), taken.last()) {
        let [median, p99] = [50, 99].map(|percent| micros(percentile(&taken, percent)));
        let [min, max] = [min, max].map(|taken| micros(*taken));
        report += &format!("min {min}, median {median}, p99 {p99}, max {max} microseconds\n");
    }
    let mut output = io::stdout().lock();
    let written = output
        .write_all(report.as_bytes())
        .and_then(|()| output.flush());
    // Why a request failed matters more than that its figures could not be written.
    outcome?;
    written.map_err(Failure::Output)
}

fn measure(
    remote: &RemotePort,
    ping: &Ping,
    data: &[u8],
    taken: &mut Vec<Duration>,
) -> Result<(), SendError> {
    let options = ping.link.options().reply_timeout(ping.reply.timeout());
    for number in 0..ping.count {
        if number > 0 && !ping.interval.is_zero() {
            std::thread::sleep(ping.interval);
        }
        let begin = Instant::now();
        let reply = remote.request_with(ping.id, data, options)?;
        taken.push(begin.elapsed());
        drop(reply);
    }
    Ok(())
}

/// The smallest of the sorted values that is not below so many percent of them; there is at least one.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted[rank.clamp(1, sorted.len()) - 1]
}

fn micros(taken: Duration) -> String {
    format!("{}.{:03}", taken.as_micros(), taken.subsec_nanos() % 1_000)
}

#[cfg(test)]
mod tests {
    use super::{micros, percentile};
    use std::time::Duration;

    #[test]
    fn a_percentile_is_one_of_the_values_and_of_few_the_last() {
        let values: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(
            percentile(&values, 50),
            Duration::from_micros(100),
            "half are at most this"
        );
        assert_eq!(
            percentile(&values, 99),
            Duration::from_micros(198),
            "two are longer"
        );
        assert_eq!(percentile(&values[..1], 50), values[0], "of one");
        assert_eq!(percentile(&values[..3], 99), values[2], "of few");
    }

    #[test]
    fn a_time_is_in_microseconds_to_the_nanosecond() {
        assert_eq!(
            micros(Duration::from_nanos(1_234_005)),
            "1234.005",
            "with its zeros"
        );
        assert_eq!(
            micros(Duration::from_secs(2)),
            "2000000.000",
            "of whole seconds"
        );
    }
}
