//! A forked child that executes nothing: every call answers an error there, and the parent is not disturbed.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use messageport::{
    ClaimError, ConnectError, CreateError, LocalPort, OpenError, RemotePort, SendError,
};
use runloop::{Mode, RunLoop};
use tests::{Watchdog, fork, fork_and_wait, in_own_process, leave};
use timer_source::Timer;

use crate::support::{Place, Server, patiently};

#[test]
fn in_a_forked_child_every_call_answers_an_error_and_the_parent_is_undisturbed() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let server = Server::echo(&place, "served");
        let remote = place.connect("served");
        let idle = place.connect("served");
        assert_eq!(&remote.request(1, b"before").unwrap()[..], b"before");
        let own = place.served("own", |_| ());

        let status = fork_and_wait(|| {
            let checks = [
                !remote.is_valid() && !idle.is_valid() && !own.is_valid(),
                matches!(remote.send(1, b"x"), Err(SendError::Invalid)),
                matches!(
                    remote.request_with(1, b"x", patiently()),
                    Err(SendError::Invalid)
                ),
                matches!(
                    idle.request_with(1, b"x", patiently()),
                    Err(SendError::Invalid)
                ),
                matches!(
                    LocalPort::create_in(&place.directory, "new", |_| ())
                        .unwrap_err()
                        .error,
                    CreateError::Claim(ClaimError::Forked)
                ),
                matches!(
                    RemotePort::connect_in(&place.directory, "served"),
                    Err(OpenError::Connect(ConnectError::Forked))
                ),
            ];
            remote.invalidate();
            own.invalidate();
            drop((remote.clone(), own.clone()));
            // The number of the first check that failed, from one.
            let failed = checks.iter().position(|&good| !good);
            failed.map_or(0, |place| i32::try_from(place + 1).unwrap())
        });
        assert_eq!(status.code(), Some(0), "{status}");

        assert_eq!(&remote.request(1, b"after").unwrap()[..], b"after");
        assert_eq!(&idle.request(1, b"idle").unwrap()[..], b"idle");
        assert!(
            own.is_valid() && server.port.is_valid(),
            "the names are still ours"
        );
        assert!(place.connect("own").is_valid(), "and can be found");
    });
}

#[test]
fn a_child_that_drops_everything_takes_nothing_from_its_parent() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let server = Server::echo(&place, "served");
        let mut remote = Some(place.connect("served"));
        let mut own = Some(place.served("own", |_| ()));
        let asked = remote.as_ref().unwrap();
        assert_eq!(&asked.request(1, b"before").unwrap()[..], b"before");
        let status = fork_and_wait(|| {
            drop(remote.take());
            drop(own.take());
            0
        });
        assert_eq!(status.code(), Some(0), "{status}");
        let asked = remote.as_ref().unwrap();
        assert_eq!(&asked.request(1, b"after").unwrap()[..], b"after");
        assert!(own.as_ref().unwrap().is_valid(), "it is ours");
        place.connect("own").send(1, b"").unwrap();
        drop(server);
    });
}

#[test]
fn a_handler_that_forks_and_returns_in_the_child_is_answered_by_the_parent_alone() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let child = Rc::new(Cell::new(None));
        let forked = Rc::clone(&child);
        let port = place.served("forks", move |message| {
            if message.id() == 1 {
                forked.set(fork());
            }
            message.data().to_vec()
        });
        let remote = place.connect("forks");
        let options = patiently().in_mode(Mode::DEFAULT);
        let parent = std::process::id();
        let reply = remote.request_with(1, b"once", options);
        if std::process::id() != parent {
            // In the child the wait ends, since its loop is not its own, and nothing has touched the parent's memory.
            let ended = matches!(reply, Err(SendError::Wait(_) | SendError::Invalid));
            let invalid = !port.is_valid() && !remote.is_valid();
            drop((remote, port));
            leave(if ended && invalid { 0 } else { 1 });
        }
        assert_eq!(&reply.unwrap()[..], b"once");
        let status = child.take().unwrap().wait();
        assert_eq!(status.code(), Some(0), "{status}");
        assert_eq!(remote.late_replies(), 0, "the child has answered nothing");
        let next = remote.request_with(2, b"again", options).unwrap();
        assert_eq!(&next[..], b"again");
        drop(port);
    });
}

#[test]
fn a_callback_that_forks_during_a_large_send_leaves_the_message_to_the_parent() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let _server = Server::start(&place, "large", |message| {
            message.data().len().to_le_bytes().to_vec()
        });
        let remote = place.connect("large");
        let child = Rc::new(Cell::new(None));
        let forked = Rc::clone(&child);
        let mode = Mode::new("ports.forking");
        let run_loop = RunLoop::current();
        let timer = Timer::once(Duration::ZERO, move |_, _| forked.set(fork()));
        run_loop.add(&timer, mode).unwrap();
        let parent = std::process::id();
        let sent = vec![1; 50_000_000];
        let reply = remote.request_with(1, &sent, patiently().in_mode(mode));
        if std::process::id() != parent {
            leave(if reply.is_err() { 0 } else { 1 });
        }
        assert_eq!(&reply.unwrap()[..], 50_000_000_usize.to_le_bytes());
        let status = child.take().unwrap().wait();
        assert_eq!(status.code(), Some(0), "{status}");
    });
}
