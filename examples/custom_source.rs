//! Somebody else's descriptor as a source of one's own kind: `cargo run -p examples --bin custom_source`.
//!
//! A kernel timer stands for the library that hands out a descriptor. What the loop must know is in the fifteen lines
//! between the marks.

use runloop::{Cx, Interest, Mode, Ready, RunLoop, Source, SourceRef, Token};
use std::cell::Cell;
use std::error::Error;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{ChildStdout, Command, Stdio};

// --- the source
/// The output of a child process, counted as it comes.
struct Output(ChildStdout, Cell<usize>);

impl Source for Output {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(Token(0), self.0.as_fd(), Interest::READABLE)
    }
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        match self.read() {
            0 => cx.run_loop().stop(),
            count => self.1.set(self.1.get() + count),
        }
    }
}
// --- the end of the source

impl Output {
    /// Reads what is there; nothing at the end.
    fn read(&self) -> usize {
        let mut bytes = [0; 4096];
        let mut file = std::fs::File::from(self.0.as_fd().try_clone_to_owned().expect("a descriptor"));
        file.read(&mut bytes).unwrap_or(0)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut child = Command::new("echo").arg("hello from a child").stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or("the child has an output")?;
    let output = SourceRef::new(Output(stdout, Cell::new(0)));
    let run_loop = RunLoop::current();
    run_loop.add(&output, Mode::DEFAULT)?;
    println!("the run has ended: {:?}", run_loop.run()?);
    println!("the child wrote {} bytes", output.1.get());
    child.wait()?;
    Ok(())
}
