//! What the port tests share: directories of names, servers on threads of their own, and bytes that show when they are
//! not the right ones.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use messageport::{Directory, LocalPort, Message, Options, RemotePort, Reply};
use runloop::{Handle, Limit, Mode, ReturnAfter, RunLoop};
use tests::Watchdog;
pub(crate) use tests::wait_until;

/// A directory of names of its own, which goes with it.
pub(crate) struct Place {
    path: PathBuf,
    pub(crate) directory: Directory,
}

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("ports-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break path,
                // Left behind by a process of that number that was killed.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        };
        let directory = Directory::open(&path).unwrap();
        Self { path, directory }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A port of this thread, in no mode yet.
    pub(crate) fn port<R: Into<Reply> + 'static>(
        &self,
        name: &str,
        handler: impl Fn(Message) -> R + 'static,
    ) -> LocalPort {
        LocalPort::create_in(&self.directory, name, handler).unwrap()
    }

    /// A port of this thread, in its default mode.
    pub(crate) fn served<R: Into<Reply> + 'static>(
        &self,
        name: &str,
        handler: impl Fn(Message) -> R + 'static,
    ) -> LocalPort {
        let port = self.port(name, handler);
        RunLoop::current().add(&port, Mode::DEFAULT).unwrap();
        port
    }

    pub(crate) fn connect(&self, name: &str) -> RemotePort {
        RemotePort::connect_in(&self.directory, name).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
    }
}

/// A thread that serves a port in its default mode until this is dropped.
pub(crate) struct Server {
    pub(crate) port: LocalPort,
    pub(crate) run_loop: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start<R: Into<Reply> + 'static>(
        place: &Place,
        name: &str,
        handler: impl Fn(Message) -> R + Send + 'static,
    ) -> Self {
        let (directory, name) = (place.directory.clone(), name.to_owned());
        let (ready, started) = channel();
        let thread = std::thread::spawn(move || {
            let port = LocalPort::create_in(&directory, &name, handler).unwrap();
            let run_loop = RunLoop::current();
            run_loop.add(&port, Mode::DEFAULT).unwrap();
            ready.send((port, run_loop.handle())).unwrap();
            // Also when the port is gone: it is the test that says when the thread has nothing more to do.
            let limit = Limit::Never;
            let outcome = run_loop.wait_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
            let _stopped = outcome.unwrap();
        });
        let (port, run_loop) = started.recv().expect("the port is created");
        Self {
            port,
            run_loop,
            thread: Some(thread),
        }
    }

    /// A server that sends everything back.
    pub(crate) fn echo(place: &Place, name: &str) -> Self {
        Self::start(place, name, |message| message.data().to_vec())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.run_loop.stop().ok();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().expect("the server has not panicked");
        }
    }
}

/// How much of something a test does: less in an ordinary run than in the full one.
pub(crate) fn scaled(ordinary: usize, full: usize) -> usize {
    if is_full_run() { full } else { ordinary }
}

/// A watchdog that waits longer in a full run.
pub(crate) fn watchdog() -> Watchdog {
    if is_full_run() {
        Watchdog::with_limit(Duration::from_secs(3_600))
    } else {
        Watchdog::new()
    }
}

pub(crate) fn is_full_run() -> bool {
    std::env::var_os("PORTS_FULL").is_some()
}

/// Bytes of which each part differs from the others, and from those of another seed.
pub(crate) fn pattern(len: usize, seed: usize) -> Vec<u8> {
    let word = |index: usize| {
        let mixed = (index + seed * 1_000_003).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(word).collect();
    bytes.truncate(len);
    bytes
}

/// Fails with a short message where `assert_eq!` would print megabytes.
pub(crate) fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    assert_eq!(found.len(), expected.len(), "the length of {what}");
    if found == expected {
        return;
    }
    let differs = found
        .iter()
        .zip(expected)
        .position(|(one, other)| one != other);
    assert_eq!(differs, None, "where {what} differs");
}

/// Options with a deadline for room and one for the reply.
pub(crate) fn within(send: Duration, reply: Duration) -> Options {
    Options::new().send_timeout(send).reply_timeout(reply)
}

/// Options with a deadline that no test reaches: where a call should end for another reason.
pub(crate) fn patiently() -> Options {
    within(FAR, FAR)
}

/// Makes one pass over the default mode, which does not wait.
pub(crate) fn pass() {
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
    let _timed_out_or_finished = outcome.unwrap();
}

/// Runs the default mode until something holds. What is tested makes it hold; the watchdog ends it otherwise.
pub(crate) fn run_until(mut holds: impl FnMut() -> bool) {
    let run_loop = RunLoop::current();
    while !holds() {
        let soon = Instant::now() + Duration::from_millis(20);
        let outcome = run_loop.wait_in_mode(Mode::DEFAULT, soon, ReturnAfter::FirstSource);
        let _any = outcome.unwrap();
    }
}

/// Later than any test may take; the watchdog is sooner.
pub(crate) const FAR: Duration = Duration::from_secs(600);
/// What "at once" must be far below of: a test that waited for a deadline waited longer.
pub(crate) const LONG: Duration = Duration::from_secs(30);
