//! Many writers and little room: everybody gets through, in order, and nobody gets another's reply.

use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use messageport::{Message, RemotePort, Reply};
use runloop::{Handle, RunLoop};
use tests::Watchdog;

use crate::children::{Child, ECHO, TELL};
use crate::support::{Place, Server, assert_same, patiently, pattern, wait_until};

/// Starts a thread that sends one message, and waits until it sleeps for want of room.
fn send_and_sleep(remote: &RemotePort, id: i32, data: Vec<u8>) -> (JoinHandle<()>, Handle) {
    let remote = remote.clone();
    let (out, handle) = channel();
    let thread = std::thread::spawn(move || {
        out.send(RunLoop::current().handle()).unwrap();
        remote.send_with(id, &data, patiently()).unwrap();
    });
    let handle = handle.recv().unwrap();
    wait_until(|| handle.is_waiting() == Ok(true));
    (thread, handle)
}

#[test]
fn writers_that_wait_for_room_are_served_in_the_order_in_which_they_came() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut child = Child::start("server", &place, "queue");
    let remote = place.connect("queue");
    child.freeze();
    // More than the ring holds, so that it is full when the writers below come.
    let (first, _) = send_and_sleep(&remote, ECHO, pattern(6_000_000, 0));
    let writers: Vec<_> = (0..4)
        .map(|number| {
            let text = number.to_string().into_bytes();
            let padded = [text, vec![b' '; 200_000]].concat();
            send_and_sleep(&remote, TELL, padded).0
        })
        .collect();
    child.thaw();
    for number in 0..4 {
        assert_eq!(child.hear(), format!("got {number}"));
    }
    first.join().unwrap();
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
}

#[test]
pub(crate) fn large_and_small_requests_of_many_threads_get_their_own_replies() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::start(&place, "crowd", |message: Message| match message.id() {
        1 => Reply::from(message.data().to_vec()),
        _ => message.data()[..32].to_vec().into(),
    });
    let remote = place.connect("crowd");
    let ask = |thread: usize, len: usize, rounds: usize| {
        let remote = remote.clone();
        std::thread::spawn(move || {
            for round in 0..rounds {
                let mut sent = vec![0; len];
                sent[..32].copy_from_slice(&pattern(32, thread * 10_000 + round));
                let id = i32::from(len <= 40_000);
                let reply = remote.request_with(id, &sent, patiently()).unwrap();
                assert!(reply[..32] == sent[..32], "thread {thread}, round {round}");
            }
        })
    };
    let mut threads = vec![
        ask(0, 1_900_000, 120),
        ask(1, 9_000_000, 40),
        ask(2, 3_000_000, 80),
    ];
    threads.extend((3..6).map(|thread| ask(thread, 32, 1_000)));
    threads.push(ask(6, 40_000, 400));
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(remote.late_replies(), 0, "no reply was given to nobody");
}

#[test]
pub(crate) fn a_message_in_pieces_comes_through_while_others_send_and_ask() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (out, arrived) = channel();
    let _server = Server::start(&place, "pieces", move |message: Message| {
        match message.id() {
            0 => {
                out.send(message.data().len()).unwrap();
                Reply::empty()
            }
            _ => Reply::from(message.data().to_vec()),
        }
    });
    let remote = place.connect("pieces");
    let senders: Vec<_> = (0..2)
        .map(|_| {
            let remote = remote.clone();
            std::thread::spawn(move || {
                let data = vec![1; 11_000_000];
                for _ in 0..15 {
                    remote.send_with(0, &data, patiently()).unwrap();
                }
            })
        })
        .collect();
    let askers: Vec<_> = (0..3_u32)
        .map(|thread| {
            let remote = remote.clone();
            std::thread::spawn(move || {
                for round in 0..500_u32 {
                    let sent = [thread, round].map(u32::to_le_bytes).concat();
                    let reply = remote.request_with(1, &sent, patiently()).unwrap();
                    assert_eq!(&reply[..], sent);
                }
            })
        })
        .collect();
    for thread in senders.into_iter().chain(askers) {
        thread.join().unwrap();
    }
    let lengths: Vec<_> = (0..30).map(|_| arrived.recv().unwrap()).collect();
    assert_eq!(lengths, [11_000_000; 30]);
}

#[test]
fn large_replies_of_many_threads_share_the_way_back() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::start(&place, "replies", |message: Message| {
        let len = usize::try_from(message.id()).unwrap();
        pattern(len, message.data().len())
    });
    let remote = place.connect("replies");
    let threads: Vec<_> = (0..4_usize)
        .map(|thread| {
            let remote = remote.clone();
            std::thread::spawn(move || {
                for round in 0..10 {
                    let len = [100, 3_000_000, 7_000_000][(thread + round) % 3];
                    let seed = vec![0; thread + round];
                    let id = i32::try_from(len).unwrap();
                    let reply = remote.request_with(id, &seed, patiently()).unwrap();
                    assert_same(&reply, &pattern(len, seed.len()), "a reply");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
