//! What a port and a remote take, and whom a port lets in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messageport::{
    Directory, Message, OpenError, PortOptions, Refusal, RemoteOptions, RemotePort, Reply,
    ReplyError, SendError, TransportError,
};
use runloop::Mode;
use tests::{Log, Watchdog};

use crate::children::{Child, ECHO};
use crate::support::{FAR, Place, assert_same, patiently, pattern, run_until, wait_until, within};
use tests::raw::Client;

/// Options of a port that a queue serves, so that the test may wait.
fn served<R: Into<Reply> + 'static>(
    options: PortOptions,
    handler: impl Fn(Message) -> R + Send + Sync + 'static,
) -> messageport::LocalPort {
    let port = options.create_shared(handler).unwrap();
    let queue = messageport::SerialQueue::new("serves").unwrap();
    port.set_dispatch_queue(queue).unwrap();
    port
}

fn options(place: &Place) -> PortOptions {
    PortOptions::new()
        .in_directory(&place.directory)
        .name("limited")
}

fn too_large(limit: u64) -> impl Fn(&SendError) -> bool {
    move |error| {
        let found = match error {
            SendError::Transport(TransportError::TooLarge { limit }) => *limit,
            _ => return false,
        };
        found == limit
    }
}

/// Why a new client is refused, at once or in its first call; nothing if it is served.
fn attempt(place: &Place) -> Option<Refusal> {
    let remote = match RemotePort::connect_in(&place.directory, "limited") {
        Ok(remote) => remote,
        Err(OpenError::Refused { why }) => return Some(why),
        Err(other) => panic!("{other:?}"),
    };
    match remote.request_with(ECHO, b"", patiently()) {
        Ok(_) => None,
        Err(SendError::Transport(TransportError::Refused { why })) => Some(why),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_message_over_the_limit_of_its_port_is_refused_and_the_link_stays() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = options(&place)
        .largest_message(1_000)
        .create(move |message| {
            told.add(message.data().len().to_string());
        });
    let port = port.unwrap();
    let remote = place.connect("limited");
    // The port has not looked yet, so its limit is not known: they are dropped as they arrive.
    remote.send(1, &pattern(1_001, 1)).unwrap();
    remote.send(1, &pattern(100_000, 1)).unwrap();
    remote.send(1, &pattern(1_000, 1)).unwrap();
    runloop::RunLoop::current()
        .add(&port, Mode::DEFAULT)
        .unwrap();
    run_until(|| log.count() == 1);
    assert_eq!(log.take(), ["1000"]);
    let here = patiently().in_mode(Mode::DEFAULT);
    let failed = remote
        .request_with(1, &pattern(1_001, 1), here)
        .unwrap_err();
    assert!(too_large(1_000)(&failed), "{failed:?}");
    assert!(
        remote.send(1, &pattern(1_001, 1)).is_err(),
        "before it is sent"
    );
    remote.request_with(1, &pattern(1_000, 1), here).unwrap();
    assert_eq!(log.take(), ["1000"]);
}

#[test]
fn a_reply_over_the_limit_of_its_remote_is_not_sent_and_both_sides_know() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let _port = served(options(&place), move |message: Message| {
        let told = told.clone();
        let reply = Reply::from(message.into_payload());
        reply.after(move |departure| told.add(format!("{departure:?}")))
    });
    let made = RemoteOptions::new().in_directory(&place.directory);
    let remote = made.largest_reply(100).connect("limited").unwrap();
    remote
        .request_with(1, &pattern(100, 1), patiently())
        .unwrap();
    let failed = remote.request_with(1, &pattern(101, 1), patiently());
    let failed = failed.unwrap_err();
    assert!(too_large(100)(&failed), "{failed:?}");
    remote
        .request_with(1, &pattern(99, 1), patiently())
        .unwrap();
    wait_until(|| log.count() == 3);
    assert_eq!(log.take(), ["Sent", "Lost", "Sent"]);
    // Others are not concerned.
    let other = place.connect("limited");
    other
        .request_with(1, &pattern(101, 1), patiently())
        .unwrap();
}

#[test]
fn a_client_too_many_is_refused_and_another_comes_in_when_one_has_gone() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for made in [
        options(&place).clients(2),
        options(&place).clients_per_user(2),
    ] {
        let port = served(made, Message::into_payload);
        let [one, two] = [(); 2].map(|()| place.connect("limited"));
        one.request_with(1, b"", patiently()).unwrap();
        two.request_with(1, b"", patiently()).unwrap();
        assert_eq!(attempt(&place), Some(Refusal::Limit));
        drop(one);
        wait_until(|| attempt(&place).is_none());
        two.request_with(1, b"", patiently()).unwrap();
        // Dropping it would not do: the worker may still hold it for the message that was answered last.
        port.invalidate();
    }
}

#[test]
fn a_client_has_as_many_requests_under_way_as_its_port_lets_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let responders = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&responders);
    let _port = served(
        options(&place).requests_per_client(3),
        move |mut message: Message| {
            kept.lock().unwrap().extend(message.defer());
        },
    );
    let mut client = Client::connect(&place.directory, "limited");
    client.introduce();
    for conversation in 1..=9 {
        client.request(conversation, &conversation.to_le_bytes());
    }
    for answered in 1..=6 {
        wait_until(|| responders.lock().unwrap().len() == 3);
        let first = responders.lock().unwrap().remove(0);
        first.reply("done").unwrap();
        assert_eq!(client.reply(), (answered, b"done".to_vec()));
    }
    wait_until(|| responders.lock().unwrap().len() == 3);
}

#[test]
fn a_responder_is_refused_when_too_much_is_left_unread_and_the_requester_is_told() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let responders = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&responders);
    let _port = served(
        options(&place).largest_message(64 << 10),
        move |mut message: Message| {
            kept.lock().unwrap().extend(message.defer());
        },
    );
    let mut client = Client::connect(&place.directory, "limited");
    client.introduce();
    for conversation in 1..=2 {
        client.request(conversation, &conversation.to_le_bytes());
    }
    wait_until(|| responders.lock().unwrap().len() == 2);
    let second = responders.lock().unwrap().pop().unwrap();
    let first = responders.lock().unwrap().pop().unwrap();
    let large = pattern(700_000, 3);
    first.reply(large.clone()).unwrap();
    let over = second.reply(large.clone()).unwrap_err();
    assert_eq!(over.why, ReplyError::Overload, "Q4");
    assert_same(over.reply.data(), &large, "what comes back");
    let (conversation, bytes) = client.reply();
    assert_eq!(conversation, 1);
    assert_same(&bytes, &large, "the first reply");
    assert_eq!(client.reply(), (2, Vec::new()), "a status without bytes");
}

#[test]
fn a_policy_decides_who_is_let_in_by_process_user_and_group() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let ours = Some(std::process::id());
    let made = options(&place).admit(move |client| {
        kept.lock().unwrap().push(*client);
        client.pid == ours
    });
    let _port = served(made, Message::into_payload);
    let remote = place.connect("limited");
    for _ in 0..3 {
        remote.request_with(1, b"", patiently()).unwrap();
    }
    let mut child = Child::start("visitor", &place, "limited");
    assert!(child.hear().contains(REFUSED));
    let seen = seen.lock().unwrap().clone();
    let pids: Vec<_> = seen.iter().map(|client| client.pid).collect();
    assert_eq!(
        pids,
        [ours, Some(child.pid())],
        "asked once for each client"
    );
    let us = rustix::process::geteuid().as_raw();
    assert!(seen.iter().all(|client| client.uid == us));
}

#[test]
fn other_users_come_where_a_directory_was_opened_for_them_and_a_policy_lets_them_in() {
    let _watchdog = Watchdog::new();
    if !rustix::process::geteuid().is_root() {
        // Nobody else can start a process of another user.
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    // Where the test binary lies the other user may not look.
    let binary = place.path().join("binary");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let visit = || {
        let mut command = Child::command("visitor", &place, "limited");
        let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
        let variables: Vec<_> = command
            .get_envs()
            .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
            .collect();
        command = std::process::Command::new(&binary);
        command.args(arguments).envs(variables).current_dir("/");
        let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find_map(|line| line.split_once("child: Ok"));
        let failed = said.lines().find_map(|line| line.split_once("child: Err"));
        line.or(failed)
            .map_or(said.clone(), |(_, rest)| rest.to_owned())
    };
    let directory = Directory::open(place.path()).unwrap();
    let made = PortOptions::new().in_directory(&directory).name("limited");
    let port = served(made.clone(), Message::into_payload);
    assert!(visit().contains(REFUSED), "nobody said so");
    port.invalidate();
    let port = served(
        made.clone().admit(|client| client.uid == NOBODY),
        |message: Message| {
            assert_eq!(
                (message.sender().uid, message.sender().gid),
                (NOBODY, NOBODY)
            );
            message.into_payload()
        },
    );
    assert_eq!(visit(), "(Payload(7 bytes))", "N7");
    assert_eq!(attempt(&place), Some(Refusal::Policy), "not even us");
    port.invalidate();
    let _port = served(
        made.admit(|client| client.uid != NOBODY),
        Message::into_payload,
    );
    assert!(visit().contains(REFUSED));
}

/// The child `visitor`: says how a request fares.
pub(crate) fn visit(directory: &Directory, name: &str, say: impl Fn(&str)) {
    say("ready");
    match RemotePort::connect_in(directory, name) {
        Ok(remote) => {
            let answer = remote.request_with(ECHO, b"a visit", patiently());
            say(&format!("{answer:?}"));
        }
        Err(error) => say(&format!("Err({error:?})")),
    }
}

#[test]
fn small_rings_and_ends_that_do_not_spin_carry_messages_of_every_size() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _port = served(options(&place).without_spinning(), Message::into_payload);
    for bytes in [0, 64 << 10, 100_000, u32::MAX] {
        let made = RemoteOptions::new().in_directory(&place.directory);
        let remote = made.ring_bytes(bytes).without_spinning().within(FAR);
        let remote = remote.connect("limited").unwrap();
        for size in [0, 31, 32 << 10, 64 << 10, 1 << 20] {
            let sent = pattern(size, size);
            let reply = remote.request_with(1, &sent, patiently()).unwrap();
            assert_same(&reply, &sent, "what comes back");
        }
    }
    // What is on its way is bounded by the ring.
    let place = Place::new();
    let _idle = place.port("idle", |_| ());
    let made = RemoteOptions::new().in_directory(&place.directory);
    let remote = made.ring_bytes(64 << 10).connect("idle").unwrap();
    let now = within(Duration::ZERO, Duration::ZERO);
    let sent = (0..100).take_while(|_| remote.send_with(1, &[0; 4_000], now).is_ok());
    assert_eq!(sent.count(), 16);
}

const NOBODY: u32 = 65_534;
const REFUSED: &str = "Refused { why: Policy }";
