//! The end of a socket: invalidated in its own callback, from other threads, taken back, or left behind; and its
//! descriptor is closed.

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc::channel;

use runloop::{AddError, Mode, Outcome, RunLoop, Signalled};
use socket_source::{Socket, SocketOptions, StreamEvent, TakeError};
use tests::{Log, Watchdog, fork_and_wait, in_own_process, open_descriptors};

use crate::{address_of, drain, is_closed, listener, pass, recorded, run};

/// A stream that was taken back, so that it can be read to its end.
fn blocking(fd: OwnedFd) -> UnixStream {
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false).unwrap();
    stream
}

#[test]
fn a_socket_invalidated_in_its_own_callback_gets_no_further_byte_and_is_closed() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let told = log.clone();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let options = SocketOptions::new().bytes_per_pass(1);
    let captured = Rc::new(());
    let held = Rc::clone(&captured);
    let socket = Socket::reading_with(options, ours, move |_, socket, event| {
        let _held = &held;
        told.add(format!("{event:?}"));
        socket.invalidate();
        assert!(!socket.is_valid(), "at once");
        assert!(
            socket.local_address().is_err(),
            "nothing can be asked of it"
        );
        let taken = socket.clone().into_inner();
        assert_eq!(taken.unwrap_err(), TakeError::Invalid, "nor taken back");
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    theirs.write_all(b"ab").unwrap();
    for _ in 0..3 {
        pass();
    }
    assert_eq!(log.take(), ["Data(b\"a\")"]);
    assert_eq!(Rc::strong_count(&captured), 1, "the callback is gone");
    assert!(is_closed(&theirs), "so is the descriptor");
    let again = RunLoop::current().add(&socket, Mode::DEFAULT);
    assert!(matches!(again, Err(AddError::Invalid)), "{again:?}");
}

#[test]
fn a_socket_invalidated_from_another_thread_is_closed_by_its_loop() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &log);
    let remote = socket.clone();
    std::thread::spawn(move || remote.invalidate())
        .join()
        .unwrap();
    theirs.write_all(b"too late").unwrap();
    let ran = RunLoop::current().run().unwrap();
    assert_eq!(ran, Outcome::Finished, "the mode is empty");
    assert_eq!(log.take(), Vec::<String>::new(), "no callback began");
    assert!(is_closed(&theirs), "closed");
    assert!(!socket.is_valid(), "for everybody");
}

#[test]
fn invalidating_from_another_thread_ends_a_loop_that_sleeps() {
    let _watchdog = Watchdog::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &Log::new());
    let handle = RunLoop::current().handle();
    let remote = std::thread::spawn(move || {
        while !handle.is_waiting().unwrap() {
            std::hint::spin_loop();
        }
        socket.invalidate();
        drain(theirs)
    });
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
    assert_eq!(
        remote.join().unwrap(),
        "",
        "closed while a handle was still there"
    );
}

#[test]
fn a_socket_taken_back_in_its_callback_has_all_that_was_not_delivered() {
    let _watchdog = Watchdog::new();
    let (sent, received) = channel();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let options = SocketOptions::new().bytes_per_pass(4);
    let socket = Socket::reading_with(options, ours, move |run_loop, socket, _| {
        sent.send(socket.clone().into_inner().unwrap()).unwrap();
        assert!(!socket.is_valid(), "it is somebody else's now");
        assert_eq!(socket.clone().into_inner().unwrap_err(), TakeError::Invalid);
        run_loop.stop();
    });
    RunLoop::current()
        .add(&socket.unwrap(), Mode::DEFAULT)
        .unwrap();
    theirs.write_all(b"headbody").unwrap();
    drop(theirs);
    run();
    assert_eq!(drain(blocking(received.recv().unwrap())), "body");
}

#[test]
fn another_thread_takes_a_socket_back_only_when_no_loop_watches_it() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &log);
    let remote = socket.clone();
    let refused = std::thread::spawn(move || remote.into_inner())
        .join()
        .unwrap();
    assert_eq!(refused.unwrap_err(), TakeError::Watched);
    theirs.write_all(b"as before").unwrap();
    pass();
    assert_eq!(log.take(), ["as before"], "nothing has changed");

    let remote = socket.clone();
    assert!(
        RunLoop::current().remove(&socket, Mode::DEFAULT),
        "it was there"
    );
    let taken = std::thread::spawn(move || remote.into_inner())
        .join()
        .unwrap();
    drop(theirs);
    assert_eq!(drain(blocking(taken.unwrap())), "", "it is open");
    assert!(!socket.is_valid(), "for everybody");
}

#[test]
fn a_socket_lives_in_its_mode_without_handles_and_nowhere_else() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    drop(recorded(SocketOptions::new(), ours, &log));
    theirs.write_all(b"alive").unwrap();
    pass();
    assert_eq!(log.take(), ["alive"]);
    drop(theirs);
    run();
    assert_eq!(log.take(), ["Ended"]);

    // One that takes itself out of its only mode and drops its last handle, while its callback runs.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let told = log.clone();
    let socket = Socket::reading(ours, move |run_loop, socket, _| {
        let removed = run_loop.remove(socket, Mode::DEFAULT);
        told.add(format!("removed: {removed}"));
    });
    RunLoop::current()
        .add(&socket.unwrap(), Mode::DEFAULT)
        .unwrap();
    theirs.write_all(b"go").unwrap();
    pass();
    assert_eq!(log.take(), ["removed: true"]);
    assert!(is_closed(&theirs), "closed");

    // One that never was in a mode.
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(Socket::reading(ours, |_, _, _| {}).unwrap());
    assert!(is_closed(&theirs), "closed");
}

#[test]
fn a_socket_may_leave_a_loop_and_come_back() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &log);
    let run_loop = RunLoop::current();
    for text in ["one", "two"] {
        assert!(run_loop.remove(&socket, Mode::DEFAULT), "it was there");
        theirs.write_all(text.as_bytes()).unwrap();
        pass();
        assert_eq!(log.take(), Vec::<String>::new(), "it is nowhere");
        run_loop.add(&socket, Mode::COMMON).unwrap();
        pass();
        assert_eq!(log.take(), [text]);
        assert!(run_loop.remove(&socket, Mode::COMMON), "it was there");
        run_loop.add(&socket, Mode::DEFAULT).unwrap();
    }
    socket.invalidate();
}

#[test]
fn a_socket_belongs_to_the_thread_that_makes_it() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let socket = Socket::reading(ours, |_, _, _| {}).unwrap();
    let added = std::thread::spawn(move || RunLoop::current().add(&socket, Mode::DEFAULT));
    assert!(matches!(added.join().unwrap(), Err(AddError::OtherLoop)));
}

#[test]
fn the_end_of_its_thread_closes_a_socket_that_others_hold() {
    let _watchdog = Watchdog::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let thread = std::thread::spawn(move || recorded(SocketOptions::new(), ours, &Log::new()));
    let socket = thread.join().unwrap();
    assert_eq!(drain(theirs), "", "closed");
    assert!(socket.peer_address().is_err(), "and not to be asked");
    socket.pause();
    socket.resume();
    socket.invalidate();
    assert_eq!(socket.into_inner().unwrap_err(), TakeError::Invalid);
}

/// Uses sockets up in every way there is.
fn use_sockets_up() {
    let run_loop = RunLoop::current();
    // Accepted and not taken; the listener invalidated in its callback, with a connection still waiting.
    let listening = listener(SocketOptions::new(), |run_loop, listener, accepted| {
        drop(accepted.unwrap());
        listener.invalidate();
        run_loop.stop();
    });
    let address = address_of(&listening);
    let clients = [(); 2].map(|()| TcpStream::connect(address).unwrap());
    run();
    drop(clients);
    // A callback that holds its own socket.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let own = Rc::new(std::cell::RefCell::new(None));
    let kept = Rc::clone(&own);
    let socket = Socket::reading(ours, move |run_loop, _, event| {
        assert!(
            matches!(event, StreamEvent::Ended) && kept.borrow().is_some(),
            "{event:?}"
        );
        run_loop.stop();
    });
    let socket = socket.unwrap();
    own.replace(Some(socket.clone()));
    run_loop.add(&socket, Mode::COMMON).unwrap();
    drop(theirs);
    run();
    assert_eq!(Rc::strong_count(&own), 1, "the callback is gone");
    // From another thread, while the loop runs.
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &Log::new());
    std::thread::spawn(move || socket.invalidate())
        .join()
        .unwrap();
    let _finished = run_loop.run().unwrap();
    // Refused by `accepting`, and dropped with the error.
    let (ours, _theirs) = UnixStream::pair().unwrap();
    drop(Socket::accepting(ours, |_, _, _| {}));
    // Taken back, and removed.
    let (ours, _theirs) = UnixStream::pair().unwrap();
    drop(
        recorded(SocketOptions::new(), ours, &Log::new())
            .into_inner()
            .unwrap(),
    );
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &Log::new());
    assert!(run_loop.remove(&socket, Mode::DEFAULT), "it was there");
}

#[test]
fn a_socket_that_is_invalidated_at_home_is_closed_at_once() {
    in_own_process!({
        let kept = Signalled::new(|_| {});
        RunLoop::current().add(&kept, Mode::DEFAULT).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        recorded(SocketOptions::new(), ours, &Log::new()).invalidate();
        drop(theirs);
        let before = open_descriptors();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let socket = recorded(SocketOptions::new(), ours, &Log::new());
        assert_ne!(open_descriptors(), before, "a precondition");
        socket.invalidate();
        drop(theirs);
        assert_eq!(open_descriptors(), before, "before the loop has run");
    });
}

#[test]
fn a_forked_child_cannot_use_or_disturb_the_sockets_of_its_parent() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = recorded(SocketOptions::new(), ours, &log);
        let child = fork_and_wait(|| {
            socket.pause();
            socket.resume();
            let refused = matches!(socket.clone().into_inner(), Err(TakeError::Watched));
            socket.invalidate();
            let ran = RunLoop::current().run().is_err();
            i32::from(!(refused && ran))
        });
        assert!(child.success(), "in the child: {child}");
        theirs.write_all(b"as before").unwrap();
        pass();
        assert_eq!(log.take(), ["as before"]);
    });
}

#[test]
fn sockets_have_no_thread_of_their_own() {
    in_own_process!({
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        let pairs = [(); 20].map(|()| UnixStream::pair().unwrap());
        for (ours, theirs) in pairs {
            recorded(SocketOptions::new(), ours, &Log::new());
            drop(theirs);
        }
        listener(SocketOptions::new(), |_, _, _| {});
        run();
        assert_eq!(threads(), before);
    });
}

#[test]
fn no_descriptor_outlives_its_socket() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        // What the loop itself keeps open comes first.
        let first = Signalled::new(|_| {});
        RunLoop::current().add(&first, Mode::DEFAULT).unwrap();
        use_sockets_up_beside(&first);
        let before = open_descriptors();
        use_sockets_up_beside(&first);
        assert_eq!(open_descriptors(), before);
    });
}

/// As above, without what keeps the mode from being empty.
fn use_sockets_up_beside(other: &Signalled) {
    let run_loop = RunLoop::current();
    assert!(run_loop.remove(other, Mode::DEFAULT), "it was there");
    use_sockets_up();
    run_loop.add(other, Mode::DEFAULT).unwrap();
}
