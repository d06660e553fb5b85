//! What every outer loop has to get done: signals, closures, descriptors, deadlines and messages from another thread, and
//! nothing at all while nothing happens.

use std::cell::Cell;
use std::fs::DirBuilder;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use messageport::{Directory, LocalPort, Message, RemotePort};
use runloop::{
    Cx, Descriptor, Embedding, Handle, Interest, Mode, Outcome, Ready, RunLoop, Signalled, Source,
    SourceHandle, SourceRef,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tests::{Log, Watchdog};

/// How often an outer loop was woken by the descriptor of ours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wakes(Arc<AtomicU32>);

impl Wakes {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Has an outer loop serve everything that another thread thinks of, in a mode of its own.
///
/// `drive` gets the embedding, and returns once serving it has ended with a stop.
pub(crate) fn is_served_by(drive: impl FnOnce(Embedding, Wakes)) {
    let _watchdog = Watchdog::new();
    let mode = Mode::new("embedding.mode");
    let run_loop = RunLoop::current();
    let (log, wakes) = (Log::new(), Wakes::default());
    let work = Work::in_mode(&run_loop, mode, &log);
    let place = Place::new();
    let port = place.echo(mode);
    let embedding = run_loop.readiness(mode).unwrap();
    let client = Client {
        mode,
        work,
        log: log.clone(),
        wakes: wakes.clone(),
        handle: run_loop.handle(),
        directory: place.directory.clone(),
        descriptor: embedding.as_fd().try_clone_to_owned().unwrap(),
    };
    let client = thread::spawn(move || client.go());
    drive(embedding, wakes);
    drop(client.join().unwrap());
    assert!(port.is_valid(), "served to the end");
    assert_eq!(
        run_loop.handle().is_waiting(),
        Ok(false),
        "nobody polls it any more"
    );
}

/// What there is to serve.
struct Work {
    signalled: Signalled,
    due: SourceHandle,
    stream: UnixStream,
}

impl Work {
    fn in_mode(run_loop: &RunLoop, mode: Mode, log: &Log) -> Self {
        let inside = log.clone();
        let signalled = Signalled::new(move |_| inside.add("signal"));
        run_loop.add(&signalled, mode).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let inside = log.clone();
        let reader = Descriptor::new(ours, Interest::READABLE, move |_, mut stream, _| {
            let count = stream.read(&mut [0; 8]).unwrap();
            inside.add(format!("{count} bytes"));
        });
        run_loop.add(&reader, mode).unwrap();
        let due = Due::adopted(run_loop, log);
        run_loop.add(&due, mode).unwrap();
        Self {
            signalled,
            due,
            stream: theirs,
        }
    }
}

/// A source that has nothing but a deadline, when it is given one.
pub(crate) struct Due(Log);

impl Due {
    /// One in no mode yet.
    pub(crate) fn adopted(run_loop: &RunLoop, log: &Log) -> SourceHandle {
        run_loop.adopt(&SourceRef::new(Self(log.clone())))
    }
}

impl Source for Due {
    fn perform<'s>(&'s self, _: &mut Cx<'s, '_>, ready: Ready<'_>) {
        let at = ready.deadline.expect("it has nothing else");
        assert!(at <= Instant::now(), "never early");
        self.0.add("deadline");
    }
}

/// The thread that thinks of things to do.
struct Client {
    mode: Mode,
    work: Work,
    log: Log,
    wakes: Wakes,
    handle: Handle,
    directory: Directory,
    descriptor: OwnedFd,
}

impl Client {
    /// Comes back in the end, since a connection that is dropped is one more thing to serve.
    fn go(mut self) -> Self {
        for round in 0..50 {
            self.each_kind(round);
        }
        self.nothing();
        let remote = RemotePort::connect_in(&self.directory, "embedded").unwrap();
        for number in 0..500_i32 {
            let message = number.to_le_bytes();
            let reply = remote.request(number, &message).unwrap();
            assert_eq!(reply.as_ref(), message, "the reply to {number}");
            if number == 250 {
                self.nothing();
            }
        }
        self.nothing();
        drop(remote);
        self.handle.stop().unwrap();
        self
    }

    fn each_kind(&mut self, round: u32) {
        self.work.signalled.signal();
        self.expect("signal");
        let log = self.log.clone();
        let sent = self.handle.perform(self.mode, move |_| log.add("closure"));
        sent.unwrap();
        self.expect("closure");
        self.work.stream.write_all(b"abc").unwrap();
        self.expect("3 bytes");
        let after = Duration::from_micros(u64::from(round) * 20);
        self.work.due.set_deadline(Some(Instant::now() + after));
        self.expect("deadline");
        // Before the loop had time to lie down, and after.
        if round % 2 == 0 {
            self.settle();
        }
    }

    /// Waits for the one thing that was thought of last.
    fn expect(&self, line: &str) {
        until(|| self.log.count() > 0);
        assert_eq!(self.log.take(), [line], "and nothing else");
    }

    /// While nothing happens the outer loop is not woken.
    fn nothing(&self) {
        self.settle();
        let before = self.wakes.count();
        thread::sleep(Duration::from_millis(50));
        assert_eq!(self.wakes.count(), before, "nobody was woken for nothing");
        assert_eq!(self.log.take(), [""; 0], "and nothing was done");
    }

    /// Waits until the loop has seen everything, and sleeps.
    fn settle(&self) {
        until(|| self.handle.is_waiting().unwrap() && !is_readable(&self.descriptor));
    }
}

/// Notes a wake-up, serves, and says whether the loop was stopped.
pub(crate) fn serve(embedding: &Embedding) -> bool {
    match embedding.serve().unwrap() {
        Outcome::Stopped => true,
        Outcome::TimedOut => false,
        other => panic!("{other:?} is no end of a pass here"),
    }
}

/// Whether a poll for reading would return at once.
pub(crate) fn is_readable(descriptor: &impl AsFd) -> bool {
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&zero)).unwrap() > 0
}

/// Waits, without any loop, until something is true that another thread makes true.
pub(crate) fn until(mut is_true: impl FnMut() -> bool) {
    while !is_true() {
        thread::yield_now();
    }
}

/// A directory of names of its own, which goes with it.
struct Place {
    path: PathBuf,
    directory: Directory,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("embedding-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        let directory = Directory::open(&path).unwrap();
        Self { path, directory }
    }

    /// A port that sends everything back.
    fn echo(&self, mode: Mode) -> LocalPort {
        let served = Rc::new(Cell::new(0));
        let echo = move |message: Message| {
            assert_eq!(message.id(), served.get(), "in order, each once");
            served.set(served.get() + 1);
            message.data().to_vec()
        };
        let port = LocalPort::create_in(&self.directory, "embedded", echo).unwrap();
        RunLoop::current().add(&port, mode).unwrap();
        port
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
    }
}
