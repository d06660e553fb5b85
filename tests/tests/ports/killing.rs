//! A port that is killed: at any moment, and what it had answered before.

use std::time::{Duration, Instant};

use messageport::SendError;
use tests::Watchdog;

use crate::children::{Child, ECHO};
use crate::support::{LONG, Place, patiently, pattern, wait_until};
use tests::raw::{WHOLE, record};
use tests::raw::{accept, pretend, receive_memory};

#[test]
fn a_port_killed_at_any_moment_has_answered_or_its_requester_knows_at_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for round in 0..8_u64 {
        let mut child = Child::start("server", &place, "killed");
        let remote = place.connect("killed");
        let asks = std::thread::spawn(move || {
            for turn in 0.. {
                // Through the ring at once, and many times around it.
                let size =
                    [64, 300_000, 9_000_000, 0][(turn + usize::try_from(round).unwrap()) % 4];
                let sent = pattern(size, turn);
                match remote.request_with(ECHO, &sent, patiently()) {
                    Ok(reply) => assert!(reply[..] == sent[..], "round {round}, turn {turn}"),
                    Err(error) => return (error, Instant::now()),
                }
            }
            unreachable!("the port is killed")
        });
        std::thread::sleep(Duration::from_micros(round * 1_317 % 5_000));
        let killed = Instant::now();
        child.kill();
        let (error, at) = asks.join().unwrap();
        let known = matches!(error, SendError::BecameInvalid | SendError::Invalid);
        assert!(known, "round {round}: {error}");
        let after = at.saturating_duration_since(killed);
        assert!(after < LONG, "it was no deadline that told: {after:?}");
    }
}

#[test]
fn a_reply_in_the_ring_of_a_dead_port_is_got() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let listener = pretend(&place.directory, "answering");
    let remote = place.connect("answering");
    let client = accept(&listener);
    let memory = receive_memory(&client);
    let asks = std::thread::spawn(move || {
        let reply = remote.request_with(1, b"", patiently());
        (reply.map(|reply| reply.to_vec()), remote.is_valid())
    });
    let file = &memory[0];
    wait_until(|| {
        let mut written = [0; 8];
        rustix::io::pread(file, &mut written, 0) == Ok(8) && written != [0; 8]
    });
    let at = 4_096 + (4 << 20);
    let put = |bytes: &[u8], at| {
        assert_eq!(rustix::io::pwrite(file, bytes, at), Ok(bytes.len()));
    };
    put(&record(3, WHOLE, 1, 10, 10), at);
    put(b"last words", at + 32);
    put(&64_u64.to_le_bytes(), 512);
    // It is the hang-up that wakes the requester, and no bell.
    drop(client);
    let (reply, valid) = asks.join().unwrap();
    assert_eq!(reply.unwrap(), b"last words");
    assert!(!valid, "it is gone");
}
