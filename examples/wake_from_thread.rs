//! A worker thread that reports to the main loop in three ways: `cargo run -p examples --bin wake_from_thread`.

use runloop::{Mode, RunLoop, Signalled, channel};
use std::error::Error;
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let run_loop = RunLoop::current();

    // Values, in order.
    let (progress, receiver) = channel(|_, percent: u32| println!("{percent} percent"));
    run_loop.add(&receiver, Mode::DEFAULT)?;

    // A flag: however often it is signalled, one call.
    let done = Signalled::new(|run_loop| {
        println!("done");
        run_loop.stop();
    });
    run_loop.add(&done, Mode::DEFAULT)?;

    // Anything at all: a closure that runs on this thread, with the loop at hand.
    let main = RunLoop::main();
    let worker = thread::spawn(move || {
        for percent in [10, 50, 100] {
            progress.send(percent).expect("the main loop takes it");
        }
        let note = "a note from the worker";
        main.perform(Mode::DEFAULT, move |_| println!("{note}"))
            .expect("the main loop takes it");
        done.signal();
    });

    println!("waiting, asleep");
    println!("the run has ended: {:?}", run_loop.run()?);
    worker.join().expect("the worker does not panic");
    Ok(())
}
