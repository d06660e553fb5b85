//! Replies that come later, from elsewhere, or not at all.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messageport::{Message, Reply, ReplyError, Responder, SendError};
use tests::{Log, Watchdog};

use crate::children::Child;
use crate::support::{FAR, Place, Server, patiently, wait_until, within};
use tests::raw::Client;

/// A server that leaves message 1 to whoever receives its responders, and echoes others.
fn defers(place: &Place) -> (Server, Receiver<Responder>) {
    let (out, responders) = channel();
    let server = Server::start(place, "defers", move |mut message: Message| {
        if message.id() == 1 {
            let responder = message.defer().unwrap();
            assert!(message.defer().is_none(), "there is one");
            out.send(responder).unwrap();
            return Reply::from("of no use");
        }
        message.into_payload().into()
    });
    (server, responders)
}

#[test]
fn a_request_is_answered_later_from_another_thread_and_others_do_not_wait_for_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (_server, responders) = defers(&place);
    let remote = place.connect("defers");
    let asks = remote.clone();
    let asked = std::thread::spawn(move || asks.request_with(1, b"", patiently()));
    let responder = responders.recv().unwrap();
    assert!(!responder.is_cancelled());
    assert_eq!(
        &remote.request_with(2, b"quick", patiently()).unwrap()[..],
        b"quick"
    );
    assert!(!asked.is_finished());
    std::thread::spawn(move || responder.reply("late").unwrap())
        .join()
        .unwrap();
    assert_eq!(&asked.join().unwrap().unwrap()[..], b"late");
    assert_eq!(remote.late_replies(), 0);
}

#[test]
fn a_responder_that_is_dropped_answers_with_nothing() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (_server, responders) = defers(&place);
    let remote = place.connect("defers");
    for inside in [false, true] {
        let asks = remote.clone();
        let asked = std::thread::spawn(move || asks.request_with(1, b"", patiently()));
        let responder = responders.recv().unwrap();
        if inside {
            // Somebody else's work may end by a panic.
            let panics = std::thread::spawn(move || {
                let _responder = responder;
                panic!("as the test wants it");
            });
            assert!(panics.join().is_err());
        } else {
            drop(responder);
        }
        assert!(asked.join().unwrap().unwrap().is_empty(), "A54");
    }
}

#[test]
fn a_responder_may_answer_before_its_handler_has_returned_and_what_that_returns_is_dropped() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let _server = Server::start(&place, "early", move |mut message: Message| {
        let responder = message.defer().unwrap();
        responder.reply("early").unwrap();
        assert!(
            message.is_cancelled() && message.defer().is_none(),
            "it is answered"
        );
        let told = told.clone();
        Reply::from("late").after(move |departure| told.add(format!("{departure:?}")))
    });
    let remote = place.connect("early");
    for _ in 0..3 {
        assert_eq!(
            &remote.request_with(1, b"", patiently()).unwrap()[..],
            b"early"
        );
    }
    wait_until(|| log.count() == 3);
    assert_eq!(log.take(), ["Lost"; 3]);
    assert_eq!(remote.late_replies(), 0, "nothing was sent twice");
}

#[test]
fn only_a_request_whose_handler_runs_can_be_left_to_a_responder() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (out, messages) = channel();
    let server = Server::start(&place, "kept", move |message: Message| {
        out.send(message).unwrap();
    });
    let remote = place.connect("kept");
    remote.request_with(1, b"kept", patiently()).unwrap();
    let mut kept = messages.recv().unwrap();
    assert!(kept.defer().is_none(), "its handler has returned");
    assert_eq!((kept.data(), kept.is_cancelled()), (&b"kept"[..], true));
    remote.send(1, b"one way").unwrap();
    let mut kept = messages.recv().unwrap();
    assert!(!kept.wants_reply() && kept.defer().is_none());
    assert!(!kept.is_cancelled(), "its sender is there");
    drop(server);
}

#[test]
fn after_its_port_has_ended_a_responder_is_refused_and_its_requester_knows_already() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (server, responders) = defers(&place);
    let remote = place.connect("defers");
    let asked = std::thread::spawn(move || remote.request_with(1, b"", patiently()));
    let responder = responders.recv().unwrap();
    // The handler has returned when the next request is answered.
    let other = place.connect("defers");
    other.request_with(2, b"", patiently()).unwrap();
    server.port.invalidate();
    let failed = asked.join().unwrap();
    assert!(
        matches!(failed, Err(SendError::BecameInvalid)),
        "{failed:?}"
    );
    let refused = responder.reply("too late").unwrap_err();
    assert!(
        matches!(refused.why, ReplyError::Invalid | ReplyError::Cancelled),
        "Q5"
    );
    assert_eq!(refused.reply.data(), b"too late");
}

#[test]
fn what_waits_for_a_responder_fails_at_once_though_another_handler_of_its_client_is_still_running()
{
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let (out, responders) = channel();
    let (in_it, entered) = channel();
    let (go, wait) = channel::<()>();
    let server = Server::start(&place, "ends", move |mut message: Message| {
        if message.id() == 1 {
            out.send(message.defer()).unwrap();
        } else {
            in_it.send(()).unwrap();
            wait.recv().unwrap();
        }
        "the last words"
    });
    let remote = place.connect("ends");
    let ask = |id: i32| {
        let (asks, told) = (remote.clone(), log.clone());
        std::thread::spawn(move || {
            let answer = asks.request_with(id, b"", patiently());
            told.add(format!("{id}: {:?}", answer.map(|reply| reply.len())));
        })
    };
    let left = ask(1);
    let _responder = responders.recv().unwrap();
    let running = ask(2);
    entered.recv().unwrap();
    server.port.invalidate();
    left.join().unwrap();
    log.add("the other goes on");
    go.send(()).unwrap();
    running.join().unwrap();
    let expected = ["1: Err(BecameInvalid)", "the other goes on", "2: Ok(14)"];
    assert_eq!(log.take(), expected, "Q3");
}

#[test]
fn inside_its_handler_a_responder_answers_although_the_port_has_ended() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (out, late) = channel();
    let ends = |id: i32| {
        let out = out.clone();
        let server = Server::start(&place, "ends", move |mut message: Message| {
            let responder = message.defer().unwrap();
            message.port().invalidate();
            if message.id() == 1 {
                responder.reply("the last words").unwrap();
            } else {
                out.send(responder).unwrap();
            }
        });
        let answer = place.connect("ends").request_with(id, b"", patiently());
        drop(server);
        answer
    };
    assert_eq!(&ends(1).unwrap()[..], b"the last words");
    let failed = ends(2);
    assert!(
        matches!(failed, Err(SendError::BecameInvalid)),
        "{failed:?}"
    );
    let responder: Responder = late.recv().unwrap();
    assert!(responder.reply("x").is_err(), "its handler has returned");
}

#[test]
fn who_gave_up_is_not_answered_and_the_responder_hears_of_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let (_server, responders) = defers(&place);
    let remote = place.connect("defers");
    let soon = within(FAR, Duration::from_millis(20));
    let asks = remote.clone();
    let asked = std::thread::spawn(move || asks.request_with(1, b"", soon));
    let responder = responders.recv().unwrap();
    let told = log.clone();
    responder.on_cancel(move || told.add("cancelled"));
    let gave_up = asked.join().unwrap();
    assert!(
        matches!(gave_up, Err(SendError::ReceiveTimeout)),
        "{gave_up:?}"
    );
    wait_until(|| log.count() == 1);
    assert_eq!(log.take(), ["cancelled"]);
    assert!(responder.is_cancelled());
    let told = log.clone();
    responder.on_cancel(move || told.add("at once"));
    assert_eq!(log.take(), ["at once"]);
    let refused = responder.reply("never").unwrap_err();
    assert_eq!(
        (refused.why, refused.reply.data()),
        (ReplyError::Cancelled, &b"never"[..])
    );
    assert_eq!(
        &remote.request_with(2, b"next", patiently()).unwrap()[..],
        b"next"
    );
    assert_eq!(remote.late_replies(), 0);
}

#[test]
fn a_requester_that_is_killed_or_lets_go_has_cancelled() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let (_server, responders) = defers(&place);
    for killed in [true, false] {
        let remote = place.connect("defers");
        let (ended, asked) = if killed {
            let mut child = Child::start("asker", &place, "defers");
            let ended: Box<dyn FnOnce()> = Box::new(move || child.kill());
            (ended, None)
        } else {
            let asks = remote.clone();
            let asked = std::thread::spawn(move || asks.request_with(1, b"", patiently()));
            let ended: Box<dyn FnOnce()> = Box::new(move || remote.invalidate());
            (ended, Some(asked))
        };
        let responder = responders.recv().unwrap();
        responder.on_cancel(|| panic!("another takes its place"));
        let told = log.clone();
        responder.on_cancel(move || told.add("cancelled"));
        assert!(!responder.is_cancelled());
        ended();
        wait_until(|| log.count() == 1);
        assert_eq!(log.take(), ["cancelled"]);
        assert!(responder.is_cancelled());
        assert_eq!(responder.reply("x").unwrap_err().why, ReplyError::Cancelled);
        if let Some(asked) = asked {
            assert!(matches!(
                asked.join().unwrap(),
                Err(SendError::BecameInvalid)
            ));
        }
    }
}

/// The child `asker`: asks a port and waits for ever.
pub(crate) fn ask(directory: &messageport::Directory, name: &str, ready: impl FnOnce()) {
    let remote = messageport::RemotePort::connect_in(directory, name).unwrap();
    ready();
    remote.request_with(1, b"", patiently()).unwrap();
}

#[test]
fn a_handler_that_takes_long_sees_that_nobody_waits_any_more() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let _server = Server::start(&place, "long", move |message: Message| {
        if message.id() == 1 {
            while !message.is_cancelled() {
                std::thread::yield_now();
            }
            told.add("left off");
        }
    });
    let remote = place.connect("long");
    let soon = within(FAR, Duration::from_millis(20));
    let gave_up = remote.request_with(1, b"", soon);
    assert!(
        matches!(gave_up, Err(SendError::ReceiveTimeout)),
        "{gave_up:?}"
    );
    remote.request_with(2, b"", patiently()).unwrap();
    assert_eq!(log.take(), ["left off"]);
    // And that the requester is gone.
    let mut child = Child::start("asker", &place, "long");
    std::thread::sleep(Duration::from_millis(5));
    child.kill();
    wait_until(|| log.count() == 1);
}

#[test]
fn a_client_has_256_requests_under_way_and_more_when_some_are_answered() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let responders = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&responders);
    let _server = Server::start(&place, "many", move |mut message: Message| {
        kept.lock().unwrap().extend(message.defer());
    });
    let mut client = Client::connect(&place.directory, "many");
    client.introduce();
    for conversation in 1..=300 {
        client.request(conversation, &conversation.to_le_bytes());
    }
    wait_until(|| responders.lock().unwrap().len() == 256);
    // Others are served meanwhile, and have had their turn when this returns.
    let asked = place.connect("many");
    let asked = std::thread::spawn(move || asked.request_with(1, b"", patiently()));
    wait_until(|| responders.lock().unwrap().len() == 257);
    let other = responders.lock().unwrap().pop().unwrap();
    other.reply("other").unwrap();
    assert_eq!(&asked.join().unwrap().unwrap()[..], b"other");
    assert_eq!(responders.lock().unwrap().len(), 256, "Q4");
    for served in 257..=300 {
        let first = responders.lock().unwrap().remove(0);
        first.reply("done").unwrap();
        assert_eq!(client.reply(), (served - 256, b"done".to_vec()));
        client.ring();
        wait_until(|| responders.lock().unwrap().len() == 256);
    }
    for _ in 0..256 {
        let first = responders.lock().unwrap().remove(0);
        drop(first);
    }
    wait_until(|| client.reply().0 == 300);
}
