//! Listening sockets hand out connections, fairly and as they are wanted.

use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, UnixListener, UnixStream};

use runloop::{Limit, Mode, ReturnAfter, RunLoop};
use socket_source::{AcceptError, BindError, Callbacks, Reenable, SockAddr, Socket, SocketOptions};
use tests::{Log, Watchdog};

use crate::{
    Place, address_of, anywhere, count_passes, drain, is_well_made, listener, pass, pass_until,
    recorded, run,
};

/// Accepts one connection, reads it to its end, and answers what came of both.
fn accept_and_read(
    listening: &Socket,
    log: &Log,
    client: impl FnOnce() + Send + 'static,
) -> Vec<String> {
    RunLoop::current().add(listening, Mode::DEFAULT).unwrap();
    let client = std::thread::spawn(client);
    run();
    client.join().unwrap();
    let lines = log.take();
    vec![
        lines[0].clone(),
        lines[1..lines.len() - 1].concat(),
        lines[lines.len() - 1].clone(),
    ]
}

/// A callback that reads what it is given, and writes down who has come.
fn reader(
    log: &Log,
) -> impl FnMut(&RunLoop, &Socket, Result<socket_source::Accepted, AcceptError>) + 'static {
    let log = log.clone();
    move |_, _, accepted| {
        let accepted = accepted.unwrap();
        let peer = accepted.peer();
        let name = match (
            peer.as_socket(),
            peer.as_pathname(),
            peer.as_abstract_namespace(),
        ) {
            (Some(address), _, _) => address.ip().to_string(),
            (_, Some(path), _) => path.file_name().unwrap().to_string_lossy().into_owned(),
            (_, _, Some(name)) => format!("@{}", String::from_utf8_lossy(name)),
            _ => "nobody".to_owned(),
        };
        log.add(name);
        recorded(SocketOptions::new(), accepted, &log);
    }
}

fn say(mut stream: impl Write) {
    stream.write_all(b"hello ").unwrap();
    stream.write_all(b"world").unwrap();
}

#[test]
fn a_connection_over_ipv4_is_accepted_and_read() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let listening = Socket::listening(anywhere(), reader(&log)).unwrap();
    let address = address_of(&listening);
    let said = accept_and_read(&listening, &log, move || {
        say(TcpStream::connect(address).unwrap())
    });
    assert_eq!(said, ["127.0.0.1", "hello world", "Ended"]);
}

#[test]
fn a_connection_over_ipv6_is_accepted_and_read() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let has_ipv6 = TcpListener::bind(address).is_ok();
    let listening = match Socket::listening(address, reader(&log)) {
        Ok(listening) => listening,
        Err(error) => {
            println!("this machine has no ::1, so only the error is looked at: {error:?}");
            assert!(!has_ipv6, "the standard library can listen there");
            assert!(
                matches!(error, BindError::Create(_) | BindError::Bind(_)),
                "{error:?}"
            );
            return;
        }
    };
    let address = address_of(&listening);
    let said = accept_and_read(&listening, &log, move || {
        say(TcpStream::connect(address).unwrap())
    });
    assert_eq!(said, ["::1", "hello world", "Ended"]);
}

#[test]
fn a_connection_over_a_path_is_accepted_and_read() {
    let _watchdog = Watchdog::new();
    let (log, place) = (Log::new(), Place::new("path"));
    let path = place.path("listener");
    let listening = Socket::listening(SockAddr::unix(&path).unwrap(), reader(&log)).unwrap();
    assert_eq!(
        listening.local_address().unwrap().as_pathname(),
        Some(path.as_path())
    );
    let said = accept_and_read(&listening, &log, move || {
        say(UnixStream::connect(path).unwrap())
    });
    assert_eq!(said, ["nobody", "hello world", "Ended"]);
}

#[test]
fn a_unix_peer_with_a_name_is_known_by_it() {
    let _watchdog = Watchdog::new();
    let (log, place) = (Log::new(), Place::new("named"));
    let (ours, theirs) = (place.path("ours"), place.path("theirs"));
    let listening = Socket::listening(SockAddr::unix(&ours).unwrap(), reader(&log)).unwrap();
    RunLoop::current().add(&listening, Mode::DEFAULT).unwrap();
    let hidden = format!("\0socket-tests-{}", std::process::id());
    for name in [theirs.to_str().unwrap(), hidden.as_str()] {
        let client = socket_source::socket2::Socket::new(
            socket_source::socket2::Domain::UNIX,
            socket_source::socket2::Type::STREAM,
            None,
        );
        let client = client.unwrap();
        client.bind(&SockAddr::unix(name).unwrap()).unwrap();
        client.connect(&SockAddr::unix(&ours).unwrap()).unwrap();
        drop(client);
        run();
    }
    let hidden = hidden.replace('\0', "@");
    assert_eq!(log.take(), ["theirs", "Ended", &hidden, "Ended"]);
}

#[test]
fn listeners_from_elsewhere_are_taken_as_they_are() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let listener = TcpListener::bind(anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    let listening = Socket::accepting(listener, reader(&log)).unwrap();
    let said = accept_and_read(&listening, &log, move || {
        say(TcpStream::connect(address).unwrap())
    });
    assert_eq!(said, ["127.0.0.1", "hello world", "Ended"]);
    listening.invalidate();

    let name =
        net::SocketAddr::from_abstract_name(format!("socket-tests-{}-2", std::process::id()));
    let name = name.unwrap();
    let listening =
        Socket::accepting(UnixListener::bind_addr(&name).unwrap(), reader(&log)).unwrap();
    let said = accept_and_read(&listening, &log, move || {
        say(UnixStream::connect_addr(&name).unwrap())
    });
    assert_eq!(said, ["nobody", "hello world", "Ended"]);
}

/// A listener at which so many are waiting already: those of a path wait as soon as they have connected.
fn crowded(
    options: SocketOptions,
    clients: usize,
    mut accept: impl FnMut(Result<socket_source::Accepted, AcceptError>) + 'static,
) -> (Socket, Vec<UnixStream>) {
    let place = Place::new(&format!("crowded-{clients}"));
    let path = place.path("listener");
    let address = SockAddr::unix(&path).unwrap();
    let listener = Socket::listening_with(options, address, move |_, _, one| accept(one)).unwrap();
    RunLoop::current().add(&listener, Mode::DEFAULT).unwrap();
    let connect = |_| UnixStream::connect(&path).unwrap();
    (listener, (0..clients).map(connect).collect())
}

#[test]
fn waiting_connections_are_accepted_in_one_pass_up_to_the_limit() {
    let _watchdog = Watchdog::new();
    for (options, expected) in [
        (SocketOptions::new(), [16, 4, 0]),
        (SocketOptions::new().accepts_per_pass(9), [9, 9, 2]),
        (SocketOptions::new().accepts_per_pass(0), [1, 1, 1]),
    ] {
        let log = Log::new();
        let counted = log.clone();
        let (listener, clients) = crowded(options, 20, move |accepted| {
            counted.add(accepted.map_or_else(|error| error.to_string(), |_| "one".to_owned()));
        });
        let accepted = expected.map(|_| {
            pass();
            log.take().len()
        });
        assert_eq!(accepted, expected, "per pass");
        drop(clients);
        listener.invalidate();
    }
}

#[test]
fn others_have_their_turn_between_two_batches_of_connections() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let counted = log.clone();
    let options = SocketOptions::new().accepts_per_pass(2).order(-1);
    let (listener, clients) = crowded(options, 4, move |_| counted.add("accepted"));
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let other = recorded(SocketOptions::new(), ours, &log);
    theirs.write_all(b"other").unwrap();
    assert_eq!(
        pass_until(&log, 5),
        ["accepted", "accepted", "other", "accepted", "accepted"]
    );
    drop(clients);
    listener.invalidate();
    other.invalidate();
}

#[test]
fn what_the_callback_does_to_its_listener_holds_for_the_next_connection() {
    let _watchdog = Watchdog::new();
    let actions: [fn(&RunLoop, &Socket); 4] = [
        |_, listener| listener.pause(),
        |run_loop, listener| assert!(run_loop.remove(listener, Mode::DEFAULT), "once"),
        |_, listener| listener.invalidate(),
        |_, listener| drop(listener.clone().into_inner().unwrap()),
    ];
    for (number, action) in actions.into_iter().enumerate() {
        let log = Log::new();
        let counted = log.clone();
        let listener = listener(SocketOptions::new(), move |run_loop, listener, _| {
            counted.add("accepted");
            action(run_loop, listener);
        });
        let address = address_of(&listener);
        let clients = [(); 3].map(|()| TcpStream::connect(address).unwrap());
        let mut told = pass_until(&log, 1);
        for _ in 0..3 {
            pass();
        }
        told.extend(log.take());
        assert_eq!(told, ["accepted"], "action {number}");
        drop(clients);
        listener.invalidate();
    }
}

#[test]
fn a_paused_listener_leaves_connections_where_they_are() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let counted = log.clone();
    let options = SocketOptions::new()
        .paused()
        .reenable(Callbacks::READ, Reenable::ByHand);
    let listener = listener(options, move |_, _, _| counted.add("accepted"));
    let address = address_of(&listener);
    let _clients = [(); 3].map(|()| TcpStream::connect(address).unwrap());
    let (passes, observer) = count_passes();
    for asked in 1..=3 {
        for _ in 0..3 {
            pass();
        }
        assert_eq!(log.take(), Vec::<String>::new(), "not asked for");
        listener.resume();
        assert_eq!(pass_until(&log, 1), ["accepted"], "asked for {asked} times");
        assert!(listener.is_paused(), "paused before the callback");
    }
    assert!(passes.get() >= 9, "passes were made");
    observer.invalidate();
    listener.invalidate();
}

#[test]
fn a_nested_run_in_the_callback_does_not_accept_the_next_connection() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (outer, inner) = (log.clone(), log.clone());
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let other = recorded(SocketOptions::new(), ours, &inner);
    let listener = listener(SocketOptions::new(), move |run_loop, _, _| {
        outer.add("begin");
        theirs.write_all(b"other").unwrap();
        let ran = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::FirstSource);
        outer.add(format!("{:?}", ran.unwrap()));
    });
    let address = address_of(&listener);
    let _clients = [(); 2].map(|()| TcpStream::connect(address).unwrap());
    let one = ["begin", "other", "HandledSource"];
    assert_eq!(pass_until(&log, 6), [one, one].concat());
    listener.invalidate();
    other.invalidate();
}

#[test]
fn a_connection_that_nobody_takes_is_closed() {
    let _watchdog = Watchdog::new();
    let listener = listener(SocketOptions::new(), |run_loop, _, _| run_loop.stop());
    let client = TcpStream::connect(address_of(&listener)).unwrap();
    run();
    assert_eq!(drain(client), "", "the other side hears of it");
    listener.invalidate();
}

#[test]
fn every_descriptor_is_close_on_exec_and_non_blocking() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let told = log.clone();
    let listening = listener(SocketOptions::new(), move |run_loop, _, accepted| {
        let accepted = accepted.unwrap();
        assert!(is_well_made(&accepted), "an accepted one");
        let socket = Socket::reading(accepted.into_inner(), |_, _, _| {}).unwrap();
        assert!(
            is_well_made(&socket.into_inner().unwrap()),
            "one that is given back"
        );
        told.add("looked");
        run_loop.stop();
    });
    let _client = TcpStream::connect(address_of(&listening)).unwrap();
    run();
    assert_eq!(log.take(), ["looked"]);
    assert!(
        is_well_made(&listening.into_inner().unwrap()),
        "a listener made here"
    );

    // One that arrives without either of the two.
    let (bare, _theirs) = UnixStream::pair().unwrap();
    rustix::io::fcntl_setfd(&bare, rustix::io::FdFlags::empty()).unwrap();
    assert!(!is_well_made(&bare), "a precondition");
    let adopted = Socket::reading(bare, |_, _, _| {}).unwrap();
    assert!(
        is_well_made(&adopted.into_inner().unwrap()),
        "an adopted one"
    );
}
