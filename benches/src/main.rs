//! What this package is asked for: `cargo run -p benches --release --features peers -- targets` measures what the targets
//! need, in under ten minutes, and prints one line each; `-- targets T1 T7` measures some; `-- report` runs every program
//! of the package and writes tables and plots of what they print.

#[cfg(feature = "peers")]
mod report;
mod targets;

use benches::Result;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("targets") => targets::measure(&words[1..]),
        #[cfg(feature = "peers")]
        Some("report") => report::write(&words[1..]),
        _ => Err("say `targets` or, with the feature `peers`, `report`".into()),
    }
}
