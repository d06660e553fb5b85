//! Names and their owners, once or for as long as they change.

use crate::failure::Failure;
use messageport::{Directory, NameChange, NameWatch, NamedPort};
use runloop::{Mode, RunLoop};
use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

/// Prints the ports that there are.
pub(crate) fn list(directory: &Directory) -> Result<(), Failure> {
    let lines: String = directory.names()?.iter().map(line).collect();
    print(&lines).map_err(Failure::Output)
}

/// Prints names as they come and go, until the output is closed.
pub(crate) fn watch(directory: &Directory) -> Result<(), Failure> {
    let run_loop = RunLoop::current();
    let failed = Rc::new(RefCell::new(None));
    let (stop, failure) = (run_loop.clone(), Rc::clone(&failed));
    let watch = NameWatch::new(directory, move |change| {
        let printed = match change {
            NameChange::Appeared(port) => print(&format!("+\t{}", line(&port))),
            NameChange::Vanished(port) => print(&format!("-\t{}", line(&port))),
            _ => Ok(()),
        };
        if let Err(error) = printed {
            *failure.borrow_mut() = Some(error);
            stop.stop();
        }
    });
    let watch = watch.map_err(|error| Failure::Watch(error.into()))?;
    let added = run_loop.add(&watch, Mode::DEFAULT);
    added.map_err(|error| Failure::Watch(error.into()))?;
    let outcome = run_loop.run();
    let _stopped = outcome.map_err(|error| Failure::Watch(error.into()))?;
    failed
        .take()
        .map_or(Ok(()), |error| Err(Failure::Output(error)))
}

/// A port as a line: who owns it, and its name, which never holds the end of a line.
fn line(port: &NamedPort) -> String {
    let pid = port
        .pid
        .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    format!("{pid}\t{}\n", port.name)
}

/// Writes at once, since whoever reads may wait for it.
fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
