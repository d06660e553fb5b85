//! Children that are not ours to wait for, that others wait for, or that are wanted back.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::rc::Rc;
use std::thread;

use runloop::{ChildError, ChildExit, ExitLost, Mode, Outcome, RunLoop};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getrlimit, kill_process, setrlimit, waitpid,
};
use tests::{Log, Watchdog, in_own_process};

use crate::children::{shell, sleeper, until_zombie, watched};
use crate::support::{pass, run};

/// Ends a child and takes its exit status, as a careless library might.
fn reap(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let (reaped, _) = waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(reaped, pid, "it was there");
}

fn describe(status: Result<ExitStatus, ExitLost>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(lost) => format!("{lost:?}"),
    }
}

#[test]
fn a_status_that_somebody_else_has_taken_is_told_as_lost() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (child, by_id) = (sleeper(), sleeper().id());
    let pid = child.id();
    let (first, second) = (log.clone(), log.clone());
    let run_loop = RunLoop::current();
    let child = ChildExit::new(child, move |_, child, status| {
        assert_eq!(child.id(), pid, "the child comes back all the same");
        first.add(describe(status));
    });
    run_loop.add(&child.unwrap(), Mode::DEFAULT).unwrap();
    let by_id_exit = ChildExit::of_pid(by_id, move |_, status| second.add(describe(status)));
    run_loop.add(&by_id_exit.unwrap(), Mode::DEFAULT).unwrap();
    reap(pid);
    reap(by_id);
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nobody waits on");
    assert_eq!(log.take(), ["Taken", "Taken"], "both");
}

#[test]
fn where_the_signal_of_ended_children_is_ignored_their_status_is_told_as_lost() {
    in_own_process!(under ["env", "--ignore-signal=CHLD"], {
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let (child, inside) = (sleeper(), log.clone());
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let exit = ChildExit::new(child, move |_, _, status| inside.add(describe(status)));
        RunLoop::current().add(&exit.unwrap(), Mode::DEFAULT).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "its end is told");
        assert_eq!(log.take(), ["Taken"], "the kernel keeps no status");
    });
}

#[test]
fn only_its_own_child_is_waited_for() {
    let _watchdog = Watchdog::new();
    let mut others: Vec<_> = (10..20)
        .map(|code| shell(&format!("exit {code}")))
        .collect();
    others.iter().for_each(|other| until_zombie(other.id()));
    let (_exit, told) = watched(shell("exit 3"));
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(told.get().and_then(|status| status.code()), Some(3));
    for (code, other) in (10..20).zip(&mut others) {
        assert_eq!(other.wait().unwrap().code(), Some(code), "still there");
    }
}

#[test]
fn no_handler_of_a_signal_is_needed() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let (_exit, told) = watched(shell("exit 3"));
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        assert_eq!(caught & (1 << (libc::SIGCHLD - 1)), 0, "none for SIGCHLD");
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
        assert_eq!(told.get().and_then(|status| status.code()), Some(3));
    });
}

#[test]
fn what_is_no_child_or_was_waited_for_is_refused() {
    let _watchdog = Watchdog::new();
    let gone = sleeper().id();
    reap(gone);
    let parent = std::os::unix::process::parent_id();
    for pid in [
        0,
        1,
        gone,
        parent,
        std::process::id(),
        i32::MAX as u32,
        u32::MAX,
    ] {
        let refused = ChildExit::of_pid(pid, |_, _| {});
        assert!(
            matches!(refused, Err(ChildError::NotAChild)),
            "{pid}: {refused:?}"
        );
    }
    let child = sleeper();
    reap(child.id());
    let pid = child.id();
    let refused = ChildExit::new(child, |_, _, _| {}).unwrap_err();
    assert!(
        matches!(refused.why(), ChildError::NotAChild),
        "{refused:?}"
    );
    assert_eq!(refused.into_child().id(), pid, "it comes back");
}

#[test]
fn without_room_for_a_descriptor_the_child_comes_back_and_can_be_waited_for() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let (child, by_id) = (sleeper(), sleeper());
        let limit = getrlimit(Resource::Nofile);
        let full = Rlimit {
            current: Some(0),
            ..limit
        };
        setrlimit(Resource::Nofile, full).unwrap();
        let refused = ChildExit::new(child, |_, _, _| {}).unwrap_err();
        let by_id_refused = ChildExit::of_pid(by_id.id(), |_, _| {});
        setrlimit(Resource::Nofile, limit).unwrap();
        assert!(
            matches!(refused.why(), ChildError::System(_)),
            "{refused:?}"
        );
        assert!(matches!(by_id_refused, Err(ChildError::System(_))));
        let mut child = refused.into_child();
        child.kill().unwrap();
        assert_eq!(
            child.wait().unwrap().signal(),
            Some(libc::SIGKILL),
            "as ever"
        );
        let (exit, told) = watched(by_id);
        exit.kill().unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "when there is room");
        assert!(told.get().is_some(), "it works");
    });
}

#[test]
fn a_child_is_taken_back_from_any_thread_and_its_closure_is_not_called() {
    let _watchdog = Watchdog::new();
    let held = Rc::new(());
    let captured = Rc::clone(&held);
    let exit = ChildExit::new(sleeper(), move |_, _, _| drop(captured)).unwrap();
    RunLoop::current().add(&exit, Mode::DEFAULT).unwrap();
    let elsewhere = exit.clone();
    let taken = thread::spawn(move || elsewhere.take_back()).join().unwrap();
    let mut child = taken.expect("nobody has got it");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(pass(Mode::DEFAULT), Outcome::Finished, "the source is gone");
    assert_eq!(Rc::strong_count(&held), 1, "and its closure");
    assert!(exit.take_back().is_none(), "there is only one");
}

#[test]
fn a_child_that_has_ended_can_be_taken_back_before_it_is_told_of() {
    let _watchdog = Watchdog::new();
    let (exit, told) = watched(sleeper());
    exit.kill().unwrap();
    until_zombie(exit.pid());
    let mut child = exit.take_back().expect("nobody has got it");
    let signal = child.wait().unwrap().signal();
    assert_eq!(signal, Some(libc::SIGKILL), "not waited for yet");
    assert_eq!(pass(Mode::DEFAULT), Outcome::Finished, "the source is gone");
    assert_eq!(told.get(), None, "and tells nothing");
}

#[test]
fn invalidation_and_the_end_of_a_thread_leave_the_child_alone() {
    let _watchdog = Watchdog::new();
    let held = Rc::new(());
    let captured = Rc::clone(&held);
    let exit = ChildExit::new(sleeper(), move |_, _, _| drop(captured)).unwrap();
    RunLoop::current().add(&exit, Mode::DEFAULT).unwrap();
    exit.invalidate();
    assert_eq!(Rc::strong_count(&held), 1, "the closure is gone");
    assert!(exit.take_back().is_none(), "and the child with it");
    let by_thread = thread::spawn(|| {
        let exit = ChildExit::new(sleeper(), |_, _, _| {}).unwrap();
        RunLoop::current().add(&exit, Mode::DEFAULT).unwrap();
        exit
    });
    let by_thread = by_thread.join().unwrap();
    assert!(by_thread.take_back().is_none(), "gone with the thread");
    for pid in [exit.pid(), by_thread.pid()] {
        let log = Log::new();
        let inside = log.clone();
        // It is alive, and still ours to wait for.
        let again = ChildExit::of_pid(pid, move |_, status| inside.add(describe(status)));
        let again = again.unwrap();
        RunLoop::current().add(&again, Mode::DEFAULT).unwrap();
        again.kill().unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
        assert_eq!(log.take(), ["signal: 9 (SIGKILL)"], "by us");
    }
}
