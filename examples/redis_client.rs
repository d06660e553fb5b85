//! One command to a redis server and its reply: `cargo run -p examples --bin redis_client HOST PORT COMMAND [ARGUMENT]...`.

use bytes::BytesMut;
use runloop::{Mode, RunLoop};
use socket_source::{Socket, SocketOptions, StreamEvent};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, command @ ..] = arguments.as_slice() else {
        eprintln!("usage: redis_client HOST PORT COMMAND [ARGUMENT]...");
        return ExitCode::FAILURE;
    };
    let port = port.parse().unwrap_or(6379);
    let options = SocketOptions::new().connect_timeout(Duration::from_secs(5));
    let mut received = BytesMut::new();
    let socket =
        Socket::connecting_with(options, (host.as_str(), port), move |run_loop, _, event| {
            match event {
                StreamEvent::Connected | StreamEvent::Writable => return,
                StreamEvent::Data(bytes) => received.extend_from_slice(&bytes),
                StreamEvent::ConnectFailed(error) => eprintln!("redis_client: {error}"),
                other => eprintln!("redis_client: {other:?}"),
            }
            if let Some((reply, _)) = parse(&received) {
                println!("{reply}");
                run_loop.stop();
            }
        });
    // It waits for the connection; nothing else is in the outbox that could fill it.
    drop(socket.send(encode(command)));
    let run_loop = RunLoop::current();
    let added = run_loop.add(&socket, Mode::DEFAULT);
    // Without a reply the run ends as finished, since the socket is gone.
    match added.map(|_| run_loop.run()) {
        Ok(Ok(runloop::Outcome::Stopped)) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// A command as an array of strings, which is how redis takes them.
fn encode(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// The first reply as text, and its length, if all of it is there.
fn parse(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    let line = std::str::from_utf8(bytes.get(1..end)?).ok()?;
    let start = end + 2;
    match bytes[0] {
        b'$' => match usize::try_from(line.parse::<i64>().ok()?) {
            Err(_missing) => Some(("(nil)".to_owned(), start)),
            Ok(length) => {
                let text = bytes.get(start..start + length + 2)?;
                Some((
                    String::from_utf8_lossy(&text[..length]).into_owned(),
                    start + length + 2,
                ))
            }
        },
        b'*' => {
            let (mut at, mut parts) = (start, Vec::new());
            for _ in 0..line.parse::<usize>().ok()? {
                let (part, length) = parse(&bytes[at..])?;
                parts.push(part);
                at += length;
            }
            Some((parts.join("\n"), at))
        }
        b'-' => Some((format!("(error) {line}"), start)),
        _ => Some((line.to_owned(), start)),
    }
}
