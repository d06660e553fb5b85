//! `iceoryx2`: request and response, both sides looking again and again, which is its fastest way.

use crate::peer::{Client, Ends, Peer, Role, Task};
use benches::{Result, patiently};
use iceoryx2::port::client::Client as RequestPort;
use iceoryx2::prelude::{LogLevel, NodeBuilder, PortFactory as _, ServiceName, ipc, set_log_level};
use iceoryx2::service::port_factory::request_response::PortFactory;
use std::path::Path;

pub(crate) struct Iceoryx;

/// A service of bytes in both directions.
type Service = PortFactory<ipc::Service, [u8], (), [u8], ()>;

/// The service of a case, and the node that holds it.
fn service(place: &Path) -> Result<Service> {
    set_log_level(LogLevel::Fatal);
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let name = place.file_name().and_then(|name| name.to_str());
    let name: ServiceName = name.ok_or("a name of text")?.try_into()?;
    let service = node
        .service_builder(&name)
        .request_response::<[u8], [u8]>()
        .open_or_create()?;
    Ok(service)
}

impl Peer for Iceoryx {
    fn name(&self) -> &'static str {
        "iceoryx2"
    }

    fn serve(&self, place: &Path, task: Task) -> Result<()> {
        let service = service(place)?;
        let server = service
            .server_builder()
            .initial_max_slice_len(task.size)
            .create()?;
        loop {
            if let Some(request) = server.receive()? {
                let response = request.loan_slice_uninit(request.payload().len())?;
                response.write_from_slice(request.payload()).send()?;
            }
            std::hint::spin_loop();
        }
    }

    fn connect(&self, place: &Path, task: Task) -> Result<Box<dyn Client>> {
        let service = service(place)?;
        let client = service
            .client_builder()
            .initial_max_slice_len(task.size)
            .create()?;
        patiently(|| {
            let served = service.dynamic_config().number_of_servers() > 0;
            served
                .then_some(())
                .ok_or(std::io::Error::from(std::io::ErrorKind::NotFound))
        })?;
        Ok(Box::new(Requests(client)))
    }

    fn can(&self, task: Task, ends: Ends) -> bool {
        task.role == Role::Echo && ends == Ends::Processes
    }

    fn is_busy(&self) -> bool {
        true
    }
}

struct Requests(RequestPort<ipc::Service, [u8], (), [u8], ()>);

impl Client for Requests {
    fn round_trip(&mut self, data: &[u8], reply: &mut Vec<u8>) -> Result<()> {
        let request = self.0.loan_slice_uninit(data.len())?;
        let pending = request.write_from_slice(data).send()?;
        loop {
            if let Some(response) = pending.receive()? {
                reply.clear();
                reply.extend_from_slice(response.payload());
                return Ok(());
            }
            std::hint::spin_loop();
        }
    }

    fn send(&mut self, _: &[u8]) -> Result<()> {
        Err("only round trips".into())
    }

    fn settle(&mut self) -> Result<()> {
        Err("only round trips".into())
    }
}
