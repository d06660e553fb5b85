//! What cannot be made or has failed is said by typed errors, and values come back.

use std::error::Error;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use runloop::{Mode, RunLoop};
use socket_source::socket2::SockRef;
use socket_source::{
    AcceptError, AddressError, AdoptError, BindError, SockAddr, Socket, SocketOptions, TakeError,
};
use tests::{Log, Watchdog, in_own_process};

use crate::{Place, address_of, anywhere, count_passes, listener, pass, run};

#[test]
fn an_address_in_use_is_refused() {
    let taken = TcpListener::bind(anywhere()).unwrap();
    let refused = Socket::listening(taken.local_addr().unwrap(), |_, _, _| {}).unwrap_err();
    let cause = refused
        .source()
        .and_then(|cause| cause.downcast_ref::<io::Error>());
    assert_eq!(cause.unwrap().kind(), io::ErrorKind::AddrInUse);

    let place = Place::new("taken");
    let path = place.path("taken");
    let _taken = UnixListener::bind(&path).unwrap();
    let refused = Socket::listening(SockAddr::unix(&path).unwrap(), |_, _, _| {});
    assert!(matches!(refused, Err(BindError::Bind(_))), "{refused:?}");
}

/// An address at which a connection lingers whose listener is gone. It is open: one that is closed lingers only as long as
/// the system's table of such connections has room, which other tests fill.
fn lingering() -> (std::net::SocketAddr, [TcpStream; 2]) {
    let listener = TcpListener::bind(anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    let accepted = listener.accept().unwrap().0;
    (address, [client, accepted])
}

#[test]
fn a_restarted_server_listens_at_once_unless_it_wants_the_address_for_itself() {
    // A process that another test starts would have a copy of the listener.
    in_own_process!({
        let (address, _connection) = lingering();
        let exclusive = SocketOptions::new().exclusive_address();
        let refused = Socket::listening_with(exclusive, address, |_, _, _| {});
        assert!(matches!(refused, Err(BindError::Bind(_))), "{refused:?}");
        let again = Socket::listening(address, |_, _, _| {}).unwrap();
        assert_eq!(address_of(&again), address, "by default");
    });
}

#[test]
fn a_backlog_is_as_long_as_it_is_asked_to_be() {
    let _watchdog = Watchdog::new();
    let place = Place::new("backlog");
    for most in [1, 5] {
        let path = place.path(&format!("{most}"));
        let options = SocketOptions::new().backlog(most);
        let address = SockAddr::unix(&path).unwrap();
        let _listener = Socket::listening_with(options, address, |_, _, _| {}).unwrap();
        let mut clients = Vec::new();
        loop {
            let client = socket_source::socket2::Socket::new(
                socket_source::socket2::Domain::UNIX,
                socket_source::socket2::Type::STREAM,
                None,
            );
            let client = client.unwrap();
            client.set_nonblocking(true).unwrap();
            if client.connect(&SockAddr::unix(&path).unwrap()).is_err() {
                break;
            }
            clients.push(client);
        }
        assert_eq!(
            clients.len(),
            usize::try_from(most).unwrap() + 1,
            "the kernel allows one more"
        );
    }
}

#[test]
fn a_descriptor_of_the_wrong_kind_comes_back() {
    let inode = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
    let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let stream: OwnedFd = UnixStream::pair().unwrap().0.into();
    let udp: OwnedFd = UdpSocket::bind(anywhere()).unwrap().into();
    let datagram: OwnedFd = UnixDatagram::unbound().unwrap().into();

    let was = inode(&file);
    let refused = Socket::reading(file, |_, _, _| {}).unwrap_err();
    assert!(matches!(refused, AdoptError::NotASocket(_)), "{refused:?}");
    let refused = Socket::accepting(refused.into_inner(), |_, _, _| {}).unwrap_err();
    assert!(matches!(refused, AdoptError::NotASocket(_)), "{refused:?}");
    assert_eq!(inode(&refused.into_inner()), was, "the same file");

    for (fd, name) in [(udp, "udp"), (datagram, "datagram")] {
        let was = inode(&fd);
        let refused = Socket::reading(fd, |_, _, _| {}).unwrap_err();
        assert!(
            matches!(refused, AdoptError::NotAStream(_)),
            "{name}: {refused:?}"
        );
        assert_eq!(inode(&refused.into_inner()), was, "the same {name} socket");
    }

    let refused = Socket::accepting(stream, |_, _, _| {}).unwrap_err();
    assert!(
        matches!(refused, AdoptError::NotListening(_)),
        "{refused:?}"
    );
}

#[test]
fn a_listener_that_somebody_shuts_down_fails_once_and_is_invalid() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let told = log.clone();
    let native = TcpListener::bind(anywhere()).unwrap();
    let copy = native.as_fd().try_clone_to_owned().unwrap();
    let listening = Socket::accepting(native, move |run_loop, _, accepted| {
        let failed = matches!(accepted, Err(AcceptError::Failed(_)));
        told.add(if failed {
            "failed".to_owned()
        } else {
            format!("{accepted:?}")
        });
        run_loop.stop();
    });
    let listening = listening.unwrap();
    RunLoop::current().add(&listening, Mode::DEFAULT).unwrap();
    SockRef::from(&copy)
        .shutdown(std::net::Shutdown::Both)
        .unwrap();
    run();
    assert_eq!(log.take(), ["failed"]);
    assert!(!listening.is_valid(), "it will not listen again");
    pass();
    assert_eq!(log.take(), Vec::<String>::new(), "and says so once");
}

#[test]
fn an_invalid_socket_knows_no_address_and_cannot_be_taken_back() {
    let listener = listener(SocketOptions::new(), |_, _, _| {});
    assert!(
        matches!(listener.peer_address(), Err(AddressError::Unknown(_))),
        "nobody is there"
    );
    listener.invalidate();
    assert!(
        matches!(listener.local_address(), Err(AddressError::Invalid)),
        "closed"
    );
    assert!(
        matches!(listener.peer_address(), Err(AddressError::Invalid)),
        "closed"
    );
    assert_eq!(listener.into_inner().unwrap_err(), TakeError::Invalid);
}

#[test]
fn errors_say_one_layer_in_lower_case() {
    let refused = Socket::accepting(UdpSocket::bind(anywhere()).unwrap(), |_, _, _| {});
    let texts = [
        refused.unwrap_err().to_string(),
        BindError::Bind(io::ErrorKind::AddrInUse.into()).to_string(),
        AcceptError::Failed(io::ErrorKind::InvalidInput.into()).to_string(),
        TakeError::Watched.to_string(),
    ];
    for text in texts {
        assert!(
            text.starts_with(char::is_lowercase) && !text.ends_with('.'),
            "{text}"
        );
        assert!(
            !text.contains("os error") && !text.contains("in use"),
            "{text}"
        );
    }
}

#[test]
fn a_quiet_listener_costs_no_pass() {
    let _watchdog = Watchdog::new();
    let listener = listener(SocketOptions::new(), |_, _, _| {});
    let (passes, observer) = count_passes();
    let run_loop = RunLoop::current();
    let limit = std::time::Duration::from_millis(50);
    let ran = run_loop.run_in_mode(Mode::DEFAULT, limit, runloop::ReturnAfter::Limit);
    assert_eq!(ran.unwrap(), runloop::Outcome::TimedOut);
    assert!(passes.get() <= 2, "{} passes for nothing", passes.get());
    observer.invalidate();
    listener.invalidate();
}
