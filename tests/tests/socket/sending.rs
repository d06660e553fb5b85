//! Sending takes all or nothing, never waits, keeps a bounded amount, and says what became of it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runloop::{Mode, RunLoop};
use socket_source::{AtEnd, Callbacks, SendError, Socket, SocketOptions, StreamEvent, TakeError};
use tests::{Log, Watchdog};

use crate::{drain, is_closed, listener, pass, recorded, run};

const NOTHING: [&str; 0] = [];

/// A stream that is kept, and writes down everything but bytes.
pub(crate) fn sender(options: SocketOptions, log: &Log) -> (Socket, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let log = log.clone();
    let socket = Socket::reading_with(options, ours, move |_, _, event| match event {
        StreamEvent::Data(_) => {}
        other => log.add(format!("{other:?}")),
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    (socket, theirs)
}

/// Sends pieces of a pattern until one comes back; how many bytes were taken.
fn send_until_full(socket: &Socket, from: usize, piece: usize) -> usize {
    let mut taken = 0;
    loop {
        assert!(taken < 64 << 20, "a limit holds");
        let bytes: Vec<u8> = (from + taken..from + taken + piece).map(byte_at).collect();
        match socket.send(bytes.clone()) {
            Ok(()) => taken += piece,
            Err(SendError::Full(back)) => {
                assert_eq!(back, bytes, "all of it comes back");
                return taken;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

pub(crate) fn byte_at(place: usize) -> u8 {
    u8::try_from(place % 251).unwrap()
}

/// Reads what there is; says how much, and that it continues the pattern.
pub(crate) fn take(mut stream: &UnixStream, from: usize) -> usize {
    stream.set_nonblocking(true).unwrap();
    let (mut room, mut taken) = (vec![0; 65_536], 0);
    while let Ok(count @ 1..) = stream.read(&mut room) {
        let expected = (from + taken..).map(byte_at);
        let right = room[..count].iter().zip(expected).all(|(&a, b)| a == b);
        assert!(right, "from {} on", from + taken);
        taken += count;
    }
    taken
}

#[test]
fn what_the_system_takes_goes_at_once_without_any_loop() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = Socket::reading(ours, |_, _, _| {}).unwrap();
    socket.send("one ").unwrap();
    socket
        .send_vectored(["two ".into(), "three".into()])
        .unwrap();
    assert_eq!(socket.unsent(), 0, "nothing waits");
    let mut room = [0; 64];
    let count = theirs.read(&mut room).unwrap();
    assert_eq!(&room[..count], b"one two three");
}

#[test]
fn a_slow_reader_gets_everything_and_the_sender_gets_back_pressure() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    // More than the system keeps for a reader, so that one reading does not empty the outbox.
    let (low, high, piece) = (10_000, 1_000_000, 7_001);
    let (socket, theirs) = sender(SocketOptions::new().outbox(low, high), &log);
    let (mut sent, mut read, mut rounds) = (0, 0, 0);
    while sent < 6_000_000 {
        sent += send_until_full(&socket, sent, piece);
        assert!(
            socket.unsent() < high + piece + 128,
            "{} wait",
            socket.unsent()
        );
        pass();
        assert_eq!(log.take(), NOTHING, "no room, no news");
        while log.count() == 0 {
            read += take(&theirs, read);
            pass();
        }
        assert_eq!(log.take(), ["Writable"], "once");
        assert!(socket.unsent() <= low, "{} wait", socket.unsent());
        rounds += 1;
    }
    assert!(rounds > 3, "{rounds} times full");
    socket.finish();
    while read < sent {
        read += take(&theirs, read);
        pass();
    }
    assert_eq!((read, socket.unsent()), (sent, 0), "no more and no less");
    assert!(is_closed(&theirs), "the end follows");
    socket.invalidate();
}

#[test]
fn a_break_is_told_when_nothing_more_comes_in_that_could_tell() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new().at_end(AtEnd::Keep), ours, &log);
    theirs.shutdown(Shutdown::Write).unwrap();
    run();
    assert_eq!(log.take(), ["Ended"]);
    socket.send("an answer").unwrap();
    drop(theirs);
    assert!(matches!(
        socket.send("another"),
        Ok(()) | Err(SendError::Broken(_))
    ));
    pass();
    pass();
    assert!(log.take()[0].starts_with("Failed(Reset"), "told");
    assert!(!socket.is_valid(), "and gone");
}

#[test]
fn a_socket_that_is_invalidated_drops_what_waits_without_a_word() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (socket, theirs) = sender(SocketOptions::new(), &log);
    let (told, mark) = (log.clone(), Arc::new(()));
    let held = Arc::clone(&mark);
    let then = move |_: &RunLoop, _: &Socket, _| {
        drop(held);
        told.add("told");
    };
    socket.send_then(vec![0; 900_000], then).unwrap();
    assert_eq!(socket.clone().into_inner().unwrap_err(), TakeError::Sending);
    socket.invalidate();
    pass();
    assert_eq!(log.take(), NOTHING);
    assert_eq!(Arc::strong_count(&mark), 1, "the callback is gone");
    assert!(
        matches!(socket.send("x"), Err(SendError::Invalid(_))),
        "and says so"
    );
    drop(theirs);
}

#[test]
fn a_half_closed_client_still_gets_its_whole_answer() {
    let _watchdog = Watchdog::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = Socket::reading(ours, |run_loop, socket, event| match event {
        StreamEvent::Data(_) => socket.send(vec![b'a'; 900_000]).unwrap(),
        StreamEvent::Ended => run_loop.stop(),
        other => panic!("{other:?}"),
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    theirs.write_all(b"question").unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    run();
    assert!(socket.is_valid(), "something is still to be sent");
    let reader = std::thread::spawn(move || drain(theirs).len());
    while socket.is_valid() {
        pass();
    }
    assert_eq!(reader.join().unwrap(), 900_000, "all of it");
}

#[test]
fn threads_send_to_a_sleeping_loop_and_their_pieces_are_not_torn() {
    let _watchdog = Watchdog::new();
    let (socket, theirs) = sender(SocketOptions::new().outbox(0, 64 << 20), &Log::new());
    let threads: Vec<_> = (0..4_u8)
        .map(|number| {
            let socket = socket.clone();
            std::thread::spawn(move || {
                for _ in 0..200 {
                    let half = bytes::Bytes::from(vec![number; 1_000]);
                    socket.send_vectored([half.clone(), half]).unwrap();
                }
            })
        })
        .collect();
    let handle = RunLoop::current().handle();
    let reader = std::thread::spawn(move || {
        let (mut theirs, mut piece) = (theirs, [0; 2_000]);
        for _ in 0..800 {
            theirs.read_exact(&mut piece).unwrap();
            assert!(piece.iter().all(|&byte| byte == piece[0]), "a torn piece");
        }
        handle.stop().unwrap();
        theirs
    });
    run();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    drop(reader.join().unwrap());
    socket.invalidate();
}

#[test]
fn room_can_be_asked_for_and_finish_ends_the_asking() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (socket, theirs) = sender(SocketOptions::new(), &log);
    pass();
    assert_eq!(log.take(), NOTHING, "not by itself");
    socket.enable(Callbacks::WRITE);
    pass();
    pass();
    assert_eq!(log.take(), ["Writable"]);
    socket.finish();
    socket.enable(Callbacks::WRITE);
    for _ in 0..3 {
        pass();
    }
    assert_eq!(log.take(), NOTHING, "there will be none");
    assert!(
        matches!(socket.send("x"), Err(SendError::Finished(_))),
        "none at all"
    );
    assert!(is_closed(&theirs), "our side has ended");
    socket.invalidate();
}

#[test]
fn kinds_that_never_send_give_everything_back() {
    let listening = listener(SocketOptions::new(), |_, _, _| {});
    let refused = listening.send_vectored(["a".into(), "b".into()]);
    assert_eq!(
        refused,
        Err(SendError::Finished(vec!["a".into(), "b".into()]))
    );
    listening.invalidate();
}

#[test]
fn a_write_of_ones_own_does_not_overtake_what_waits() {
    let _watchdog = Watchdog::new();
    let (socket, theirs) = sender(SocketOptions::new(), &Log::new());
    let sent = send_until_full(&socket, 0, 5_000);
    // The system has room again, and the outbox has not gone yet.
    let mut read = take(&theirs, 0);
    let refused = (&socket).write(b"ahead").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
    while read < sent {
        read += take(&theirs, read);
        pass();
    }
    assert_eq!((&socket).write(b"after").unwrap(), 5);
    socket.invalidate();
}

#[test]
fn no_signal_comes_from_a_peer_that_is_gone() {
    let _watchdog = Watchdog::new();
    let came = Arc::new(AtomicBool::new(false));
    let pipe = signal_hook::consts::SIGPIPE;
    signal_hook::flag::register(pipe, Arc::clone(&came)).unwrap();
    let (socket, theirs) = sender(SocketOptions::new().paused(), &Log::new());
    drop(theirs);
    drop(socket.send("into the void"));
    assert!((&socket).write(b"again").is_err(), "nobody is there");
    let (datagrams, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let datagrams = Socket::receiving(datagrams, |_, _, _| {}).unwrap();
    drop(theirs);
    datagrams.send("into the void").unwrap();
    assert!(!came.load(Ordering::SeqCst), "no SIGPIPE");
    socket.invalidate();
}

#[test]
fn the_destructor_of_what_was_sent_may_use_the_socket() {
    let _watchdog = Watchdog::new();
    /// It uses the socket it was sent on.
    struct Sent(Socket, Vec<u8>, Arc<AtomicBool>);
    impl AsRef<[u8]> for Sent {
        fn as_ref(&self) -> &[u8] {
            &self.1
        }
    }
    impl Drop for Sent {
        fn drop(&mut self) {
            assert_eq!(self.0.unsent(), 0, "no lock is held");
            self.0.enable(Callbacks::WRITE);
            self.2.store(true, Ordering::SeqCst);
        }
    }
    let log = Log::new();
    let (socket, theirs) = sender(SocketOptions::new(), &log);
    let dropped = Arc::new(AtomicBool::new(false));
    let owner = Sent(socket.clone(), b"owned".to_vec(), Arc::clone(&dropped));
    socket.send(bytes::Bytes::from_owner(owner)).unwrap();
    assert!(dropped.load(Ordering::SeqCst), "it has gone");
    pass();
    assert_eq!(log.take(), ["Writable"]);
    socket.invalidate();
    drop(theirs);
}

#[test]
fn a_write_of_ones_own_does_not_tear_what_another_thread_sends() {
    let _watchdog = Watchdog::new();
    let (socket, theirs) = sender(SocketOptions::new().outbox(0, 64 << 20), &Log::new());
    let sending = socket.clone();
    // None of them goes at once.
    let (pieces, piece) = (50, 400_000);
    let sender = std::thread::spawn(move || {
        for _ in 0..pieces {
            sending.send(vec![b'p'; piece]).unwrap();
            tests::wait_until(|| sending.unsent() == 0);
        }
    });
    let handle = RunLoop::current().handle();
    let reader = std::thread::spawn(move || {
        let (mut theirs, mut room, mut sent, mut torn) = (theirs, [0; 50_000], 0, 0);
        while sent < pieces * piece {
            let count = theirs.read(&mut room).unwrap();
            for &byte in &room[..count] {
                sent += usize::from(byte == b'p');
                torn += usize::from(byte == b'w' && sent % piece != 0);
            }
        }
        handle.stop().unwrap();
        (theirs, torn)
    });
    let writing = socket.clone();
    let over = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&over);
    let writer = std::thread::spawn(move || {
        while !until.load(Ordering::SeqCst) {
            drop((&writing).write(b"w"));
        }
    });
    run();
    over.store(true, Ordering::SeqCst);
    assert_eq!(reader.join().unwrap().1, 0, "in the middle of a piece");
    sender.join().unwrap();
    writer.join().unwrap();
    socket.invalidate();
}
