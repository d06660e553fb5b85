//! Stream sockets deliver what arrives, and tell the end of a stream from a break.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use runloop::{Limit, Mode, OnPanic, Outcome, ReturnAfter, RunLoop};
use socket_source::socket2::{Domain, SockRef, Socket as Native, Type};
use socket_source::{AtEnd, Callbacks, ReadError, Reenable, Socket, SocketOptions, StreamEvent};
use tests::{Log, Watchdog};

use crate::{anywhere, count_passes, drain, pass, pass_until, recorded, run, tcp_pair};

/// Has the kernel say "connection reset" to the other side.
fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

/// A socket that says what kind of event it is told of.
fn kinds(options: SocketOptions, stream: TcpStream, log: &Log) -> Socket {
    let log = log.clone();
    let socket = Socket::reading_with(options, stream, move |run_loop, socket, event| {
        log.add(match event {
            StreamEvent::Data(bytes) => format!("{} bytes", bytes.len()),
            StreamEvent::Ended => "ended".to_owned(),
            StreamEvent::Failed(ReadError::Reset(_)) => "reset".to_owned(),
            other => format!("{other:?}"),
        });
        assert!(socket.is_valid(), "until the callback has returned");
        run_loop.stop();
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    socket
}

#[test]
fn the_end_of_a_stream_and_a_reset_are_told_apart() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for (leave, expected) in [
        (drop as fn(TcpStream), "ended"),
        (reset as fn(TcpStream), "reset"),
    ] {
        let (ours, mut theirs) = tcp_pair();
        let socket = kinds(SocketOptions::new(), ours, &log);
        theirs.write_all(b"12345").unwrap();
        run();
        leave(theirs);
        run();
        assert_eq!(log.take(), ["5 bytes", expected]);
        assert!(!socket.is_valid(), "and nothing follows");
        pass();
        assert_eq!(log.take(), Vec::<String>::new(), "indeed nothing");
    }
}

#[test]
fn a_reset_is_told_even_before_anything_was_said_or_after_a_pause() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = tcp_pair();
    let socket = kinds(SocketOptions::new().paused(), ours, &log);
    reset(theirs);
    let (passes, observer) = count_passes();
    let limit = Duration::from_millis(50);
    let ran = RunLoop::current().run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(ran.unwrap(), Outcome::TimedOut);
    assert!(
        passes.get() <= 2,
        "{} passes: a broken stream that is paused wakes nobody",
        passes.get()
    );
    assert_eq!(log.take(), Vec::<String>::new(), "it is paused");
    socket.resume();
    run();
    assert_eq!(log.take(), ["reset"]);
    observer.invalidate();
}

#[test]
fn a_stream_that_broke_while_sending_has_no_clean_end() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new().paused(), ours, &log);
    theirs.write_all(b"last words").unwrap();
    // Nothing is left unread on its side, so the system reports a clean end.
    drop(theirs);
    drop(socket.send("lost"));
    assert!(socket.send("lost as well").is_err(), "it is broken");
    socket.resume();
    run();
    let told = log.take();
    assert_eq!(told[0], "last words", "what had come is delivered");
    assert!(told[1].starts_with("Failed(Reset"), "{told:?}");
}

#[test]
fn a_socket_that_is_kept_at_the_end_is_quiet_and_can_still_be_written_to() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = tcp_pair();
    let socket = kinds(SocketOptions::new().at_end(AtEnd::Keep), ours, &log);
    theirs.write_all(b"question").unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    run();
    run();
    assert_eq!(log.take(), ["8 bytes", "ended"]);
    assert!(socket.is_valid(), "kept");

    let (passes, observer) = count_passes();
    socket.pause();
    socket.resume();
    let limit = Duration::from_millis(50);
    let ran = RunLoop::current().run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(ran.unwrap(), Outcome::TimedOut);
    assert!(
        passes.get() <= 3,
        "{} passes: an end is told once and not looked at again",
        passes.get()
    );
    assert_eq!(log.take(), Vec::<String>::new(), "told once");
    observer.invalidate();

    let mut ours = TcpStream::from(socket.into_inner().unwrap());
    ours.write_all(b"answer").unwrap();
    drop(ours);
    assert_eq!(drain(theirs), "answer");
}

#[test]
fn a_piece_is_no_larger_than_asked_for_and_one_is_read_in_a_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new().bytes_per_pass(4), ours, &log);
    theirs.write_all(b"one piece").unwrap();
    for expected in ["one ", "piec", "e"] {
        pass();
        assert_eq!(log.take(), [expected]);
    }
    socket.invalidate();
}

#[test]
fn reading_by_hand_delivers_one_piece_for_each_resume() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let options = SocketOptions::new()
        .reenable(Callbacks::READ, Reenable::ByHand)
        .bytes_per_pass(2);
    let socket = recorded(options, ours, &log);
    theirs.write_all(b"abcd").unwrap();
    for expected in ["ab", "cd"] {
        assert_eq!(pass_until(&log, 1), [expected]);
        for _ in 0..3 {
            pass();
        }
        assert_eq!(log.take(), Vec::<String>::new(), "not asked for");
        socket.resume();
    }
    socket.invalidate();
}

#[test]
fn a_socket_is_read_only_in_the_modes_it_is_in() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let other = Mode::new("org.example.socket-tests.other");
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &log);
    let run_loop = RunLoop::current();
    theirs.write_all(b"first").unwrap();
    let ran = run_loop.run_in_mode(other, Limit::Now, ReturnAfter::Limit);
    assert_eq!(ran.unwrap(), Outcome::Finished, "nothing is in that mode");
    assert_eq!(log.take(), Vec::<String>::new(), "nothing was read in it");
    run_loop.add(&socket, other).unwrap();
    let _ran = run_loop
        .run_in_mode(other, Limit::Now, ReturnAfter::Limit)
        .unwrap();
    assert_eq!(log.take(), ["first"]);
    theirs.write_all(b"second").unwrap();
    assert_eq!(pass_until(&log, 1), ["second"]);
    socket.invalidate();
}

#[test]
fn a_stream_that_others_have_made_blocking_and_emptied_does_not_stop_the_loop() {
    let _watchdog = Watchdog::with_limit(Duration::from_secs(20));
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut thief = ours.try_clone().unwrap();
    let (first, mut far) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &log);
    thief.set_nonblocking(false).unwrap();
    let told = log.clone();
    let options = SocketOptions::new().order(-1);
    let first = Socket::reading_with(options, first, move |_, _, _| {
        let count = thief.read(&mut [0; 16]).unwrap();
        told.add(format!("takes {count} bytes away"));
    });
    let first = first.unwrap();
    RunLoop::current().add(&first, Mode::DEFAULT).unwrap();
    theirs.write_all(b"gone").unwrap();
    far.write_all(b"go").unwrap();
    pass();
    assert_eq!(log.take(), ["takes 4 bytes away"]);
    theirs.write_all(b"there").unwrap();
    assert_eq!(pass_until(&log, 1), ["there"]);
    first.invalidate();
    socket.invalidate();
}

#[test]
fn urgent_bytes_do_not_make_the_loop_spin() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = tcp_pair();
    let socket = kinds(SocketOptions::new(), ours, &log);
    let (passes, observer) = count_passes();
    assert_eq!(SockRef::from(&theirs).send_out_of_band(b"!").unwrap(), 1);
    let limit = Duration::from_millis(100);
    let ran = RunLoop::current().run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert!(
        passes.get() <= 5,
        "{} passes for one urgent byte: {ran:?}",
        passes.get()
    );
    drop(log.take());
    theirs.write_all(b"12345").unwrap();
    run();
    assert_eq!(log.take(), ["5 bytes"], "the stream goes on");
    observer.invalidate();
    socket.invalidate();
}

#[test]
fn a_panic_in_the_callback_ends_its_socket_and_no_other() {
    let _watchdog = Watchdog::new();
    for (policy, survives) in [(OnPanic::Invalidate, false), (OnPanic::Keep, true)] {
        let log = Log::new();
        let told = log.clone();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let options = SocketOptions::new()
            .on_panic(policy)
            .bytes_per_pass(1)
            .order(-1);
        let socket = Socket::reading_with(options, ours, move |_, _, event| {
            assert!(
                !matches!(&event, StreamEvent::Data(bytes) if bytes == "!"),
                "on purpose"
            );
            told.add("read");
        });
        let socket = socket.unwrap();
        RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
        let (others, mut far) = UnixStream::pair().unwrap();
        let other = recorded(SocketOptions::new(), others, &log);
        far.write_all(b"other").unwrap();
        theirs.write_all(b"!.").unwrap();
        let panicked = std::panic::catch_unwind(pass);
        assert!(panicked.is_err(), "it unwinds out of the run");
        assert_eq!(socket.is_valid(), survives, "{policy:?}");
        let expected = if survives {
            vec!["read", "other"]
        } else {
            vec!["other"]
        };
        assert_eq!(pass_until(&log, expected.len()), expected);
        other.invalidate();
        socket.invalidate();
    }
}

#[test]
fn addresses_are_asked_of_the_system_each_time() {
    let listener = TcpListener::bind(anywhere()).unwrap();
    let address = listener.local_addr().unwrap().into();
    let native = Native::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let copy = native.try_clone().unwrap();
    let socket = Socket::reading(native, |_, _, _| {}).unwrap();
    let before = socket.local_address().unwrap();
    assert!(socket.peer_address().is_err(), "not connected yet");
    copy.set_nonblocking(false).unwrap();
    copy.connect(&address).unwrap();
    assert_ne!(socket.local_address().unwrap(), before, "it has a port now");
    assert_eq!(socket.peer_address().unwrap(), address);
}

#[test]
fn sockets_are_equal_when_they_are_the_same() {
    fn crosses_threads<T: Send + Sync + Clone + 'static>(_: &T) {}
    let (ours, theirs) = UnixStream::pair().unwrap();
    let native = Native::from(std::os::fd::OwnedFd::from(theirs));
    let ours = Socket::reading(ours, |_, _, _| {}).unwrap();
    let theirs = Socket::reading(native, |_, _, _| {}).unwrap();
    crosses_threads(&ours);
    assert_eq!(ours, ours.clone());
    assert_ne!(ours, theirs);
    #[expect(
        clippy::mutable_key_type,
        reason = "a socket is hashed by what it is, not by how it stands"
    )]
    let all = std::collections::HashSet::from([ours.clone(), theirs, ours]);
    assert_eq!(all.len(), 2, "a clone is not another one");
}
