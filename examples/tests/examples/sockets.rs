//! The socket examples, run as a user would, talking to each other and to the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::server::{Place, stderr, stdout};
use tests::Watchdog;

/// A running program that has said where it listens; killed when it is dropped.
struct Program(Child, SocketAddr);

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let out = child.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut first).unwrap();
        let digits = first.rsplit("127.0.0.1:").next().unwrap();
        let port = digits.trim_end_matches(|c: char| !c.is_ascii_digit());
        let port = port.parse().unwrap_or_else(|_| panic!("{first}"));
        Self(child, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.1).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn program(path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(arguments);
    command
}

fn http_server() -> Program {
    Program::start(program(env!("CARGO_BIN_EXE_http_server"), &["127.0.0.1:0"]))
}

/// What a server answers to all of this until it ends the stream.
fn ask(server: &Program, request: &[u8]) -> String {
    let mut stream = server.connect();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn http_server_answers_requests_one_after_the_other_and_in_pieces() {
    let _watchdog = Watchdog::new();
    let server = http_server();
    let two = b"GET / HTTP/1.1\r\nhost: x\r\n\r\nPOST /echo HTTP/1.1\r\ncontent-length: 4\r\nconnection: close\r\n\r\nback";
    let answer = ask(&server, two);
    assert!(answer.contains("keep-alive\r\n\r\nhello\n"), "{answer}");
    assert!(
        answer.ends_with("connection: close\r\n\r\nback"),
        "{answer}"
    );

    let mut stream = server.connect();
    for byte in two {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut again = String::new();
    stream.read_to_string(&mut again).unwrap();
    assert_eq!(again, answer, "byte by byte");
}

#[test]
fn http_server_refuses_what_it_does_not_understand() {
    let _watchdog = Watchdog::new();
    let server = http_server();
    let long = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(20_000));
    for (request, status) in [
        ("GET /none HTTP/1.0\r\n\r\n", "404"),
        ("nonsense\r\n\r\n", "400"),
        (
            "POST /echo HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
            "413",
        ),
        (
            "POST /echo HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            "501",
        ),
        (&long, "431"),
    ] {
        let answer = ask(&server, request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

#[test]
fn http_server_holds_back_for_a_client_that_does_not_read() {
    let _watchdog = Watchdog::new();
    let server = http_server();
    let mut stream = server.connect();
    let mut reading = stream.try_clone().unwrap();
    let count = 2_000;
    let writer = std::thread::spawn(move || {
        for _ in 0..count {
            let request = b"GET /bytes/20000 HTTP/1.1\r\nhost: x\r\n\r\n";
            stream.write_all(request).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .unwrap()
    };
    // It has answered for as long as the system took answers.
    let stat = format!("/proc/{}/stat", server.0.id());
    let sleeps = || std::fs::read_to_string(&stat).unwrap().contains(") S ");
    while reading.peek(&mut [0; 20_000]).unwrap() < 20_000 || !sleeps() {
        std::thread::yield_now();
    }
    let mut answers = Vec::new();
    reading.read_to_end(&mut answers).unwrap();
    writer.join().unwrap();
    assert!(answers.len() > count * 20_000, "{} bytes", answers.len());
    let kilobytes = peak();
    assert!(kilobytes < 30_000, "{kilobytes} kB for 40 MB of answers");
    drop(server);
}

#[test]
fn framing_answers_lines_however_they_are_cut() {
    let _watchdog = Watchdog::new();
    let server = Program::start(program(env!("CARGO_BIN_EXE_framing"), &["127.0.0.1:0"]));
    let mut stream = server.connect();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for piece in ["on", "e\ntwo\nth", "ree\n"] {
        stream.write_all(piece.as_bytes()).unwrap();
    }
    for expected in ["ONE\n", "TWO\n", "THREE\n"] {
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert_eq!(line, expected);
    }
    stream.write_all(&[b'x'; 4_097]).unwrap();
    let mut line = String::new();
    answers.read_to_string(&mut line).unwrap();
    assert_eq!(line, "line too long\n", "and the end");
}

#[test]
fn tls_client_and_tls_server_trust_each_other_and_nobody_else() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (file, other) = (place.file("ours.pem", b""), place.file("other.pem", b""));
    let start = |file: &str| {
        Program::start(program(
            env!("CARGO_BIN_EXE_tls_server"),
            &["127.0.0.1:0", file],
        ))
    };
    let (server, _another) = (start(&file), start(&other));
    let ask = |file: &str| {
        let port = server.1.port().to_string();
        let mut client = program(
            env!("CARGO_BIN_EXE_tls_client"),
            &["localhost", &port, file],
        );
        client
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut client = client.spawn().unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        client.stdin.take().unwrap().write_all(request).unwrap();
        client.wait_with_output().unwrap()
    };
    assert!(
        stdout(&ask(&file)).ends_with("\r\n\r\nhello over tls\n"),
        "an answer"
    );
    let refused = ask(&other);
    assert!(!refused.status.success(), "a stranger");
    assert!(
        stderr(&refused).contains("certificate"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn redis_client_understands_every_form_of_reply() {
    let _watchdog = Watchdog::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let ask = |reply: &'static str| {
        let arguments = ["localhost", &port, "GET", "key"];
        let mut client = program(env!("CARGO_BIN_EXE_redis_client"), &arguments);
        let client = client
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stream = listener.accept().unwrap().0;
        let mut command = [0; 22];
        stream.read_exact(&mut command).unwrap();
        assert_eq!(&command, b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
        for byte in reply.bytes() {
            stream.write_all(&[byte]).unwrap();
        }
        drop(stream);
        client.wait_with_output().unwrap()
    };
    for (reply, text) in [
        ("+OK\r\n", "OK\n"),
        (":42\r\n", "42\n"),
        ("$5\r\na\r\nbc\r\n", "a\r\nbc\n"),
        ("$-1\r\n", "(nil)\n"),
        ("-ERR no\r\n", "(error) ERR no\n"),
        ("*2\r\n$1\r\na\r\n:7\r\n", "a\n7\n"),
    ] {
        assert_eq!(stdout(&ask(reply)), text);
    }
    assert!(!ask("$5\r\nab").status.success(), "half a reply is none");
}

#[test]
fn log_hub_passes_lines_on_and_obeys_its_operator() {
    let _watchdog = Watchdog::new();
    let (place, name) = (Place::new(), "org.example.hub-test");
    let mut command = place.command(env!("CARGO_BIN_EXE_log_hub"));
    command.args(["127.0.0.1:0", name]);
    let mut hub = Program::start(command);
    let tell = |words: &str| {
        let mut command = place.command(env!("CARGO_BIN_EXE_log_hub"));
        stdout(&command.args(["--tell", name, words]).output().unwrap())
    };
    let mut clients = [(); 3].map(|()| hub.connect());
    while !tell("status").starts_with("3 clients") {}
    clients[0].write_all(b"first\nsec").unwrap();
    clients[0].write_all(b"ond\n").unwrap();
    for client in &mut clients {
        let mut lines = [0; 13];
        client.read_exact(&mut lines).unwrap();
        assert_eq!(&lines, b"first\nsecond\n", "everybody gets them");
    }
    assert_eq!(tell("status"), "3 clients, 2 lines, 0 dropped\n");
    assert_eq!(tell("nonsense"), "status or stop\n");
    drop(clients);
    while !tell("status").starts_with("0 clients") {}
    assert_eq!(tell("stop"), "stopping\n");
    assert!(hub.0.wait().unwrap().success(), "a clean end");
}
