//! A program that runs once: started again, it hands its arguments to the instance that runs, and ends.
//! `cargo run -p examples --bin single_instance FILE...`; the argument `quit` ends the one that runs.

use messageport::{ClaimError, CreateError, LocalPort, RemotePort};
use runloop::{Mode, RunLoop};
use std::error::Error;

const NAME: &str = "org.example.single-instance";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments = arguments.join("\0");
    let port = LocalPort::create(NAME, |message| {
        open(&String::from_utf8_lossy(message.data()));
    });
    match port.map_err(|refused| refused.error) {
        Ok(port) => {
            RunLoop::current().add(&port, Mode::DEFAULT)?;
            open(&arguments);
            let _stopped = RunLoop::current().run()?;
        }
        Err(CreateError::Claim(ClaimError::NameInUse { pid, .. })) => {
            // The reply says that they have been taken in.
            RemotePort::connect(NAME)?.request(0, arguments.as_bytes())?;
            println!("handed over to process {}", pid.unwrap_or_default());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn open(arguments: &str) {
    arguments
        .split('\0')
        .for_each(|name| println!("open {name}"));
    if arguments.ends_with("quit") {
        RunLoop::current().stop();
    }
}
