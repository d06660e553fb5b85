//! What becomes of requests when their port, or their link, is ended under them.

use std::sync::mpsc::{Receiver, Sender, channel};

use messageport::{Message, RemotePort, Reply, SendError};
use runloop::{Limit, Mode, ReturnAfter, RunLoop};
use tests::{Log, Watchdog};

use crate::children::{Child, ECHO, INVALIDATE};
use crate::support::{Place, Server, assert_same, patiently, pattern, wait_until};

/// A server that says when it has begun and ends when it is told, with that many bytes.
fn slow(place: &Place) -> (Server, RemotePort, Receiver<()>, Sender<usize>) {
    let (begins, begun) = channel();
    let (go, wait) = channel();
    let server = Server::start(place, "slow", move |_: Message| {
        begins.send(()).unwrap();
        pattern(wait.recv().unwrap(), 1)
    });
    let remote = place.connect("slow");
    (server, remote, begun, go)
}

/// Starts a thread that asks and waits for as long as it takes.
fn ask(remote: &RemotePort) -> std::thread::JoinHandle<Result<Vec<u8>, SendError>> {
    let remote = remote.clone();
    std::thread::spawn(move || {
        let reply = remote.request_with(1, b"", patiently());
        reply.map(messageport::Payload::into_vec)
    })
}

#[test]
pub(crate) fn the_reply_of_a_handler_that_ends_its_own_port_arrives() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for _ in 0..20 {
        let server = Server::start(&place, "last", |message: Message| {
            message.port().invalidate();
            "the last words"
        });
        let reply = place
            .connect("last")
            .request_with(1, b"", patiently())
            .unwrap();
        assert_eq!(&reply[..], b"the last words");
        assert!(!server.port.is_valid(), "it is ended");
    }
    let _child = Child::start("server", &place, "other process");
    let remote = place.connect("other process");
    let reply = remote.request_with(INVALIDATE, b"", patiently()).unwrap();
    assert_eq!(&reply[..], b"the last words");
    let after = remote.request_with(ECHO, b"", patiently());
    assert!(
        matches!(after, Err(SendError::Invalid | SendError::BecameInvalid)),
        "{after:?}"
    );
}

#[test]
pub(crate) fn a_reply_in_the_making_goes_out_whole_when_another_thread_ends_the_port() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for size in [0, 10, 3_000_000, 20_000_000] {
        let (server, remote, begun, go) = slow(&place);
        let asking = ask(&remote);
        begun.recv().unwrap();
        server.port.invalidate();
        go.send(size).unwrap();
        let reply = asking.join().unwrap().unwrap();
        assert_same(&reply, &pattern(size, 1), "the last reply");
    }
}

#[test]
fn a_look_at_a_closing_port_leaves_the_reply_that_is_being_made() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (server, remote, begun, go) = slow(&place);
    let asking = ask(&remote);
    begun.recv().unwrap();
    server.port.invalidate();
    assert!(!remote.is_valid(), "it takes nothing new");
    let refused = remote.send(1, b"");
    assert!(
        matches!(refused, Err(SendError::Invalid)),
        "known before the call: {refused:?}"
    );
    let refused = remote.request_with(1, b"", patiently());
    assert!(matches!(refused, Err(SendError::Invalid)), "{refused:?}");
    go.send(5).unwrap();
    assert_eq!(asking.join().unwrap().unwrap(), pattern(5, 1));
}

#[test]
pub(crate) fn requests_that_wait_behind_a_running_handler_fail_at_once_when_the_port_is_ended() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (server, remote, begun, go) = slow(&place);
    let running = ask(&remote);
    begun.recv().unwrap();
    // One on the link of the running request, one on another, and one that the port has not even accepted.
    let behind = ask(&remote);
    let others = [place.connect("slow"), place.connect("slow")];
    let waiting = others.each_ref().map(ask);
    let sent = |remote: &RemotePort| remote.statistics().sent;
    wait_until(|| sent(&remote) == 2 && others.iter().all(|other| sent(other) == 1));
    server.port.invalidate();
    for thread in [behind].into_iter().chain(waiting) {
        let ended = thread.join().unwrap();
        assert!(matches!(ended, Err(SendError::BecameInvalid)), "{ended:?}");
    }
    assert!(
        !running.is_finished(),
        "it still waits for what is being made"
    );
    go.send(3).unwrap();
    assert_eq!(running.join().unwrap().unwrap(), pattern(3, 1));
}

#[test]
fn no_message_is_handled_after_a_handler_has_ended_its_port() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.port("ends", move |message| {
        told.add(format!("{}", message.id()));
        if message.id() == 2 {
            message.port().invalidate();
        }
    });
    // All of them wait in two rings before the first is served.
    let remotes = [place.connect("ends"), place.connect("ends")];
    for id in [1, 2, 3] {
        remotes[0].send(id, b"").unwrap();
    }
    remotes[1].send(4, b"").unwrap();
    let run_loop = RunLoop::current();
    run_loop.add(&port, Mode::DEFAULT).unwrap();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit);
    let _finished = outcome.unwrap();
    let lines = log.take();
    assert_eq!(
        lines.last().map(String::as_str),
        Some("2"),
        "the last in {lines:?}"
    );
    for remote in remotes {
        assert!(!remote.is_valid(), "it has been told");
    }
}

#[test]
fn who_waits_for_a_closing_port_sleeps_meanwhile() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (server, remote, begun, go) = slow(&place);
    let (out, passes) = channel();
    let asking = std::thread::spawn(move || {
        let reply = remote.request_with(1, b"", patiently()).map(drop);
        out.send(RunLoop::current().statistics().passes).unwrap();
        reply
    });
    begun.recv().unwrap();
    server.port.invalidate();
    std::thread::sleep(std::time::Duration::from_millis(100));
    go.send(1).unwrap();
    asking.join().unwrap().unwrap();
    let passes = passes.recv().unwrap();
    assert!(passes < 50, "{passes} passes in a tenth of a second");
}

#[test]
fn ending_a_link_from_another_thread_ends_its_waiting_calls_at_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let child = Child::start("server", &place, "frozen");
    let remote = place.connect("frozen");
    assert_eq!(&remote.request(ECHO, b"x").unwrap()[..], b"x");
    child.freeze();
    let asks = [ask(&remote), ask(&remote)];
    // What has been sent waits for its reply; and there must be room for both.
    wait_until(|| remote.statistics().sent == 3);
    let (sending, waits) = (remote.clone(), Mode::new("waits"));
    let (begins, begun) = channel();
    let sends = std::thread::spawn(move || {
        // In this mode the thread's loop runs only while the call waits.
        let run_loop = RunLoop::current();
        drop(run_loop.perform(waits, move |_| begins.send(()).unwrap()));
        let data = vec![0; 10_000_000];
        let options = patiently().in_mode(waits);
        sending.send_with(ECHO, &data, options).unwrap_err()
    });
    begun.recv().unwrap();
    remote.invalidate();
    for thread in asks {
        let ended = thread.join().unwrap();
        assert!(matches!(ended, Err(SendError::BecameInvalid)), "{ended:?}");
    }
    let ended = sends.join().unwrap();
    assert!(matches!(ended, SendError::BecameInvalid), "{ended}");
    assert!(!remote.is_valid(), "for all who share it");
    child.thaw();
    // Another link to the same port is none of its business.
    assert_eq!(
        &place.connect("frozen").request(ECHO, b"y").unwrap()[..],
        b"y"
    );
}

#[test]
fn a_handler_that_ends_the_link_it_is_asked_over_ends_that_request_only() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (out, remotes) = channel::<RemotePort>();
    let (go, wait) = channel();
    let _server = Server::start(&place, "ended", move |message: Message| {
        if message.id() == 1 {
            remotes.recv().unwrap().invalidate();
            // A reply that came before the asker looked would win.
            wait.recv().unwrap();
        }
        Reply::from("answered")
    });
    let remote = place.connect("ended");
    out.send(remote.clone()).unwrap();
    let ended = remote.request_with(1, b"", patiently());
    assert!(matches!(ended, Err(SendError::BecameInvalid)), "{ended:?}");
    go.send(()).unwrap();
    let next = place.connect("ended");
    assert_eq!(&next.request(2, b"").unwrap()[..], b"answered");
}

#[test]
fn a_panic_in_a_handler_ends_its_request_and_its_port_and_leaves_the_loop_usable() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let bad = place.served("bad", |_| -> Reply { panic!("as the test wants it") });
    let told = log.clone();
    let good = place.served("good", move |_| told.add("good"));
    let run_loop = RunLoop::current();
    let (bad_remote, good_remote) = (place.connect("bad"), place.connect("good"));
    let asking = ask(&bad_remote);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run_loop.run()));
    assert!(unwound.is_err(), "the panic comes out of the run");
    let ended = asking.join().unwrap();
    assert!(matches!(ended, Err(SendError::BecameInvalid)), "{ended:?}");
    assert!(
        !bad.is_valid() && !bad_remote.is_valid(),
        "the port is ended"
    );
    let next = place.served("bad", |_| "a new one");
    good_remote.send(1, b"").unwrap();
    let asking = ask(&place.connect("bad"));
    while log.count() == 0 || !asking.is_finished() {
        crate::support::pass();
    }
    assert_eq!(asking.join().unwrap().unwrap(), b"a new one");
    wait_until(|| good.is_valid() && next.is_valid());
}
