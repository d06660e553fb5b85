//! The command-line tool: ports listed, watched, asked and measured from a shell.
//!
//! It knows nothing of ports that the documentation of the crate does not say.

mod arguments;
mod failure;
mod input;
mod listing;
mod pages;
mod ping;

use arguments::{Arguments, Exchange, Task};
use clap::Parser;
use failure::Failure;
use messageport::{Directory, RemoteOptions, RemotePort};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed the output has seen enough.
        Err(failure) if failure.is_closed_output() => ExitCode::SUCCESS,
        Err(failure) => {
            // There is nobody else to complain to.
            drop(writeln!(io::stderr(), "messageport: {}", failure.chain()));
            ExitCode::from(failure.code())
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    // Pages are printed also where no directory can be used.
    let directory = || match &arguments.directory {
        Some(path) => Directory::open(path),
        None => Directory::of_this_user(),
    };
    match arguments.task {
        Task::List => listing::list(&directory()?),
        Task::Watch => listing::watch(&directory()?),
        Task::Send(exchange) => send(&directory()?, exchange),
        Task::Request { exchange, reply } => request(&directory()?, exchange, reply.timeout()),
        Task::Ping(ping) => ping::ping(&directory()?, &ping),
        Task::Man { command } => pages::man(command.as_deref()),
        Task::Completions { shell } => pages::completions(shell),
    }
}

fn send(directory: &Directory, exchange: Exchange) -> Result<(), Failure> {
    let data = input::read(exchange.text, exchange.file)?;
    let remote = connect(directory, &exchange.name, exchange.link.wait())?;
    Ok(remote.send_with(exchange.id, &data, exchange.link.options())?)
}

fn request(directory: &Directory, exchange: Exchange, reply: Duration) -> Result<(), Failure> {
    let data = input::read(exchange.text, exchange.file)?;
    let remote = connect(directory, &exchange.name, exchange.link.wait())?;
    let options = exchange.link.options().reply_timeout(reply);
    let reply = remote.request_with(exchange.id, &data, options)?;
    let mut output = io::stdout().lock();
    let written = output.write_all(&reply).and_then(|()| output.flush());
    written.map_err(Failure::Output)
}

/// A link to a port that is there, or that appears within the time given.
fn connect(
    directory: &Directory,
    name: &str,
    wait: Option<Duration>,
) -> Result<RemotePort, Failure> {
    let mut options = RemoteOptions::new().in_directory(directory);
    if let Some(wait) = wait {
        options = options.within(wait);
    }
    Ok(options.connect(name)?)
}
