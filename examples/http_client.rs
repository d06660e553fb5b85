//! Fetches a page and prints it: `cargo run -p examples --bin http_client HOST PORT PATH`.

use bytes::BytesMut;
use runloop::{Mode, Outcome, RunLoop};
use socket_source::{Socket, SocketOptions, StreamEvent};
use std::cell::RefCell;
use std::error::Error;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, path] = arguments.as_slice() else {
        return Err("usage: http_client HOST PORT PATH".into());
    };
    let answer = Rc::new(RefCell::new(BytesMut::new()));
    let gathered = Rc::clone(&answer);
    let options = SocketOptions::new().connect_timeout(Duration::from_secs(5));
    let target = (host.as_str(), port.parse()?);
    let socket = Socket::connecting_with(options, target, move |run_loop, _, event| match event {
        StreamEvent::Data(bytes) => gathered.borrow_mut().extend_from_slice(&bytes),
        StreamEvent::Ended => run_loop.stop(),
        StreamEvent::ConnectFailed(error) => eprintln!("http_client: {error}"),
        StreamEvent::Failed(error) => eprintln!("http_client: {error}"),
        _ => {}
    });
    // It waits for the connection, which waits for the loop.
    socket.send(format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    ))?;
    let run_loop = RunLoop::current();
    run_loop.add(&socket, Mode::DEFAULT)?;
    // When it fails the socket is gone, and the loop has nothing left to wait for.
    if run_loop.run()? != Outcome::Stopped {
        return Err("there was no answer".into());
    }
    let answer = answer.take();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let head = head.ok_or("the answer has no end of its head")?;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        return Err(String::from_utf8_lossy(&answer[..head]).into());
    }
    std::io::stdout().write_all(&answer[head + 4..])?;
    Ok(())
}
