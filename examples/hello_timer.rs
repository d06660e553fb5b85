//! A timer that says hello three times: `cargo run -p examples --bin hello_timer`.

use runloop::{Mode, RunLoop};
use std::error::Error;
use std::time::Duration;
use timer_source::Timer;

fn main() -> Result<(), Box<dyn Error>> {
    let run_loop = RunLoop::current();
    let mut left = 3;
    let timer = Timer::repeating(Duration::from_millis(200), move |_, timer| {
        println!("hello, {left} to go");
        left -= 1;
        if left == 0 {
            // The loop has nothing else to wait for, so its run ends as finished.
            timer.invalidate();
        }
    });
    run_loop.add(&timer, Mode::DEFAULT)?;
    println!("the run has ended: {:?}", run_loop.run()?);
    Ok(())
}
