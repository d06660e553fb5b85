//! What waiting costs: wake-ups of an idle program, and the memory of links, sources and loops.
//!
//! `cargo run -p benches --release --bin idle` prints everything; `… --bin idle -- case what=asleep seconds=10` (or
//! `what=link state=new|used|burst`, `what=source`, `what=loop`) measures one thing once. Memory is what the system says of
//! this process and of its own tables before and after, divided by how many there are.

mod asleep;
mod memory;

use benches::{Arguments, Case, Result, alternate};

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("case") => measure(&Arguments::of_process(1)?),
        _ => measure_all(),
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    match arguments.text("what")? {
        "asleep" => asleep::measure(arguments.value("seconds")?),
        "link" => memory::of_links(arguments.text("state")?),
        "source" => memory::of_sources(),
        "loop" => memory::of_loops(),
        other => Err(format!("nothing is known of {other}").into()),
    }
}

fn measure_all() -> Result<()> {
    let words = |what: &str| Arguments::default().with("what", what);
    let mut all = vec![words("asleep").with("seconds", 10)];
    all.extend(["new", "used", "burst"].map(|state| words("link").with("state", state)));
    all.extend([words("source"), words("loop")]);
    for arguments in all {
        let case = Case {
            bench: "idle",
            arguments,
        };
        for (metric, rounds) in &alternate(std::slice::from_ref(&case), ROUNDS)?[0] {
            println!(
                "bench=idle peer=ours {} metric={metric} {rounds}",
                case.arguments
            );
        }
    }
    Ok(())
}

const ROUNDS: usize = 3;
