//! Bare Unix streams, blocking: the least that a socket can cost. Both ends know the size, so there are no headers.

use crate::peer::{Client, Ends, Ledger, NAME, Peer, Role, Task};
use benches::{Result, patiently};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

pub(crate) struct Streams;

impl Peer for Streams {
    fn name(&self) -> &'static str {
        "unix-stream"
    }

    fn serve(&self, place: &Path, task: Task) -> Result<()> {
        let (stream, _) = UnixListener::bind(place.join(NAME))?.accept()?;
        serve(stream, task)
    }

    fn connect(&self, place: &Path, task: Task) -> Result<Box<dyn Client>> {
        let stream = patiently(|| UnixStream::connect(place.join(NAME)))?;
        Ok(Box::new(Connected(stream, task)))
    }

    fn can(&self, task: Task, _: Ends) -> bool {
        carries(task)
    }
}

/// Whether a stream without headers can carry it: an empty message cannot be seen there.
pub(crate) fn carries(task: Task) -> bool {
    task.size > 0
}

/// Serves over any stream of bytes.
pub(crate) fn serve(mut stream: impl Read + Write, task: Task) -> Result<()> {
    let mut data = vec![0; task.size];
    let mut ledger = Ledger::default();
    while stream.read_exact(&mut data).is_ok() {
        let whole = task.role == Role::Sink && ledger.enter(&data)? == task.count;
        if task.role == Role::Echo || whole {
            stream.write_all(&data)?;
        }
    }
    Ok(())
}

/// Asks over any stream of bytes.
pub(crate) struct Connected<S>(pub(crate) S, pub(crate) Task);

impl<S: Read + Write> Client for Connected<S> {
    fn round_trip(&mut self, data: &[u8], reply: &mut Vec<u8>) -> Result<()> {
        self.0.write_all(data)?;
        reply.resize(data.len(), 0);
        Ok(self.0.read_exact(reply)?)
    }

    fn send(&mut self, data: &[u8]) -> Result<()> {
        Ok(self.0.write_all(data)?)
    }

    fn settle(&mut self) -> Result<()> {
        let mut last = vec![0; self.1.size];
        Ok(self.0.read_exact(&mut last)?)
    }
}
