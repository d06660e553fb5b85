//! Several threads share a remote: each gets its own replies, at once, whoever reads them.

use std::sync::mpsc::channel;
use std::time::Duration;

use messageport::{Message, Reply};
use runloop::{Mode, RunLoop};
use tests::Watchdog;

use crate::children::{Child, ECHO};
use crate::support::{Place, Server, patiently, pattern, scaled, wait_until, watchdog, within};

#[test]
pub(crate) fn eight_threads_over_one_remote_get_each_its_own_replies() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::echo(&place, "shared");
    let remote = place.connect("shared");
    let threads: Vec<_> = (0..8_usize)
        .map(|thread| {
            let remote = remote.clone();
            std::thread::spawn(move || {
                for round in 0..500 {
                    let sent = pattern((thread * 37 + round * 11) % 300, thread * 1_000 + round);
                    let reply = remote.request_with(1, &sent, patiently()).unwrap();
                    assert!(reply[..] == sent[..], "thread {thread}, round {round}");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(remote.late_replies(), 0, "no reply was given to nobody");
}

#[test]
fn a_thread_whose_request_takes_long_keeps_no_other_waiting() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    // Requests of both kinds go through one link; the slow one is answered by a second port, which waits for its turn.
    let slow = Server::start(&place, "slow", move |_| wait.recv().unwrap());
    let _fast = Server::echo(&place, "fast");
    let (slow_remote, fast_remote) = (place.connect("slow"), place.connect("fast"));
    let waiting =
        std::thread::spawn(move || slow_remote.request_with(1, b"", patiently()).map(drop));
    for round in 0..100_u32 {
        let reply = fast_remote.request(1, &round.to_le_bytes()).unwrap();
        assert_eq!(&reply[..], round.to_le_bytes());
    }
    go.send(()).unwrap();
    waiting.join().unwrap().unwrap();
    drop(slow);
}

#[test]
fn eight_threads_are_answered_while_a_callback_of_a_ninth_sleeps_on_the_same_remote() {
    let _watchdog = watchdog();
    let place = Place::new();
    let (later, deferred) = channel();
    let _server = Server::start(&place, "busy", move |mut message: Message| {
        if message.id() == 2 {
            later.send(message.defer().unwrap()).unwrap();
        }
        message.into_payload()
    });
    let remote = place.connect("busy");
    let (told, asks) = channel();
    let sleeper = std::thread::spawn({
        let remote = remote.clone();
        move || {
            told.send(RunLoop::current().handle()).unwrap();
            let options = patiently().in_mode(Mode::DEFAULT);
            remote.request_with(2, b"", options).unwrap()
        }
    });
    let (its_loop, responder) = (asks.recv().unwrap(), deferred.recv().unwrap());
    // Whoever takes in for all as long as it waits would be this one.
    wait_until(|| its_loop.is_waiting().unwrap());
    let (entered, sleeping) = channel();
    let (wake, woken) = channel::<()>();
    let sleep = move |_: &RunLoop| {
        entered.send(()).unwrap();
        woken.recv().unwrap();
    };
    assert!(
        its_loop.perform(Mode::DEFAULT, sleep).is_ok(),
        "it is there"
    );
    sleeping.recv().unwrap();
    // It sleeps until all others have all their replies.
    let ask = |thread: u32| {
        let remote = remote.clone();
        move || {
            for round in 0..u32::try_from(scaled(500, 10_000)).unwrap() {
                let sent = [thread, round].map(u32::to_le_bytes).concat();
                let reply = remote.request_with(1, &sent, patiently()).unwrap();
                assert_eq!(&reply[..], sent, "its own");
            }
        }
    };
    let threads: Vec<_> = (0..8)
        .map(|thread| std::thread::spawn(ask(thread)))
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    responder.reply("slept").unwrap();
    wake.send(()).unwrap();
    assert_eq!(&sleeper.join().unwrap()[..], b"slept");
    assert_eq!(remote.late_replies(), 0, "no reply was given to nobody");
}

#[test]
fn replies_out_of_a_burst_reach_threads_that_came_and_went() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::echo(&place, "burst");
    let remote = place.connect("burst");
    for round in 0..40_u32 {
        let threads: Vec<_> = (0..4_u32)
            .map(|thread| {
                let remote = remote.clone();
                std::thread::spawn(move || {
                    for turn in 0..5_u32 {
                        let sent = [round, thread, turn].map(u32::to_le_bytes).concat();
                        let reply = remote.request_with(1, &sent, patiently()).unwrap();
                        assert_eq!(&reply[..], sent);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
pub(crate) fn requests_with_pauses_of_every_length_between_them_are_all_answered() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::echo(&place, "paused");
    let _child = Child::start("server", &place, "paused child");
    for name in ["paused", "paused child"] {
        let remote = place.connect(name);
        let threads: Vec<_> = (0..4_u32)
            .map(|thread| {
                let remote = remote.clone();
                std::thread::spawn(move || {
                    for round in 0..300_u32 {
                        // From none to longer than either side looks before it sleeps.
                        let pause = u64::from((round * 7 + thread * 13) % 120);
                        std::thread::sleep(Duration::from_micros(pause));
                        let sent = [thread, round].map(u32::to_le_bytes).concat();
                        let reply = remote.request_with(ECHO, &sent, patiently()).unwrap();
                        assert_eq!(&reply[..], sent);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
pub(crate) fn more_clients_than_a_port_keeps_an_eye_on_are_all_heard() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::echo(&place, "many");
    let remotes: Vec<_> = (0..60).map(|_| place.connect("many")).collect();
    let threads: Vec<_> = remotes
        .chunks(20)
        .map(|remotes| {
            let remotes = remotes.to_vec();
            std::thread::spawn(move || {
                for round in 0..20_u32 {
                    for (number, remote) in (0_u32..).zip(&remotes) {
                        let sent = [number, round].map(u32::to_le_bytes).concat();
                        let reply = remote.request_with(1, &sent, patiently()).unwrap();
                        assert_eq!(&reply[..], sent);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_thread_that_gives_up_takes_nobodys_reply_with_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::start(&place, "patience", |message: Message| {
        if message.id() == 2 {
            std::thread::sleep(Duration::from_millis(2));
        }
        Reply::from(message.data().to_vec())
    });
    let remote = place.connect("patience");
    let hasty = remote.clone();
    let gives_up = std::thread::spawn(move || {
        let mut given_up = 0;
        for _ in 0..100 {
            let options = within(Duration::from_secs(60), Duration::from_millis(1));
            given_up += u64::from(hasty.request_with(2, b"hasty", options).is_err());
        }
        given_up
    });
    let waits: Vec<_> = (0..3_u32)
        .map(|thread| {
            let remote = remote.clone();
            std::thread::spawn(move || {
                for round in 0..100_u32 {
                    let sent = [thread, round].map(u32::to_le_bytes).concat();
                    let reply = remote.request_with(1, &sent, patiently()).unwrap();
                    assert_eq!(&reply[..], sent);
                }
            })
        })
        .collect();
    for thread in waits {
        thread.join().unwrap();
    }
    let given_up = gives_up.join().unwrap();
    // The last late replies come before this one.
    remote.request(1, b"").unwrap();
    assert_eq!(
        remote.late_replies(),
        given_up,
        "each was counted, no other was"
    );
}
