//! What is sent arrives: before anybody serves the port, with every number, in order.

use std::cell::RefCell;
use std::rc::Rc;

use messageport::{Message, Reply};
use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop};
use tests::{Log, Watchdog};

use crate::children::Child;
use crate::support::{Place, Server, pass, patiently, pattern, run_until};

#[test]
pub(crate) fn what_is_sent_before_the_port_is_in_a_loop_is_delivered_when_it_is() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.port("early", move |message| {
        told.add(format!("{}", message.id()))
    });
    let remote = place.connect("early");
    for id in 1..=3 {
        remote.send(id, b"kept").unwrap();
    }
    pass();
    assert_eq!(log.take(), Vec::<String>::new(), "nobody serves it yet");
    RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
    run_until(|| log.count() == 3);
    assert_eq!(log.take(), ["1", "2", "3"]);
}

#[test]
fn what_a_process_sent_is_delivered_when_it_has_ended_before_anybody_looked() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.port("late", move |message| {
        assert!(!message.wants_reply(), "they were one-way");
        told.add(format!(
            "{} of {} bytes",
            message.id(),
            message.data().len()
        ));
    });
    let child = Child::start("sender", &place, "late");
    let pid = child.pid();
    child.wait();
    RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
    run_until(|| log.count() == 2);
    assert_eq!(log.take(), ["1 of 3 bytes", "2 of 100000 bytes"]);
    assert_ne!(pid, std::process::id());
}

#[test]
fn the_handler_learns_the_number_the_bytes_who_sent_them_and_whether_a_reply_is_wanted() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let server = Server::start(&place, "told", |message| {
        let sender = message.sender();
        assert_eq!(sender.pid, Some(std::process::id()));
        assert_eq!(sender.uid, rustix::process::geteuid().as_raw());
        assert!(message.wants_reply(), "it is a request");
        assert_eq!(message.port().name().unwrap().as_str(), "told");
        message.id().to_le_bytes().to_vec()
    });
    let remote = place.connect("told");
    assert_eq!(remote.peer().pid, Some(std::process::id()));
    for id in [0, 1, -1, i32::MAX, i32::MIN, 0x1234_5678] {
        let reply = remote.request(id, b"").unwrap();
        assert_eq!(&reply[..], id.to_le_bytes());
    }
    drop(server);
}

#[test]
fn no_bytes_are_an_empty_message_and_no_answer_is_an_empty_reply() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::start(&place, "empty", |message: Message| {
        assert!(message.data().is_empty(), "nothing was sent");
        match message.id() {
            0 => Reply::empty(),
            1 => None::<Vec<u8>>.into(),
            _ => ().into(),
        }
    });
    let remote = place.connect("empty");
    for id in 0..3 {
        assert!(remote.request(id, &[]).unwrap().is_empty(), "{id}");
    }
}

#[test]
pub(crate) fn the_messages_of_one_link_arrive_in_the_order_in_which_they_were_sent() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let told = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&told);
    let port = place.served("ordered", move |message| {
        seen.borrow_mut().push((message.id(), message.data().len()));
    });
    let remote = place.connect("ordered");
    // From one record to more than the ring holds, in an order that has no period.
    let sizes = [0, 10, 64, 100, 5_000, 70_000, 3_000_000, 9_000_000];
    let size = move |id: i32| sizes[usize::try_from(id * id / 7).unwrap() % sizes.len()];
    let count = 400;
    let bytes = pattern(9_000_000, 0);
    let sender = std::thread::spawn(move || {
        for id in 0..count {
            remote
                .send_with(id, &bytes[..size(id)], patiently())
                .unwrap();
        }
    });
    run_until(|| told.borrow().len() == usize::try_from(count).unwrap());
    sender.join().unwrap();
    let expected: Vec<_> = (0..count).map(|id| (id, size(id))).collect();
    assert!(*told.borrow() == expected, "each once, none overtaken");
    drop(port);
}

#[test]
fn a_port_in_two_modes_is_served_in_each_and_rests_in_the_others() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.port("modes", move |message| {
        told.add(format!("{}", message.id()))
    });
    let [one, two, three] = ["one", "two", "three"].map(|name| Mode::new(&format!("ports.{name}")));
    let run_loop = RunLoop::current();
    run_loop.add(&port, one).unwrap();
    run_loop.add(&port, two).unwrap();
    let remote = place.connect("modes");
    let serve = |mode| {
        let outcome = run_loop.run_in_mode(mode, Limit::Never, ReturnAfter::FirstSource);
        // The first may only have let the client in.
        while log.count() == 0 {
            let outcome = run_loop.run_in_mode(mode, Limit::Never, ReturnAfter::FirstSource);
            assert_eq!(outcome.unwrap(), Outcome::HandledSource);
        }
        outcome.unwrap()
    };
    for (id, mode) in [(1, one), (2, two), (3, one)] {
        remote.send(id, b"").unwrap();
        let outcome = run_loop.run_in_mode(three, Limit::Now, ReturnAfter::Limit);
        assert_eq!(outcome.unwrap(), Outcome::Finished, "nothing is there");
        assert_eq!(serve(mode), Outcome::HandledSource);
        assert_eq!(log.take(), [format!("{id}")]);
    }
}
