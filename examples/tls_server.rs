//! Greets over HTTPS: `cargo run -p examples --bin tls_server ADDRESS CERTIFICATE-FILE`. It makes itself a certificate for
//! `localhost` and writes it to that file, for those who are to trust it (`curl --cacert`).

use runloop::{Mode, RunLoop};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use socket_source::{Accepted, Socket, StreamEvent};
use std::error::Error;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: tls_server ADDRESS CERTIFICATE-FILE".into());
    };
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(file, own.cert.pem())?;
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der())?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    let config = Arc::new(config);

    let address: SocketAddr = address.parse()?;
    let listener = Socket::listening(address, move |run_loop, _, accepted| {
        let served = accepted
            .map_err(Into::into)
            .and_then(|accepted| serve(run_loop, accepted, Arc::clone(&config)));
        if let Err(error) = served {
            eprintln!("tls_server: {error}");
        }
    })?;
    RunLoop::current().add(&listener, Mode::DEFAULT)?;
    println!("listening at {:?}", listener.local_address()?.as_socket());
    println!("the end: {:?}", RunLoop::current().run()?);
    Ok(())
}

fn serve(
    run_loop: &RunLoop,
    accepted: Accepted,
    config: Arc<ServerConfig>,
) -> Result<(), Box<dyn Error>> {
    let mut tls = ServerConnection::new(config)?;
    let mut request = Vec::new();
    let socket = Socket::reading(accepted, move |_, socket, event| {
        let StreamEvent::Data(bytes) = event else {
            return;
        };
        if let Err(error) = answer(&mut tls, socket, &mut request, &bytes) {
            eprintln!("tls_server: {error}");
            socket.invalidate();
        }
    })?;
    run_loop.add(&socket, Mode::DEFAULT)?;
    Ok(())
}

/// What has come in becomes plain text, and what the protocol and we answer goes out.
fn answer(
    tls: &mut ServerConnection,
    socket: &Socket,
    request: &mut Vec<u8>,
    mut bytes: &[u8],
) -> Result<(), Box<dyn Error>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        tls.read_tls(&mut bytes)?;
        let plain = tls.process_new_packets()?.plaintext_bytes_to_read();
        let begin = request.len();
        request.resize(begin + plain, 0);
        tls.reader().read_exact(&mut request[begin..])?;
    }
    let answered = request.ends_with(b"\r\n\r\n");
    if answered {
        request.clear();
        tls.writer()
            .write_all(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nhello over tls\n")?;
        tls.send_close_notify();
    }
    while tls.wants_write() {
        tls.write_tls(&mut out)?;
    }
    socket.send(out)?;
    if answered {
        socket.finish();
    }
    Ok(())
}
