//! What a socket promises: accepting, connecting, reading, sending, datagrams, back-pressure, its end, and what it does
//! when there is no room.

mod accepting;
mod batches;
mod closing;
mod completions;
mod connecting;
mod datagrams;
mod ending;
mod flow;
mod full_table;
mod kinds;
mod load;
mod reading;
mod refusing;
mod sending;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use runloop::{Activity, Limit, Mode, Observer, Outcome, ReturnAfter, RunLoop};
use socket_source::{AcceptError, Accepted, Socket, SocketOptions, StreamEvent};
use tests::Log;

/// Any free port of this machine.
fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Where a listener is to be reached.
fn address_of(listener: &Socket) -> SocketAddr {
    let address = listener.local_address().unwrap();
    address.as_socket().expect("an internet address")
}

/// Two ends of a connection, the first of which is to be a source.
fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(anywhere()).unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, theirs)
}

/// A path for a socket, in a directory that goes with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let directory = format!("socket-tests-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        std::fs::create_dir(&directory).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A socket in the default mode of this thread that writes down what it is told, and stops the loop when the stream has
/// ended or broken.
fn recorded(options: SocketOptions, stream: impl Into<std::os::fd::OwnedFd>, log: &Log) -> Socket {
    let log = log.clone();
    let socket = Socket::reading_with(options, stream, move |run_loop, _, event| match event {
        StreamEvent::Data(bytes) => log.add(String::from_utf8(bytes.to_vec()).unwrap()),
        other => {
            log.add(format!("{other:?}"));
            run_loop.stop();
        }
    });
    let socket = socket.unwrap();
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    socket
}

/// A listener in the default mode of this thread.
fn listener(
    options: SocketOptions,
    accept: impl FnMut(&RunLoop, &Socket, Result<Accepted, AcceptError>) + 'static,
) -> Socket {
    let listener = Socket::listening_with(options, anywhere(), accept).unwrap();
    RunLoop::current().add(&listener, Mode::DEFAULT).unwrap();
    listener
}

/// Runs the default mode until something stops it.
fn run() {
    assert_eq!(
        RunLoop::current().run().unwrap(),
        Outcome::Stopped,
        "nothing else ends this run"
    );
}

/// Makes one pass over the default mode, which does not wait.
fn pass() {
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
    let _timed_out_or_finished = outcome.unwrap();
}

/// Makes passes until the log has that many lines.
fn pass_until(log: &Log, lines: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < lines {
        pass();
        found.extend(log.take());
    }
    found
}

/// Counts the passes of the default mode from now on.
fn count_passes() -> (Rc<Cell<u32>>, Observer) {
    let passes = Rc::new(Cell::new(0));
    let counted = Rc::clone(&passes);
    let observer = Observer::new(Activity::BEFORE_TIMERS, 0, move |_, _| {
        counted.set(counted.get() + 1)
    });
    RunLoop::current()
        .add_observer(&observer, Mode::DEFAULT)
        .unwrap();
    (passes, observer)
}

/// The flags of an open descriptor, as the kernel knows them.
fn flags_of(fd: &impl AsFd) -> u32 {
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(path).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    u32::from_str_radix(flags.unwrap().trim(), 8).unwrap()
}

/// Whether a descriptor is both close-on-exec and non-blocking.
fn is_well_made(fd: &impl AsFd) -> bool {
    let (cloexec, nonblock) = (0o2_000_000, 0o4_000);
    flags_of(fd) & (cloexec | nonblock) == cloexec | nonblock
}

/// Everything that a stream brings until its end.
fn drain(mut stream: impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Whether the other end of a stream is closed, or is so in a moment: a test that starts a process at this very time
/// has a copy of every descriptor until that process has begun.
fn is_closed(mut stream: &UnixStream) -> bool {
    let patience = Duration::from_secs(10);
    stream.set_read_timeout(Some(patience)).unwrap();
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Fills a stream until it takes no more, and says how much it took.
fn fill(mut stream: &UnixStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let mut written = 0;
    while let Ok(count) = stream.write(&[b'x'; 4_096]) {
        written += count;
    }
    written
}
