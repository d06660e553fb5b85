//! The end of a child process as a source: told once, with its status, and the child given back.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::thread;

use runloop::{ChildExit, ChildSignalError, Mode, Outcome, RunLoop, UnixSignal};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::{Log, Watchdog, fork_and_wait, in_own_process, open_descriptors};

use crate::support::{Place, pass, run, run_one, until};

/// A shell that does this.
pub(crate) fn shell(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).spawn().unwrap()
}

/// A child that lives until it is ended, and keeps no pipe of a failed test open.
pub(crate) fn sleeper() -> Child {
    let mut sleep = Command::new("sleep");
    let sleep = sleep.arg("1000").stdin(Stdio::null());
    sleep
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until a child has ended, without taking its status.
pub(crate) fn until_zombie(pid: u32) {
    until(|| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(')').next().unwrap().trim().starts_with('Z')
    });
}

/// A source that keeps what it was told.
pub(crate) fn watched(child: Child) -> (ChildExit, Rc<Cell<Option<ExitStatus>>>) {
    let told = Rc::new(Cell::new(None));
    let inside = Rc::clone(&told);
    let exit = ChildExit::new(child, move |_, _, status| {
        assert!(inside.replace(Some(status.unwrap())).is_none(), "once");
    });
    let exit = exit.unwrap();
    RunLoop::current().add(&exit, Mode::DEFAULT).unwrap();
    (exit, told)
}

/// Ways to end, the last one with a core file in this directory.
fn endings(directory: &Path) -> [String; 6] {
    let core = format!("cd {} && ulimit -c unlimited", directory.display());
    let plain = [
        "exit 0",
        "exit 3",
        "exit 255",
        "kill -KILL $$",
        "ulimit -c 0; kill -QUIT $$",
    ];
    let [a, b, c, d, e] = plain.map(str::to_owned);
    [a, b, c, d, e, format!("{core} && kill -QUIT $$")]
}

#[test]
fn an_exit_a_kill_and_a_core_dump_are_told_as_the_standard_library_tells_them() {
    let _watchdog = Watchdog::new();
    let place = Place::new("core");
    for script in endings(&place.path("")) {
        let expected = shell(&script).wait().unwrap();
        let (exit, told) = watched(shell(&script));
        assert!(exit.is_valid(), "{script}: before");
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
        assert_eq!(told.get(), Some(expected), "{script}");
        assert!(!exit.is_valid(), "{script}: after");
    }
}

#[test]
fn a_child_by_its_id_is_told_of_in_the_same_way_and_waited_for() {
    let _watchdog = Watchdog::new();
    let place = Place::new("core-by-id");
    for script in endings(&place.path("")) {
        let expected = shell(&script).wait().unwrap();
        let told = Rc::new(Cell::new(None));
        let (inside, pid) = (Rc::clone(&told), shell(&script).id());
        let exit = ChildExit::of_pid(pid, move |_, status| {
            assert!(inside.replace(Some(status.unwrap())).is_none(), "once");
        });
        let exit = exit.unwrap();
        assert_eq!(exit.pid(), pid, "the one that was given");
        RunLoop::current().add(&exit, Mode::DEFAULT).unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
        assert_eq!(told.get(), Some(expected), "{script}");
        let gone = !fs::exists(format!("/proc/{pid}")).unwrap();
        assert!(gone, "{script}: it was waited for");
    }
}

#[test]
fn a_child_that_had_ended_before_is_told_of_when_its_mode_runs() {
    let _watchdog = Watchdog::new();
    let child = shell("exit 5");
    until_zombie(child.id());
    let (_exit, told) = watched(child);
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "at once");
    assert_eq!(told.get().and_then(|status| status.code()), Some(5));

    let mut child = shell("exit 6");
    child.wait().unwrap();
    let (_exit, told) = watched(child);
    assert_eq!(run_one(Mode::DEFAULT), Outcome::HandledSource, "at once");
    assert_eq!(
        told.get().and_then(|status| status.code()),
        Some(6),
        "known before"
    );
}

#[test]
fn the_child_comes_back_with_its_pipes() {
    let _watchdog = Watchdog::new();
    let mut child = Command::new("sh")
        .args(["-c", "read line; echo got $line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let log = Log::new();
    let inside = log.clone();
    let exit = ChildExit::new(child, move |_, mut child, status| {
        let mut said = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut said).unwrap();
        inside.add(said);
        assert_eq!(
            child.wait().unwrap(),
            status.unwrap(),
            "its own copy of the status"
        );
    });
    RunLoop::current()
        .add(&exit.unwrap(), Mode::DEFAULT)
        .unwrap();
    assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "it waits for us");
    stdin.write_all(b"hello\n").unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    assert_eq!(log.take(), ["got hello\n"], "all that was in the pipe");
}

#[test]
fn a_child_that_stops_and_goes_on_has_not_ended() {
    let _watchdog = Watchdog::new();
    let (exit, told) = watched(sleeper());
    for signal in [UnixSignal::from_raw(libc::SIGSTOP), UnixSignal::CONTINUE] {
        exit.send(signal).unwrap();
        assert_eq!(pass(Mode::DEFAULT), Outcome::TimedOut, "{signal}");
    }
    let elsewhere = exit.clone();
    thread::spawn(move || elsewhere.send(UnixSignal::TERMINATE).unwrap());
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "it has now");
    let signal = told.get().and_then(|status| status.signal());
    assert_eq!(signal, Some(libc::SIGTERM), "by this");
}

#[test]
fn a_signal_reaches_the_child_or_says_why_it_does_not() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let (exit, told) = watched(sleeper());
        let unknown = exit.send(UnixSignal::from_raw(1_000));
        assert!(matches!(unknown, Err(ChildSignalError::Unknown(_))));
        let status = fork_and_wait(|| {
            let forked = matches!(exit.kill(), Err(ChildSignalError::Forked));
            i32::from(!forked || exit.take_back().is_some())
        });
        assert!(status.success(), "a forked child keeps its hands off");
        exit.kill().unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "it has ended");
        let signal = told.get().and_then(|status| status.signal());
        assert_eq!(signal, Some(libc::SIGKILL), "by ours");
        assert!(matches!(exit.kill(), Err(ChildSignalError::Ended)));
    });
}

#[test]
fn a_thousand_children_are_told_of_once_each_and_leave_nothing_open() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let limit = getrlimit(Resource::Nofile);
        let current = limit.maximum;
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
        // The loop opens its own with the first source.
        let (first, _) = watched(sleeper());
        first.kill().unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "it has ended");
        let before = open_descriptors();
        let told = Rc::new(RefCell::new(vec![0; 1_000]));
        let mut sources = Vec::new();
        for number in 0..1_000 {
            let child = shell(&format!("exit {}", number % 256));
            let inside = Rc::clone(&told);
            let exit = ChildExit::new(child, move |_, _, status| {
                assert_eq!(status.unwrap().code(), Some(number % 256), "its own");
                inside.borrow_mut()[usize::try_from(number).unwrap()] += 1;
            });
            let exit = exit.unwrap();
            RunLoop::current().add(&exit, Mode::DEFAULT).unwrap();
            sources.push(exit);
        }
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "all have ended");
        assert_eq!(*told.borrow(), vec![1; 1_000], "once each");
        assert_eq!(
            open_descriptors(),
            before,
            "nothing is left, though the handles are"
        );
        assert!(sources.iter().all(|exit| !exit.is_valid()), "all are over");
    });
}

#[test]
fn a_nested_run_in_the_closure_does_not_find_the_child_again() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let inside = log.clone();
    let exit = ChildExit::new(shell("exit 0"), move |_, _, _| {
        inside.add(format!("told, then {:?}", run(Mode::DEFAULT)));
    });
    RunLoop::current()
        .add(&exit.unwrap(), Mode::DEFAULT)
        .unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "the outer one too");
    assert_eq!(log.take(), ["told, then Finished"], "nothing is left");
}

#[test]
fn children_that_end_while_the_closure_of_one_runs_are_told_of_in_its_nested_run() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let (inside, second) = (log.clone(), sleeper());
    let other = log.clone();
    let second = ChildExit::new(second, move |_, _, _| other.add("the second"));
    let second = second.unwrap();
    let kill = second.clone();
    let first = ChildExit::new(shell("exit 0"), move |_, _, _| {
        inside.add("the first begins");
        kill.kill().unwrap();
        assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
        inside.add("the first ends");
    });
    let run_loop = RunLoop::current();
    run_loop.add(&first.unwrap(), Mode::DEFAULT).unwrap();
    run_loop.add(&second, Mode::DEFAULT).unwrap();
    assert_eq!(run(Mode::DEFAULT), Outcome::Finished, "nothing is left");
    let expected = ["the first begins", "the second", "the first ends"];
    assert_eq!(log.take(), expected, "in this order");
}

#[test]
fn a_panic_in_the_closure_ends_the_source_and_nothing_else() {
    let _watchdog = Watchdog::new();
    let exit = ChildExit::new(shell("exit 0"), |_, _, _| panic!("the test's panic"));
    let exit = exit.unwrap();
    RunLoop::current().add(&exit, Mode::DEFAULT).unwrap();
    let (_other, told) = watched(shell("exit 4"));
    let mut panics = 0;
    loop {
        match catch_unwind(AssertUnwindSafe(|| run(Mode::DEFAULT))) {
            Ok(end) => break assert_eq!(end, Outcome::Finished, "nothing is left"),
            Err(_) => panics += 1,
        }
    }
    assert_eq!(panics, 1, "once");
    assert_eq!(told.get().and_then(|status| status.code()), Some(4));
    assert!(!exit.is_valid(), "it is over");
}
