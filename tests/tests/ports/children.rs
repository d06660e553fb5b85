//! The other processes of the port tests: this test binary, started again in a role.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use messageport::{
    Directory, LocalPort, Message, Options, PortOptions, RemotePort, Reply, SerialQueue,
};
use runloop::{Limit, Mode, ReturnAfter, RunLoop};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::descriptors::{hoard, lower_the_limit};
use crate::passing::{marked, read_all};
use crate::support::{Place, pattern, watchdog};

/// A process in a role; it is killed when this is dropped.
pub(crate) struct Child {
    process: Process,
    lines: BufReader<ChildStdout>,
    commands: Option<ChildStdin>,
}

impl Child {
    /// Starts a process in a role, and waits until it says that it is ready.
    pub(crate) fn start(role: &str, place: &Place, name: &str) -> Self {
        let mut command = Self::command(role, place, name);
        let mut process = command.spawn().expect("the test binary starts");
        let lines = BufReader::new(process.stdout.take().unwrap());
        let commands = process.stdin.take();
        let mut child = Self {
            process,
            lines,
            commands,
        };
        assert_eq!(child.hear(), "ready");
        child
    }

    pub(crate) fn command(role: &str, place: &Place, name: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["children::child_entry", "--exact", "--nocapture"])
            .env(ROLE, role)
            .env(PLACE, place.path())
            .env(NAME, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    /// The next line that the child says.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let count = self.lines.read_line(&mut line).unwrap();
            assert!(count > 0, "the child has ended without a word");
            if let Some((_, said)) = line.trim_end().split_once(SAYS) {
                return said.to_owned();
            }
        }
    }

    /// Says something to the child.
    pub(crate) fn tell(&mut self, line: &str) {
        let commands = self.commands.as_mut().expect("it listens");
        writeln!(commands, "{line}").unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Stops the process, as a debugger would, and waits until it stands still.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        let status = waitpid(Some(Pid::from_child(&self.process)), WaitOptions::UNTRACED);
        let (_, status) = status.unwrap().unwrap();
        assert!(status.stopped(), "the child stands still");
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills the process, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits until the process has ended by itself, in peace.
    pub(crate) fn wait(mut self) {
        self.commands.take();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "the child: {status}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail if it has ended and was waited for.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Not a test: where the processes of the other tests begin.
#[test]
fn child_entry() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let _watchdog = watchdog();
    let directory = Directory::open(std::env::var_os(PLACE).unwrap()).unwrap();
    let name = std::env::var(NAME).unwrap();
    match role.as_str() {
        "server" => serve(&directory, &name),
        "sleepy" => {
            RunLoop::current().set_spinning(false);
            serve(&directory, &name);
        }
        "owner" => own(&directory, &name),
        "sender" => send(&directory, &name),
        "passer" => pass_files(&directory, &name),
        "crowded" => run_short(&directory, &name),
        "crowded on a queue" => run_short_on_a_queue(&directory, &name),
        "mutual" => ask_each_other(&directory, &name),
        "visitor" => crate::limits::visit(&directory, &name, say),
        "contender" => crate::racing::contend(&directory, &name, say, listen),
        "asker" => crate::deferring::ask(&directory, &name, || say("ready")),
        role => panic!("there is no role {role}"),
    }
}

/// Says something to the parent.
fn say(what: &str) {
    println!("{SAYS}{what}");
}

/// Waits for a line of the parent; at the end of them all there is nothing more to do.
fn listen() -> String {
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).unwrap() == 0 {
        std::process::exit(0);
    }
    line.trim_end().to_owned()
}

/// Runs a port that does what the numbers of its messages say, until the parent is gone.
fn serve(directory: &Directory, name: &str) {
    let port = LocalPort::create_in(directory, name, answer).unwrap();
    let run_loop = RunLoop::current();
    run_loop.add(&port, Mode::DEFAULT).unwrap();
    let main = run_loop.handle();
    std::thread::spawn(move || {
        while listen() != "stop" {}
        main.stop()
    });
    say("ready");
    let _stopped_or_finished = run_loop.run().unwrap();
    say("done");
}

fn answer(mut message: Message) -> Reply {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    match message.id() {
        ECHO => {}
        SLEEP => std::thread::sleep(Duration::from_millis(number(message.data()))),
        HANG => {
            say("in the handler");
            loop {
                std::thread::park();
            }
        }
        TELL => say(&format!("got {}", String::from_utf8_lossy(message.data()))),
        INVALIDATE => {
            message.port().invalidate();
            return "the last words".into();
        }
        PATTERN => {
            let len = usize::try_from(number(message.data())).unwrap();
            return pattern(len, 7).into();
        }
        COUNT => {
            let (port, own) = (message.port().statistics(), RunLoop::current().statistics());
            let counts = [
                port.sent,
                port.received,
                port.discarded,
                port.rings,
                port.wakes,
            ];
            let counts = counts
                .into_iter()
                .chain([port.looks, own.waits, own.alarms]);
            return counts.flat_map(u64::to_le_bytes).collect::<Vec<_>>().into();
        }
        READ => return read_all(message.take_descriptors()).into(),
        WRITE => {
            for file in message.take_descriptors() {
                std::fs::File::from(file).write_all(message.data()).unwrap();
            }
        }
        OPEN => {
            let count = std::str::from_utf8(message.data()).unwrap();
            let count: usize = count.parse().unwrap();
            let files = (0..count).map(|index| marked(&format!("{index},")));
            return Reply::from("open").with_descriptors(files.collect());
        }
        PANIC => panic!("as the test wants it"),
        id => panic!("there is no message {id}"),
    }
    message.data().to_vec().into()
}

/// Has a name, and never looks who knocks.
fn own(directory: &Directory, name: &str) {
    let port = LocalPort::create_in(directory, name, |_| ()).unwrap();
    say("ready");
    while listen() != "invalidate" {}
    port.invalidate();
    say("invalid");
    listen();
}

/// Sends two messages and ends without waiting for anything.
fn send(directory: &Directory, name: &str) {
    let remote = RemotePort::connect_in(directory, name).unwrap();
    remote.send(1, b"one").unwrap();
    remote.send(2, &pattern(100_000, 2)).unwrap();
    say("ready");
}

/// Sends two messages with files and ends without waiting for anything.
fn pass_files(directory: &Directory, name: &str) {
    let remote = RemotePort::connect_in(directory, name).unwrap();
    let files = [marked("one"), marked("two,"), marked("and three")];
    let [one, two, three] = files.each_ref().map(AsFd::as_fd);
    for (id, files) in [(1, &[one][..]), (2, &[two, three])] {
        remote
            .send_with_descriptors(id, b"", files, Options::new())
            .unwrap();
    }
    say("ready");
}

/// Serves with few descriptors: all but some are taken by `hoard SPARE`, and given back by `release`.
fn run_short(directory: &Directory, name: &str) {
    lower_the_limit();
    let port = LocalPort::create_in(directory, name, answer).unwrap();
    let run_loop = RunLoop::current();
    run_loop.add(&port, Mode::DEFAULT).unwrap();
    // What a loop needs from the system is made by its first run.
    let _timed_out = run_loop
        .run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit)
        .unwrap();
    say("ready");
    let command = listen();
    let spare = command.strip_prefix("hoard ").unwrap().parse().unwrap();
    let hoarded = hoard(spare);
    say("hoarded");
    let main = run_loop.handle();
    std::thread::spawn(move || {
        assert_eq!(listen(), "release");
        drop(hoarded);
        while listen() != "stop" {}
        main.stop()
    });
    let _stopped = run_loop.run().unwrap();
}

/// As above, on a queue.
fn run_short_on_a_queue(directory: &Directory, name: &str) {
    lower_the_limit();
    let options = PortOptions::new().in_directory(directory).name(name);
    let port = options.create_shared(answer).unwrap();
    port.set_dispatch_queue(SerialQueue::new("short").unwrap())
        .unwrap();
    say("ready");
    let command = listen();
    let spare = command.strip_prefix("hoard ").unwrap().parse().unwrap();
    let hoarded = hoard(spare);
    say("hoarded");
    assert_eq!(listen(), "release");
    drop(hoarded);
    while listen() != "stop" {}
}

/// Has a port of its own and asks the parent's whenever it is asked, until both have asked often enough.
fn ask_each_other(directory: &Directory, name: &str) {
    let own = format!("{name}.child");
    let port = LocalPort::create_in(directory, &own, |message| message.data().to_vec()).unwrap();
    let run_loop = RunLoop::current();
    run_loop.add(&port, Mode::DEFAULT).unwrap();
    let remote = RemotePort::connect_in(directory, name).unwrap();
    say("ready");
    assert_eq!(listen(), "go");
    let options = Options::new().in_mode(Mode::DEFAULT);
    for round in 0..ROUNDS {
        let data = format!("child {round}");
        let reply = remote
            .request_with(round, data.as_bytes(), options)
            .unwrap();
        assert_eq!(&reply[..], data.as_bytes());
    }
    say("done");
    // The parent may still be asking.
    let main = run_loop.handle();
    std::thread::spawn(move || {
        while listen() != "stop" {}
        main.stop()
    });
    let _stopped = run_loop.run().unwrap();
}

/// The messages of a `server`: it answers with their bytes,
pub(crate) const ECHO: i32 = 1;
/// sleeps that many milliseconds first,
pub(crate) const SLEEP: i32 = 2;
/// says so and never returns,
pub(crate) const HANG: i32 = 3;
/// says what it got,
pub(crate) const TELL: i32 = 4;
/// ends its port and then answers,
pub(crate) const INVALIDATE: i32 = 5;
/// answers with a pattern of that length,
pub(crate) const PATTERN: i32 = 6;
/// panics,
pub(crate) const PANIC: i32 = 7;
/// or says what it has done: eight counts, the last two its loop's.
pub(crate) const COUNT: i32 = 8;
/// It answers with what is in the files that it is passed,
pub(crate) const READ: i32 = 9;
/// writes the bytes into them,
pub(crate) const WRITE: i32 = 10;
/// or opens that many files, which say their number, and passes them.
pub(crate) const OPEN: i32 = 11;
/// How often each side of `mutual` asks the other.
pub(crate) const ROUNDS: i32 = 300;

const ROLE: &str = "PORTS_CHILD";
const PLACE: &str = "PORTS_PLACE";
const NAME: &str = "PORTS_NAME";
const SAYS: &str = "child: ";
