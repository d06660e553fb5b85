//! Message ports, through run loops on both sides, with the settings that everybody has.

use crate::peer::{Client, Ledger, NAME, Peer, Role, Task};
use benches::{Result, patiently};
use messageport::{Directory, LocalPort, Message, RemotePort, Reply};
use runloop::{Mode, RunLoop};
use std::cell::RefCell;
use std::path::Path;

pub(crate) struct Ports;

impl Peer for Ports {
    fn name(&self) -> &'static str {
        "messageport"
    }

    fn serve(&self, place: &Path, task: Task) -> Result<()> {
        let directory = Directory::open(place)?;
        let ledger = RefCell::new(Ledger::default());
        let handler = move |message: Message| -> Reply {
            match task.role {
                // What it has received it may give away, as it is.
                Role::Echo => message.into_payload().into(),
                Role::Sink if message.wants_reply() => "done".into(),
                Role::Sink => {
                    ledger
                        .borrow_mut()
                        .enter(message.data())
                        .expect("everything in its order");
                    Reply::empty()
                }
            }
        };
        let port = LocalPort::create_in(&directory, NAME, handler).map_err(|e| e.to_string())?;
        let run_loop = RunLoop::current();
        run_loop.add(&port, Mode::DEFAULT)?;
        let _ended = run_loop.run()?;
        Ok(())
    }

    fn connect(&self, place: &Path, _: Task) -> Result<Box<dyn Client>> {
        let directory = Directory::open(place)?;
        let remote = patiently(|| RemotePort::connect_in(&directory, NAME))?;
        Ok(Box::new(Remote(remote)))
    }
}

struct Remote(RemotePort);

impl Client for Remote {
    fn round_trip(&mut self, data: &[u8], reply: &mut Vec<u8>) -> Result<()> {
        let came = self.0.request(1, data)?;
        if came.len() <= FEW {
            reply.clear();
            reply.extend_from_slice(&came);
        } else {
            *reply = came.into_vec();
        }
        Ok(())
    }

    fn send(&mut self, data: &[u8]) -> Result<()> {
        Ok(self.0.send(1, data)?)
    }

    fn settle(&mut self) -> Result<()> {
        // Behind everything that was sent.
        self.0.request(2, b"")?;
        Ok(())
    }
}

/// Bytes that are cheaper to copy than to allocate.
const FEW: usize = 64;
