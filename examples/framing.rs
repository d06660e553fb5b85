//! Lines over TCP, each answered in capital letters: `cargo run -p examples --bin framing [ADDRESS]`, then `nc 127.0.0.1 7000`.
//! What it takes on top of a socket is the struct `Lines`.

use bytes::{Bytes, BytesMut};
use runloop::{Mode, RunLoop};
use socket_source::{Accepted, Socket, StreamEvent};
use std::error::Error;
use std::net::SocketAddr;

/// Cuts a stream of bytes into lines.
#[derive(Default)]
struct Lines {
    received: BytesMut,
    /// How much of it has been looked through.
    seen: usize,
}

impl Lines {
    /// The next line with its end, if all of it is there; an error if it is too long to wait for.
    fn next(&mut self) -> Result<Option<Bytes>, &'static str> {
        let mut new = self.received[self.seen..].iter();
        let Some(end) = new.position(|&byte| byte == b'\n') else {
            self.seen = self.received.len();
            return match self.seen {
                0..=LINE_MAX => Ok(None),
                _ => Err("line too long\n"),
            };
        };
        let line = self.received.split_to(self.seen + end + 1);
        self.seen = 0;
        Ok(Some(line.freeze()))
    }
}

fn serve(run_loop: &RunLoop, accepted: Accepted) {
    let mut lines = Lines::default();
    let mut answer = move |socket: &Socket, bytes: &[u8]| {
        lines.received.extend_from_slice(bytes);
        // While the outbox is full the lines stay here, and no more are read.
        while socket.unsent() < OUTBOX {
            match lines.next() {
                Ok(Some(line)) => drop(socket.send(line.to_ascii_uppercase())),
                Ok(None) => return socket.resume(),
                Err(too_long) => {
                    drop(socket.send_then(too_long, |_, socket, _| socket.invalidate()));
                    return socket.pause();
                }
            }
        }
        socket.pause();
        socket.enable(socket_source::Callbacks::WRITE);
    };
    let socket = Socket::reading(accepted, move |_, socket, event| match event {
        StreamEvent::Data(bytes) => answer(socket, &bytes),
        StreamEvent::Writable => answer(socket, b""),
        StreamEvent::Failed(error) => eprintln!("framing: {error}"),
        _ => {}
    });
    drop(socket.map(|socket| run_loop.add(&socket, Mode::DEFAULT)));
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address: SocketAddr = address.as_deref().unwrap_or("127.0.0.1:7000").parse()?;
    let listener = Socket::listening(address, |run_loop, _, accepted| match accepted {
        Ok(accepted) => serve(run_loop, accepted),
        Err(error) => eprintln!("framing: {error}"),
    })?;
    RunLoop::current().add(&listener, Mode::DEFAULT)?;
    println!("listening at {:?}", listener.local_address()?.as_socket());
    println!("the end: {:?}", RunLoop::current().run()?);
    Ok(())
}

const LINE_MAX: usize = 4_096;
const OUTBOX: usize = 64 << 10;
