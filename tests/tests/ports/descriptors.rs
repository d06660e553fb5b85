//! Descriptors: none is left behind, and running out of them loses nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant};

use runloop::{Mode, ReturnAfter, RunLoop};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::{Log, Watchdog, in_own_process, open_descriptors};

use crate::children::{Child, TELL};
use crate::support::{Place, Server, pass, patiently, pattern, run_until, wait_until};

#[test]
fn two_hundred_links_leave_no_descriptor_behind() {
    in_own_process!({
        two_hundred_links_leave_no_descriptor_behind_here();
    });
}

/// The test, in a process where nothing else opens or closes anything.
pub(crate) fn two_hundred_links_leave_no_descriptor_behind_here() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let server = Server::echo(&place, "many");
    let own = place.served("own", |_| ());
    let visit = |size: usize| {
        let remote = place.connect("many");
        let sent = pattern(size, 1);
        let reply = remote.request_with(1, &sent, patiently()).unwrap();
        assert_eq!(reply.len(), size);
        // One that is never answered, and one that is never accepted.
        drop(place.connect("many"));
        place.connect("own").send(1, b"").unwrap();
        let other = std::thread::spawn(move || drop(remote.request(1, b"").unwrap()));
        other.join().unwrap();
        pass();
    };
    visit(10);
    settle(&place);
    let before = open_descriptors();
    for round in 0..200 {
        visit([10, 100_000][round % 2]);
    }
    settle(&place);
    wait_until(|| {
        pass();
        open_descriptors().len() <= before.len()
    });
    drop((own, server));
    wait_until(|| open_descriptors().len() < before.len());
}

/// Lets the servers notice who has gone.
fn settle(place: &Place) {
    for _ in 0..5 {
        pass();
        let remote = place.connect("many");
        remote.request_with(1, b"", patiently()).unwrap();
    }
}

#[test]
fn a_port_that_cannot_be_created_or_reached_leaves_no_descriptor_behind() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let port = place.port("taken", |_| ());
        drop(place.connect("taken"));
        let before = open_descriptors();
        for _ in 0..20 {
            let refused = messageport::LocalPort::create_in(&place.directory, "taken", |_| ());
            assert!(refused.is_err(), "it is taken");
            let missing = messageport::RemotePort::connect_in(&place.directory, "missing");
            assert!(missing.is_err(), "there is none");
        }
        assert_eq!(open_descriptors(), before);
        drop(port);
    });
}

#[test]
fn everything_that_a_port_and_its_links_open_is_closed_on_exec() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let before = open_descriptors();
        let place = Place::new();
        let _port = place.served("own", |_| ());
        let server = Server::echo(&place, "many");
        server.port.on_invalidation(|| ());
        let remote = place.connect("many");
        remote.request_with(1, b"", patiently()).unwrap();
        RunLoop::current().add(&remote, Mode::DEFAULT).unwrap();
        place.connect("own").send(1, b"").unwrap();
        pass();
        let opened = |descriptors: &BTreeMap<String, String>| -> Vec<String> {
            let new = descriptors.keys().filter(|fd| !before.contains_key(*fd));
            new.cloned().collect()
        };
        let now = open_descriptors();
        let mut looked = 0;
        for fd in opened(&now) {
            // The directory that is read to find them is closed by now.
            let Ok(info) = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")) else {
                continue;
            };
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
            assert!(flags & CLOSE_ON_EXEC != 0, "{fd}: {}", now[&fd]);
            looked += 1;
        }
        assert!(looked > 15, "sockets, hubs, bells, locks: {looked}");
    });
}

/// What the system calls it in the flags of a descriptor.
const CLOSE_ON_EXEC: u32 = 0o2_000_000;

/// Few descriptors for this process from now on.
pub(crate) fn lower_the_limit() {
    let limit = Rlimit {
        current: Some(128),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Every descriptor that is left, but for that many.
pub(crate) fn hoard(spare: usize) -> Vec<File> {
    let mut all: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    all.truncate(all.len().saturating_sub(spare));
    all
}

#[test]
fn a_full_table_at_the_port_loses_no_client_and_no_message() {
    let _watchdog = Watchdog::new();
    // With no descriptor left nobody is accepted; with one or two, the socket is, and what comes with the hello is not.
    for spare in [0, 1, 2, 3] {
        let place = Place::new();
        let mut child = Child::start("crowded", &place, "crowded");
        child.tell(&format!("hoard {spare}"));
        assert_eq!(child.hear(), "hoarded");
        let remotes: Vec<_> = (0..3).map(|_| place.connect("crowded")).collect();
        for (number, remote) in remotes.iter().enumerate() {
            let text = format!("{spare} {number}");
            remote
                .send_with(TELL, text.as_bytes(), patiently())
                .unwrap();
        }
        // Long enough for the port to try more than once.
        std::thread::sleep(Duration::from_millis(250));
        child.tell("release");
        let mut heard: Vec<_> = (0..3).map(|_| child.hear()).collect();
        heard.sort();
        let expected: Vec<_> = (0..3)
            .map(|number| format!("got {spare} {number}"))
            .collect();
        assert_eq!(heard, expected);
        for remote in remotes {
            assert!(remote.is_valid(), "it is a client like any other");
        }
    }
}

#[test]
fn a_hello_that_finds_no_room_for_long_is_kept_and_the_loop_sleeps_meanwhile() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let log = Log::new();
        let told = log.clone();
        let _port = place.served("full", move |_| told.add("served"));
        lower_the_limit();
        let remote = place.connect("full");
        remote.send(1, b"").unwrap();
        // Room for the connection, and none for what comes with its hello.
        let hoarded = hoard(1);
        let run_loop = RunLoop::current();
        let before = run_loop.statistics();
        // Longer than a client may take that says nothing.
        let until = Instant::now() + Duration::from_secs(7);
        let outcome = run_loop.run_in_mode(Mode::DEFAULT, until, ReturnAfter::Limit);
        let _timed_out = outcome.unwrap();
        let after = run_loop.statistics();
        assert_eq!(log.count(), 0, "there was no room");
        let passes = after.passes - before.passes;
        assert!((5..100).contains(&passes), "it looked {passes} times");
        drop(hoarded);
        // Nothing else happens now: the port looks again by itself.
        run_until(|| log.count() == 1);
        assert!(remote.is_valid(), "it was never sent away");
    });
}

#[test]
fn a_full_table_at_the_client_is_an_error_and_nothing_else() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let _child = Child::start("server", &place, "served");
        let remote = place.connect("served");
        assert_eq!(&remote.request(1, b"x").unwrap()[..], b"x");
        lower_the_limit();
        for spare in 0..8 {
            let before = open_descriptors();
            let hoarded = hoard(spare);
            if let Ok(another) = messageport::RemotePort::connect_in(&place.directory, "served") {
                another.send(1, b"").unwrap();
            }
            let created = messageport::LocalPort::create_in(&place.directory, "own", |_| ());
            drop(created);
            let reply = remote.request_with(1, b"y", patiently()).unwrap();
            assert_eq!(&reply[..], b"y", "what is there goes on");
            drop(hoarded);
            assert_eq!(open_descriptors(), before, "with {spare} to spare");
        }
    });
}
