//! Which source is in which mode: adding, removing, containing, and the common set (B50 to B57).

use std::io;
use std::sync::mpsc;
use std::thread;

use runloop::{AddError, Mode, Outcome, RunLoop, Signalled, SourceOptions, SourceRef};
use tests::{Log, Watchdog};

use crate::support::{Probe, pass, run, run_one};

/// Two modes that no other test uses.
fn modes(test: &str) -> [Mode; 2] {
    ["a", "b"].map(|name| Mode::new(&format!("membership.{test}.{name}")))
}

#[test]
fn adding_and_removing_say_whether_something_changed() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let [a, b] = modes("changed");
    let source = Probe::new("p", &Log::new()).source();
    assert!(!run_loop.contains(&source, a), "not yet");
    assert!(!run_loop.remove(&source, a), "it was not there");
    assert!(run_loop.add(&source, a).unwrap(), "new");
    assert!(!run_loop.add(&source, a).unwrap(), "there already");
    assert!(run_loop.contains(&source, a), "in it");
    assert!(!run_loop.contains(&source, b), "and in no other");
    assert!(run_loop.remove(&source, a), "taken out");
    assert!(!run_loop.remove(&source, a), "once");
    assert!(!run_loop.contains(&source, a), "gone");
}

#[test]
fn looking_for_a_source_makes_no_mode() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let [a, _] = modes("looking");
    let source = Signalled::new(|_| {});
    assert!(!run_loop.contains(&source, a), "no");
    assert!(!run_loop.remove(&source, a), "no");
    assert!(!run_loop.modes().contains(&a), "nothing was added to it");
}

#[test]
fn a_source_in_several_modes_attaches_once_and_detaches_with_the_last() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let [a, b] = modes("several");
    let source = Probe::new("p", &log).source();
    run_loop.add(&source, a).unwrap();
    run_loop.add(&source, b).unwrap();
    run_loop.remove(&source, a);
    run_loop.remove(&source, b);
    run_loop.add(&source, b).unwrap();
    run_loop.remove(&source, b);
    let expected = [
        "p attach".to_owned(),
        format!("p schedule {a}"),
        format!("p schedule {b}"),
        format!("p cancel {a}"),
        format!("p cancel {b}"),
        "p detach".to_owned(),
        "p attach".to_owned(),
        format!("p schedule {b}"),
        format!("p cancel {b}"),
        "p detach".to_owned(),
    ];
    assert_eq!(log.take(), expected, "in pairs");
}

#[test]
fn an_invalid_source_cannot_be_added() {
    let _watchdog = Watchdog::new();
    let source = Signalled::new(|_| {});
    source.invalidate();
    let added = RunLoop::current().add(&source, Mode::DEFAULT);
    assert!(matches!(added, Err(AddError::Invalid)), "{added:?}");
}

#[test]
fn the_common_set_stands_for_all_its_modes_present_and_future() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let [present, future] = modes("common");
    assert!(run_loop.add_common_mode(present).unwrap(), "new");
    assert!(!run_loop.add_common_mode(present).unwrap(), "one already");
    assert!(!run_loop.add_common_mode(Mode::DEFAULT).unwrap(), "always");
    let source = Probe::new("p", &log).source();
    assert!(run_loop.add(&source, Mode::COMMON).unwrap(), "new");
    assert!(!run_loop.add(&source, Mode::COMMON).unwrap(), "in the set");
    for mode in [Mode::COMMON, Mode::DEFAULT, present] {
        assert!(run_loop.contains(&source, mode), "{mode}");
    }
    assert!(!run_loop.contains(&source, future), "not common yet");
    log.take();
    run_loop.add_common_mode(future).unwrap();
    assert_eq!(log.take(), [format!("p schedule {future}")], "now it is");
    source.handle().signal();
    assert_eq!(run_one(future), Outcome::HandledSource, "and it is served");
    assert!(run_loop.remove(&source, Mode::COMMON), "out of the set");
    for mode in [Mode::COMMON, Mode::DEFAULT, present, future] {
        assert!(!run_loop.contains(&source, mode), "{mode}");
    }
}

#[test]
fn the_common_set_is_no_mode_of_its_own() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let refused = run_loop.add_common_mode(Mode::COMMON);
    assert!(matches!(refused, Err(AddError::Invalid)), "{refused:?}");
    run_loop.add(&Signalled::new(|_| {}), Mode::COMMON).unwrap();
    assert_eq!(run_loop.modes(), [Mode::DEFAULT], "only its modes are");
}

#[test]
fn a_mode_exists_from_the_moment_it_is_common() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let [common, _] = modes("exists");
    run_loop.add_common_mode(common).unwrap();
    assert!(run_loop.modes().contains(&common), "with nothing in it");
    assert_eq!(run(common), Outcome::Finished, "so there is nothing to do");
}

#[test]
fn a_common_name_built_elsewhere_is_the_common_set() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let source = Signalled::new(|_| {});
    let built: String = ["com", "mon"].concat();
    run_loop.add(&source, Mode::new(&built)).unwrap();
    assert!(run_loop.contains(&source, Mode::DEFAULT), "by value (E20)");
}

#[test]
fn a_source_of_the_common_set_taken_out_of_one_mode_stays_in_the_set() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let [later, _] = modes("taken-out");
    let source = Signalled::new(|_| {});
    run_loop.add(&source, Mode::COMMON).unwrap();
    assert!(run_loop.remove(&source, Mode::DEFAULT), "it was there");
    assert!(!run_loop.contains(&source, Mode::DEFAULT), "not any more");
    assert!(run_loop.contains(&source, Mode::COMMON), "but in the set");
    run_loop.add_common_mode(later).unwrap();
    assert!(run_loop.contains(&source, later), "so it joins new modes");
    assert!(run_loop.remove(&source, Mode::COMMON), "out of the set");
    assert!(!run_loop.contains(&source, later), "and out of its modes");
}

#[test]
fn a_source_added_both_by_itself_and_with_the_set_leaves_with_the_second_removal() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let source = Signalled::new(|_| {});
    assert!(run_loop.add(&source, Mode::DEFAULT).unwrap(), "by itself");
    assert!(run_loop.add(&source, Mode::COMMON).unwrap(), "with the set");
    assert!(run_loop.remove(&source, Mode::COMMON), "out of the set");
    assert!(run_loop.contains(&source, Mode::DEFAULT), "still there");
    assert!(run_loop.remove(&source, Mode::DEFAULT), "by itself");
    assert!(!run_loop.contains(&source, Mode::DEFAULT), "gone");
}

#[test]
fn a_source_of_another_thread_cannot_be_added_here() {
    let _watchdog = Watchdog::new();
    let (sent, received) = mpsc::channel();
    let (done, go) = mpsc::channel::<()>();
    let owner = thread::spawn(move || {
        let source = Signalled::new(|_| {});
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        sent.send(source.clone()).unwrap();
        go.recv().unwrap();
    });
    let source = received.recv().unwrap();
    let run_loop = RunLoop::current();
    let added = run_loop.add(&source, Mode::DEFAULT);
    assert!(matches!(added, Err(AddError::OtherLoop)), "{added:?}");
    assert!(!run_loop.contains(&source, Mode::DEFAULT), "no trace");
    assert!(!run_loop.remove(&source, Mode::DEFAULT), "no trace");
    done.send(()).unwrap();
    owner.join().unwrap();
}

#[test]
fn sources_are_told_apart_by_identity() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();
    let [first, second] = [(); 2].map(|()| Signalled::new(|_| {}));
    assert!(run_loop.add(&first, Mode::DEFAULT).unwrap(), "new");
    assert!(run_loop.add(&second, Mode::DEFAULT).unwrap(), "another");
    assert_ne!(first.handle(), second.handle(), "two");
    assert_eq!(first.handle(), first.clone().handle(), "one");
}

#[test]
fn invalidating_takes_a_source_out_of_everything_once() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let [a, b] = modes("invalidate");
    let source = Probe::new("p", &log).source();
    run_loop.add(&source, a).unwrap();
    run_loop.add(&source, b).unwrap();
    run_loop.add(&source, Mode::COMMON).unwrap();
    log.take();
    source.invalidate();
    source.invalidate();
    for mode in [a, b, Mode::DEFAULT, Mode::COMMON] {
        assert!(!run_loop.contains(&source, mode), "{mode}");
    }
    drop(source);
    let expected = [
        format!("p cancel {a}"),
        format!("p cancel {b}"),
        "p cancel default".to_owned(),
        "p detach".to_owned(),
        "p invalidated Asked".to_owned(),
        "p dropped".to_owned(),
    ];
    assert_eq!(log.take(), expected, "each once");
}

#[test]
fn a_source_that_is_nowhere_is_told_of_its_end_where_it_is_asked_for() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let source = Probe::new("p", &log).source();
    source.invalidate();
    source.invalidate();
    assert_eq!(log.take(), ["p invalidated Asked"], "once");
}

#[test]
fn a_failed_attach_undoes_the_add_without_trace() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let (ours, theirs) = crate::support::ready_pair();
    let refusing = Probe::new("p", &log)
        .watching(ours)
        .attaching(|cx| {
            cx.set_deadline(Some(crate::support::past()));
            cx.look_before_sleep();
            Err(io::Error::other("not today"))
        })
        .source();
    let added = run_loop.add(&refusing, Mode::COMMON);
    let Err(AddError::Attach(cause)) = added else {
        panic!("{added:?}");
    };
    assert_eq!(cause.to_string(), "not today", "its own error");
    assert!(refusing.handle().is_valid(), "it may be added later");
    for mode in [Mode::DEFAULT, Mode::COMMON] {
        assert!(!run_loop.contains(&refusing, mode), "{mode}");
    }
    assert_eq!(run_loop.next_deadline(Mode::DEFAULT), None, "no deadline");
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is there");
    assert_eq!(log.take(), ["p attach"], "neither scheduled nor performed");
    drop(refusing);
    assert_eq!(log.take(), ["p dropped"], "nobody else holds it");
    drop(theirs);
}

#[test]
fn a_dropped_reference_leaves_the_source_in_its_modes() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let source = Probe::new("p", &log).source();
    let handle = source.handle().clone();
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    drop(source);
    handle.signal();
    assert_eq!(
        run_one(Mode::DEFAULT),
        Outcome::HandledSource,
        "it is there"
    );
    handle.invalidate();
    let expected = [
        "p attach",
        "p schedule default",
        "p signalled",
        "p cancel default",
        "p detach",
        "p invalidated Asked",
        "p dropped",
    ];
    assert_eq!(log.take(), expected, "until it is invalidated");
}

#[test]
fn an_adopted_source_goes_with_its_last_handle_unless_it_is_in_a_mode() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let adopt = |name| run_loop.adopt(&Probe::new(name, &log).source());
    let unused = adopt("unused");
    let second = unused.clone();
    drop(unused);
    assert_eq!(log.take(), [""; 0], "a handle is left");
    drop(second);
    assert_eq!(log.take(), ["unused dropped"], "the last is gone");

    let used = adopt("used");
    run_loop.add(&used, Mode::DEFAULT).unwrap();
    let handle = used.clone();
    drop((used, handle));
    log.take();
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "it is still there");

    let sent = adopt("sent");
    thread::spawn(move || drop(sent)).join().unwrap();
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "the loop looks");
    assert_eq!(log.take(), ["sent dropped"], "on its own thread");
}

#[test]
fn a_hundred_modes_keep_their_descriptors_apart() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let run_loop = RunLoop::current();
    let names: Vec<&'static str> = (0..100)
        .map(|n| &*Box::leak(format!("m{n}").into_boxed_str()))
        .collect();
    let kept: Vec<_> = names
        .iter()
        .map(|name| {
            let (ours, theirs) = crate::support::ready_pair();
            let source = Probe::new(name, &log).watching(ours).source();
            let mode = Mode::new(&format!("membership.many.{name}"));
            run_loop.add(&source, mode).unwrap();
            (mode, theirs)
        })
        .collect();
    log.take();
    for (name, (mode, _)) in names.iter().zip(&kept).rev() {
        assert_eq!(run_one(*mode), Outcome::HandledSource, "{mode}");
        assert_eq!(log.take(), [format!("{name} ready 0")], "its own only");
    }
}

#[test]
fn a_source_for_several_loops_is_in_each_of_them() {
    let _watchdog = Watchdog::new();
    struct Silent;
    impl runloop::Source for Silent {
        fn perform<'s>(&'s self, _: &mut runloop::Cx<'s, '_>, _: runloop::Ready<'_>) {}
    }
    let source = SourceRef::with(SourceOptions::new().reentrant(), Silent);
    RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
    let theirs = source.clone();
    let inside = thread::spawn(move || {
        let run_loop = RunLoop::current();
        let before = run_loop.contains(&theirs, Mode::DEFAULT);
        run_loop.add(&theirs, Mode::DEFAULT).unwrap();
        (before, run_loop.contains(&theirs, Mode::DEFAULT))
    });
    assert_eq!(inside.join().unwrap(), (false, true), "in theirs too");
    assert!(
        RunLoop::current().remove(&source, Mode::DEFAULT),
        "and ours"
    );
}
