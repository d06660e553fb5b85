//! What is told of each piece that was sent: once, in order, on the loop, and of no more pieces than may wait.

use std::io::Write;
use std::os::unix::net::UnixStream;

use runloop::{OnPanic, RunLoop};
use socket_source::{SendError, Socket, SocketOptions, Unsent};
use tests::{Log, Watchdog};

use crate::sending::{byte_at, sender, take};
use crate::{pass, recorded, run};

const NOTHING: [&str; 0] = [];

#[test]
fn completions_come_once_in_order_when_the_system_has_all_of_a_piece() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (socket, theirs) = sender(SocketOptions::new().outbox(0, 4 << 20), &log);
    let mut total = 0;
    for number in 0..100 {
        let told = log.clone();
        let bytes: Vec<u8> = (total..total + 20_000).map(byte_at).collect();
        total += bytes.len();
        let then = move |_: &RunLoop, _: &Socket, sent: Result<(), Unsent>| {
            told.add(format!("{number} {}", sent.is_ok()));
        };
        socket.send_then(bytes, then).unwrap();
    }
    assert_eq!(log.take(), NOTHING, "never inside of the call");
    pass();
    assert!(log.count() < 100, "what waits is not told of");
    let mut read = 0;
    while read < total {
        read += take(&theirs, read);
        pass();
    }
    pass();
    let expected: Vec<_> = (0..100).map(|number| format!("{number} true")).collect();
    assert_eq!(log.take(), expected);
    socket.invalidate();
}

#[test]
fn pieces_that_never_go_are_told_of_and_the_break_after_what_had_come() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new().paused(), ours, &log);
    for number in 0..3 {
        let told = log.clone();
        let then = move |_: &RunLoop, _: &Socket, sent: Result<(), Unsent>| {
            told.add(format!(
                "{number} {:?}",
                sent.map_err(|unsent| unsent.kind())
            ));
        };
        socket.send_then(vec![0; 300_000], then).unwrap();
    }
    theirs.write_all(b"last words").unwrap();
    drop(theirs);
    pass();
    let broken = "Err(BrokenPipe)";
    let told: Vec<_> = (0..3).map(|number| format!("{number} {broken}")).collect();
    assert_eq!(log.take(), told);
    match socket.send("more") {
        Err(SendError::Broken(bytes)) => assert_eq!(bytes, "more"),
        other => panic!("{other:?}"),
    }
    socket.resume();
    run();
    let told = log.take();
    assert_eq!(told[0], "last words", "nothing that had come is lost");
    assert!(
        told[1].starts_with("Failed(Reset"),
        "and no clean end: {told:?}"
    );
    assert!(!socket.is_valid(), "the end of it");
}

#[test]
fn a_panic_in_a_completion_leaves_the_others_to_be_told() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let options = SocketOptions::new().on_panic(OnPanic::Keep);
    let (socket, theirs) = sender(options, &log);
    for number in 0..3 {
        let told = log.clone();
        let then = move |_: &RunLoop, _: &Socket, _| {
            assert_ne!(number, 1, "on purpose");
            told.add(format!("{number}"));
        };
        socket.send_then("x", then).unwrap();
    }
    let panicked = std::panic::catch_unwind(pass);
    assert!(panicked.is_err(), "it unwinds out of the run");
    pass();
    assert_eq!(log.take(), ["0", "2"]);
    socket.invalidate();
    drop(theirs);
}

#[test]
fn completions_that_nobody_hears_are_bounded_like_what_waits() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (socket, theirs) = sender(SocketOptions::new().outbox(1_000, 20_000), &log);
    let mut sent = 0;
    let refused = loop {
        assert!(sent < 10_000, "a limit holds");
        let told = log.clone();
        let then = move |_: &RunLoop, _: &Socket, _: Result<(), Unsent>| told.add("told");
        match socket.send_then("x", then) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
        assert_eq!(take_one(&theirs), b'x', "the system has it");
    };
    assert!(matches!(refused, SendError::Full(_)), "{refused:?}");
    assert_eq!(socket.unsent(), 0, "all of it has gone");
    pass();
    pass();
    let lines = log.take();
    assert_eq!(lines.iter().filter(|line| *line == "told").count(), sent);
    assert_eq!(lines.last().unwrap(), "Writable", "and now there is room");
    assert_eq!(lines.len(), sent + 1, "once");
    socket.send("again").unwrap();
    socket.invalidate();
}

fn take_one(mut stream: &UnixStream) -> u8 {
    let mut room = [0];
    std::io::Read::read_exact(&mut stream, &mut room).unwrap();
    room[0]
}
