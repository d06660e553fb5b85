//! F30 to F32: descriptors that travel with messages and replies.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::mpsc::channel;

use messageport::{
    Message, NotReplied, Options, PortOptions, RemotePort, Reply, ReplyError, SendError,
    SerialQueue, TransportError,
};
use rustix::io::FdFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use tests::{Log, Watchdog, fork_and_wait, in_own_process, open_descriptors};

use crate::children::{Child, OPEN, READ, WRITE};
use crate::support::{Place, Server, pass, patiently, run_until};

/// The ends of a pipe.
pub(crate) fn pipe() -> (File, File) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer.into())
}

/// A file that says this and ends.
pub(crate) fn marked(text: &str) -> OwnedFd {
    let (reader, mut writer) = pipe();
    writer.write_all(text.as_bytes()).unwrap();
    reader.into()
}

/// What is in files, in order, up to the end of each.
pub(crate) fn read_all(files: Vec<OwnedFd>) -> String {
    let mut text = String::new();
    for file in files {
        File::from(file).read_to_string(&mut text).unwrap();
    }
    text
}

/// What a handler answers that says what is in the files of a message, and sends as many back as its number.
pub(crate) fn exchange(mut message: Message) -> Reply {
    let text = read_all(message.take_descriptors());
    let back = (0..message.id()).map(|index| marked(&format!("{index},")));
    Reply::from(text).with_descriptors(back.collect())
}

/// Asks for so many files, and gives these.
fn ask(remote: &RemotePort, count: i32, size: usize, files: &[OwnedFd]) -> (String, Vec<OwnedFd>) {
    let passed: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    let answer = remote.request_with_descriptors(count, &vec![0; size], &passed, patiently());
    let (text, back) = answer.unwrap();
    (String::from_utf8(text.to_vec()).unwrap(), back)
}

#[test]
pub(crate) fn descriptors_arrive_with_their_message_and_their_reply_in_order() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::start(&place, "exchange", exchange);
    let remote = place.connect("exchange");
    for count in [0, 1, 2, 16] {
        let names = || (0..count).map(|index| format!("{index},"));
        let expected: String = names().collect();
        // In one record, in one that has no room on a page, and in pieces.
        for size in [0, 1_000, 3_000_000] {
            let files: Vec<_> = names().map(|name| marked(&name)).collect();
            let (found, back) = ask(&remote, count, size, &files);
            assert_eq!(found, expected, "{count} with {size} bytes");
            assert_eq!(read_all(back), expected, "back");
        }
    }
}

#[test]
pub(crate) fn descriptors_of_many_threads_stay_with_their_messages() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _server = Server::start(&place, "exchange", exchange);
    let remote = place.connect("exchange");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let remote = &remote;
            scope.spawn(move || {
                for turn in 0..250 {
                    let text = format!("{thread}:{turn}");
                    let files: Vec<_> = (0..turn % 3).map(|_| marked(&text)).collect();
                    let (found, back) = ask(remote, turn % 2, 0, &files);
                    assert_eq!(found, text.repeat(files.len()));
                    assert_eq!(back.len(), usize::try_from(turn % 2).unwrap());
                }
            });
        }
    });
}

#[test]
pub(crate) fn pipes_work_through_two_processes_in_both_directions() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _child = Child::start("server", &place, "served");
    let remote = place.connect("served");
    // Written after the end to read from has gone, and closed here before it is read there.
    let (reader, mut writer) = pipe();
    let sender = remote.clone();
    let reads = std::thread::spawn(move || {
        let passed = [reader.as_fd()];
        let answer = sender.request_with_descriptors(READ, b"", &passed, patiently());
        answer.unwrap().0.to_vec()
    });
    writer.write_all(b"through the pipe").unwrap();
    drop(writer);
    assert_eq!(reads.join().unwrap(), b"through the pipe");
    // The end to write to: it ends here when it is closed there, and nobody has kept one.
    let (mut reader, writer) = pipe();
    let passed = [writer.as_fd()];
    let options = patiently();
    remote
        .send_with_descriptors(WRITE, b"from there", &passed, options)
        .unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "from there");
    // Files of the other process.
    let (said, files) = remote
        .request_with_descriptors(OPEN, b"3", &[], options)
        .unwrap();
    assert_eq!(&said[..], b"open");
    assert_eq!(read_all(files), "0,1,2,");
}

#[test]
pub(crate) fn messages_with_and_without_descriptors_keep_their_order() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (log, told) = (Log::new(), Log::new());
    let _port = {
        let log = log.clone();
        place.served("order", move |mut message: Message| {
            let files = message.take_descriptors();
            log.add(format!("{} with {}", message.id(), read_all(files)));
        })
    };
    let remote = place.connect("order");
    for id in 0..60 {
        let names: Vec<_> = (0..id % 4).map(|index| format!("{id}.{index},")).collect();
        told.add(format!("{id} with {}", names.concat()));
        let files: Vec<_> = names.iter().map(|name| marked(name)).collect();
        let passed: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let size = [0, 5_000, 90_000][usize::try_from(id).unwrap() % 3];
        remote
            .send_with_descriptors(id, &vec![0; size], &passed, patiently())
            .unwrap();
    }
    run_until(|| log.count() == 60);
    assert_eq!(log.take(), told.take());
}

#[test]
pub(crate) fn more_than_sixteen_descriptors_are_refused_before_anything_is_sent() {
    let place = Place::new();
    let _port = place.port("few", |_| ());
    let remote = place.connect("few");
    let file = marked("");
    let many = [file.as_fd(); RemotePort::DESCRIPTORS_MAX + 1];
    let refused = remote.send_with_descriptors(1, b"", &many, patiently());
    let Err(SendError::Transport(TransportError::TooManyDescriptors { limit: 16 })) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(remote.statistics().sent, 0);
}

#[test]
fn a_reply_with_too_many_is_not_sent_and_its_requester_is_told() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (out, returned) = channel();
    let _server = Server::start(&place, "generous", move |mut message: Message| {
        let many = (0..17).map(|_| marked("")).collect();
        let reply = Reply::from("text").with_descriptors(many);
        let Some(responder) = (message.id() == 2).then(|| message.defer()).flatten() else {
            return reply;
        };
        out.send(responder.reply(reply)).unwrap();
        Reply::empty()
    });
    let remote = place.connect("generous");
    for id in [1, 2] {
        let refused = remote.request_with_descriptors(id, b"", &[], patiently());
        let Err(SendError::Transport(TransportError::Unpassable)) = refused else {
            panic!("{refused:?}");
        };
    }
    let Err(NotReplied { why, mut reply }) = returned.recv().unwrap() else {
        panic!("it cannot be sent");
    };
    assert_eq!(why, ReplyError::TooManyDescriptors);
    assert_eq!(reply.data(), b"text", "it comes back");
    assert_eq!(reply.take_descriptors().len(), 17, "with all that it had");
    assert!(remote.is_valid(), "and the link goes on");
}

#[test]
pub(crate) fn a_port_on_a_queue_answers_later_with_descriptors_from_another_thread() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    // One that has no name at first.
    let port = PortOptions::new()
        .in_directory(&place.directory)
        .create_shared(|mut message: Message| {
            let responder = message.defer().unwrap();
            std::thread::spawn(move || responder.reply(exchange(message)).unwrap());
        })
        .unwrap();
    port.set_dispatch_queue(SerialQueue::new("passing").unwrap())
        .unwrap();
    port.rename("later").unwrap();
    let remote = place.connect("later");
    for count in [0, 1, 5] {
        let (text, back) = ask(&remote, count, 10, &[marked("a"), marked("b")]);
        assert_eq!(text, "ab");
        assert_eq!(back.len(), usize::try_from(count).unwrap());
    }
}

#[test]
fn what_arrives_is_closed_on_exec_on_either_side() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let closed = |file: &OwnedFd| {
        let flags = rustix::io::fcntl_getfd(file).unwrap();
        flags.contains(FdFlags::CLOEXEC)
    };
    let _server = Server::start(&place, "careful", move |mut message: Message| {
        let files = message.take_descriptors();
        let all = files.len() == 2 && files.iter().all(closed);
        Reply::from(if all { "all" } else { "not all" }).with_descriptors(files)
    });
    let (said, back) = ask(&place.connect("careful"), 0, 0, &[marked(""), marked("")]);
    assert_eq!(said, "all");
    assert!(back.len() == 2 && back.iter().all(closed), "here");
}

#[test]
fn what_a_process_passed_arrives_when_it_has_ended_before_anybody_looked() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let told = log.clone();
    let port = place.port("late", move |mut message: Message| {
        let files = message.take_descriptors();
        told.add(format!("{} {}", message.id(), read_all(files)));
    });
    let child = Child::start("passer", &place, "late");
    child.wait();
    runloop::RunLoop::current()
        .add(&port, runloop::Mode::DEFAULT)
        .unwrap();
    run_until(|| log.count() == 2);
    assert_eq!(log.take(), ["1 one", "2 two,and three"]);
}

#[test]
pub(crate) fn a_thousand_rounds_leave_no_descriptor_behind() {
    let _watchdog = Watchdog::new();
    in_own_process!({
        a_thousand_rounds_leave_no_descriptor_behind_here();
    });
}

/// The test, in a process where nothing else opens or closes anything. Of those that come half are never taken out.
pub(crate) fn a_thousand_rounds_leave_no_descriptor_behind_here() {
    let place = Place::new();
    let server = Server::start(&place, "careless", |mut message: Message| {
        let files = if message.id() % 2 == 0 {
            message.take_descriptors()
        } else {
            vec![marked("")]
        };
        Reply::from("").with_descriptors(files)
    });
    let remote = place.connect("careless");
    let file = marked("");
    let round = |id: i32| {
        let passed = [file.as_fd(); 16];
        let options = patiently();
        match id % 3 {
            0 => drop(
                remote
                    .request_with_descriptors(id, b"", &passed, options)
                    .unwrap(),
            ),
            1 => remote
                .send_with_descriptors(id, b"", &passed, options)
                .unwrap(),
            // Whoever asks this way has no use for what comes back.
            _ => drop(remote.request(id, b"").unwrap()),
        }
    };
    (0..4).for_each(round);
    remote.request(2, b"").unwrap();
    let before = open_descriptors();
    (0..1_000).for_each(round);
    remote.request(2, b"").unwrap();
    assert_eq!(open_descriptors().len(), before.len());
    drop(server);
}

#[test]
fn a_forked_child_passes_nothing_and_leaves_what_is_on_its_way_to_the_parent() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new();
        let log = Log::new();
        let told = log.clone();
        let mut port = Some(place.served("own", move |mut message: Message| {
            told.add(read_all(message.take_descriptors()));
        }));
        let mut remote = Some(place.connect("own"));
        // The link is known to the port, and then there is something on it that is not taken.
        let pass_on = |remote: &RemotePort, text: &str| {
            let file = marked(text);
            remote.send_with_descriptors(1, b"", &[file.as_fd()], Options::new())
        };
        pass_on(remote.as_ref().unwrap(), "before").unwrap();
        run_until(|| log.count() == 1);
        pass_on(remote.as_ref().unwrap(), "meanwhile").unwrap();
        let status = fork_and_wait(|| {
            let refused = pass_on(remote.as_ref().unwrap(), "never");
            remote.as_ref().unwrap().invalidate();
            port.as_ref().unwrap().invalidate();
            drop(remote.take());
            drop(port.take());
            i32::from(!matches!(refused, Err(SendError::Invalid)))
        });
        assert_eq!(status.code(), Some(0), "{status}");
        pass_on(remote.as_ref().unwrap(), "after").unwrap();
        run_until(|| log.count() == 3);
        pass();
        assert_eq!(log.take(), ["before", "meanwhile", "after"]);
    });
}

#[test]
fn a_handler_may_pass_on_what_it_was_given() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _last = Server::start(&place, "last", exchange);
    let next = Rc::new(std::cell::OnceCell::new());
    let forward = Rc::clone(&next);
    let _first = place.served("first", move |mut message: Message| {
        let next: &RemotePort = forward.get_or_init(|| message_target(&message));
        let files = message.take_descriptors();
        let (text, back) = ask(next, message.id(), 0, &files);
        Reply::from(text).with_descriptors(back)
    });
    fn message_target(message: &Message) -> RemotePort {
        let directory = messageport::Directory::open(std::path::Path::new(
            std::str::from_utf8(message.data()).unwrap(),
        ));
        RemotePort::connect_in(&directory.unwrap(), "last").unwrap()
    }
    let remote = place.connect("first");
    let file = marked("handed on");
    let options = patiently().in_mode(runloop::Mode::DEFAULT);
    let path = place.path().to_str().unwrap().as_bytes();
    let answer = remote.request_with_descriptors(2, path, &[file.as_fd()], options);
    let (text, back) = answer.unwrap();
    assert_eq!(&text[..], b"handed on");
    assert_eq!(read_all(back), "0,1,");
}
