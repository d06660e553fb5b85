//! Names that come and go, as a source tells of them.

use std::cell::Cell;
use std::rc::Rc;

use messageport::{NameChange, NameWatch};
use runloop::{Mode, RunLoop};
use tests::{Log, Watchdog};

use crate::children::Child;
use crate::support::{Place, pass, run_until};

/// A watch that writes what it tells, in the default mode.
fn watch(place: &Place, log: &Log) -> NameWatch {
    let told = log.clone();
    let ours = Some(std::process::id());
    let watch = NameWatch::new(&place.directory, move |change| {
        let (what, port) = match change {
            NameChange::Appeared(port) => ("+", port),
            NameChange::Vanished(port) => ("-", port),
            other => panic!("{other:?}"),
        };
        let whose = if port.pid == ours { "ours" } else { "theirs" };
        told.add(format!("{what}{} {whose}", port.name));
    });
    let watch = watch.unwrap();
    RunLoop::current().add(&watch, Mode::DEFAULT).unwrap();
    watch
}

#[test]
fn names_are_told_of_when_they_come_change_and_go_and_at_first_those_that_are_there() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let early = place.port("early", |_| ());
    let _watch = watch(&place, &log);
    run_until(|| log.count() == 1);
    assert_eq!(log.take(), ["+early ours"]);
    let late = place.port("late", |_| ());
    run_until(|| log.count() == 1);
    assert_eq!(log.take(), ["+late ours"]);
    early.rename("other").unwrap();
    run_until(|| log.count() == 2);
    assert_eq!(log.take(), ["-early ours", "+other ours"]);
    drop(late);
    run_until(|| log.count() == 1);
    assert_eq!(log.take(), ["-late ours"]);
    // What comes and goes while nobody looks is nothing.
    drop(place.port("brief", |_| ()));
    pass();
    pass();
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn a_name_whose_owner_is_killed_vanishes_although_nothing_in_the_directory_changes() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let log = Log::new();
    let _watch = watch(&place, &log);
    for _ in 0..5 {
        let mut child = Child::start("owner", &place, "theirs");
        run_until(|| log.count() == 1);
        assert_eq!(log.take(), ["+theirs theirs"]);
        pass();
        let looks = RunLoop::current().next_deadline(Mode::DEFAULT);
        assert_eq!(looks, None, "it is told, and does not look now and then");
        child.kill();
        run_until(|| log.count() == 1);
        assert_eq!(log.take(), ["-theirs theirs"]);
        // It may also be killed before anybody has looked.
        let mut child = Child::start("owner", &place, "theirs");
        child.kill();
        let port = place.port("theirs", |_| ());
        run_until(|| log.count() > 0);
        assert_eq!(log.take(), ["+theirs ours"]);
        drop(port);
        run_until(|| log.count() == 1);
        assert_eq!(log.take(), ["-theirs ours"]);
    }
}

#[test]
fn a_watch_that_ends_itself_tells_no_more_and_lets_go_of_its_closure() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let _ports = [place.port("one", |_| ()), place.port("two", |_| ())];
    let calls = Rc::new(Cell::new(0));
    let slot = Rc::new(std::cell::RefCell::new(None::<NameWatch>));
    let (count, own) = (Rc::clone(&calls), Rc::clone(&slot));
    let watch = NameWatch::new(&place.directory, move |_| {
        count.set(count.get() + 1);
        if let Some(watch) = own.take() {
            watch.invalidate();
        }
    });
    let watch = watch.unwrap();
    *slot.borrow_mut() = Some(watch.clone());
    RunLoop::current().add(&watch, Mode::DEFAULT).unwrap();
    run_until(|| calls.get() > 0);
    let _three = place.port("three", |_| ());
    pass();
    assert_eq!(calls.get(), 1);
    assert_eq!(Rc::strong_count(&calls), 1, "the closure is gone");
}
