//! The kinds of callback: what each is told, in which order, and how each is enabled and disabled by itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

use runloop::{Mode, RunLoop};
use socket_source::socket2::{Domain, Socket as Native, Type};
use socket_source::{Callbacks, ConnectError, Reenable, Socket, SocketOptions, WatchEvent};
use tests::{Log, Watchdog};

use crate::{anywhere, count_passes, fill, is_closed, pass, pass_until, run, tcp_pair};

const NOTHING: [&str; 0] = [];

/// A watched socket in the default mode that writes down what it is told, and does something about it.
fn watched(
    options: SocketOptions,
    socket: impl Into<std::os::fd::OwnedFd>,
    kinds: Callbacks,
    log: &Log,
    mut act: impl FnMut(&RunLoop, &Socket, &WatchEvent) + 'static,
) -> Socket {
    let log = log.clone();
    let socket = Socket::watching_with(options, socket, kinds, move |run_loop, socket, event| {
        log.add(match &event {
            WatchEvent::ConnectFailed(ConnectError::Refused(_)) => "refused".to_owned(),
            event => format!("{event:?}"),
        });
        act(run_loop, socket, &event);
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    socket
}

/// A socket that is being connected, to a listener that has accepted it and written to it.
fn connecting() -> (Native, TcpStream) {
    let listener = TcpListener::bind(anywhere()).unwrap();
    let native = Native::new(Domain::IPV4, Type::STREAM, None).unwrap();
    native.set_nonblocking(true).unwrap();
    // It is in progress, or there already.
    drop(native.connect(&listener.local_addr().unwrap().into()));
    let mut theirs = listener.accept().unwrap().0;
    theirs.write_all(b"there").unwrap();
    // On a busy machine it may arrive a little later.
    while native
        .peek(&mut [const { std::mem::MaybeUninit::uninit() }; 5])
        .ok()
        != Some(5)
    {
        std::thread::yield_now();
    }
    (native, theirs)
}

#[test]
fn a_readable_socket_is_told_of_until_somebody_reads() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut count = 0;
    let socket = watched(
        SocketOptions::new(),
        ours,
        Callbacks::READ,
        &log,
        move |_, mut socket, _| {
            count += 1;
            if count == 3 {
                let mut room = [0; 16];
                assert_eq!(socket.read(&mut room).unwrap(), 4, "nothing was read");
                let empty = socket.read(&mut room).unwrap_err();
                assert_eq!(empty.kind(), std::io::ErrorKind::WouldBlock);
            }
        },
    );
    theirs.write_all(b"four").unwrap();
    for _ in 0..5 {
        pass();
    }
    assert_eq!(log.take(), ["Readable"; 3]);
    drop(theirs);
    pass();
    assert_eq!(log.take(), ["Readable"], "the end is something to read");
    socket.invalidate();
}

#[test]
fn room_is_told_of_once_for_each_enabling() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let socket = watched(
        SocketOptions::new(),
        ours,
        Callbacks::WRITE,
        &log,
        |_, _, _| {},
    );
    for _ in 0..3 {
        for _ in 0..3 {
            pass();
        }
        assert_eq!(log.take(), ["Writable"], "once");
        assert!(!socket.enabled().contains(Callbacks::WRITE), "used up");
        socket.enable(Callbacks::WRITE);
    }
    pass();
    drop((log.take(), socket));

    // Without room there is nothing to tell.
    let (full, far) = UnixStream::pair().unwrap();
    fill(&full);
    let socket = watched(
        SocketOptions::new(),
        full,
        Callbacks::WRITE,
        &log,
        |_, _, _| {},
    );
    pass();
    assert_eq!(log.take(), NOTHING);
    far.set_nonblocking(true).unwrap();
    while (&far).read(&mut [0; 65_536]).is_ok() {}
    assert_eq!(pass_until(&log, 1), ["Writable"]);
    socket.invalidate();
    drop(theirs);
}

#[test]
fn room_is_told_of_again_and_again_if_the_options_say_so() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let options = SocketOptions::new().reenable(Callbacks::WRITE, Reenable::Automatically);
    let socket = watched(options, ours, Callbacks::WRITE, &log, |_, _, _| {});
    for _ in 0..3 {
        pass();
    }
    assert_eq!(log.take(), ["Writable"; 3]);
    socket.disable(Callbacks::WRITE);
    pass();
    assert_eq!(log.take(), NOTHING);
    socket.invalidate();
}

#[test]
fn connected_comes_before_incoming_and_incoming_before_room() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (native, _theirs) = connecting();
    let act = |_: &RunLoop, mut socket: &Socket, event: &WatchEvent| {
        if matches!(event, WatchEvent::Readable) {
            socket.read_exact(&mut [0; 5]).unwrap();
        }
    };
    let socket = watched(SocketOptions::new(), native, Callbacks::all(), &log, act);
    pass();
    assert_eq!(log.take(), ["Connected", "Readable", "Writable"]);
    for _ in 0..3 {
        pass();
    }
    assert_eq!(log.take(), NOTHING, "each once");
    socket.invalidate();
}

#[test]
fn a_callback_that_ends_disables_or_removes_the_socket_suppresses_the_later_ones() {
    let _watchdog = Watchdog::new();
    let all = ["Connected", "Readable", "Writable"];
    let actions: [fn(&RunLoop, &Socket); 3] = [
        |_, socket| socket.invalidate(),
        |_, socket| socket.disable(Callbacks::all()),
        |run_loop, socket| assert!(run_loop.remove(socket, Mode::DEFAULT), "it was there"),
    ];
    for (which, action) in actions.into_iter().enumerate() {
        for stop_at in 0..3 {
            let log = Log::new();
            let (native, theirs) = connecting();
            let mut seen = 0;
            let act = move |run_loop: &RunLoop, socket: &Socket, _: &WatchEvent| {
                if seen == stop_at {
                    action(run_loop, socket);
                }
                seen += 1;
            };
            let socket = watched(SocketOptions::new(), native, Callbacks::all(), &log, act);
            pass();
            assert_eq!(
                log.take(),
                all[..=stop_at],
                "action {which} in callback {stop_at}"
            );
            socket.invalidate();
            drop(theirs);
        }
    }
}

#[test]
fn what_is_disabled_before_the_socket_is_added_stays_so() {
    let _watchdog = Watchdog::new();
    for elsewhere in [false, true] {
        for (kind, name) in [
            (Callbacks::CONNECT, "Connected"),
            (Callbacks::READ, "Readable"),
            (Callbacks::WRITE, "Writable"),
        ] {
            let log = Log::new();
            let told = log.clone();
            let (native, _theirs) = connecting();
            let socket = Socket::watching(native, kind, move |run_loop, socket, event| {
                told.add(format!("{event:?}"));
                socket.disable(Callbacks::READ);
                run_loop.stop();
            });
            let socket = socket.unwrap();
            let other = socket.clone();
            if elsewhere {
                std::thread::spawn(move || other.disable(Callbacks::all()))
                    .join()
                    .unwrap();
            } else {
                other.disable(Callbacks::all());
            }
            RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
            for _ in 0..3 {
                pass();
            }
            assert_eq!(log.take(), NOTHING, "{name}, elsewhere: {elsewhere}");
            let other = socket.clone();
            if elsewhere {
                let enabling = std::thread::spawn(move || other.enable(kind));
                run();
                enabling.join().unwrap();
            } else {
                other.enable(kind);
                run();
            }
            assert_eq!(log.take(), [name], "elsewhere: {elsewhere}");
            socket.invalidate();
        }
    }
}

#[test]
fn reading_by_hand_is_told_of_once_for_each_enabling() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"never read").unwrap();
    let options = SocketOptions::new().reenable(Callbacks::READ, Reenable::ByHand);
    let socket = watched(options, ours, Callbacks::READ, &log, |_, _, _| {});
    for _ in 0..2 {
        for _ in 0..3 {
            pass();
        }
        assert_eq!(log.take(), ["Readable"]);
        socket.enable(Callbacks::READ);
    }
    socket.invalidate();
}

#[test]
fn a_failed_connection_is_told_with_its_reason_and_with_nothing_else() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let unused = TcpListener::bind(anywhere()).unwrap().local_addr().unwrap();
    let native = Native::new(Domain::IPV4, Type::STREAM, None).unwrap();
    native.set_nonblocking(true).unwrap();
    drop(native.connect(&unused.into()));
    let socket = watched(
        SocketOptions::new(),
        native,
        Callbacks::all(),
        &log,
        |_, _, _| {},
    );
    assert_eq!(pass_until(&log, 1), ["refused"]);
    assert!(!socket.is_valid(), "it is of no use");
    pass();
    assert_eq!(log.take(), NOTHING);
}

#[test]
fn a_socket_that_is_watched_for_nothing_wakes_nobody() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, theirs) = tcp_pair();
    let socket = watched(
        SocketOptions::new(),
        ours,
        Callbacks::empty(),
        &log,
        |_, _, _| {},
    );
    drop(theirs);
    let (passes, observer) = count_passes();
    let limit = std::time::Duration::from_millis(30);
    let _timed_out = RunLoop::current()
        .run_in_mode(Mode::DEFAULT, limit, runloop::ReturnAfter::Limit)
        .unwrap();
    assert!(passes.get() <= 2, "{} passes", passes.get());
    assert_eq!(log.take(), NOTHING);
    observer.invalidate();
    socket.invalidate();
}

#[test]
fn a_kind_that_a_socket_never_has_is_ignored() {
    let _watchdog = Watchdog::new();
    let listener = crate::listener(SocketOptions::new(), |_, _, _| {});
    listener.enable(Callbacks::all());
    let (passes, observer) = count_passes();
    let limit = std::time::Duration::from_millis(30);
    let _timed_out = RunLoop::current()
        .run_in_mode(Mode::DEFAULT, limit, runloop::ReturnAfter::Limit)
        .unwrap();
    assert!(passes.get() <= 3, "{} passes", passes.get());
    observer.invalidate();
    listener.invalidate();
}

#[test]
fn what_a_socket_is_asked_for_is_done_by_its_native_form() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let socket = Socket::watching(ours, Callbacks::READ, |_, _, _| {}).unwrap();
    let size = |socket: &Socket| socket.native(|native| native.recv_buffer_size().unwrap());
    let before = size(&socket).unwrap();
    socket
        .native(|native| native.set_recv_buffer_size(before / 4))
        .unwrap()
        .unwrap();
    assert!(size(&socket).unwrap() < before, "the option is set");
    // It may even be taken back from inside.
    let taken = socket.native(|_| socket.clone().into_inner().unwrap());
    assert!(!socket.is_valid() && size(&socket).is_none(), "gone");
    drop(taken);
    assert!(is_closed(&theirs), "and closed with what was taken");
}

#[test]
fn a_socket_that_nobody_connects_says_so_instead_of_keeping_the_loop_busy() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let native = Native::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let kinds = Callbacks::CONNECT | Callbacks::READ;
    let socket = watched(SocketOptions::new(), native, kinds, &log, |_, _, event| {
        let WatchEvent::ConnectFailed(ConnectError::Failed(error)) = event else {
            panic!("{event:?}");
        };
        assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    });
    (0..3).for_each(|_| pass());
    assert_eq!(log.take().len(), 1, "once");
    assert!(!socket.is_valid(), "there will be no connection");
}

#[test]
fn connected_is_a_kind_that_listeners_and_datagrams_without_a_peer_never_have() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let kinds = Callbacks::CONNECT | Callbacks::READ;
    let datagrams = UdpSocket::bind(anywhere()).unwrap();
    let to = datagrams.local_addr().unwrap();
    let client = UdpSocket::bind(anywhere()).unwrap();
    let socket = watched(
        SocketOptions::new(),
        datagrams,
        kinds,
        &log,
        |_, socket, _| {
            socket.pause();
        },
    );
    client.send_to(b"x", to).unwrap();
    assert_eq!(pass_until(&log, 1), ["Readable"]);
    socket.invalidate();

    let listener = TcpListener::bind(anywhere()).unwrap();
    let to = listener.local_addr().unwrap();
    let socket = watched(
        SocketOptions::new(),
        listener,
        kinds,
        &log,
        |_, socket, _| {
            socket.pause();
        },
    );
    let _client = TcpStream::connect(to).unwrap();
    assert_eq!(pass_until(&log, 1), ["Readable"]);
    socket.invalidate();

    client.connect(to).unwrap();
    let socket = watched(SocketOptions::new(), client, kinds, &log, |_, _, _| ());
    assert_eq!(pass_until(&log, 1), ["Connected"], "it has a peer");
    socket.invalidate();
}
