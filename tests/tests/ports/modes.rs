//! In which mode a call waits, and what else is served meanwhile.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use messageport::{Message, Options, Reply, SendError};
use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop};
use tests::{Log, Watchdog};
use timer_source::Timer;

use crate::children::{Child, ROUNDS};
use crate::support::{LONG, Place, Server, assert_same, patiently, pattern, run_until};

fn in_default() -> Options {
    patiently().in_mode(Mode::DEFAULT)
}

#[test]
pub(crate) fn a_request_to_a_port_of_this_thread_is_answered_in_a_mode_that_serves_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _port = place.served("own", |message| message.data().to_vec());
    let remote = place.connect("own");
    for size in [0, 5, 100_000, 3_000_000, 20_000_000] {
        let sent = pattern(size, size);
        let reply = remote.request_with(1, &sent, in_default()).unwrap();
        assert_same(&reply, &sent, "what this thread sent itself");
    }
}

#[test]
fn a_request_that_only_this_thread_could_answer_fails_at_once_in_a_mode_that_cannot() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.port("own", move |_| told.add("served"));
    let remote = place.connect("own");
    let (run_loop, elsewhere) = (RunLoop::current(), Mode::new("ports.elsewhere"));
    let deadlocks = |options| {
        let ended = remote.request_with(1, b"", options);
        matches!(ended, Err(SendError::WouldDeadlock))
    };
    assert!(
        deadlocks(patiently()),
        "in no mode yet, and only this thread can add it"
    );
    run_loop.add(&port, Mode::DEFAULT).unwrap();
    assert!(deadlocks(patiently()), "the private mode serves nothing");
    assert!(
        deadlocks(patiently().in_mode(elsewhere)),
        "the port is not in that one"
    );
    run_until(|| {
        run_loop
            .run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit)
            .is_ok()
    });
    assert_eq!(log.take(), Vec::<String>::new(), "nothing was sent");

    run_loop.add(&port, elsewhere).unwrap();
    assert!(
        remote
            .request_with(1, b"", patiently().in_mode(elsewhere))
            .is_ok(),
        "now it is"
    );
    assert!(
        remote.request_with(1, b"", in_default()).is_ok(),
        "and here as well"
    );
    assert_eq!(log.take(), ["served"; 2]);
}

#[test]
fn a_send_that_only_this_thread_could_make_room_for_fails_at_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let port = place.served("own", |_| ());
    let remote = place.connect("own");
    let data = vec![0; 1_000_000];
    let full = loop {
        match remote.send_with(1, &data, patiently()) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendError::WouldDeadlock), "{full}");
    // Where this thread serves the port while it waits, there is room in time.
    remote.send_with(1, &data, in_default()).unwrap();
    remote
        .send_with(1, &vec![0; 30_000_000], in_default())
        .unwrap();
    drop(port);
}

#[test]
fn timers_of_the_reply_mode_fire_during_the_wait_and_others_do_not() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let (go, wait) = channel();
    let _server = Server::start(&place, "slow", move |_| wait.recv().unwrap());
    let remote = place.connect("slow");
    let (run_loop, other) = (RunLoop::current(), Mode::new("ports.other"));
    // The reply is made only when this has fired.
    let told = log.clone();
    let inside = Timer::once(Duration::from_millis(5), move |_, _| {
        told.add("fired");
        go.send(()).unwrap();
    });
    run_loop.add(&inside, Mode::DEFAULT).unwrap();
    let told = log.clone();
    let outside = Timer::once(Duration::ZERO, move |_, _| told.add("of the other mode"));
    run_loop.add(&outside, other).unwrap();
    remote.request_with(1, b"", in_default()).unwrap();
    assert_eq!(log.take(), ["fired"]);
    let outcome = run_loop.run_in_mode(other, Limit::Now, ReturnAfter::Limit);
    let _any = outcome.unwrap();
    assert_eq!(
        log.take(),
        ["of the other mode"],
        "it was due all the while"
    );
}

#[test]
fn nothing_else_is_served_in_the_private_mode() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let _server = Server::start(&place, "slow", |_| {
        std::thread::sleep(Duration::from_millis(30))
    });
    let remote = place.connect("slow");
    let run_loop = RunLoop::current();
    let told = log.clone();
    let timer = Timer::once(Duration::ZERO, move |_, _| told.add("timer"));
    run_loop.add(&timer, Mode::COMMON).unwrap();
    let told = log.clone();
    let own = place.served("own", move |_| told.add("message"));
    place.connect("own").send(1, b"").unwrap();
    let told = log.clone();
    run_loop
        .perform(Mode::DEFAULT, move |_| told.add("closure"))
        .unwrap();
    remote.request(1, b"").unwrap();
    assert_eq!(log.take(), Vec::<String>::new());
    run_until(|| log.count() == 3);
    drop(own);
}

#[test]
fn the_mode_of_a_request_is_as_empty_afterwards_as_before() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::echo(&place, "echo");
    let remote = place.connect("echo");
    let (run_loop, mode) = (RunLoop::current(), Mode::new("ports.empty"));
    for _ in 0..3 {
        remote
            .request_with(1, b"", patiently().in_mode(mode))
            .unwrap();
        let outcome = run_loop.run_in_mode(mode, Limit::Never, ReturnAfter::Limit);
        assert_eq!(
            outcome.unwrap(),
            Outcome::Finished,
            "nothing keeps it alive"
        );
    }
}

#[test]
fn the_common_modes_are_no_mode_to_wait_in() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let server = Server::start(&place, "echo", |_| -> Reply { panic!("nothing is sent") });
    let remote = place.connect("echo");
    let options = patiently().in_mode(Mode::COMMON);
    let refused = remote.request_with(1, b"", options);
    assert!(matches!(refused, Err(SendError::CommonMode)), "{refused:?}");
    let refused = remote.send_with(1, b"", options);
    assert!(matches!(refused, Err(SendError::CommonMode)), "{refused:?}");
    drop(server);
}

#[test]
pub(crate) fn two_processes_that_ask_each_other_at_the_same_time_answer_each_other() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _port = place.served("mutual", |message| message.data().to_vec());
    let mut child = Child::start("mutual", &place, "mutual");
    let remote = place.connect("mutual.child");
    child.tell("go");
    for round in 0..ROUNDS {
        let data = format!("parent {round}");
        let reply = remote
            .request_with(round, data.as_bytes(), in_default())
            .unwrap();
        assert_eq!(&reply[..], data.as_bytes());
    }
    // The child may still be asking.
    let run_loop = RunLoop::current();
    let main = run_loop.handle();
    let listening = std::thread::spawn(move || {
        assert_eq!(child.hear(), "done");
        child.tell("stop");
        child.wait();
        main.stop().unwrap();
    });
    assert_eq!(run_loop.run().unwrap(), Outcome::Stopped);
    listening.join().unwrap();
}

#[test]
fn a_request_inside_a_timer_does_not_keep_the_reply_from_the_request_around_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (begins, begun) = channel();
    let (go, wait) = channel::<()>();
    // Both requests go over one link; the inner one is not answered before both are over, so that nothing wakes anybody
    // after the first reply.
    let server = Server::start(&place, "nested", move |message: Message| {
        begins.send(()).unwrap();
        if message.id() == 2 {
            wait.recv().unwrap();
        }
        message.id().to_le_bytes().to_vec()
    });
    let remote = place.connect("nested");
    let inner = remote.clone();
    let timer = Timer::once(Duration::ZERO, move |_, _| {
        begun.recv().unwrap();
        let options = patiently().reply_timeout(Duration::from_millis(30));
        let ended = inner.request_with(2, b"", options);
        assert!(matches!(ended, Err(SendError::ReceiveTimeout)), "{ended:?}");
    });
    RunLoop::current().add(&timer, Mode::DEFAULT).unwrap();
    let began = Instant::now();
    let reply = remote
        .request_with(1, b"", in_default().reply_timeout(2 * LONG))
        .unwrap();
    assert_eq!(&reply[..], 1_i32.to_le_bytes());
    assert!(
        began.elapsed() < LONG,
        "it was there long before the deadline"
    );
    go.send(()).unwrap();
    drop(server);
}
