//! What is served depends on the mode that runs: `cargo run -p examples --bin modes`.
//!
//! While a "dialogue" runs in a mode of its own, the clock of the main window stands still; what was added to the common
//! modes goes on, since the dialogue's mode is one of them.

use runloop::{Limit, Mode, ReturnAfter, RunLoop};
use std::error::Error;
use std::time::Duration;
use timer_source::Timer;

fn main() -> Result<(), Box<dyn Error>> {
    let run_loop = RunLoop::current();
    let dialogue = Mode::new("org.example.dialogue");
    run_loop.add_common_mode(dialogue)?;

    let tenth = Duration::from_millis(100);
    let clock = Timer::repeating(tenth, |_, _| println!("  clock of the main window"));
    run_loop.add(&clock, Mode::DEFAULT)?;
    let music = Timer::repeating(tenth, |_, _| println!("  music"));
    run_loop.add(&music, Mode::COMMON)?;

    println!("the main window, for a moment: clock and music");
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, tenth * 3, ReturnAfter::Limit)?;
    println!("{outcome:?}");

    println!("the dialogue: only music");
    let closed = Timer::once(tenth * 3, |run_loop, _| run_loop.stop());
    run_loop.add(&closed, dialogue)?;
    let outcome = run_loop.run_in_mode(dialogue, Limit::Never, ReturnAfter::Limit)?;
    println!("{outcome:?}");

    music.invalidate();
    clock.invalidate();
    println!("nothing is left: {:?}", run_loop.run()?);
    Ok(())
}
