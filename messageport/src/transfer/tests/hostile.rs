//! A hostile end against both sides: whatever it writes, nothing panics, hangs, or holds more than has arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Arrival, Step, message};
use crate::ring::tests::{Noise, Scribbler, Watchdog};
use crate::ring::{End, Producer, Room};
use crate::transfer::{Incoming, Outgoing, Sending};
use crate::wire::{Head, Header, Kind, Place};

/// The largest message that is taken here.
const LIMIT: u64 = 50_000;

/// Both sides of one end, in use.
struct Victim {
    outgoing: Outgoing,
    incoming: Incoming,
    sending: Option<Sending<Vec<u8>>>,
}

impl Victim {
    fn new(end: End) -> Self {
        let (outgoing, incoming) = (
            Outgoing::new(end.producer),
            Incoming::new(end.consumer, LIMIT),
        );
        Self {
            outgoing,
            incoming,
            sending: None,
        }
    }

    /// Takes what there is and sends something; the answer is how many records it took.
    fn live(&mut self, noise: &mut Noise) -> usize {
        let mut taken = 0;
        // A ring of 64 KiB holds no more records than this.
        while taken < 2048 {
            match self.incoming.next() {
                Err(breach) => {
                    assert_eq!(self.incoming.next(), Err(breach), "a breach stays");
                    break;
                }
                Ok(Arrival::Nothing) => break,
                Ok(_) => taken += 1,
            }
            let (held, arrived) = (
                self.incoming.gathered.capacity(),
                self.incoming.gathered.len(),
            );
            assert!(held <= 2 * arrived, "{held} bytes are held for {arrived}");
        }
        self.incoming.announce();
        self.incoming.must_ring();
        for _ in 0..noise.below(4) {
            self.send(noise);
        }
        taken
    }

    fn send(&mut self, noise: &mut Noise) {
        let Self {
            outgoing, sending, ..
        } = self;
        let sending = sending.get_or_insert_with(|| {
            let most = [50, 3_000, 30_000, 100_000][noise.below(4)];
            let len = noise.below(most);
            message(outgoing, vec![9; len])
        });
        let step = match noise.below(20) {
            0 => outgoing.abort(sending).map(|()| Step::Whole),
            _ => outgoing.step(sending),
        };
        outgoing.must_ring(step.unwrap_or(Step::NoRoom), || true);
        match step {
            Ok(Step::Whole) => self.sending = None,
            Ok(Step::NoRoom) => assert!(
                outgoing.announce(sending).is_ok() || step.is_ok(),
                "or a lie"
            ),
            Ok(_) => {}
            Err(lie) => {
                assert_eq!(outgoing.step(sending), Err(lie), "a lie stays");
                assert_eq!(outgoing.announce(sending), Err(lie), "everywhere");
            }
        }
    }
}

#[test]
fn twenty_thousand_rings_that_are_scribbled_on_do_no_harm() {
    let _watchdog = Watchdog::new();
    let mut taken = 0;
    for seed in 0..20_000 {
        let (client, server, scribbler) = Scribbler::between();
        let (mut client, mut server) = (Victim::new(client), Victim::new(server));
        let mut noise = Noise::new(seed);
        for _ in 0..1 + noise.below(5) {
            client.live(&mut noise);
            scribbler.scribble(&mut noise);
            taken += server.live(&mut noise);
        }
    }
    assert!(taken > 10_000, "enough is good enough to be taken: {taken}");
}

#[test]
fn rings_that_are_scribbled_on_while_they_are_used_do_no_harm() {
    let _watchdog = Watchdog::new();
    for seed in 0..100 {
        let (client, server, scribbler) = Scribbler::between();
        let (mut client, mut server) = (Victim::new(client), Victim::new(server));
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let attacker = std::thread::spawn(move || scribbler.scribble_until(&until, seed));
        let mut noise = Noise::new(seed + 1_000);
        for _ in 0..50 {
            client.live(&mut noise);
            server.live(&mut noise);
        }
        over.store(true, Ordering::Relaxed);
        attacker.join().unwrap();
    }
}

/// Writes a record that is well-formed by itself, and often not what may come next.
fn put_any(producer: &mut Producer, newest: u64, noise: &mut Noise) {
    let rarely = |noise: &mut Noise| noise.below(8) == 0;
    let kind = if rarely(noise) {
        [Kind::OneWay, Kind::Reply, Kind::Abort, Kind::Cancel][noise.below(4)]
    } else {
        Kind::Request
    };
    let place = [Place::Whole, Place::First, Place::Middle, Place::Last][noise.below(4)];
    let conversation = if place.is_first() && !rarely(noise) {
        newest
    } else {
        1 + noise.next() % newest
    };
    let len = noise.below(3_000);
    let total = match noise.below(8) {
        0 => noise.next(),
        1 => LIMIT,
        _ => u64::try_from(
            len + if place == Place::Whole {
                0
            } else {
                noise.below(2) * len
            },
        )
        .unwrap(),
    };
    let head = Head {
        kind,
        msgid: 0,
        aux: 0,
        conversation,
        nfds: 0,
    };
    let header = match kind {
        Kind::Abort => Header::abort(conversation),
        Kind::Cancel => Header {
            len: 0,
            place: Place::Whole,
            total: 0,
            head,
        },
        _ => Header {
            len: u32::try_from(len).unwrap(),
            place,
            total,
            head,
        },
    };
    let payload = vec![8; usize::try_from(header.len).unwrap()];
    producer.put(&header, &payload, Room::anywhere(32)).unwrap();
}

#[test]
fn no_sequence_of_well_formed_records_does_harm() {
    let _watchdog = Watchdog::new();
    let mut taken = 0;
    for seed in 0..5_000 {
        let (mut client, server, _scribbler) = Scribbler::between();
        let mut server = Victim::new(server);
        let mut noise = Noise::new(seed);
        for newest in 1..20 {
            put_any(&mut client.producer, newest, &mut noise);
            taken += server.live(&mut noise);
        }
    }
    assert!(taken > 2_000, "enough is good enough to be taken: {taken}");
}
