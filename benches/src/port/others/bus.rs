//! `zbus`: D-Bus from peer to peer over a Unix socket, without a daemon, by its blocking calls.

use crate::peer::{Client, Ledger, NAME, Peer, Role, Task};
use benches::{Result, patiently};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use zbus::blocking::{Connection, connection::Builder};

pub(crate) struct Bus;

struct Served(Mutex<Ledger>);

#[zbus::interface(name = "org.example.Bench")]
impl Served {
    fn echo(&self, data: &[u8]) -> Vec<u8> {
        data.to_vec()
    }

    fn take(&self, data: &[u8]) -> zbus::fdo::Result<()> {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entered = ledger.enter(data);
        entered
            .map(drop)
            .map_err(|error| zbus::fdo::Error::Failed(error.to_string()))
    }
}

impl Peer for Bus {
    fn name(&self) -> &'static str {
        "zbus"
    }

    fn serve(&self, place: &Path, _: Task) -> Result<()> {
        let (stream, _) = UnixListener::bind(place.join(NAME))?.accept()?;
        let guid = zbus::Guid::generate();
        let _connection = Builder::unix_stream(stream)
            .server(guid)?
            .p2p()
            .serve_at("/bench", Served(Mutex::default()))?
            .build()?;
        // The connection has a thread of its own; this process is killed when the client is done.
        loop {
            std::thread::park();
        }
    }

    fn connect(&self, place: &Path, _: Task) -> Result<Box<dyn Client>> {
        let stream = patiently(|| UnixStream::connect(place.join(NAME)))?;
        Ok(Box::new(Calls(Builder::unix_stream(stream).p2p().build()?)))
    }

    fn can(&self, task: Task, _: crate::peer::Ends) -> bool {
        // One way it has no end-to-end flow control, so a flood would measure the memory of its queues.
        task.role == Role::Echo
    }
}

struct Calls(Connection);

impl Client for Calls {
    fn round_trip(&mut self, data: &[u8], reply: &mut Vec<u8>) -> Result<()> {
        let came = self.0.call_method(
            None::<&str>,
            "/bench",
            Some("org.example.Bench"),
            "Echo",
            &data,
        )?;
        *reply = came.body().deserialize()?;
        Ok(())
    }

    fn send(&mut self, _: &[u8]) -> Result<()> {
        Err("only round trips".into())
    }

    fn settle(&mut self) -> Result<()> {
        Err("only round trips".into())
    }
}
