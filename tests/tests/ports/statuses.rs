//! How a call can end, with another process at the other side: each of the six ways, and what is left afterwards.

use std::time::{Duration, Instant};

use messageport::{RemotePort, SendError, TransportError};
use tests::Watchdog;

use crate::children::{Child, ECHO, HANG, PANIC, PATTERN, SLEEP, TELL};
use crate::support::{Place, assert_same, patiently, pattern, within};

const SHORT: Duration = Duration::from_millis(150);

/// A message that says so when it is delivered, of a given length.
fn telling(what: &str, len: usize) -> Vec<u8> {
    let mut text = what.as_bytes().to_vec();
    text.resize(len, b' ');
    text
}

/// A child that serves, and a link to it on which something has been answered.
fn served(place: &Place) -> (Child, RemotePort) {
    let child = Child::start("server", place, "statuses");
    let remote = place.connect("statuses");
    assert_eq!(&remote.request(ECHO, b"hello").unwrap()[..], b"hello");
    (child, remote)
}

/// Sends until there is no room for another message of this size; says how many went.
fn fill(remote: &RemotePort, len: usize) -> u32 {
    let filler = pattern(len, 1);
    let mut sent = 0;
    loop {
        match remote.send_with(ECHO, &filler, within(Duration::ZERO, Duration::ZERO)) {
            Ok(()) => sent += 1,
            Err(SendError::SendTimeout) => return sent,
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
pub(crate) fn a_message_without_room_fails_at_its_deadline_and_nothing_of_it_is_delivered_later() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (mut child, remote) = served(&place);
    child.freeze();
    assert!(fill(&remote, 100_000) > 30, "the ring holds some megabytes");
    let began = Instant::now();
    let options = within(SHORT, Duration::ZERO);
    let refused = remote.send_with(TELL, &telling("never", 100_000), options);
    assert!(
        matches!(refused, Err(SendError::SendTimeout)),
        "{refused:?}"
    );
    assert!(began.elapsed() >= SHORT, "not before the deadline");
    let refused = remote.request_with(TELL, &telling("never", 100_000), options);
    assert!(
        matches!(refused, Err(SendError::SendTimeout)),
        "{refused:?}"
    );

    child.thaw();
    remote.send(TELL, b"later").unwrap();
    assert_eq!(child.hear(), "got later", "and nothing before that");
    let reply = remote.request(ECHO, b"intact").unwrap();
    assert_eq!(&reply[..], b"intact");
    assert_eq!(remote.late_replies(), 0, "no request was sent that gave up");
}

#[test]
fn a_message_that_stops_in_the_middle_is_taken_back_whole() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (mut child, remote) = served(&place);
    child.freeze();
    for _ in 0..3 {
        let began = Instant::now();
        let options = within(SHORT, Duration::ZERO);
        let refused = remote.send_with(TELL, &telling("never", 10_000_000), options);
        assert!(
            matches!(refused, Err(SendError::SendTimeout)),
            "{refused:?}"
        );
        assert!(began.elapsed() >= SHORT, "not before the deadline");
    }
    child.thaw();
    remote.send(TELL, b"later").unwrap();
    assert_eq!(child.hear(), "got later");
    let sent = pattern(10_000_000, 3);
    let reply = remote.request_with(ECHO, &sent, patiently()).unwrap();
    assert_same(
        &reply,
        &sent,
        "a message as large as those that were taken back",
    );
}

#[test]
pub(crate) fn a_late_reply_is_dropped_and_counted_and_the_next_request_gets_its_own() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (_child, remote) = served(&place);
    let began = Instant::now();
    let options = within(SHORT, SHORT);
    let late = remote.request_with(SLEEP, &500_u64.to_le_bytes(), options);
    assert!(matches!(late, Err(SendError::ReceiveTimeout)), "{late:?}");
    assert!(began.elapsed() >= SHORT, "not before the deadline");
    assert_eq!(remote.late_replies(), 0, "it has not come yet");
    let reply = remote.request(ECHO, b"my own").unwrap();
    assert_eq!(&reply[..], b"my own");
    assert_eq!(remote.late_replies(), 1);
}

#[test]
fn a_large_late_reply_does_not_reach_a_later_request_either() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (child, remote) = served(&place);
    child.freeze();
    let options = within(SHORT, Duration::ZERO);
    let late = remote.request_with(PATTERN, &20_000_000_u64.to_le_bytes(), options);
    assert!(matches!(late, Err(SendError::ReceiveTimeout)), "{late:?}");
    child.thaw();
    let reply = remote.request(ECHO, b"my own").unwrap();
    assert_eq!(&reply[..], b"my own");
    assert_eq!(remote.late_replies(), 1);
}

#[test]
fn the_first_call_after_a_death_says_that_it_became_invalid_and_the_next_that_it_is() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (mut child, remote) = served(&place);
    child.kill();
    // A look at the other process holds for a millisecond.
    std::thread::sleep(Duration::from_millis(2));
    let first = remote.send(ECHO, b"");
    assert!(matches!(first, Err(SendError::BecameInvalid)), "{first:?}");
    for _ in 0..2 {
        let next = remote.request(ECHO, b"");
        assert!(matches!(next, Err(SendError::Invalid)), "{next:?}");
        let next = remote.send(ECHO, b"");
        assert!(matches!(next, Err(SendError::Invalid)), "{next:?}");
    }

    let (mut child, remote) = served(&place);
    child.kill();
    assert!(!remote.is_valid(), "it is dead");
    let next = remote.request(ECHO, b"");
    assert!(
        matches!(next, Err(SendError::Invalid)),
        "known before the call: {next:?}"
    );

    let (_child, remote) = served(&place);
    remote.invalidate();
    let next = remote.request(ECHO, b"");
    assert!(
        matches!(next, Err(SendError::Invalid)),
        "by oneself: {next:?}"
    );
}

#[test]
pub(crate) fn a_process_killed_in_its_handler_ends_the_request_at_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for _ in 0..3 {
        let (mut child, remote) = served(&place);
        let killer = std::thread::spawn(move || {
            assert_eq!(child.hear(), "in the handler");
            child.kill();
        });
        // What would go on for ten minutes is ended by the watchdog after two.
        let ended = remote.request_with(HANG, b"", patiently());
        assert!(matches!(ended, Err(SendError::BecameInvalid)), "{ended:?}");
        killer.join().unwrap();
        assert!(!remote.is_valid(), "it is gone");
    }
}

#[test]
fn a_handler_that_panics_in_another_process_ends_the_request_at_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (_child, remote) = served(&place);
    let ended = remote.request_with(PANIC, b"", patiently());
    assert!(matches!(ended, Err(SendError::BecameInvalid)), "{ended:?}");
}

#[test]
fn a_process_killed_while_it_is_stopped_ends_those_who_wait_for_room_and_for_replies() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (mut child, remote) = served(&place);
    child.freeze();
    let asking = remote.clone();
    let asks = std::thread::spawn(move || asking.request_with(ECHO, b"", patiently()).err());
    fill(&remote, 60_000);
    let sending = remote.clone();
    let sends = std::thread::spawn(move || {
        let data = pattern(10_000_000, 0);
        sending.send_with(ECHO, &data, patiently()).err()
    });
    std::thread::sleep(Duration::from_millis(20));
    child.kill();
    let asked = asks.join().unwrap();
    assert!(matches!(asked, Some(SendError::BecameInvalid)), "{asked:?}");
    let sent = sends.join().unwrap();
    assert!(
        matches!(sent, Some(SendError::BecameInvalid | SendError::Invalid)),
        "{sent:?}"
    );
}

#[test]
fn a_message_over_the_limit_is_refused_before_it_is_sent_and_the_link_stays() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (_child, remote) = served(&place);
    let huge = vec![0; (1 << 30) + 1];
    for refused in [
        remote.send(ECHO, &huge),
        remote.request(ECHO, &huge).map(drop),
    ] {
        let Err(SendError::Transport(TransportError::TooLarge { limit })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(limit, 1 << 30);
    }
    assert_eq!(&remote.request(ECHO, b"still").unwrap()[..], b"still");
}
