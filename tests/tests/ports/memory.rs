//! What links cost in memory: nothing while they are not used, and no more after many messages than after some.

use messageport::{Message, Reply};
use tests::{Watchdog, in_own_process};

use crate::support::{Place, Server, pass, patiently, scaled, watchdog};

/// What is resident of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().split_whitespace().next();
    number.unwrap().parse().unwrap()
}

/// What is resident of the memory that links share, in KiB, by mapping.
fn resident_rings() -> Vec<u64> {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut found, mut shared) = (Vec::new(), false);
    for line in maps.lines() {
        if line.contains("memfd:") {
            shared = true;
        } else if let Some(number) = line.strip_prefix("Rss:").filter(|_| shared) {
            let number = number.split_whitespace().next();
            found.push(number.unwrap().parse().unwrap());
            shared = false;
        }
    }
    found
}

/// What is resident of this process beside the memory that links share, in KiB.
fn resident_beside_rings() -> u64 {
    resident() - resident_rings().iter().sum::<u64>()
}

#[test]
fn a_link_that_is_not_used_has_no_memory() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let _port = place.served("unused", |_| ());
        let _remotes: Vec<_> = (0..5).map(|_| place.connect("unused")).collect();
        assert_eq!(resident_rings(), [0; 5], "nobody has accepted them");
        pass();
        let accepted = resident_rings();
        assert_eq!(accepted.len(), 10, "both ends");
        assert!(accepted.iter().all(|&rss| rss <= 4), "{accepted:?}");
    });
}

#[test]
fn what_is_resident_does_not_grow_with_the_number_of_messages() {
    in_own_process!({
        let _watchdog = watchdog();
        let place = Place::new();
        let _server = Server::start(&place, "many", |message: Message| {
            if message.wants_reply() {
                Reply::from(message.data().to_vec())
            } else {
                Reply::empty()
            }
        });
        let remote = place.connect("many");
        let talk = |thousands: usize| {
            for _ in 0..thousands {
                for size in 0..1_000 {
                    remote
                        .send_with(1, &[7; 1_000][..size], patiently())
                        .unwrap();
                }
                remote.request_with(1, &[7; 500], patiently()).unwrap();
            }
        };
        talk(10);
        let before = resident_beside_rings();
        let thousands = scaled(50, 10_000);
        talk(thousands);
        let after = resident_beside_rings();
        println!("{thousands},000 messages: {before} KiB, then {after} KiB");
        // A leak of eight bytes for each message would be more.
        assert!(after < before + 300, "{before} KiB, then {after} KiB");
        // How much of a ring is resident depends on how far its reader has ever been behind; it has 4 MiB and a page.
        let rings = resident_rings();
        assert!(rings.iter().all(|&rss| rss <= 4_096 + 8), "{rings:?} KiB");
    });
}
