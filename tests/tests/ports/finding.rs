//! Waiting for a name to appear, listing names, and ports that change theirs.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use messageport::{ClaimError, LocalPort, RemotePort, RenameError};
use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop};
use tests::{Log, Watchdog};

use crate::children::{Child, ECHO};
use crate::support::{FAR, Place, Server, run_until};

#[test]
fn who_waits_for_a_name_is_connected_when_it_appears() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let directory = place.directory.clone();
    let (out, started) = channel();
    let waits = std::thread::spawn(move || {
        out.send(RunLoop::current().handle()).unwrap();
        let remote = RemotePort::connect_within_in(&directory, "awaited", FAR).unwrap();
        remote.request(ECHO, b"at last").unwrap().into_vec()
    });
    let waiting = started.recv().unwrap();
    crate::support::wait_until(|| waiting.is_waiting() == Ok(true));
    // Names that are not meant wake it, and nothing more.
    let _other = place.port("another", |_| ());
    let _child = Child::start("server", &place, "awaited");
    assert_eq!(waits.join().unwrap(), b"at last");
}

#[test]
fn who_waits_in_vain_is_told_so_at_the_deadline_and_no_sooner() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let began = Instant::now();
    let patience = Duration::from_millis(120);
    let missing = RemotePort::connect_within_in(&place.directory, "missing", patience);
    assert!(missing.unwrap_err().is_not_found(), "nobody has it");
    assert!(began.elapsed() >= patience, "not before the deadline");
    let missing = RemotePort::connect_within_in(&place.directory, "missing", Duration::ZERO);
    assert!(missing.unwrap_err().is_not_found(), "one look");
}

#[test]
fn a_stop_while_waiting_for_a_name_ends_the_run_around_it_afterwards() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let (directory, told) = (place.directory.clone(), log.clone());
    let run_loop = RunLoop::current();
    let main = run_loop.handle();
    let stops = std::thread::spawn(move || {
        crate::support::wait_until(|| main.is_waiting() == Ok(true));
        main.stop()
    });
    run_loop
        .perform(Mode::DEFAULT, move |_| {
            let patience = Duration::from_millis(100);
            let missing = RemotePort::connect_within_in(&directory, "missing", patience);
            told.add(format!("found {}", missing.is_ok()));
        })
        .unwrap();
    let outcome = run_loop.wait_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::Stopped);
    assert_eq!(log.take(), ["found false"]);
    stops.join().unwrap().unwrap();
}

#[test]
fn a_port_keeps_its_links_its_source_and_what_waits_when_it_changes_its_name() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.served("before", move |message| {
        told.add(format!("{}", message.id()))
    });
    let remote = place.connect("before");
    remote.send(1, b"").unwrap();
    port.rename("after").unwrap();
    assert_eq!(port.name().unwrap().as_str(), "after");
    port.rename("after").unwrap();
    remote.send(2, b"").unwrap();
    place.connect("after").send(3, b"").unwrap();
    run_until(|| log.count() == 3);
    let mut found = log.take();
    // Those of one link come in order; of the other nothing is said.
    found.retain(|line| line != "3");
    assert_eq!(found, ["1", "2"]);
    assert!(remote.is_valid(), "the link has no name to lose");
    let missing = RemotePort::connect_in(&place.directory, "before").unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
    let next = place.served("before", |_| ());
    place.connect("before").send(4, b"").unwrap();
    drop(next);
    port.invalidate();
    assert!(
        place.port("after", |_| ()).is_valid(),
        "the new name is free at the end"
    );
}

#[test]
fn a_port_that_cannot_have_another_name_keeps_the_one_it_has() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let child = Child::start("owner", &place, "theirs");
    let port = place.served("ours", |_| ());
    let _second = place.port("second", |_| ());
    for (name, pid) in [("theirs", child.pid()), ("second", std::process::id())] {
        match port.rename(name).unwrap_err() {
            RenameError::Claim(ClaimError::NameInUse { pid: owner, .. }) => {
                assert_eq!(owner, Some(pid));
            }
            other => panic!("{other}"),
        }
    }
    assert!(
        matches!(port.rename(""), Err(RenameError::Name(_))),
        "no name"
    );
    assert_eq!(port.name().unwrap().as_str(), "ours");
    place.connect("ours").send(1, b"").unwrap();
    port.invalidate();
    assert!(
        matches!(port.rename("late"), Err(RenameError::Invalid)),
        "too late"
    );
    assert!(
        LocalPort::create_in(&place.directory, "late", |_| ()).is_ok(),
        "nobody took it"
    );
}

#[test]
fn the_names_of_a_directory_are_those_of_living_ports_with_their_processes() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut child = Child::start("owner", &place, "b of a child");
    let server = Server::echo(&place, "a of ours");
    let names = || {
        let found = place.directory.names().unwrap();
        let mut found: Vec<_> = found
            .iter()
            .map(|named| (named.name.as_str().to_owned(), named.pid))
            .collect();
        found.sort();
        found
    };
    let ours = ("a of ours".to_owned(), Some(std::process::id()));
    let theirs = ("b of a child".to_owned(), Some(child.pid()));
    assert_eq!(names(), [ours.clone(), theirs]);
    child.kill();
    assert_eq!(names(), [ours]);
    assert_eq!(
        &place.connect("a of ours").request(ECHO, b"x").unwrap()[..],
        b"x"
    );
    drop(server);
    assert_eq!(names(), []);
}
