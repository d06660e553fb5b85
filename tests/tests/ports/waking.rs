//! What comes in the moment in which somebody falls asleep is found all the same.

use std::cell::Cell;
use std::sync::mpsc::channel;
use std::time::Duration;

use messageport::Message;
use runloop::{Activity, Cx, Mode, Observer, Prepared, Ready, RunLoop, Source, SourceRef, Stage};
use tests::{Log, Watchdog};

use crate::support::{Place, Server, patiently, run_until};

/// A source that does something once, when it is asked whether there is work. Those that were asked before it have found
/// none then, and have not said yet that they sleep.
struct AtTheLastMoment<F>(Cell<Option<F>>);

impl<F: FnOnce() + 'static> Source for AtTheLastMoment<F> {
    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, _: Ready<'_>) {}

    fn prepare<'s>(&'s self, _: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        if stage == Stage::Look {
            if let Some(act) = self.0.take() {
                act();
            }
        }
        Prepared::Idle
    }
}

/// Does something in the next wait in a mode, once something holds, between the looking and the falling asleep of
/// whoever looks before sleep there already.
fn at_the_last_moment(
    mode: Mode,
    holds: impl Fn() -> bool + 'static,
    act: impl FnOnce() + 'static,
) {
    let run_loop = RunLoop::current();
    // Who looks again and again finds everything before it sleeps.
    run_loop.set_spinning(false);
    let source = SourceRef::new(AtTheLastMoment(Cell::new(Some(act))));
    run_loop.add(&source, mode).unwrap();
    let observer = Observer::new(Activity::BEFORE_WAITING, 0, move |run_loop, _| {
        if holds() {
            run_loop.look_before_sleep(&source);
        }
    });
    run_loop.add_observer(&observer, mode).unwrap();
}

#[test]
fn a_reply_that_comes_before_the_requester_has_said_that_it_sleeps_is_found() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (go, wait) = channel();
    let _server = Server::start(&place, "silent", move |_| wait.recv().unwrap());
    let remote = place.connect("silent");
    let mode = Mode::new("ports.moment");
    // Long enough for the reply to be there, of which nobody is told who has not said that it sleeps.
    let answer = move || {
        go.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(30));
    };
    at_the_last_moment(mode, || true, answer);
    remote
        .request_with(1, b"", patiently().in_mode(mode))
        .unwrap();
}

#[test]
fn a_message_that_comes_before_the_port_has_said_that_it_sleeps_is_found() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (log, served) = (Log::new(), Log::new());
    let (told, counted) = (log.clone(), served.clone());
    let port = place.served("silent", move |message| {
        told.add(format!("{}", message.id()));
        counted.add("");
    });
    let remote = place.connect("silent");
    remote.send(1, b"").unwrap();
    let another = remote.clone();
    let holds = move || served.count() == 1;
    at_the_last_moment(Mode::DEFAULT, holds, move || another.send(2, b"").unwrap());
    run_until(|| log.count() == 2);
    assert_eq!(log.take(), ["1", "2"]);
    drop(port);
}

#[test]
pub(crate) fn a_thread_that_has_its_reply_leaves_no_other_asleep() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    // Each request takes so long that whoever waits sleeps.
    let _server = Server::start(&place, "shared", |message: Message| {
        std::thread::sleep(Duration::from_millis(3));
        message.data().to_vec()
    });
    let remote = place.connect("shared");
    for _ in 0..20 {
        let threads = [0_u8, 1, 2].map(|thread| {
            let remote = remote.clone();
            std::thread::spawn(move || {
                let reply = remote.request_with(1, &[thread], patiently()).unwrap();
                assert_eq!(&reply[..], [thread]);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
