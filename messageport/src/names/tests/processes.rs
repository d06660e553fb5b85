//! Other processes that do what they are told, one line at a time, until they are killed.

use super::super::claim::{Claim, ClaimError};
use super::super::directory::Directory;
use super::super::port_name::PortName;
use crate::hello::tests::Watchdog;
use rustix::io::FdFlags;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::Duration;
use std::{env, io, thread};

/// A process that claims names in a directory.
pub(super) struct Process {
    child: Child,
    /// What it says, unless it says it to somebody else.
    says: Option<BufReader<std::process::ChildStdout>>,
}

impl Process {
    /// A process of this user, with its directory.
    pub(super) fn new(directory: &Path) -> Self {
        Self::of_user(directory, None).unwrap()
    }

    /// A process of `user`.
    pub(super) fn of_user(directory: &Path, user: Option<u32>) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command
            .args(["names::tests::processes::entry", "--exact", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let mut child = command.spawn()?;
        let says = child.stdout.take().map(BufReader::new);
        Ok(Self { child, says })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to do something.
    pub(super) fn tell(&mut self, order: &str) {
        writeln!(self.child.stdin.as_ref().unwrap(), "{order}").unwrap();
    }

    /// Waits for its answer.
    pub(super) fn answer(&mut self) -> String {
        let says = self.says.as_mut().unwrap();
        let mut line = String::new();
        while says.read_line(&mut line).unwrap() > 0 {
            if let Some((_, answer)) = line.split_once(MARK) {
                return answer.trim_end().to_owned();
            }
            line.clear();
        }
        panic!("process {} ended without an answer", self.pid());
    }

    /// Tells it to do something and waits for its answer.
    pub(super) fn ask(&mut self, order: &str) -> String {
        self.tell(order);
        self.answer()
    }

    /// Sends its answers from now on to `to`, each with `index`.
    pub(super) fn report(&mut self, index: usize, to: Sender<(usize, String)>) {
        let mut says = self.says.take().unwrap();
        thread::spawn(move || {
            let mut line = String::new();
            while says.read_line(&mut line).is_ok_and(|length| length > 0) {
                if let Some((_, answer)) = line.split_once(MARK) {
                    to.send((index, answer.trim_end().to_owned())).ok();
                }
                line.clear();
            }
        });
    }

    /// Kills it without warning, and waits until it has ended.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A process that is nobody's child any more, killed at the end of its test.
pub(super) struct Orphan(Pid);

impl Orphan {
    /// The one that `answer` speaks of.
    pub(super) fn of(answer: &str) -> Self {
        let pid = answer.strip_prefix("orphan ").unwrap().parse().unwrap();
        Self(Pid::from_raw(pid).unwrap())
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        kill_process(self.0, Signal::KILL).ok();
    }
}

/// Not a test but what the processes above run.
#[test]
fn entry() {
    let Some(path) = env::var_os(DIRECTORY) else {
        return;
    };
    // Whoever gives the orders may be gone.
    let _watchdog = Watchdog::start();
    let mut worker = Worker {
        path: path.into(),
        claim: None,
    };
    for line in io::stdin().lines() {
        let line = line.unwrap();
        let (order, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = worker.obey(order, argument);
        writeln!(io::stdout(), "{MARK}{answer}").unwrap();
    }
}

/// One of those processes, seen from inside.
struct Worker {
    path: std::path::PathBuf,
    claim: Option<Claim>,
}

impl Worker {
    fn obey(&mut self, order: &str, argument: &str) -> String {
        match order {
            "claim" => self.claim(argument, Directory::private),
            "claim-at" => {
                let (moment, name) = argument.split_once(' ').unwrap();
                thread::sleep(Duration::from_millis(
                    moment.parse::<u64>().unwrap().saturating_sub(now()),
                ));
                self.claim(name, Directory::private)
            }
            "chase" => loop {
                let answer = self.claim(argument, Directory::private);
                if !answer.starts_with("lost") {
                    return answer;
                }
                thread::yield_now();
            },
            "contend" => {
                let marker = self.path.with_file_name("marker");
                for _ in 0..100 {
                    let won = self.obey("chase", argument);
                    assert_eq!(won, "won", "the only way out of a chase");
                    if File::create_new(&marker).is_err() {
                        self.claim = None;
                        return "there is another owner".to_owned();
                    }
                    fs::remove_file(&marker).unwrap();
                    self.claim = None;
                }
                "contended".to_owned()
            }
            "claim-shared" => self.claim(argument, |path| Directory::open(path)),
            "connect-shared" => {
                let directory = Directory::open(&self.path).unwrap();
                match super::super::connect(&directory, &PortName::new(argument).unwrap()) {
                    Ok(peer) => format!("connected to {:?}", peer.credentials().pid),
                    Err(error) => format!("failed {error:?}"),
                }
            }
            "list-shared" => format!(
                "{:?}",
                Directory::open(&self.path).unwrap().names().unwrap()
            ),
            "squat" => squat(&self.path.join(argument)),
            "drop" => {
                self.claim = None;
                "dropped".to_owned()
            }
            "orphan" => orphan(self.claim.as_ref().unwrap()),
            other => panic!("no such order: {other}"),
        }
    }

    fn claim(
        &mut self,
        name: &str,
        open: impl Fn(&Path) -> Result<Directory, super::super::DirectoryError>,
    ) -> String {
        let directory = open(&self.path).unwrap();
        match Claim::new(&directory, &PortName::new(name).unwrap()) {
            Ok(claim) => {
                self.claim = Some(claim);
                "won".to_owned()
            }
            Err(ClaimError::NameInUse { pid: Some(pid), .. }) => format!("lost {pid}"),
            Err(other) => format!("failed {other:?}"),
        }
    }
}

/// A moment at which processes that have been told of it can all do something at once.
pub(super) fn in_a_moment() -> u64 {
    now() + 30
}

/// The time in milliseconds, the same in all processes.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000 + now.tv_nsec / 1_000_000).unwrap()
}

/// Listens under `path` as somebody who has not heard of locks; for as long as the process lives.
fn squat(path: &Path) -> String {
    let socket = super::super::listener::new_socket().unwrap();
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(path).unwrap()).unwrap();
    rustix::net::listen(&socket, 8).unwrap();
    std::mem::forget(socket);
    "squatting".to_owned()
}

/// Starts a process that inherits the lock file and the listener, as a forked child does, and
/// that lives on when this one has ended.
fn orphan(claim: &Claim) -> String {
    for fd in [
        claim.lock().unwrap().file().as_fd(),
        claim.listener().as_fd(),
    ] {
        rustix::io::fcntl_setfd(fd, FdFlags::empty()).unwrap();
    }
    #[expect(clippy::zombie_processes, reason = "it is to outlive this process")]
    let child = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    format!("orphan {}", child.id())
}

/// Where the directory of such a process is said.
const DIRECTORY: &str = "MESSAGEPORT_TEST_PROCESS";
/// What its answers begin with, among what else is printed.
const MARK: &str = "answer: ";
