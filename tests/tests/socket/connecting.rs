//! Connections come about by address, by path and by name, in time or not at all, and never keep the loop waiting.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use runloop::{Mode, RunLoop, Signalled};
use socket_source::socket2::{Domain, Socket as Native, Type};
use socket_source::{
    Callbacks, ConnectError, SockAddr, Socket, SocketOptions, StreamEvent, TakeError, Target,
};
use tests::{Log, Watchdog, in_own_process, open_descriptors};

use crate::{Place, anywhere, count_passes, pass, run};

/// A connecting socket in the default mode that writes down what it is told, and stops the loop each time.
fn dialled(options: SocketOptions, target: impl Into<Target>, log: &Log) -> Socket {
    let log = log.clone();
    let socket = Socket::connecting_with(options, target, move |run_loop, _, event| {
        log.add(match event {
            StreamEvent::Data(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            StreamEvent::ConnectFailed(ConnectError::Refused(_)) => "refused".to_owned(),
            StreamEvent::ConnectFailed(ConnectError::LookUp(_)) => "unknown".to_owned(),
            StreamEvent::ConnectFailed(ConnectError::TimedOut) => "timed out".to_owned(),
            other => format!("{other:?}"),
        });
        run_loop.stop();
    });
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    socket
}

/// How to get to an address.
type Aim<'a> = &'a dyn Fn(SocketAddr) -> Target;

/// Answers the first who comes with what he says, once he has said all.
fn echo(listener: TcpListener) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        stream.write_all(&said).unwrap();
    })
}

#[test]
fn a_connection_by_address_or_name_carries_what_was_sent_before_it_was_there() {
    let _watchdog = Watchdog::new();
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok();
    let v4 = || TcpListener::bind(anywhere()).ok();
    let by_name = |address: SocketAddr| Target::from(("localhost", address.port()));
    let by_digits = |address: SocketAddr| Target::from(("127.0.0.1", address.port()));
    let cases: [(Option<TcpListener>, Aim<'_>); 4] = [
        (v4(), &Target::from),
        (v6, &Target::from),
        (v4(), &by_name),
        (v4(), &by_digits),
    ];
    for (listener, target) in cases {
        // There may be no IPv6 here.
        let Some(listener) = listener else { continue };
        let address = listener.local_addr().unwrap();
        let log = Log::new();
        let echo = echo(listener);
        let socket = dialled(SocketOptions::new(), target(address), &log);
        socket.send("early ").unwrap();
        socket.send("words").unwrap();
        socket.finish();
        for _ in 0..3 {
            run();
        }
        assert_eq!(
            log.take(),
            ["Connected", "early words", "Ended"],
            "{address}"
        );
        assert!(!socket.is_valid(), "both sides have ended");
        echo.join().unwrap();
    }
}

#[test]
fn a_connection_by_path_is_there_in_two_passes() {
    let _watchdog = Watchdog::new();
    let place = Place::new("by-path");
    let path = place.path("listener");
    let listener = UnixListener::bind(&path).unwrap();
    let log = Log::new();
    let socket = dialled(SocketOptions::new(), Target::path(&path).unwrap(), &log);
    pass();
    pass();
    assert_eq!(log.take(), ["Connected"]);
    socket.send("hello").unwrap();
    let mut theirs = listener.accept().unwrap().0;
    let mut said = [0; 5];
    theirs.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"hello");
    socket.invalidate();
    assert!(
        Target::path("x".repeat(200)).is_err(),
        "too long for a path"
    );
}

#[test]
fn addresses_are_tried_in_turn_and_the_last_failure_is_told() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let unused = || TcpListener::bind(anywhere()).unwrap().local_addr().unwrap();
    let listener = TcpListener::bind(anywhere()).unwrap();
    let good = listener.local_addr().unwrap();
    let socket = dialled(SocketOptions::new(), vec![unused(), unused(), good], &log);
    run();
    assert_eq!(log.take(), ["Connected"]);
    assert_eq!(socket.peer_address().unwrap(), good.into());
    socket.invalidate();

    let socket = dialled(SocketOptions::new(), vec![unused(), unused()], &log);
    socket.send("lost").unwrap();
    run();
    assert_eq!(log.take(), ["refused"]);
    assert!(!socket.is_valid(), "of no use any more");
    let nobody = dialled(SocketOptions::new(), Vec::new(), &log);
    run();
    assert!(
        log.take()[0].contains("ConnectFailed(Failed"),
        "nowhere to go"
    );
    drop(nobody);

    let place = Place::new("nobody");
    let path = Target::path(place.path("nobody")).unwrap();
    dialled(SocketOptions::new(), path, &log);
    run();
    assert_eq!(log.take(), ["refused"], "there is no such path");
}

#[test]
fn an_unknown_host_is_told_apart() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let host = "x".repeat(300);
    dialled(SocketOptions::new(), (host.as_str(), 80), &log);
    run();
    assert_eq!(log.take(), ["unknown"]);
}

/// A listener that answers nobody: its queue is full. Who waits in it goes with it.
fn deaf() -> (Native, Vec<TcpStream>) {
    let listener = Native::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&anywhere().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let wait = Duration::from_millis(200);
    let waiting = std::iter::from_fn(|| TcpStream::connect_timeout(&address, wait).ok());
    let waiting = waiting.take(10).collect();
    (listener, waiting)
}

#[test]
fn a_host_that_never_answers_is_given_up_in_time_while_the_loop_goes_on() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (deaf, _waiting) = deaf();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let told = log.clone();
    let other = Signalled::new(move |_| told.add("meanwhile"));
    RunLoop::current().add(&other, Mode::DEFAULT).unwrap();
    // It would wait for longer than the watchdog does.
    let patient = SocketOptions::new().connect_timeout(Duration::from_secs(600));
    let patient = dialled(patient, address, &log);
    for _ in 0..2 {
        other.signal();
        pass();
        assert_eq!(log.take(), ["meanwhile"], "a pass does not wait for it");
    }
    patient.invalidate();

    let limit = Duration::from_millis(150);
    let options = SocketOptions::new().connect_timeout(limit);
    let began = Instant::now();
    let socket = dialled(options.clone(), address, &log);
    run();
    assert!(began.elapsed() >= limit, "as long as it was given");
    assert_eq!(log.take(), ["timed out"]);
    assert!(!socket.is_valid(), "given up");

    // One that never answers leaves time for the next.
    let listener = TcpListener::bind(anywhere()).unwrap();
    let good = listener.local_addr().unwrap();
    let options = options.connect_timeout(Duration::from_millis(2_000));
    let socket = dialled(options, vec![address, good], &log);
    run();
    assert_eq!(log.take(), ["Connected"]);
    assert_eq!(socket.peer_address().unwrap(), good.into());
    socket.invalidate();
    other.invalidate();
}

#[test]
fn a_unix_listener_with_a_full_queue_is_tried_until_there_is_room_or_no_time() {
    let _watchdog = Watchdog::new();
    let place = Place::new("full-queue");
    let path = place.path("listener");
    let address = SockAddr::unix(&path).unwrap();
    let listener = Native::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    let first = Native::new(Domain::UNIX, Type::STREAM, None).unwrap();
    first.connect(&address).unwrap();
    let log = Log::new();
    // Its end comes long before it would be tried again.
    let limit = Duration::from_millis(20);
    let options = SocketOptions::new().connect_timeout(limit);
    dialled(options, address.clone(), &log);
    let (passes, _observer) = count_passes();
    run();
    assert_eq!(log.take(), ["timed out"]);
    assert!(
        passes.get() < 20,
        "it sleeps in between: {} passes",
        passes.get()
    );

    let socket = dialled(SocketOptions::new(), address, &log);
    pass();
    assert_eq!(socket.clone().into_inner().unwrap_err(), TakeError::NotYet);
    let handle = RunLoop::current().handle();
    let room = std::thread::spawn(move || {
        while !handle.is_waiting().unwrap() {
            std::thread::yield_now();
        }
        (listener.accept().unwrap(), listener)
    });
    run();
    assert_eq!(log.take(), ["Connected"]);
    drop(room.join().unwrap());
    socket.invalidate();
}

#[test]
fn an_attempt_that_is_cancelled_is_not_told_of_and_leaves_nothing_open() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let kept = Signalled::new(|_| {});
        RunLoop::current().add(&kept, Mode::DEFAULT).unwrap();
        let (deaf, _waiting) = deaf();
        let deaf = deaf.local_addr().unwrap().as_socket().unwrap();
        let log = Log::new();
        let cancel_both = || {
            let attempt = dialled(SocketOptions::new(), deaf, &log);
            let look_up = dialled(SocketOptions::new(), ("localhost", deaf.port()), &log);
            pass();
            attempt.invalidate();
            look_up.invalidate();
            for _ in 0..3 {
                pass();
            }
        };
        cancel_both();
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let settle = |most: usize| {
            while threads() > most {
                std::thread::yield_now();
            }
        };
        // The test, its harness and the watchdog.
        settle(3);
        let before = open_descriptors();
        cancel_both();
        settle(3);
        assert_eq!(open_descriptors(), before, "nothing is left");
        assert_eq!(log.take(), Vec::<String>::new(), "and nothing was told");
    });
}

#[test]
fn the_outcome_waits_as_long_as_it_is_disabled() {
    let _watchdog = Watchdog::new();
    let listener = TcpListener::bind(anywhere()).unwrap();
    let log = Log::new();
    let options = SocketOptions::new().disabled(Callbacks::CONNECT);
    let by_name = ("localhost", listener.local_addr().unwrap().port());
    let socket = dialled(options, by_name, &log);
    for _ in 0..3 {
        pass();
    }
    assert_eq!(log.take(), Vec::<String>::new());
    socket.enable(Callbacks::CONNECT);
    run();
    assert_eq!(log.take(), ["Connected"]);
    socket.invalidate();
}

#[test]
fn options_are_set_before_the_connection_is_made() {
    let _watchdog = Watchdog::new();
    let listener = TcpListener::bind(anywhere()).unwrap();
    let log = Log::new();
    let from = SocketAddr::from(([127, 0, 0, 9], 0));
    let options = SocketOptions::new().configure(move |native| native.bind(&from.into()));
    let socket = dialled(options, listener.local_addr().unwrap(), &log);
    run();
    assert_eq!(log.take(), ["Connected"]);
    let peer = listener.accept().unwrap().1;
    assert_eq!(peer.ip(), from.ip(), "the address it was to come from");
    socket.invalidate();

    let refusing = SocketOptions::new().configure(|_| Err(std::io::ErrorKind::Other.into()));
    dialled(refusing, listener.local_addr().unwrap(), &log);
    run();
    assert!(log.take()[0].contains("ConnectFailed(Failed"), "as it said");
}

#[test]
fn a_connecting_socket_may_leave_the_loop_and_come_back() {
    let _watchdog = Watchdog::new();
    let (deaf, waiting) = deaf();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let log = Log::new();
    // So long that it is not over while the socket is there for the first time, on any machine.
    let limit = Duration::from_millis(500);
    let options = SocketOptions::new().connect_timeout(limit);
    let socket = dialled(options, address, &log);
    pass();
    let run_loop = RunLoop::current();
    assert!(run_loop.remove(&socket, Mode::DEFAULT), "it was there");
    pass();
    run_loop.add(&socket, Mode::DEFAULT).unwrap();
    run();
    assert_eq!(log.take(), ["timed out"], "its time is not forgotten");
    drop(waiting);
}
