//! Somebody else's descriptor as a source of one's own kind: `cargo run -p examples --bin custom_source`.
//!
//! The output of a child process stands for whatever hands out a descriptor. All that the loop must know is in the few
//! lines between the marks.

use runloop::{Cx, Interest, Mode, Ready, RunLoop, Source, SourceRef, Token};
use std::cell::Cell;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

// --- the source
/// The output of a child process, counted as it comes.
struct Output(File, Cell<usize>);

impl Source for Output {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(Token(0), self.0.as_fd(), Interest::READABLE)
    }
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        match (&self.0).read(&mut [0; 4096]) {
            Ok(0) | Err(_) => cx.run_loop().stop(),
            Ok(count) => self.1.set(self.1.get() + count),
        }
    }
}
// --- the end of the source

fn main() -> Result<(), Box<dyn Error>> {
    let mut child = Command::new("echo")
        .arg("hello from a child")
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout: OwnedFd = child.stdout.take().ok_or("the child has an output")?.into();
    let output = SourceRef::new(Output(stdout.into(), Cell::new(0)));

    let run_loop = RunLoop::current();
    run_loop.add(&output, Mode::DEFAULT)?;
    println!("the run has ended: {:?}", run_loop.run()?);
    println!("the child wrote {} bytes", output.1.get());
    child.wait()?;
    Ok(())
}
