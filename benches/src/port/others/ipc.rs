//! `ipc-channel`: two channels of bytes, introduced by a one-shot server.

use crate::peer::{Client, Ledger, NAME, Peer, Role, Task};
use benches::{Result, patiently};
use ipc_channel::ipc::{
    IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender, bytes_channel,
};
use std::path::Path;

pub(crate) struct IpcChannels;

impl Peer for IpcChannels {
    fn name(&self) -> &'static str {
        "ipc-channel"
    }

    fn serve(&self, place: &Path, task: Task) -> Result<()> {
        let (server, name) = IpcOneShotServer::<Introduction>::new()?;
        let unfinished = place.join("name-to-be");
        std::fs::write(&unfinished, name)?;
        std::fs::rename(unfinished, place.join(NAME))?;
        let (_, (requests, replies)) = server.accept()?;
        let mut ledger = Ledger::default();
        while let Ok(data) = requests.recv() {
            let whole = task.role == Role::Sink && ledger.enter(&data)? == task.count;
            if task.role == Role::Echo || whole {
                replies.send(&data)?;
            }
        }
        Ok(())
    }

    fn connect(&self, place: &Path, _: Task) -> Result<Box<dyn Client>> {
        let name = patiently(|| std::fs::read_to_string(place.join(NAME)))?;
        let server = IpcSender::<Introduction>::connect(name)?;
        let (requests, served) = bytes_channel()?;
        let (answers, replies) = bytes_channel()?;
        server.send((served, answers))?;
        Ok(Box::new(Channels { requests, replies }))
    }
}

/// What the client hands to the server.
type Introduction = (IpcBytesReceiver, IpcBytesSender);

struct Channels {
    requests: IpcBytesSender,
    replies: IpcBytesReceiver,
}

impl Client for Channels {
    fn round_trip(&mut self, data: &[u8], reply: &mut Vec<u8>) -> Result<()> {
        self.requests.send(data)?;
        *reply = self.replies.recv().map_err(|error| format!("{error:?}"))?;
        Ok(())
    }

    fn send(&mut self, data: &[u8]) -> Result<()> {
        Ok(self.requests.send(data)?)
    }

    fn settle(&mut self) -> Result<()> {
        self.replies.recv().map_err(|error| format!("{error:?}"))?;
        Ok(())
    }
}
