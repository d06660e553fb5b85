//! A small HTTP/1.1 server: `cargo run -p examples --bin http_server [ADDRESS]`, then `curl http://127.0.0.1:8080/`.
//! `/` greets, `/bytes/N` sends that many bytes, `POST /echo` sends back what it got; Ctrl-C or SIGTERM end it.

use bytes::{Buf, Bytes, BytesMut};
use runloop::{Mode, RunLoop, UnixSignal, UnixSignals};
use socket_source::{Accepted, SendError, Socket, StreamEvent, socket2::SockRef};
use std::error::Error;
use std::net::SocketAddr;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address: SocketAddr = address.as_deref().unwrap_or("127.0.0.1:8080").parse()?;
    let run_loop = RunLoop::current();
    let listener = Socket::listening(address, |run_loop, _, accepted| match accepted {
        Ok(accepted) => greet(run_loop, accepted),
        Err(error) => eprintln!("http_server: {error}"),
    })?;
    run_loop.add(&listener, Mode::DEFAULT)?;
    let ends = [UnixSignal::INTERRUPT, UnixSignal::TERMINATE];
    let quit = UnixSignals::new(ends, |run_loop, _| run_loop.stop())?;
    run_loop.add(&quit, Mode::DEFAULT)?;
    let address = listener.local_address()?.as_socket();
    println!("serving http://{}", address.ok_or("no address")?);
    println!("the end: {:?}", run_loop.run()?);
    Ok(())
}

/// Serves one connection.
fn greet(run_loop: &RunLoop, accepted: Accepted) {
    SockRef::from(&accepted).set_tcp_nodelay(true).ok();
    // Nothing, once the last answer has been given.
    let mut received = Some(BytesMut::new());
    let socket = Socket::reading(accepted, move |_, socket, event| {
        let Some(requests) = &mut received else {
            return;
        };
        match event {
            StreamEvent::Data(bytes) => requests.extend_from_slice(&bytes),
            // What was held back while the client did not read its answers.
            StreamEvent::Writable => socket.resume(),
            _ => return,
        }
        if answer_all(socket, requests) {
            socket.finish();
            received = None;
        }
    });
    match socket.map(|socket| run_loop.add(&socket, Mode::DEFAULT)) {
        Ok(Ok(_)) => {}
        refused => eprintln!("http_server: {refused:?}"),
    }
}

/// Answers every request that is wholly there; says whether the last answer has been given.
fn answer_all(socket: &Socket, received: &mut BytesMut) -> bool {
    loop {
        let (answer, length, last) = match Request::parse(received) {
            Ok(Some(request)) => (request.answer(), request.length, !request.keep_alive),
            Ok(None) => return false,
            Err(status) => (respond(status, Bytes::new(), true), 0, true),
        };
        match socket.send_vectored(answer) {
            Ok(()) if last => return true,
            Ok(()) => received.advance(length),
            Err(SendError::Full(_)) => {
                // The request stays where it is until there is room.
                socket.pause();
                return false;
            }
            Err(_broken) => return true,
        }
    }
}

struct Request<'a> {
    method: &'a str,
    path: &'a str,
    body: &'a [u8],
    keep_alive: bool,
    /// How many bytes it took.
    length: usize,
}

impl<'a> Request<'a> {
    /// The first request, if all of it is there, or the status that refuses it.
    fn parse(bytes: &'a [u8]) -> Result<Option<Self>, &'static str> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return match bytes.len() {
                0..=HEAD_MAX => Ok(None),
                _ => Err("431 Request Header Fields Too Large"),
            };
        };
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "400 Bad Request")?;
        let mut lines = head.split("\r\n");
        let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let [method, path, version] = words[..] else {
            return Err("400 Bad Request");
        };
        let (mut body_length, mut keep_alive) = (0, version == "HTTP/1.1");
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                body_length = value.parse().unwrap_or(usize::MAX);
            } else if name.eq_ignore_ascii_case("connection") {
                let (stay, go) = ("keep-alive", "close");
                keep_alive = value.eq_ignore_ascii_case(stay)
                    || (keep_alive && !value.eq_ignore_ascii_case(go));
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return Err("501 Not Implemented");
            }
        }
        if body_length > BODY_MAX {
            return Err("413 Content Too Large");
        }
        let length = end + 4 + body_length;
        Ok(bytes.get(end + 4..length).map(|body| Self {
            method,
            path,
            body,
            keep_alive,
            length,
        }))
    }

    fn answer(&self) -> [Bytes; 2] {
        let count = self.path.strip_prefix("/bytes/");
        let count = count.and_then(|count| count.parse().ok());
        let (status, body) = match (self.method, self.path, count) {
            ("GET" | "HEAD", "/", _) => ("200 OK", Bytes::from_static(b"hello\n")),
            ("GET", _, Some(count @ 0..=BODY_MAX)) => ("200 OK", vec![b'x'; count].into()),
            ("POST", "/echo", _) => ("200 OK", Bytes::copy_from_slice(self.body)),
            _ => ("404 Not Found", Bytes::new()),
        };
        let [head, body] = respond(status, body, !self.keep_alive);
        let empty = self.method == "HEAD";
        [head, if empty { Bytes::new() } else { body }]
    }
}

fn respond(status: &str, body: Bytes, close: bool) -> [Bytes; 2] {
    let (length, end) = (body.len(), if close { "close" } else { "keep-alive" });
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: {end}\r\n\r\n");
    [head.into(), body]
}

const HEAD_MAX: usize = 16 << 10;
const BODY_MAX: usize = 64 << 20;
