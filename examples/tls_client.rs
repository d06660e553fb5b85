//! Sends its input to a TLS server and prints what comes back until the server ends it:
//! `cargo run -p examples --bin tls_client HOST PORT CA-FILE`.

use runloop::{Mode, RunLoop};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket_source::{Socket, StreamEvent};
use std::error::Error;
use std::io::{Read, Write};
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(host), Some(port), Some(file)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: tls_client HOST PORT CA-FILE".into());
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.clone())?;
    let mut tls = ClientConnection::new(Arc::new(config), name)?;
    let mut request = Vec::new();
    std::io::stdin().read_to_end(&mut request)?;
    tls.writer().write_all(&request)?;

    let mut whole = false;
    let socket = Socket::connecting(
        (host.as_str(), port.parse()?),
        move |run_loop, socket, event| {
            let went_on = match event {
                StreamEvent::Connected => send(&mut tls, socket),
                StreamEvent::Data(bytes) => receive(&mut tls, socket, &bytes, &mut whole),
                // Anybody can end a stream of TCP; only the server can say that it was all.
                StreamEvent::Ended if whole => return run_loop.stop(),
                StreamEvent::Ended => Err("the answer was cut off".into()),
                StreamEvent::ConnectFailed(error) => Err(error.into()),
                StreamEvent::Failed(error) => Err(error.into()),
                _ => Ok(()),
            };
            if let Err(error) = went_on {
                eprintln!("tls_client: {error}");
                socket.invalidate();
            }
        },
    );
    let run_loop = RunLoop::current();
    run_loop.add(&socket, Mode::DEFAULT)?;
    match run_loop.run()? {
        runloop::Outcome::Stopped => Ok(()),
        _ => Err("there was no answer".into()),
    }
}

/// What has come in becomes plain text, and what the protocol answers goes out.
fn receive(
    tls: &mut ClientConnection,
    socket: &Socket,
    mut bytes: &[u8],
    whole: &mut bool,
) -> Result<(), Box<dyn Error>> {
    while !bytes.is_empty() {
        tls.read_tls(&mut bytes)?;
        let state = tls.process_new_packets()?;
        let mut plain = vec![0; state.plaintext_bytes_to_read()];
        tls.reader().read_exact(&mut plain)?;
        std::io::stdout().write_all(&plain)?;
        *whole |= state.peer_has_closed();
    }
    send(tls, socket)
}

fn send(tls: &mut ClientConnection, socket: &Socket) -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut bytes)?;
    }
    Ok(socket.send(bytes)?)
}
