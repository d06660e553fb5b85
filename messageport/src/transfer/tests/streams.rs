//! Two threads with a ring between them that sleep and wake each other for real.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::{Arrival, LIMIT, Step, message, request};
use crate::ring::tests::{Noise, Watchdog, pair};
use crate::ring::{Lie, RingSize};
use crate::transfer::{Inbound, Incoming, Outgoing, Sending};
use crate::wire::{Head, Kind};

/// A bell as the kernel has them: one that was rung before anybody waits is not lost.
#[derive(Default)]
struct Bell(Mutex<bool>, Condvar);

impl Bell {
    fn ring(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.0.lock().unwrap();
        while !*rung {
            rung = self.1.wait(rung).unwrap();
        }
        *rung = false;
    }
}

/// The bells of one ring's two sides.
#[derive(Clone, Default)]
struct Bells {
    reader: Arc<Bell>,
    writer: Arc<Bell>,
}

/// Sends a message, sleeping while there is no room.
fn send<P: AsRef<[u8]>>(
    outgoing: &mut Outgoing,
    bells: &Bells,
    mut sending: Sending<P>,
) -> Result<(), Lie> {
    loop {
        let step = outgoing.step(&mut sending)?;
        if outgoing.must_ring(step, || true) {
            bells.reader.ring();
        }
        match step {
            Step::Whole => return Ok(()),
            Step::NoRoom if !outgoing.announce(&sending)? => bells.writer.wait(),
            _ => {}
        }
    }
}

/// Waits for a message.
fn receive(incoming: &mut Incoming, bells: &Bells) -> Inbound {
    loop {
        let arrival = incoming.next().unwrap();
        if incoming.must_ring() {
            bells.writer.ring();
        }
        match arrival {
            Arrival::Message(inbound) => return inbound,
            Arrival::Nothing if !incoming.announce() => bells.reader.wait(),
            _ => {}
        }
    }
}

#[test]
fn a_message_many_times_as_large_as_the_ring_arrives_whole() {
    let _watchdog = Watchdog::new();
    let (client, server, _file) = pair(RingSize::DEFAULT);
    let mut incoming = Incoming::new(server.consumer, LIMIT);
    let bells = Bells::default();
    let (payload, theirs) = (Arc::new(Noise::new(3).bytes(256 << 20)), bells.clone());
    let sent = Arc::clone(&payload);
    let sender = thread::spawn(move || {
        let mut outgoing = Outgoing::new(client.producer);
        for _ in 0..2 {
            let sending = message(&outgoing, &sent[..]);
            send(&mut outgoing, &theirs, sending).unwrap();
        }
    });
    for conversation in 1..=2 {
        let inbound = receive(&mut incoming, &bells);
        assert_eq!(inbound.head, request(conversation), "one after the other");
        assert!(inbound.payload[..] == payload[..], "every byte of it");
    }
    sender.join().unwrap();
}

#[test]
fn messages_of_all_sizes_arrive_in_order_while_both_sides_sleep() {
    let _watchdog = Watchdog::new();
    for size in [RingSize::MIN, RingSize::new(1 << 20).unwrap()] {
        let (client, server, _file) = pair(size);
        let mut incoming = Incoming::new(server.consumer, LIMIT);
        let bells = Bells::default();
        let theirs = bells.clone();
        let sender = thread::spawn(move || {
            let mut outgoing = Outgoing::new(client.producer);
            for seed in 0..4_000 {
                let sending = message(&outgoing, any(seed));
                send(&mut outgoing, &theirs, sending).unwrap();
            }
        });
        for seed in 0..4_000 {
            let inbound = receive(&mut incoming, &bells);
            assert_eq!(inbound.head.conversation, seed + 1, "in order");
            assert!(
                inbound.payload[..] == any(seed)[..],
                "message {seed} is undamaged"
            );
        }
        sender.join().unwrap();
    }
}

/// A payload that is small most of the time, and sometimes larger than a small ring.
fn any(seed: u64) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    let most = [100, 100, 100, 100, 5_000, 30_000, 70_000, 200_000][noise.below(8)];
    let len = noise.below(most);
    noise.bytes(len)
}

#[test]
fn each_question_gets_its_answer_while_both_ends_sleep() {
    let _watchdog = Watchdog::new();
    let (client, server, _file) = pair(RingSize::MIN);
    let (there, back) = (Bells::default(), Bells::default());
    let (there_too, back_too) = (there.clone(), back.clone());
    let answering = thread::spawn(move || {
        let mut incoming = Incoming::new(server.consumer, LIMIT);
        let mut outgoing = Outgoing::new(server.producer);
        for _ in 0..20_000 {
            let Inbound { head, payload, .. } = receive(&mut incoming, &there_too);
            let head = Head {
                kind: Kind::Reply,
                aux: 0,
                nfds: 0,
                ..head
            };
            send(&mut outgoing, &back_too, Sending::new(head, payload)).unwrap();
        }
    });
    let mut outgoing = Outgoing::new(client.producer);
    let mut incoming = Incoming::new(client.consumer, LIMIT);
    for seed in 0..20_000 {
        let question = any(seed % 50);
        let sending = message(&outgoing, &question[..]);
        let conversation = sending.head().conversation;
        send(&mut outgoing, &there, sending).unwrap();
        let answer = receive(&mut incoming, &back);
        assert_eq!(answer.head.conversation, conversation, "of this question");
        assert!(answer.payload[..] == question[..], "the same bytes");
    }
    answering.join().unwrap();
}
