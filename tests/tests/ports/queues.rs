//! Handlers on queues: one message at a time, in order, with as much waiting as a link holds; and never in a loop as well.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use messageport::{
    Job, LocalPort, Message, PortOptions, Queue, QueueError, Reply, SendError, SerialQueue,
};
use runloop::{AddError, Limit, Mode, Outcome, ReturnAfter, RunLoop};
use tests::{Log, Watchdog};

use crate::children::{Child, HANG};
use crate::support::{Place, assert_same, patiently, pattern, run_until, wait_until, within};

fn shared<R: Into<Reply> + 'static>(
    place: &Place,
    name: &str,
    handler: impl Fn(Message) -> R + Send + Sync + 'static,
) -> LocalPort {
    let options = PortOptions::new().in_directory(&place.directory);
    options.name(name).create_shared(handler).unwrap()
}

fn echo(place: &Place, name: &str) -> LocalPort {
    shared(place, name, Message::into_payload)
}

/// A queue of which every job has a thread of its own.
fn threads(job: Job) {
    std::thread::spawn(|| job.run());
}

#[test]
fn messages_are_handled_one_at_a_time_and_in_order_also_by_a_queue_that_is_neither() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for (name, queue) in [
        (
            "threads",
            Box::new(threads) as Box<dyn Fn(Job) + Send + Sync>,
        ),
        ("at once", Box::new(Job::run)),
    ] {
        let seen = Arc::new(Mutex::new([Vec::new(), Vec::new()]));
        let inside = Arc::new(AtomicU32::new(0));
        let kept = Arc::clone(&seen);
        let port = shared(&place, name, move |message: Message| {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
            std::thread::yield_now();
            let from = usize::try_from(message.id()).unwrap();
            let number = u32::from_le_bytes(message.data().try_into().unwrap());
            kept.lock().unwrap()[from].push(number);
            inside.fetch_sub(1, Ordering::SeqCst);
        });
        port.set_dispatch_queue(queue).unwrap();
        let senders = [0, 1].map(|from| {
            let remote = place.connect(name);
            std::thread::spawn(move || {
                for number in 0..3_000_u32 {
                    let bytes = number.to_le_bytes();
                    remote.send_with(from, &bytes, patiently()).unwrap();
                }
                remote
            })
        });
        let _remotes = senders.map(|sender| sender.join().unwrap());
        wait_until(|| seen.lock().unwrap().iter().all(|all| all.len() == 3_000));
        for all in seen.lock().unwrap().iter() {
            assert!(
                all.iter().copied().eq(0..3_000),
                "in the order of each link"
            );
        }
    }
}

#[test]
fn a_serial_queue_is_one_thread_and_serves_large_and_small_messages_of_clients_that_come_and_go() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let threads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&threads);
    let port = shared(&place, "serial", move |message: Message| {
        kept.lock().unwrap().push(std::thread::current().id());
        message.into_payload()
    });
    // What came before is served as well.
    let early = place.connect("serial");
    early.send(1, b"early").unwrap();
    port.set_dispatch_queue(SerialQueue::new("worker").unwrap())
        .unwrap();
    for size in [0, 1, 64, 65, 70_000, 3 << 20, 9 << 20, 5] {
        let remote = place.connect("serial");
        let sent = pattern(size, size);
        let reply = remote.request_with(1, &sent, patiently()).unwrap();
        assert_same(&reply, &sent, "the reply");
        assert!(early.request_with(1, b"", patiently()).is_ok());
    }
    let mut seen = threads.lock().unwrap().clone();
    assert_eq!(seen.len(), 17);
    seen.dedup();
    assert_eq!(seen.len(), 1, "always the same thread");
    assert_ne!(seen[0], std::thread::current().id());
}

#[test]
fn a_sender_finds_no_room_while_a_queue_is_busy_and_what_it_sent_is_served_afterwards() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    let port = shared(&place, "busy", move |_| {
        // After the first, the others find it hung up.
        wait.lock().unwrap().recv().ok();
        count.fetch_add(1, Ordering::SeqCst);
    });
    port.set_dispatch_queue(SerialQueue::new("busy").unwrap())
        .unwrap();
    let remote = place.connect("busy");
    let bytes = pattern(100_000, 1);
    let mut sent = 0;
    let full = loop {
        match remote.send_with(1, &bytes, within(Duration::ZERO, Duration::ZERO)) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 1_000, "the backlog has a bound (A82)");
    };
    assert!(matches!(full, SendError::SendTimeout), "{full:?}");
    assert_eq!(served.load(Ordering::SeqCst), 0);
    drop(go);
    wait_until(|| served.load(Ordering::SeqCst) == sent);
}

#[test]
fn the_loop_of_a_thread_is_a_queue_in_its_common_modes() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let (told, run_loop) = (log.clone(), RunLoop::current());
    let here = std::thread::current().id();
    let port = shared(&place, "main", move |message: Message| {
        assert_eq!(std::thread::current().id(), here);
        told.add(format!(
            "{} in {:?}",
            message.id(),
            RunLoop::current().current_mode()
        ));
    });
    port.set_dispatch_queue(run_loop.handle()).unwrap();
    let remote = place.connect("main");
    remote.send(1, b"").unwrap();
    let other = Mode::new("of nobody");
    let soon = Limit::from(Duration::from_millis(30));
    let outcome = run_loop.wait_in_mode(other, soon, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut);
    assert_eq!(log.take(), [""; 0], "that mode is not a common one");
    run_until(|| log.count() == 1);
    assert_eq!(log.take(), [format!("1 in {:?}", Some(Mode::DEFAULT))]);
    remote.send(2, b"").unwrap();
    run_until(|| log.count() == 1);
}

#[test]
fn a_port_is_in_a_loop_or_on_a_queue_and_the_second_is_an_error() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let run_loop = RunLoop::current();
    let bound = place.port("bound", |_| ());
    let refused = bound.set_dispatch_queue(threads);
    assert!(matches!(refused, Err(QueueError::Bound)), "{refused:?}");
    let port = echo(&place, "either");
    assert!(!port.clear_dispatch_queue(), "there is none");
    run_loop.add(&port, Mode::DEFAULT).unwrap();
    let refused = port.set_dispatch_queue(threads);
    assert!(matches!(refused, Err(QueueError::InLoop)), "{refused:?}");
    assert!(run_loop.remove(&port, Mode::DEFAULT));
    port.set_dispatch_queue(threads).unwrap();
    let refused = run_loop.add(&port, Mode::DEFAULT);
    let Err(AddError::Attach(error)) = refused else {
        panic!("{refused:?}");
    };
    let inside = error.get_ref().unwrap().downcast_ref::<QueueError>();
    assert!(matches!(inside, Some(QueueError::OnQueue)), "A80");
    assert!(!run_loop.contains(&port, Mode::DEFAULT));
    let remote = place.connect("either");
    remote.request_with(1, b"", patiently()).unwrap();
    // Detached again, messages wait for a loop (A81).
    assert!(port.clear_dispatch_queue());
    let waits = within(crate::support::FAR, Duration::from_millis(30));
    let waited = remote.request_with(1, b"", waits);
    assert!(
        matches!(waited, Err(SendError::ReceiveTimeout)),
        "{waited:?}"
    );
    run_loop.add(&port, Mode::DEFAULT).unwrap();
    let here = patiently().in_mode(Mode::DEFAULT);
    assert_eq!(&remote.request_with(1, b"here", here).unwrap()[..], b"here");
    port.invalidate();
    let refused = port.set_dispatch_queue(threads);
    assert!(matches!(refused, Err(QueueError::Invalid)), "{refused:?}");
}

#[test]
fn a_job_that_a_queue_drops_takes_nothing_with_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let port = echo(&place, "dropped");
    let dropped = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&dropped);
    let queue = move |job: Job| match count.fetch_add(1, Ordering::SeqCst) {
        0 => drop(job),
        1 => panic!("as the test wants it"),
        _ => job.run(),
    };
    port.set_dispatch_queue(queue).unwrap();
    let remote = place.connect("dropped");
    assert_eq!(
        &remote.request_with(1, b"late", patiently()).unwrap()[..],
        b"late"
    );
    assert!(dropped.load(Ordering::SeqCst) >= 3, "it was offered again");
    // Another queue gets at once what is on offer.
    let jobs = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&jobs);
    port.set_dispatch_queue(move |job| kept.lock().unwrap().push(job))
        .unwrap();
    let asks = remote.clone();
    let asked = std::thread::spawn(move || asks.request_with(1, b"now", patiently()));
    wait_until(|| !jobs.lock().unwrap().is_empty());
    port.set_dispatch_queue(threads).unwrap();
    let stale = std::mem::take(&mut *jobs.lock().unwrap());
    assert_eq!(stale.len(), 1, "one is in flight at a time");
    // A job of the queue before does nothing but make way.
    stale.into_iter().for_each(Job::run);
    assert_eq!(&asked.join().unwrap().unwrap()[..], b"now");
}

#[test]
fn a_port_that_ends_on_a_queue_answers_what_it_is_at_and_fails_the_rest_at_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let port = shared(&place, "ends", move |message: Message| {
        wait.lock().unwrap().recv().unwrap();
        message.port().invalidate();
        "the last words"
    });
    let told = log.clone();
    port.on_invalidation(move || told.add(format!("{:?}", std::thread::current().name())));
    port.set_dispatch_queue(SerialQueue::new("its queue").unwrap())
        .unwrap();
    let remote = place.connect("ends");
    let ask = || {
        let remote = remote.clone();
        std::thread::spawn(move || remote.request_with(1, b"", patiently()))
    };
    let (one, other) = (ask(), ask());
    wait_until(|| remote.statistics().sent == 2);
    go.send(()).unwrap();
    let answers = [one.join().unwrap(), other.join().unwrap()];
    let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(&good[0].as_ref().unwrap()[..], b"the last words", "A59");
    assert!(
        matches!(bad[0], Err(SendError::BecameInvalid)),
        "A83: {bad:?}"
    );
    assert_eq!(log.take(), [r#"Some("its queue")"#]);
    assert!(!port.is_valid() && place.directory.names().unwrap().is_empty());
}

#[test]
fn a_handler_that_panics_ends_its_port_and_not_its_queue() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let queue = SerialQueue::new("stays").unwrap();
    let port = shared(&place, "panics", |_| -> Reply {
        panic!("as the test wants it")
    });
    let told = log.clone();
    port.on_invalidation(move || told.add(format!("{:?}", std::thread::current().name())));
    let other = echo(&place, "calm");
    port.set_dispatch_queue(queue.clone()).unwrap();
    other.set_dispatch_queue(queue).unwrap();
    let failed = place.connect("panics").request_with(1, b"", patiently());
    assert!(
        matches!(failed, Err(SendError::BecameInvalid)),
        "{failed:?}"
    );
    wait_until(|| !port.is_valid() && log.count() == 1);
    assert_eq!(log.take(), [r#"Some("stays")"#], "where it was noticed");
    assert!(
        place
            .connect("calm")
            .request_with(1, b"", patiently())
            .is_ok()
    );
}

#[test]
fn a_remote_tells_of_its_end_on_its_queue_and_is_in_no_loop_meanwhile() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    for dies_in_a_call in [false, true] {
        let mut child = Child::start("server", &place, "theirs");
        let remote = place.connect("theirs");
        let told = log.clone();
        remote.on_invalidation(move || told.add(format!("{:?}", std::thread::current().name())));
        run_loop.add(&remote, Mode::DEFAULT).unwrap();
        let refused = remote.set_dispatch_queue(threads);
        assert!(matches!(refused, Err(QueueError::InLoop)), "{refused:?}");
        run_loop.remove(&remote, Mode::DEFAULT);
        let drops = AtomicBool::new(true);
        let serial = SerialQueue::new("tells").unwrap();
        let queue = move |job: Job| {
            // It does not take the first one.
            if !drops.swap(false, Ordering::SeqCst) {
                serial.dispatch(job);
            }
        };
        remote.set_dispatch_queue(queue).unwrap();
        let refused = run_loop.add(&remote, Mode::DEFAULT);
        assert!(matches!(refused, Err(AddError::Attach(_))), "{refused:?}");
        if dies_in_a_call {
            let asks = remote.clone();
            let asked = std::thread::spawn(move || asks.request_with(HANG, b"", patiently()));
            assert_eq!(child.hear(), "in the handler");
            child.kill();
            assert!(matches!(
                asked.join().unwrap(),
                Err(SendError::BecameInvalid)
            ));
        } else {
            child.kill();
        }
        wait_until(|| log.count() > 0);
        assert_eq!(log.take(), [r#"Some("tells")"#]);
        assert!(!remote.is_valid());
        let refused = remote.set_dispatch_queue(threads);
        assert!(matches!(refused, Err(QueueError::Invalid)), "{refused:?}");
    }
    // Cleared, it is as if it had none.
    let mut child = Child::start("server", &place, "theirs");
    let remote = place.connect("theirs");
    let told = log.clone();
    remote.on_invalidation(move || told.add("here"));
    remote
        .set_dispatch_queue(|_| panic!("nothing is for the queue"))
        .unwrap();
    assert!(remote.clear_dispatch_queue() && !remote.clear_dispatch_queue());
    child.kill();
    wait_until(|| !remote.is_valid());
    assert_eq!(log.take(), ["here"]);
}
