//! Asks a `port_server` for lines, words and bytes of files, as `wc` prints them:
//! `cargo run -p examples --bin port_client [--timeout SECONDS] [NAME] FILE...`, or `--stop [NAME]` to end the server.
//!
//! The first argument is a name if there is no file of that name.

use messageport::{Options, RemotePort};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("port_client: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Vec<String>) -> Result<(), Box<dyn Error>> {
    let mut options = Options::new();
    if arguments.first().is_some_and(|first| first == "--timeout") {
        let seconds = arguments
            .get(1)
            .ok_or("--timeout needs a number of seconds")?;
        options = options.reply_timeout(Duration::try_from_secs_f64(seconds.parse()?)?);
        arguments.drain(..2);
    }
    let stop = arguments.first().is_some_and(|first| first == "--stop");
    if stop {
        arguments.remove(0);
    }
    let named = arguments
        .first()
        .is_some_and(|first| stop || !Path::new(first).exists());
    let name = if named {
        arguments.remove(0)
    } else {
        "org.example.word-count".to_owned()
    };

    let remote = RemotePort::connect(&name)?;
    if stop {
        return Ok(remote.send(0, b"")?);
    }
    for path in arguments {
        let text = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
        let reply = remote.request_with(1, &text, options)?;
        println!("{} {path}", String::from_utf8_lossy(&reply));
    }
    Ok(())
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
