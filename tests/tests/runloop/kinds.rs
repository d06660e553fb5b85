//! The ready-made kinds of source: signalled, descriptor and channel, and the closures they keep.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use runloop::{
    Activity, Channel, Descriptor, Interest, Mode, Observer, OnPanic, Outcome, RunLoop, SendError,
    Signalled, SourceOptions, channel, channel_with,
};
use rustix::event::epoll;
use tests::{Log, Watchdog};

use crate::support::{drain, pair, pass, ready_pair, run, run_one, serve};

#[test]
fn a_closure_that_holds_its_own_source_is_dropped_when_that_is_invalidated() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let held = Rc::new(());

    let (captured, slot) = (Rc::clone(&held), Rc::new(RefCell::new(None)));
    let own = Rc::clone(&slot);
    let signalled = Signalled::new(move |_| drop((Rc::clone(&captured), own.borrow().clone())));
    run_loop.add(&signalled, Mode::DEFAULT).unwrap();
    slot.replace(Some(signalled));

    let (captured, other) = (Rc::clone(&held), Rc::new(RefCell::new(None)));
    let own = Rc::clone(&other);
    let (ours, _theirs) = ready_pair();
    let descriptor = Descriptor::new(ours, Interest::READABLE, move |_, _, _| {
        drop((Rc::clone(&captured), own.borrow().clone()));
    });
    run_loop.add(&descriptor, Mode::DEFAULT).unwrap();
    other.replace(Some(descriptor));

    let (captured, third) = (Rc::clone(&held), Rc::new(RefCell::new(None)));
    let own = Rc::clone(&third);
    let (_sender, receiver) = channel(move |_, (): ()| {
        drop((Rc::clone(&captured), own.borrow().clone()));
    });
    third.replace(Some(receiver));

    serve(Mode::DEFAULT);
    assert_eq!(Rc::strong_count(&held), 4, "one each");
    slot.borrow().as_ref().unwrap().invalidate();
    other.borrow().as_ref().unwrap().invalidate();
    third.borrow().as_ref().unwrap().invalidate();
    assert_eq!(Rc::strong_count(&held), 1, "all three are dropped");
}

#[test]
fn a_closure_that_invalidates_its_own_source_lives_until_it_returns() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let held = Rc::new(());
    let slot: Rc<RefCell<Option<Signalled>>> = Rc::default();
    let (captured, own) = (Rc::clone(&held), Rc::clone(&slot));
    let source = Signalled::new(move |_| {
        own.take().unwrap().invalidate();
        assert_eq!(Rc::strong_count(&captured), 2, "it is running");
    });
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.signal();
    slot.replace(Some(source));
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(Rc::strong_count(&held), 1, "it has returned");
}

#[test]
fn a_channel_hands_over_its_values_in_order() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let mut next = 0;
    let (sender, receiver) = channel(move |run_loop, value: u32| {
        assert_eq!(value, next, "in order");
        next += 1;
        if next == 10_000 {
            run_loop.stop();
        }
    });
    run_loop.add(&receiver, Mode::DEFAULT).unwrap();
    let helper = thread::spawn(move || {
        for value in 0..10_000 {
            while let Err(error) = sender.send(value) {
                assert_eq!(error, SendError::Full(value), "it comes back");
                thread::yield_now();
            }
        }
    });
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "at the last");
    helper.join().unwrap();
}

#[test]
fn a_full_channel_gives_the_value_back_and_an_invalid_one_too() {
    let _watchdog = Watchdog::new();
    let (sender, receiver) = channel_with(SourceOptions::new(), 2, |_, _: u32| {});
    assert_eq!(sender.send(1), Ok(()), "room for two");
    assert_eq!(sender.send(2), Ok(()), "room for two");
    assert_eq!(sender.send(3), Err(SendError::Full(3)), "and no more");
    receiver.invalidate();
    assert_eq!(sender.send(4), Err(SendError::Closed(4)), "nobody takes it");
}

#[test]
fn a_sender_outlives_the_thread_of_its_receiver() {
    let _watchdog = Watchdog::new();
    let receiving = thread::spawn(|| {
        let (sender, receiver) = channel(|_, _: u32| {});
        RunLoop::current().add(&receiver, Mode::DEFAULT).unwrap();
        sender
    });
    let sender = receiving.join().unwrap();
    assert_eq!(sender.send(4), Err(SendError::Closed(4)), "nobody takes it");
}

#[test]
fn a_flood_of_values_leaves_the_loop_room_for_others() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let (taken, inside) = (Rc::new(Cell::new(0)), log.clone());
    let counted = Rc::clone(&taken);
    let (sender, receiver) = channel(move |_, _: u32| counted.set(counted.get() + 1));
    run_loop.add(&receiver, Mode::DEFAULT).unwrap();
    for value in 0..1_024 {
        sender.send(value).unwrap();
    }
    let other = Signalled::new(move |_| inside.add(format!("after {}", taken.get())));
    run_loop.add(&other, Mode::DEFAULT).unwrap();
    other.signal();
    for _ in 0..5 {
        serve(Mode::DEFAULT);
    }
    assert_eq!(log.take(), ["after 256"], "a perform takes so many");
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "nothing is left");
}

#[test]
fn a_panicking_receiver_loses_the_one_value_it_was_given() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inside = log.clone();
    let options = SourceOptions::new().on_panic(OnPanic::Keep);
    let (sender, receiver) = channel_with(options, 10, move |_, value: u32| {
        assert_ne!(value, 2, "the test's panic");
        inside.add(value.to_string());
    });
    RunLoop::current().add(&receiver, Mode::DEFAULT).unwrap();
    for value in 1..=4 {
        sender.send(value).unwrap();
    }
    let panicked = std::panic::catch_unwind(|| run(Mode::DEFAULT));
    assert!(panicked.is_err(), "at the second");
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "it goes on");
    assert_eq!(log.take(), ["1", "3", "4"], "with the third");
}

#[test]
fn a_channel_that_its_closure_ends_or_removes_hands_over_no_further_value() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let slot: Rc<RefCell<Option<Channel>>> = Rc::default();
    let (inside, own) = (log.clone(), Rc::clone(&slot));
    let (sender, receiver) = channel(move |run_loop, value: u32| {
        inside.add(value.to_string());
        let own = own.borrow();
        match value {
            1 => assert!(run_loop.remove(own.as_ref().unwrap(), Mode::DEFAULT)),
            _ => own.as_ref().unwrap().invalidate(),
        }
    });
    slot.replace(Some(receiver.clone()));
    for value in 1..=3 {
        sender.send(value).unwrap();
    }
    for expected in ["1", "2"] {
        run_loop.add(&receiver, Mode::DEFAULT).unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is there");
        assert_eq!(log.take(), [expected], "one at a time");
    }
    assert_eq!(sender.send(4), Err(SendError::Closed(4)), "it has ended");
    slot.take();
}

#[test]
fn values_that_wait_are_dropped_with_an_invalidated_channel() {
    let _watchdog = Watchdog::new();
    let held = Arc::new(());
    let (sender, receiver) = channel(|_, _: Arc<()>| {});
    sender.send(Arc::clone(&held)).unwrap();
    receiver.invalidate();
    assert_eq!(Arc::strong_count(&held), 1, "with the channel, not later");
    drop(sender);
}

/// A closure that may change what it has captured cannot run inside itself, whatever the options say.
#[test]
fn a_kind_with_a_closure_is_never_reentrant_and_loses_nothing_by_it() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let inside = log.clone();
    let options = SourceOptions::new().reentrant();
    let (sender, receiver) = channel_with(options.clone(), 10, move |_, value: u32| {
        inside.add(format!("in {value}"));
        serve(Mode::DEFAULT);
        inside.add(format!("out {value}"));
    });
    run_loop.add(&receiver, Mode::DEFAULT).unwrap();
    for value in 1..=2 {
        sender.send(value).unwrap();
    }
    serve(Mode::DEFAULT);
    serve(Mode::DEFAULT);
    assert_eq!(
        log.take(),
        ["in 1", "out 1", "in 2", "out 2"],
        "both values"
    );

    let (times, slot) = (
        Arc::new(AtomicU32::new(0)),
        Rc::new(RefCell::new(None::<Signalled>)),
    );
    let (counted, own) = (Arc::clone(&times), Rc::clone(&slot));
    let source = Signalled::with(options, move |_| {
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            own.borrow().as_ref().unwrap().signal();
            serve(Mode::DEFAULT);
        }
    });
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.signal();
    slot.replace(Some(source.clone()));
    serve(Mode::DEFAULT);
    serve(Mode::DEFAULT);
    assert_eq!(times.load(Ordering::SeqCst), 2, "both signals");
    source.invalidate();
}

/// L22: order decides who comes first in a pass, not who comes at all.
#[test]
fn one_that_is_always_ready_and_first_leaves_the_last_its_turn() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let mut others = Vec::new();
    let mut lazy = Vec::new();
    for (name, order) in [("last", i32::MAX), ("first", i32::MIN)] {
        let (ours, theirs) = ready_pair();
        let (seen, options) = (log.clone(), SourceOptions::new().order(order));
        let source = Descriptor::with(options, ours, Interest::READABLE, move |_, _, _| {
            seen.add(name);
        });
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        others.push(theirs);
        lazy.push(source);
    }
    for _ in 0..3 {
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["first", "last"], "in every pass");
    }
    for _ in 0..4 {
        lazy.iter().for_each(|source| source.handle().signal());
        serve(Mode::DEFAULT);
    }
    assert_eq!(
        log.take(),
        ["first", "last"].repeat(4),
        "whatever else there is"
    );
}

/// B57, L34: the loop holds the closure and the closure the loop; the end of the thread takes both.
#[test]
fn a_closure_that_holds_its_own_loop_goes_with_the_thread() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    struct Noted(Log, &'static str);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.add(self.1);
        }
    }
    let inside = log.clone();
    thread::spawn(move || {
        let run_loop = RunLoop::current();
        let held = |what| Rc::new((run_loop.clone(), Noted(inside.clone(), what)));
        let (a, b, c) = (held("source"), held("observer"), held("closure"));
        let source = Signalled::new(move |_| drop(Rc::clone(&a)));
        run_loop.add(&source, Mode::DEFAULT).unwrap();
        let observer = Observer::new(Activity::all(), 0, move |_, _| drop(Rc::clone(&b)));
        run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
        run_loop.perform(Mode::DEFAULT, move |_| drop(c)).unwrap();
    })
    .join()
    .unwrap();
    let mut lines = log.take();
    lines.sort();
    assert_eq!(lines, ["closure", "observer", "source"], "all of them");
}

/// E28: somebody else's poll set is a descriptor like any other, and nothing in it is lost for having been there before.
#[test]
fn a_poll_set_of_somebody_else_can_be_watched() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let inner = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let data = epoll::EventData::new_u64(7);
    epoll::add(&inner, &ours, data, epoll::EventFlags::IN).unwrap();
    let seen = log.clone();
    let source = Descriptor::new(inner, Interest::READABLE, move |_, inner, _| {
        let mut events = Vec::with_capacity(4);
        let room = rustix::buffer::spare_capacity(&mut events);
        let zero = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        epoll::wait(inner, room, Some(&zero)).unwrap();
        seen.add(format!("{} ready", events.len()));
        if seen.count() > 1 {
            drain(&ours);
        }
    });
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    for _ in 0..2 {
        assert_eq!(
            run_one(Mode::DEFAULT),
            Outcome::HandledSource,
            "it is ready"
        );
    }
    assert_eq!(log.take(), ["1 ready", "1 ready"], "until it was read");
    theirs.write_all(b"y").unwrap();
    assert_eq!(
        run_one(Mode::DEFAULT),
        Outcome::HandledSource,
        "it is ready"
    );
    assert_eq!(log.take(), ["1 ready"], "and anew");
}
