//! Watches of files that come and go, what happens when more is told than is kept, and the end of the source.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::symlink;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use runloop::{FileChange, FileChanges, FileInterest, FilesError, Mode, Outcome, RunLoop};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::{Log, Watchdog, fork_and_wait, in_own_process, open_descriptors};

use crate::files::{listening, tell, telling, until_told};
use crate::support::{Place, run, serve};

#[test]
fn a_closure_adds_a_watch_for_what_is_new_and_removes_one() {
    let _watchdog = Watchdog::new();
    let place = Place::new("grow");
    let log = Log::new();
    let first = Rc::new(Cell::new(None));
    let outer = Rc::clone(&first);
    let files = telling(&log, move |_, files, change| {
        if let FileChange::Created(entry) = change {
            if entry.is_directory() {
                files.watch(entry.path(), FileInterest::CREATED).unwrap();
            }
            if entry.name().unwrap() == "last" {
                assert!(files.unwatch(outer.get().unwrap()), "it was there");
            }
        }
    });
    let path = place.directory("box");
    first.set(Some(files.watch(path, FileInterest::CREATED).unwrap()));
    place.directory("box/deep");
    serve(Mode::DEFAULT);
    // The last four are in the kernel's queue when the watch of the outer directory ends; one is of another.
    for name in ["deep/a", "a", "last", "b", "deep/c", "d"] {
        place.write(&format!("box/{name}"));
    }
    serve(Mode::DEFAULT);
    let expected = [
        "created box/deep/",
        "created deep/a",
        "created box/a",
        "created box/last",
        "created deep/c",
    ];
    assert_eq!(log.take(), expected, "nothing of what has ended");
    assert_eq!(files.watched().len(), 1, "the inner one");
}

#[test]
fn what_happens_before_a_watch_or_after_it_is_not_told() {
    let _watchdog = Watchdog::new();
    let place = Place::new("outside");
    let log = Log::new();
    let files = listening(&log);
    let path = place.directory("box");
    place.write("box/before");
    let watch = files.watch(&path, FileInterest::CREATED).unwrap();
    place.write("box/a");
    assert!(files.unwatch(watch), "it was there");
    assert!(!files.unwatch(watch), "once");
    place.write("box/between");
    let again = files.watch(&path, FileInterest::CREATED).unwrap();
    assert_ne!(watch, again, "another one");
    place.write("box/b");
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["created box/b"], "what belongs to a watch");
    assert!(!files.unwatch(watch), "the old one means nothing");
    assert_eq!(files.watched(), [(again, path)], "the new one stays");
}

#[test]
fn the_same_thing_under_another_name_is_refused_with_the_watch_it_has() {
    let _watchdog = Watchdog::new();
    let place = Place::new("same");
    let log = Log::new();
    let files = listening(&log);
    place.write("a");
    fs::hard_link(place.path("a"), place.path("b")).unwrap();
    symlink(place.path("a"), place.path("c")).unwrap();
    let watch = files.watch(place.path("a"), FileInterest::WRITTEN).unwrap();
    for name in ["a", "b", "c"] {
        let refused = files.watch(place.path(name), FileInterest::all());
        let same = matches!(refused, Err(FilesError::AlreadyWatched(found)) if found == watch);
        assert!(same, "{name}: {refused:?}");
    }
    place.write("b");
    serve(Mode::DEFAULT);
    assert_eq!(log.take(), ["written a"], "its interest has not changed");
    let other = listening(&log);
    other.watch(place.path("b"), FileInterest::WRITTEN).unwrap();
    place.write("a");
    serve(Mode::DEFAULT);
    let mut told = log.take();
    told.sort();
    assert_eq!(
        told,
        ["written a", "written b"],
        "another source has its own"
    );
}

#[test]
fn what_cannot_be_watched_is_an_error_that_says_why() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let files = FileChanges::new(|_, _, _| {}).unwrap();
        let missing = files.watch("/there/is/no/such/place", FileInterest::all());
        assert!(matches!(missing, Err(FilesError::Missing)), "{missing:?}");
        let below = files.watch("/dev/null/file", FileInterest::all());
        assert!(matches!(below, Err(FilesError::Missing)), "{below:?}");
        let nul = files.watch("a\0b", FileInterest::all());
        assert!(matches!(nul, Err(FilesError::System(_))), "{nul:?}");
        let status = fork_and_wait(|| {
            let forked = files.watch("/", FileInterest::all());
            i32::from(!matches!(forked, Err(FilesError::Forked)))
        });
        assert!(status.success(), "a forked child keeps its hands off");
        let limit = getrlimit(Resource::Nofile);
        let full = Rlimit {
            current: Some(0),
            ..limit
        };
        setrlimit(Resource::Nofile, full).unwrap();
        let refused = FileChanges::new(|_, _, _| {});
        setrlimit(Resource::Nofile, limit).unwrap();
        assert!(matches!(refused, Err(FilesError::TooManySources)));
        assert!(files.watched().is_empty(), "none of it has left a watch");
        files.watch("/", FileInterest::CREATED).unwrap();
        files.invalidate();
        let ended = files.watch("/", FileInterest::all());
        assert!(matches!(ended, Err(FilesError::Ended)), "{ended:?}");
    });
}

/// The kernel tells of a new watch before the thread that adds it knows its number.
#[test]
fn no_change_is_missed_from_the_moment_a_watch_was_added_by_any_thread() {
    const THREADS: u32 = 4;
    const EACH: u32 = 250;
    let _watchdog = Watchdog::new();
    let place = Place::new("threads");
    let told = Arc::new(Mutex::new(Vec::new()));
    let inside = Arc::clone(&told);
    let files = FileChanges::new(move |_, _, change| inside.lock().unwrap().push(tell(&change)));
    let files = files.unwrap();
    let run_loop = RunLoop::current();
    run_loop.add(&files, Mode::DEFAULT).unwrap();
    let left = Arc::new(AtomicU32::new(THREADS));
    let (place, main) = (Arc::new(place), run_loop.handle());
    let workers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (place, files) = (Arc::clone(&place), files.clone());
            let (left, main) = (Arc::clone(&left), main.clone());
            thread::spawn(move || {
                for number in 0..EACH {
                    let path = place.directory(&format!("{thread}-{number}"));
                    let watch = files.watch(&path, FileInterest::CREATED).unwrap();
                    fs::write(path.join("a"), "").unwrap();
                    if number % 2 == 1 {
                        files.unwatch(watch);
                    }
                }
                if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                    main.stop().unwrap();
                }
            })
        })
        .collect();
    assert_eq!(run(Mode::DEFAULT), Outcome::Stopped, "by the last");
    for worker in workers {
        worker.join().unwrap();
    }
    serve(Mode::DEFAULT);
    let told = told.lock().unwrap();
    let missed = (0..THREADS).flat_map(|thread| {
        let kept = (0..EACH).step_by(2);
        kept.map(move |number| format!("created {thread}-{number}/a"))
    });
    let missed: Vec<_> = missed.filter(|line| !told.contains(line)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn an_overflow_is_told_and_so_is_what_vanished_in_it() {
    let _watchdog = Watchdog::new();
    let place = Place::new("overflow");
    let log = Log::new();
    let flood = Rc::new(Cell::new(0));
    let (inside, counted) = (log.clone(), Rc::clone(&flood));
    let files = FileChanges::new(move |_, _, change| match tell(&change) {
        told if told.contains("flood") => counted.set(counted.get() + 1),
        told => inside.add(told),
    });
    let files = files.unwrap();
    RunLoop::current().add(&files, Mode::DEFAULT).unwrap();
    let flood_box = place.directory("box");
    files.watch(flood_box, FileInterest::all()).unwrap();
    let gone = place.directory("gone");
    files.watch(gone, FileInterest::all()).unwrap();
    let kept = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let kept: u32 = kept.trim().parse().unwrap();
    for _ in 0..=kept / 4 {
        // Created, modified, written, removed: four each.
        place.write("box/flood");
        fs::remove_file(place.path("box/flood")).unwrap();
    }
    fs::remove_dir(place.path("gone")).unwrap();
    until_told(&log, 2);
    assert_eq!(
        log.take(),
        ["overflow", "vanished gone"],
        "it is not silent"
    );
    assert!(flood.get() >= kept / 2, "what was kept was told before");
    place.write("box/after");
    serve(Mode::DEFAULT);
    assert_eq!(log.take().len(), 3, "it goes on");
    assert_eq!(files.watched().len(), 1, "with what is left");
}

#[test]
fn a_source_that_is_ended_in_its_own_closure_tells_nothing_more_and_closes_everything() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new("end");
        let log = Log::new();
        serve(Mode::DEFAULT);
        let before = open_descriptors();
        let held = Rc::new(());
        let captured = Rc::clone(&held);
        let files = telling(&log, move |_, files, _| {
            files.invalidate();
            assert_eq!(Rc::strong_count(&captured), 2, "it is running");
        });
        let path = place.directory("box");
        files.watch(path, FileInterest::CREATED).unwrap();
        place.write_all(["box/a", "box/b"]);
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
        assert_eq!(log.take(), ["created box/a"], "the first");
        assert_eq!(Rc::strong_count(&held), 1, "the closure is gone");
        let mut after = open_descriptors();
        // The loop keeps its own, which were made with the first source.
        after.retain(|fd, _| !before.contains_key(fd));
        let inotify = after.values().filter(|what| what.contains("inotify"));
        assert_eq!(inotify.count(), 0, "though the handle is there");
        assert!(files.watched().is_empty(), "and means nothing");
    });
}

#[test]
fn a_source_that_leaves_its_mode_in_its_closure_keeps_the_rest() {
    let _watchdog = Watchdog::new();
    let place = Place::new("leave");
    let log = Log::new();
    let files = telling(&log, |run_loop, files, _| {
        run_loop.remove(files, Mode::DEFAULT);
    });
    let path = place.directory("box");
    files.watch(path, FileInterest::CREATED).unwrap();
    place.write_all(["box/a", "box/b"]);
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is there");
    assert_eq!(log.take(), ["created box/a"], "the first");
    let run_loop = RunLoop::current();
    run_loop.add(&files, Mode::DEFAULT).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "again");
    assert_eq!(log.take(), ["created box/b"], "the second");
}

#[test]
fn the_end_of_its_thread_ends_a_source_that_others_hold() {
    let _watchdog = Watchdog::new();
    let place = Place::new("thread");
    let path = place.directory("box");
    let files = thread::spawn(move || {
        let files = FileChanges::new(|_, _, _| {}).unwrap();
        RunLoop::current().add(&files, Mode::DEFAULT).unwrap();
        files.watch(path, FileInterest::all()).unwrap();
        files
    });
    let files = files.join().unwrap();
    let ended = files.watch("/", FileInterest::all());
    assert!(matches!(ended, Err(FilesError::Ended)), "{ended:?}");
    assert!(files.watched().is_empty(), "nothing is watched");
}

#[test]
fn a_closure_that_holds_its_own_source_does_not_keep_it() {
    let _watchdog = Watchdog::new();
    let held = Rc::new(());
    let slot: Rc<RefCell<Option<FileChanges>>> = Rc::default();
    let (captured, own) = (Rc::clone(&held), Rc::clone(&slot));
    let files = FileChanges::new(move |_, _, _| drop((Rc::clone(&captured), own.borrow().clone())));
    slot.replace(Some(files.unwrap()));
    slot.borrow().as_ref().unwrap().invalidate();
    assert_eq!(Rc::strong_count(&held), 1, "the closure is dropped");
}
