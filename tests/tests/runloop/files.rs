//! Changes of files as a source: what is told, in which order, and under which names.

use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;

use runloop::{
    FileChange, FileChanges, FileEntry, FileInterest, Mode, OnPanic, Outcome, RunLoop, Signalled,
    SourceOptions,
};
use tests::{Log, Watchdog};

use crate::support::{Place, pass, run, serve};

/// A change in a few words: what, and the last two parts of the path, or one for what is watched itself.
pub(crate) fn tell(change: &FileChange) -> String {
    let name = |entry: &FileEntry| {
        let path = entry.path();
        let last = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let mark = if entry.is_directory() { "/" } else { "" };
        match entry.name() {
            Some(_) => format!("{}/{}{mark}", last(path.parent().unwrap()), last(&path)),
            None => last(&path),
        }
    };
    match change {
        FileChange::Created(entry) => format!("created {}", name(entry)),
        FileChange::Removed(entry) => format!("removed {}", name(entry)),
        FileChange::Renamed { from, to } => format!("renamed {} to {}", name(from), name(to)),
        FileChange::MovedAway(entry) => format!("moved away {}", name(entry)),
        FileChange::MovedHere(entry) => format!("moved here {}", name(entry)),
        FileChange::Modified(entry) => format!("modified {}", name(entry)),
        FileChange::Written(entry) => format!("written {}", name(entry)),
        FileChange::Attributes(entry) => format!("attributes {}", name(entry)),
        FileChange::Moved(entry) => format!("moved {}", name(entry)),
        FileChange::Vanished(entry) => format!("vanished {}", name(entry)),
        FileChange::Overflow => "overflow".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A source in the default mode that writes down what it is told, and does what the test says.
pub(crate) fn telling(
    log: &Log,
    mut act: impl FnMut(&RunLoop, &FileChanges, &FileChange) + 'static,
) -> FileChanges {
    let log = log.clone();
    let files = FileChanges::new(move |run_loop, files, change| {
        log.add(tell(&change));
        act(run_loop, files, &change);
    });
    let files = files.unwrap();
    RunLoop::current().add(&files, Mode::DEFAULT).unwrap();
    files
}

/// A source that only writes down.
pub(crate) fn listening(log: &Log) -> FileChanges {
    telling(log, |_, _, _| {})
}

/// Runs until the log has so many lines.
pub(crate) fn until_told(log: &Log, lines: usize) {
    while log.count() < lines {
        let limit = runloop::Limit::Never;
        let run_loop = RunLoop::current();
        let _handled = run_loop
            .run_in_mode(Mode::DEFAULT, limit, runloop::ReturnAfter::FirstSource)
            .unwrap();
    }
    serve(Mode::DEFAULT);
}

#[test]
fn the_life_of_a_file_is_told_in_order() {
    let _watchdog = Watchdog::new();
    let place = Place::new("life");
    let log = Log::new();
    let files = listening(&log);
    let watch = files
        .watch(place.directory("box"), FileInterest::all())
        .unwrap();
    place.write("box/a");
    serve(Mode::DEFAULT);
    let expected = ["created box/a", "modified box/a", "written box/a"];
    assert_eq!(log.take(), expected, "made and filled");
    fs::set_permissions(place.path("box/a"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(place.path("box/a")).unwrap();
    place.directory("box/b");
    fs::remove_dir(place.path("box/b")).unwrap();
    serve(Mode::DEFAULT);
    let expected = [
        "attributes box/a",
        "removed box/a",
        "created box/b/",
        "removed box/b/",
    ];
    assert_eq!(log.take(), expected, "changed and deleted");
    assert_eq!(files.watched(), [(watch, place.path("box"))], "goes on");
}

#[test]
fn only_what_is_of_interest_is_told() {
    let _watchdog = Watchdog::new();
    let place = Place::new("interest");
    let log = Log::new();
    let files = listening(&log);
    let interest = FileInterest::WRITTEN | FileInterest::REMOVED;
    files.watch(place.directory("box"), interest).unwrap();
    files
        .watch(place.directory("quiet"), FileInterest::empty())
        .unwrap();
    for name in ["box/a", "quiet/a"] {
        place.write(name);
        fs::rename(place.path(name), place.path(&format!("{name}b"))).unwrap();
        fs::remove_file(place.path(&format!("{name}b"))).unwrap();
    }
    fs::remove_dir(place.path("quiet")).unwrap();
    until_told(&log, 3);
    let expected = ["written box/a", "removed box/ab", "vanished quiet"];
    assert_eq!(log.take(), expected, "and the end in any case");
}

#[test]
fn a_rename_is_one_change_within_what_is_watched() {
    let _watchdog = Watchdog::new();
    let place = Place::new("rename");
    let log = Log::new();
    let files = listening(&log);
    for name in ["left", "right"] {
        let path = place.directory(name);
        files.watch(path, FileInterest::RENAMED).unwrap();
    }
    place.write("left/a");
    place.write("right/taken");
    fs::rename(place.path("left/a"), place.path("left/b")).unwrap();
    fs::rename(place.path("left/b"), place.path("right/c")).unwrap();
    fs::rename(place.path("right/c"), place.path("right/taken")).unwrap();
    place.directory("left/d");
    fs::rename(place.path("left/d"), place.path("right/d")).unwrap();
    serve(Mode::DEFAULT);
    let expected = [
        "renamed left/a to left/b",
        "renamed left/b to right/c",
        "renamed right/c to right/taken",
        "renamed left/d/ to right/d/",
    ];
    assert_eq!(log.take(), expected, "both names at once");
}

#[test]
fn a_rename_into_or_out_of_what_is_watched_is_told_by_its_half_and_in_order() {
    let _watchdog = Watchdog::new();
    let place = Place::new("half");
    let log = Log::new();
    let files = listening(&log);
    let interest = FileInterest::RENAMED | FileInterest::CREATED;
    files.watch(place.directory("box"), interest).unwrap();
    for name in ["in", "box/a", "box/b", "box/c"] {
        place.write(name);
    }
    serve(Mode::DEFAULT);
    log.take();
    fs::rename(place.path("in"), place.path("box/in")).unwrap();
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["moved here box/in"], "at once");
    // What comes after a half whose other half never comes waits with it, but not for ever.
    for name in ["a", "b", "c"] {
        fs::rename(place.path(&format!("box/{name}")), place.path(name)).unwrap();
    }
    place.write("box/a");
    until_told(&log, 4);
    let expected = [
        "moved away box/a",
        "moved away box/b",
        "moved away box/c",
        "created box/a",
    ];
    assert_eq!(log.take(), expected, "as it happened");
}

#[test]
fn what_is_watched_itself_is_told_of_without_a_name() {
    let _watchdog = Watchdog::new();
    let place = Place::new("itself");
    let log = Log::new();
    let files = listening(&log);
    place.write("a");
    files.watch(place.path("a"), FileInterest::all()).unwrap();
    place.write("a");
    fs::rename(place.path("a"), place.path("b")).unwrap();
    fs::remove_file(place.path("b")).unwrap();
    serve(Mode::DEFAULT);
    // Cutting it short and filling it are two changes, or one if nobody looked in between.
    let mut told = log.take();
    told.dedup();
    let expected = [
        "modified a",
        "written a",
        "moved a",
        "attributes a",
        "vanished a",
    ];
    assert_eq!(told, expected, "by the path it was watched by");
    assert!(files.watched().is_empty(), "the watch has ended");
}

#[test]
fn a_directory_and_all_in_it_vanish_one_after_the_other() {
    let _watchdog = Watchdog::new();
    let place = Place::new("vanish");
    let log = Log::new();
    let files = listening(&log);
    let interest = FileInterest::REMOVED;
    let outer = files.watch(place.directory("outer"), interest).unwrap();
    let inner = place.directory("outer/inner");
    let inner = files.watch(inner, interest).unwrap();
    place.write("outer/inner/a");
    fs::remove_dir_all(place.path("outer")).unwrap();
    serve(Mode::DEFAULT);
    let expected = [
        "removed inner/a",
        "vanished inner",
        "removed outer/inner/",
        "vanished outer",
    ];
    assert_eq!(log.take(), expected, "from the inside out");
    assert!(!files.unwatch(outer) && !files.unwatch(inner), "both ended");
}

#[test]
fn names_that_are_no_text_arrive_as_they_are() {
    let _watchdog = Watchdog::new();
    let place = Place::new("names");
    let told = Rc::new(RefCell::new(Vec::new()));
    let inside = Rc::clone(&told);
    let files = FileChanges::new(move |_, _, change| {
        if let FileChange::Created(entry) = change {
            inside.borrow_mut().push(entry.path());
        }
    });
    let files = files.unwrap();
    RunLoop::current().add(&files, Mode::DEFAULT).unwrap();
    let path = place.directory("box");
    files.watch(&path, FileInterest::CREATED).unwrap();
    let long = vec![b'n'; 255];
    let names = [b"\xff\xfe".as_slice(), b" ", b"line\nbreak", &long];
    let paths: Vec<_> = names
        .map(|name| path.join(OsStr::from_bytes(name)))
        .into_iter()
        .collect();
    paths.iter().for_each(|path| fs::write(path, "").unwrap());
    serve(Mode::DEFAULT);
    assert_eq!(*told.borrow(), paths, "byte for byte");
}

#[test]
fn a_flood_of_changes_leaves_the_loop_room_for_others() {
    let _watchdog = Watchdog::new();
    let place = Place::new("flood");
    let told = Rc::new(Cell::new(0));
    let counted = Rc::clone(&told);
    let files = FileChanges::new(move |_, _, _| counted.set(counted.get() + 1)).unwrap();
    let run_loop = RunLoop::current();
    run_loop.add(&files, Mode::DEFAULT).unwrap();
    let path = place.directory("box");
    files.watch(path, FileInterest::CREATED).unwrap();
    for number in 0..1_000 {
        place.write(&format!("box/{number}"));
    }
    let log = Log::new();
    let (inside, seen) = (log.clone(), Rc::clone(&told));
    let other = Signalled::new(move |_| inside.add(format!("after {}", seen.get())));
    run_loop.add(&other, Mode::DEFAULT).unwrap();
    let limit = runloop::Limit::Now;
    let one = runloop::ReturnAfter::FirstSource;
    while told.get() == 0 {
        let _one = run_loop.run_in_mode(Mode::DEFAULT, limit, one).unwrap();
    }
    assert!((1..=256).contains(&told.get()), "a perform ends");
    other.signal();
    while pass(Mode::DEFAULT) != Outcome::TimedOut || log.count() == 0 {}
    let after: u32 = log.take()[0]["after ".len()..].parse().unwrap();
    assert!(after < 1_000, "its turn came in between: {after}");
    serve(Mode::DEFAULT);
    assert_eq!(told.get(), 1_000, "and nothing is lost");
}

#[test]
fn a_panicking_closure_loses_the_one_change_it_was_given() {
    let _watchdog = Watchdog::new();
    let place = Place::new("panic");
    let log = Log::new();
    let inside = log.clone();
    let options = SourceOptions::new().on_panic(OnPanic::Keep);
    let files = FileChanges::with(options, move |_, _, change| {
        let told = tell(&change);
        assert_ne!(told, "created box/b", "the test's panic");
        inside.add(told);
    });
    let files = files.unwrap();
    RunLoop::current().add(&files, Mode::DEFAULT).unwrap();
    let path = place.directory("box");
    files.watch(path, FileInterest::CREATED).unwrap();
    place.write_all(["box/a", "box/b", "box/c"]);
    let panicked = catch_unwind(AssertUnwindSafe(|| run(Mode::DEFAULT)));
    assert!(panicked.is_err(), "at the second");
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["created box/a", "created box/c"], "the others");
}

#[test]
fn a_nested_run_leaves_the_changes_of_a_running_closure_for_later() {
    let _watchdog = Watchdog::new();
    let place = Place::new("nested");
    let log = Log::new();
    let inside = log.clone();
    let files = telling(&log, move |_, _, _| {
        serve(Mode::DEFAULT);
        inside.add("ends");
    });
    let path = place.directory("box");
    files.watch(path, FileInterest::CREATED).unwrap();
    place.write_all(["box/a", "box/b"]);
    serve(Mode::DEFAULT);
    let expected = ["created box/a", "ends", "created box/b", "ends"];
    assert_eq!(log.take(), expected, "one in the other never");
}
