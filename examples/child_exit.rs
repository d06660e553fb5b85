//! Children that are told of as they end, while a timer ticks: `cargo run -p examples --bin child_exit`.
//!
//! No thread waits, no signal handler runs, and the run ends when the last child has ended.

use runloop::{ChildExit, Mode, RunLoop, SourceOptions};
use std::error::Error;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;
use timer_source::Timer;

fn main() -> Result<(), Box<dyn Error>> {
    let run_loop = RunLoop::current();

    let talker = Command::new("sh")
        .args(["-c", "echo all is well; exit 3"])
        .stdout(Stdio::piped())
        .spawn()?;
    let talker = ChildExit::new(talker, |_, mut child, status| {
        let mut said = String::new();
        if let Some(stdout) = &mut child.stdout {
            stdout.read_to_string(&mut said).ok();
        }
        match status {
            Ok(status) => println!("the talker said {:?}, {status}", said.trim()),
            Err(lost) => println!("the talker has ended, but {lost}"),
        }
    })?;
    run_loop.add(&talker, Mode::DEFAULT)?;

    let sleeper = Command::new("sleep").arg("1000").spawn()?;
    let options = SourceOptions::new().name("sleeper");
    let sleeper = ChildExit::with(options, sleeper, |_, _, status| match status {
        Ok(status) => println!("the sleeper has ended, {status}"),
        Err(lost) => println!("the sleeper has ended, but {lost}"),
    })?;
    run_loop.add(&sleeper, Mode::DEFAULT)?;

    // A handle may go anywhere: to another thread, or into a timer.
    let kill = sleeper.clone();
    let alarm = Timer::once(Duration::from_millis(200), move |_, _| {
        println!("that is enough");
        kill.kill().ok();
    });
    run_loop.add(&alarm, Mode::DEFAULT)?;

    println!("the run has ended: {:?}", run_loop.run()?);
    Ok(())
}
