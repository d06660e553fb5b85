//! ZeroMQ: a pair of sockets over its `ipc` transport.

use crate::peer::{Client, Ledger, NAME, Peer, Role, Task};
use benches::{Result, patiently};
use std::path::Path;
use zmq::{Context, PAIR, Socket};

pub(crate) struct ZeroMq;

fn address(place: &Path) -> String {
    format!("ipc://{}", place.join(NAME).display())
}

impl Peer for ZeroMq {
    fn name(&self) -> &'static str {
        "zeromq"
    }

    fn serve(&self, place: &Path, task: Task) -> Result<()> {
        let socket = Context::new().socket(PAIR)?;
        socket.bind(&address(place))?;
        let mut ledger = Ledger::default();
        loop {
            let data = socket.recv_msg(0)?;
            let whole = task.role == Role::Sink && ledger.enter(&data)? == task.count;
            if task.role == Role::Echo || whole {
                socket.send(&data[..], 0)?;
            }
        }
    }

    fn connect(&self, place: &Path, _: Task) -> Result<Box<dyn Client>> {
        patiently(|| std::fs::metadata(place.join(NAME)))?;
        let socket = Context::new().socket(PAIR)?;
        socket.connect(&address(place))?;
        Ok(Box::new(Pair(socket)))
    }
}

struct Pair(Socket);

impl Client for Pair {
    fn round_trip(&mut self, data: &[u8], reply: &mut Vec<u8>) -> Result<()> {
        self.0.send(data, 0)?;
        let came = self.0.recv_msg(0)?;
        reply.clear();
        reply.extend_from_slice(&came);
        Ok(())
    }

    fn send(&mut self, data: &[u8]) -> Result<()> {
        Ok(self.0.send(data, 0)?)
    }

    fn settle(&mut self) -> Result<()> {
        self.0.recv_msg(0)?;
        Ok(())
    }
}
