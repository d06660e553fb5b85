//! Back-pressure: a paused socket gets nothing, a resumed one gets the rest, and nothing is lost or told twice.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runloop::{Mode, Outcome, ReturnAfter, RunLoop, Signalled};
use socket_source::{Socket, SocketOptions, StreamEvent};
use tests::{Log, Watchdog};

use crate::{count_passes, fill, pass, pass_until, recorded, run, tcp_pair};

#[test]
fn a_callback_that_pauses_gets_no_further_byte_until_it_resumes() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let told = log.clone();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let options = SocketOptions::new().bytes_per_pass(3);
    let socket = Socket::reading_with(options, ours, move |run_loop, socket, event| match event {
        StreamEvent::Data(bytes) => {
            told.add(String::from_utf8(bytes.to_vec()).unwrap());
            socket.pause();
        }
        other => {
            told.add(format!("{other:?}"));
            run_loop.stop();
        }
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    theirs.write_all(b"onetwosix").unwrap();
    drop(theirs);
    for expected in ["one", "two", "six", "Ended"] {
        assert_eq!(pass_until(&log, 1), [expected], "when it is asked for");
        for _ in 0..3 {
            pass();
        }
        assert_eq!(log.take(), Vec::<String>::new(), "and no more");
        socket.resume();
    }
}

#[test]
fn a_socket_that_was_paused_before_it_was_added_gets_nothing() {
    let _watchdog = Watchdog::new();
    for elsewhere in [false, true] {
        let log = Log::new();
        let told = log.clone();
        let (ours, mut theirs) = tcp_pair();
        theirs.write_all(b"kept").unwrap();
        let socket =
            Socket::reading(ours, move |_, _, event| told.add(format!("{event:?}"))).unwrap();
        let pausing = socket.clone();
        if elsewhere {
            std::thread::spawn(move || pausing.pause()).join().unwrap();
        } else {
            pausing.pause();
        }
        RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
        for _ in 0..3 {
            pass();
        }
        assert_eq!(
            log.take(),
            Vec::<String>::new(),
            "paused, elsewhere: {elsewhere}"
        );
        socket.resume();
        assert_eq!(pass_until(&log, 1), ["Data(b\"kept\")"]);
        socket.invalidate();
    }
}

#[test]
fn another_thread_pauses_and_resumes_a_socket_of_a_sleeping_loop() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &log);
    let remote = socket.clone();
    std::thread::spawn(move || remote.pause()).join().unwrap();
    theirs.write_all(b"kept").unwrap();
    for _ in 0..3 {
        pass();
    }
    assert_eq!(
        log.take(),
        Vec::<String>::new(),
        "a pause holds when it has returned"
    );

    let (passes, observer) = count_passes();
    let run_loop = RunLoop::current();
    let limit = Duration::from_millis(50);
    let ran = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    assert_eq!(ran.unwrap(), Outcome::TimedOut);
    assert!(
        passes.get() <= 3,
        "{} passes: bytes that nobody wants wake nobody",
        passes.get()
    );
    observer.invalidate();

    // The loop sleeps when the order comes: nothing but the order can wake it.
    let (remote, handle) = (socket.clone(), run_loop.handle());
    let waker = std::thread::spawn(move || {
        while !handle.is_waiting().unwrap() {
            std::hint::spin_loop();
        }
        remote.resume();
        drop(theirs);
    });
    run();
    waker.join().unwrap();
    assert_eq!(log.take(), ["kept", "Ended"]);
}

#[test]
fn what_another_thread_resumes_comes_in_the_next_pass() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new().paused(), ours, &log);
    theirs.write_all(b"kept").unwrap();
    pass();
    let remote = socket.clone();
    std::thread::spawn(move || remote.resume()).join().unwrap();
    // One to look at what is wanted, and one to find that it is there.
    pass();
    pass();
    assert_eq!(log.take(), ["kept"]);
    socket.invalidate();
}

#[test]
fn what_is_paused_at_home_does_not_even_end_a_run_that_returns_after_one_source() {
    let _watchdog = Watchdog::new();
    for added_first in [true, false] {
        let (run_loop, log) = (RunLoop::current(), Log::new());
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = recorded(SocketOptions::new(), ours, &log);
        if added_first {
            socket.pause();
        } else {
            assert!(run_loop.remove(&socket, Mode::DEFAULT), "it was there");
            socket.pause();
            run_loop.add(&socket, Mode::DEFAULT).unwrap();
        }
        theirs.write_all(b"unwanted").unwrap();
        let limit = Duration::from_millis(20);
        let ran = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::FirstSource);
        assert_eq!(
            ran.unwrap(),
            Outcome::TimedOut,
            "added first: {added_first}"
        );
        socket.invalidate();
    }
}

#[test]
fn a_resume_on_the_own_thread_is_not_overtaken_by_an_earlier_pause_of_another() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &log);
    let remote = socket.clone();
    std::thread::spawn(move || remote.pause()).join().unwrap();
    socket.resume();
    theirs.write_all(b"wanted").unwrap();
    assert_eq!(pass_until(&log, 1), ["wanted"]);
    socket.invalidate();
}

#[test]
fn the_last_of_many_orders_from_many_threads_holds() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &log);
    for round in 0..200 {
        theirs.write_all(b".").unwrap();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let remote = socket.clone();
                std::thread::spawn(move || {
                    for _ in 0..20 {
                        remote.pause();
                        remote.resume();
                    }
                    remote.pause();
                })
            })
            .collect();
        for _ in 0..10 {
            pass();
            socket.resume();
            socket.pause();
        }
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        pass();
        let before: usize = log.take().iter().map(String::len).sum();
        pass();
        assert_eq!(
            log.take(),
            Vec::<String>::new(),
            "round {round}: it is paused"
        );
        socket.resume();
        if before == 0 {
            assert_eq!(
                pass_until(&log, 1).concat(),
                ".",
                "round {round}: it is not"
            );
        }
    }
    socket.invalidate();
}

/// The byte at a place of the stream that the next test sends.
fn byte_at(place: usize) -> u8 {
    u8::try_from(place % 251).unwrap()
}

#[test]
fn nothing_is_lost_or_told_twice_however_often_a_stream_is_paused() {
    let _watchdog = Watchdog::new();
    const TOTAL: usize = 4 << 20;
    let (ours, mut theirs) = tcp_pair();
    let writer = std::thread::spawn(move || {
        let bytes: Vec<u8> = (0..TOTAL).map(byte_at).collect();
        theirs.write_all(&bytes).unwrap();
    });
    let received = Rc::new(RefCell::new((0, 0)));
    let counted = Rc::clone(&received);
    let socket = Socket::reading(ours, move |run_loop, socket, event| match event {
        StreamEvent::Data(bytes) => {
            let (place, pieces) = *counted.borrow();
            let right = bytes
                .iter()
                .zip(place..)
                .all(|(&byte, place)| byte == byte_at(place));
            assert!(right, "in order, from {place}");
            *counted.borrow_mut() = (place + bytes.len(), pieces + 1);
            if pieces % 3 == 0 {
                socket.pause();
            }
        }
        StreamEvent::Ended => run_loop.stop(),
        other => panic!("{other:?}"),
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (remote, ended) = (socket.clone(), Arc::clone(&done));
    let resumer = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            remote.resume();
            std::thread::yield_now();
        }
    });
    run();
    done.store(true, Ordering::Relaxed);
    resumer.join().unwrap();
    writer.join().unwrap();
    assert_eq!(received.borrow().0, TOTAL, "bytes");
}

#[test]
fn a_paused_stream_slows_the_other_side_down() {
    let _watchdog = Watchdog::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let counted = Rc::new(RefCell::new(0));
    let sum = Rc::clone(&counted);
    let socket = Socket::reading(ours, move |run_loop, _, event| {
        if let StreamEvent::Data(bytes) = event {
            *sum.borrow_mut() += bytes.len();
        } else {
            run_loop.stop();
        }
    });
    let socket = socket.unwrap();
    socket.pause();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    let written = fill(&theirs);
    for _ in 0..100 {
        pass();
    }
    assert_eq!(fill(&theirs), 0, "nothing was read ahead");
    assert_eq!(
        theirs.read(&mut [0]).unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
    drop(theirs);
    socket.resume();
    run();
    assert_eq!(*counted.borrow(), written, "all of it comes");
}

#[test]
fn a_pause_in_another_source_of_the_same_pass_holds() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = recorded(SocketOptions::new(), ours, &log);
    let (first, mut far) = UnixStream::pair().unwrap();
    let (pausing, told) = (socket.clone(), log.clone());
    let options = SocketOptions::new().order(-1);
    let first = Socket::reading_with(options, first, move |_, _, _| {
        told.add("pauses the other");
        pausing.pause();
    });
    let first = first.unwrap();
    RunLoop::current().add(&first, Mode::DEFAULT).unwrap();
    theirs.write_all(b"second").unwrap();
    far.write_all(b"first").unwrap();
    pass();
    pass();
    assert_eq!(
        log.take(),
        ["pauses the other"],
        "both were ready in one wait"
    );
    let resuming = socket.clone();
    let signal = Signalled::new(move |_| resuming.resume());
    RunLoop::current().add(&signal, Mode::DEFAULT).unwrap();
    signal.signal();
    assert_eq!(pass_until(&log, 1), ["second"]);
    signal.invalidate();
    first.invalidate();
    socket.invalidate();
}
