//! The tool as a process, ports for it to talk to, and a limit in time for both.

use messageport::{Directory, LocalPort, Message, PortOptions, Reply};
use runloop::{Handle, Mode, RunLoop};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A directory of names of its own, which goes with it.
pub(crate) struct Place {
    path: PathBuf,
    /// Ends the process if the test has not ended in time.
    _on_duty: Sender<()>,
}

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("messageport-cli-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir(&path).unwrap();
        let (on_duty, waiting) = channel::<()>();
        std::thread::spawn(move || {
            let limit = Duration::from_secs(120);
            if waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                // Not `eprintln`, which the harness would keep to itself and lose.
                drop(writeln!(std::io::stderr(), "a test has not ended in time"));
                std::process::abort();
            }
        });
        Self {
            path,
            _on_duty: on_duty,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn directory(&self) -> Directory {
        Directory::open(&self.path).unwrap()
    }

    /// The tool with its arguments, and nothing to read.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_messageport"));
        command.arg("--directory").arg(&self.path).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// What the tool says to this, and how it ends.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.tool(arguments).output().unwrap()
    }

    /// The same with this to read.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.tool(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// A thread that serves a port with this handler until it is dropped.
    pub(crate) fn serve<R: Into<Reply> + 'static>(
        &self,
        name: &str,
        handler: impl Fn(Message) -> R + Send + 'static,
    ) -> Server {
        Server::start(
            PortOptions::new()
                .name(name)
                .in_directory(&self.directory()),
            handler,
        )
    }

    /// A process that serves a port: it says so when it is asked, and never answers.
    pub(crate) fn hanging_process(&self, name: &str) -> Hanging {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["support::child_entry", "--exact", "--nocapture"]);
        command
            .env(PLACE, &self.path)
            .env(NAME, name)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut process = Hanging { child, lines };
        process.hear("ready");
        process
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
    }
}

pub(crate) struct Server {
    run_loop: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start<R: Into<Reply> + 'static>(
        options: PortOptions,
        handler: impl Fn(Message) -> R + Send + 'static,
    ) -> Self {
        let (ready, started) = channel();
        let thread = std::thread::spawn(move || {
            let port = options
                .create(handler)
                .map_err(|refused| refused.error)
                .unwrap();
            let run_loop = RunLoop::current();
            run_loop.add(&port, Mode::DEFAULT).unwrap();
            ready.send(run_loop.handle()).unwrap();
            let _stopped_or_finished = run_loop.run().unwrap();
        });
        let run_loop = started.recv().expect("the port is created");
        Self {
            run_loop,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its port may have ended, and its loop with it.
        self.run_loop.stop().ok();
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// A process that never answers; it is killed when this is dropped.
pub(crate) struct Hanging {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Hanging {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process says this.
    pub(crate) fn hear(&mut self, what: &str) {
        let mut line = String::new();
        while !line.trim_end().ends_with(what) {
            line.clear();
            assert!(
                self.lines.read_line(&mut line).unwrap() > 0,
                "it goes on until {what}"
            );
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Not a test: where a process of another test begins.
#[test]
fn child_entry() {
    let Some(place) = std::env::var_os(PLACE) else {
        return;
    };
    let name = std::env::var(NAME).unwrap();
    let directory = Directory::open(place).unwrap();
    let port = LocalPort::create_in(&directory, &name, |_| -> Reply {
        println!("asked");
        loop {
            std::thread::park();
        }
    });
    let port = port.map_err(|refused| refused.error).unwrap();
    RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
    println!("ready");
    let _never = RunLoop::current().run().unwrap();
}

/// What was printed, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Fails unless the tool did what it was asked for and complained of nothing.
pub(crate) fn assert_done(output: &Output) {
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
}

/// Fails unless the tool ended with this status, nothing on its output, and a message that has these words.
pub(crate) fn assert_failed(output: &Output, code: i32, words: &str) {
    let complaint = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{complaint}");
    assert!(complaint.contains(words), "{complaint}");
    assert!(
        output.stdout.is_empty(),
        "nothing but the complaint: {:?}",
        text(&output.stdout)
    );
}

const PLACE: &str = "MESSAGEPORT_CLI_PLACE";
const NAME: &str = "MESSAGEPORT_CLI_NAME";
