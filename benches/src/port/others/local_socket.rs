//! `interprocess`: its local sockets, blocking, with a size that both ends know.

use crate::peer::{Client, Ends, NAME, Peer, Task};
use crate::streams::{Connected, carries, serve};
use benches::{Result, patiently};
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, Stream};
use std::path::Path;

pub(crate) struct LocalSockets;

impl Peer for LocalSockets {
    fn name(&self) -> &'static str {
        "interprocess"
    }

    fn serve(&self, place: &Path, task: Task) -> Result<()> {
        let name = place.join(NAME).to_fs_name::<GenericFilePath>()?;
        let listener = ListenerOptions::new().name(name).create_sync()?;
        serve(listener.accept()?, task)
    }

    fn connect(&self, place: &Path, task: Task) -> Result<Box<dyn Client>> {
        let path = place.join(NAME);
        let stream = patiently(|| Stream::connect(path.clone().to_fs_name::<GenericFilePath>()?))?;
        Ok(Box::new(Connected(stream, task)))
    }

    fn can(&self, task: Task, _: Ends) -> bool {
        carries(task)
    }
}
