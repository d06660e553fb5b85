//! Defects that a well-kept peer was found to have, as far as no other file is the natural place for them.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;

use runloop::{
    Activity, Descriptor, Interest, Mode, Observer, Prepared, RunLoop, Signalled, Stage,
};
use tests::{Log, Watchdog};

use crate::support::{Probe, drain, far, pair, ready_pair, serve};

#[test]
fn disabling_a_source_while_it_is_used_disables_no_other() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let (ours, theirs) = ready_pair();
    let seen = log.clone();
    let a = Descriptor::new(ours, Interest::READABLE, move |_, stream, _| {
        drain(stream);
        seen.add("a");
    });
    run_loop.add(&a, Mode::DEFAULT).unwrap();
    let (ours, others) = ready_pair();
    let slot: Rc<RefCell<Option<Descriptor>>> = Rc::default();
    let (known, seen) = (Rc::clone(&slot), log.clone());
    let b = Descriptor::new(ours, Interest::READABLE, move |_, stream, _| {
        seen.add("b");
        let b = known.borrow().clone().unwrap();
        b.set_interest(Interest::empty());
        serve(Mode::DEFAULT);
        b.set_interest(Interest::READABLE);
        b.set_interest(Interest::empty());
        drain(stream);
    });
    run_loop.add(&b, Mode::DEFAULT).unwrap();
    slot.replace(Some(b.clone()));
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["a", "b"], "both were ready");
    for mut stream in [&theirs, &others] {
        stream.write_all(b"x").unwrap();
    }
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["a"], "the other one is disabled");
    b.set_interest(Interest::READABLE);
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["b"], "and can be enabled again");
    b.invalidate();
    slot.take();
}

#[test]
fn registering_again_and_again_adds_no_calls() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let announced = Rc::new(Cell::new(0));
    let counted = Rc::clone(&announced);
    let source = Probe::new("p", &log)
        .preparing(move |_, stage| {
            if stage == Stage::Announce {
                counted.set(counted.get() + 1);
            }
            Prepared::Idle
        })
        .source();
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    let observer = Observer::new(Activity::ENTRY, 0, move |_, _| {
        counted.set(counted.get() + 1);
    });
    for _ in 0..5 {
        for mode in [Mode::DEFAULT, Mode::COMMON, Mode::DEFAULT] {
            run_loop.add(&source, mode).unwrap();
            run_loop.look_before_sleep(&source);
            run_loop.add_observer(&observer, mode).unwrap();
        }
        run_loop.remove(&source, Mode::DEFAULT);
        run_loop.remove(&source, Mode::COMMON);
        run_loop.remove_observer(&observer, Mode::DEFAULT);
        run_loop.remove_observer(&observer, Mode::COMMON);
    }
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    run_loop.look_before_sleep(&source);
    run_loop.look_before_sleep(&source);
    run_loop.add_observer(&observer, Mode::DEFAULT).unwrap();
    log.take();
    source.handle().signal();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["p signalled"], "performed once");
    assert_eq!(announced.get(), 1, "asked once");
    assert_eq!(calls.get(), 1, "observed once");
    source.invalidate();
    assert_eq!(
        log.take(),
        ["p cancel default", "p detach", "p invalidated Asked"],
        "told once"
    );
}

#[test]
fn an_old_handle_never_reaches_what_has_taken_its_place() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let old = Signalled::new(|_| {});
    run_loop.add(&old, Mode::DEFAULT).unwrap();
    let handle = old.handle().clone();
    old.invalidate();
    drop(old);
    // More often than sixteen bits of generations would last.
    for _ in 0..70_000 {
        let later = Signalled::new(|_| {});
        run_loop.add(&later, Mode::DEFAULT).unwrap();
        later.invalidate();
    }
    let (ours, theirs) = pair();
    let last = Probe::new("last", &log).watching(ours).source();
    run_loop.add(&last, Mode::DEFAULT).unwrap();
    log.take();
    handle.signal();
    handle.set_deadline(Some(far()));
    handle.set_interest(runloop::Token(0), Interest::empty());
    handle.invalidate();
    assert!(!run_loop.contains(&handle, Mode::DEFAULT), "it is gone");
    assert!(!run_loop.remove(&handle, Mode::DEFAULT), "it is gone");
    assert_eq!(run_loop.next_deadline(Mode::DEFAULT), None, "not the new");
    assert!(last.handle().is_valid(), "the new one is");
    (&theirs).write_all(b"x").unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["last ready 0"], "and works");
}
