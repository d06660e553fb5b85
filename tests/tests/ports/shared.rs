//! A port in the loops of several threads: each message once, on whichever thread is free.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use messageport::{LocalPort, Message, PortOptions, Reply, SendError};
use runloop::{Handle, Limit, Mode, ReturnAfter, RunLoop, Signalled};
use tests::{Log, Watchdog};

use crate::support::{Place, patiently, wait_until, within};

/// A thread that serves a port in its default mode until this is dropped.
struct Worker {
    run_loop: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(port: &LocalPort) -> Self {
        let port = port.clone();
        let (ready, started) = channel();
        let thread = std::thread::spawn(move || {
            let run_loop = RunLoop::current();
            run_loop.add(&port, Mode::DEFAULT).unwrap();
            drop(port);
            ready.send(run_loop.handle()).unwrap();
            let limit = Limit::Never;
            let outcome = run_loop.wait_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
            let _stopped = outcome.unwrap();
        });
        Self {
            run_loop: started.recv().expect("the thread serves"),
            thread: Some(thread),
        }
    }

    fn id(&self) -> std::thread::ThreadId {
        self.thread.as_ref().unwrap().thread().id()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.run_loop.stop().ok();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().expect("the worker has not panicked");
        }
    }
}

fn shared<R: Into<Reply> + 'static>(
    place: &Place,
    handler: impl Fn(Message) -> R + Send + Sync + 'static,
) -> LocalPort {
    let options = PortOptions::new().in_directory(&place.directory);
    options.name("shared").create_shared(handler).unwrap()
}

/// A handler of which message 1 waits until message 2 has been served, and says which thread served each.
fn waits_for_the_other(log: &Log) -> impl Fn(Message) + Send + Sync + 'static {
    let (go, wait): (Sender<()>, Receiver<()>) = channel();
    let (go, wait, log) = (Mutex::new(go), Mutex::new(wait), log.clone());
    move |message| match message.id() {
        1 => {
            log.add("1 begins");
            wait.lock().unwrap().recv().unwrap();
            log.add("1 ends");
        }
        2 => {
            log.add("2");
            go.lock().unwrap().send(()).unwrap();
        }
        other => panic!("there is no message {other}"),
    }
}

#[test]
fn what_came_behind_a_message_that_takes_long_is_served_by_another_thread() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let port = shared(&place, waits_for_the_other(&log));
    let _workers = [Worker::start(&port), Worker::start(&port)];
    let remote = place.connect("shared");
    for _ in 0..200 {
        // Of one link, both there before anybody looks.
        remote.send(1, b"").unwrap();
        remote.send(2, b"").unwrap();
        wait_until(|| log.count() == 3);
        // Which of two threads gets to its handler first is nobody's promise.
        let mut served = log.take();
        served[..2].sort();
        assert_eq!(served, ["1 begins", "2", "1 ends"]);
        // The second comes when the first is being served.
        remote.send(1, b"").unwrap();
        wait_until(|| log.count() == 1);
        remote.send(2, b"").unwrap();
        wait_until(|| log.count() == 3);
        assert_eq!(log.take(), ["1 begins", "2", "1 ends"]);
        // Of two links.
        let other = place.connect("shared");
        remote.send(1, b"").unwrap();
        wait_until(|| log.count() == 1);
        other.send(2, b"").unwrap();
        wait_until(|| log.count() == 3);
        assert_eq!(log.take(), ["1 begins", "2", "1 ends"]);
    }
}

#[test]
fn a_thread_that_is_busy_with_something_else_keeps_no_message_from_the_other() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let port = shared(&place, |message: Message| message.into_payload());
    let busy = Worker::start(&port);
    let _free = Worker::start(&port);
    let remote = place.connect("shared");
    for round in 0..100_u32 {
        // It has served, and so might look before it sleeps; but it does not come to that.
        remote.request_with(1, b"", patiently()).unwrap();
        let (go, wait) = channel::<()>();
        let (in_it, entered) = channel();
        let closure = move |_: &RunLoop| {
            in_it.send(()).unwrap();
            wait.recv().unwrap();
        };
        busy.run_loop.perform(Mode::DEFAULT, closure).unwrap();
        entered.recv().unwrap();
        let sent = round.to_le_bytes();
        let reply = remote.request_with(1, &sent, patiently()).unwrap();
        assert_eq!(reply[..], sent);
        go.send(()).unwrap();
    }
}

#[test]
fn each_of_many_messages_is_served_once_and_by_more_than_one_thread() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let served = Arc::new(Mutex::new(vec![Vec::new(); 4]));
    let kept = Arc::clone(&served);
    let port = shared(&place, move |message: Message| {
        let from = usize::try_from(message.id()).unwrap();
        let number = u32::from_le_bytes(message.data().try_into().unwrap());
        let mut served = kept.lock().unwrap();
        served[from].push((number, std::thread::current().id()));
    });
    let workers: Vec<_> = (0..3).map(|_| Worker::start(&port)).collect();
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let remote = place.connect("shared");
            std::thread::spawn(move || {
                for number in 0..5_000_u32 {
                    let bytes = number.to_le_bytes();
                    remote.send_with(sender, &bytes, patiently()).unwrap();
                }
                remote
            })
        })
        .collect();
    let _remotes: Vec<_> = senders.into_iter().map(|t| t.join().unwrap()).collect();
    wait_until(|| served.lock().unwrap().iter().all(|all| all.len() >= 5_000));
    let mut threads = std::collections::HashSet::new();
    for all in served.lock().unwrap().iter() {
        let mut numbers: Vec<_> = all.iter().map(|&(number, _)| number).collect();
        numbers.sort_unstable();
        assert!(
            numbers.iter().copied().eq(0..5_000),
            "each exactly once (A45)"
        );
        threads.extend(all.iter().map(|&(_, thread)| thread));
    }
    assert!(threads.len() > 1, "by several");
    assert!(threads.is_subset(&workers.iter().map(Worker::id).collect()));
}

#[test]
fn a_thread_that_ends_leaves_the_port_to_the_others() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let port = shared(&place, |message: Message| message.into_payload());
    let stays = Worker::start(&port);
    let remote = place.connect("shared");
    for _ in 0..50 {
        let goes = Worker::start(&port);
        remote.request_with(1, b"two", patiently()).unwrap();
        drop(goes);
        // Also for those who come when it is gone.
        let late = place.connect("shared");
        assert_eq!(
            &late.request_with(1, b"one", patiently()).unwrap()[..],
            b"one"
        );
        assert_eq!(
            &remote.request_with(1, b"one", patiently()).unwrap()[..],
            b"one"
        );
    }
    drop(stays);
    assert!(port.is_valid(), "a port that is in no loop waits for one");
    remote.send(1, b"").unwrap();
}

#[test]
fn the_handler_is_let_go_of_at_once_on_whichever_thread_ends_the_port() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let held = Arc::new(AtomicU32::new(0));
    let kept = Arc::clone(&held);
    let port = shared(&place, move |_| {
        kept.fetch_add(1, Ordering::Relaxed);
    });
    let _worker = Worker::start(&port);
    place.connect("shared").request(1, b"").unwrap();
    port.invalidate();
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(held.load(Ordering::Relaxed), 1);
}

#[test]
fn a_request_that_other_threads_could_answer_is_tried_and_one_that_only_this_one_could_is_not() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let port = shared(&place, |_| ());
    let remote = place.connect("shared");
    let nobody = within(crate::support::FAR, std::time::Duration::from_millis(20));
    let waited = remote.request_with(1, b"", nobody);
    assert!(
        matches!(waited, Err(SendError::ReceiveTimeout)),
        "{waited:?}"
    );
    let run_loop = RunLoop::current();
    run_loop.add(&port, Mode::DEFAULT).unwrap();
    let refused = remote.request_with(1, b"", patiently());
    assert!(
        matches!(refused, Err(SendError::WouldDeadlock)),
        "{refused:?}"
    );
    remote
        .request_with(1, b"", patiently().in_mode(Mode::DEFAULT))
        .unwrap();
    let worker = Worker::start(&port);
    remote.request_with(1, b"", patiently()).unwrap();
    drop(worker);
}

#[test]
fn a_port_bound_to_its_thread_is_in_no_other_loop() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let port = place.served("bound", |_| ());
    let thread = std::thread::spawn(move || {
        let run_loop = RunLoop::current();
        let refused = run_loop.add(&port, Mode::DEFAULT);
        assert!(matches!(refused, Err(runloop::AddError::OtherLoop)));
        run_loop
            .add(&Signalled::new(|_| {}), Mode::DEFAULT)
            .unwrap();
        port
    });
    assert!(thread.join().unwrap().is_valid());
}
