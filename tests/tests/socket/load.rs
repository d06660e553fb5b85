//! Many sockets: thousands at once, storms of them, peers that reset at every stage, full tables, and nothing left behind.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use runloop::{Mode, ReturnAfter, RunLoop, Signalled};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket_source::socket2::SockRef;
use socket_source::{
    AcceptError, ConnectError, SendError, SockAddr, Socket, SocketOptions, StreamEvent, Target,
};
use tests::{Log, Watchdog, in_own_process, open_descriptors};

use crate::{Place, address_of, listener, pass, run};

/// Lets this process have as many descriptors as it may, or so many.
fn set_descriptors(most: Option<u64>) {
    let limit = getrlimit(Resource::Nofile);
    let current = most.or(limit.maximum);
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
}

fn reset(stream: &TcpStream) {
    SockRef::from(stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// What a server has seen.
#[derive(Default)]
struct Seen {
    accepted: Cell<usize>,
    ended: Cell<usize>,
    failed: Cell<usize>,
    bytes: Cell<usize>,
    /// Sockets that have told of their end, which nothing may follow.
    over: RefCell<HashMap<usize, &'static str>>,
}

fn add(count: &Cell<usize>, more: usize) {
    count.set(count.get() + more);
}

/// Sends back what comes in.
fn echo(run_loop: &RunLoop, stream: socket_source::Accepted, seen: &Rc<Seen>) {
    let seen = Rc::clone(seen);
    let number = seen.accepted.get();
    add(&seen.accepted, 1);
    let socket = Socket::reading(stream, move |_, socket, event| {
        let before = seen.over.borrow().get(&number).copied();
        assert_eq!(before, None, "nothing follows the end: {event:?}");
        match event {
            StreamEvent::Data(bytes) => {
                add(&seen.bytes, bytes.len());
                if let Err(SendError::Full(_)) = socket.send(bytes) {
                    socket.pause();
                }
            }
            StreamEvent::Writable => socket.resume(),
            StreamEvent::Ended => {
                add(&seen.ended, 1);
                seen.over.borrow_mut().insert(number, "ended");
            }
            StreamEvent::Failed(_) => {
                add(&seen.failed, 1);
                seen.over.borrow_mut().insert(number, "failed");
            }
            other => panic!("{other:?}"),
        }
    });
    run_loop.add(&socket.unwrap(), Mode::DEFAULT).unwrap();
}

fn echo_server(seen: &Rc<Seen>) -> Socket {
    let seen = Rc::clone(seen);
    listener(SocketOptions::new(), move |run_loop, _, accepted| {
        if let Ok(accepted) = accepted {
            echo(run_loop, accepted, &seen);
        }
    })
}

/// Runs the default mode for so many milliseconds.
fn serve_for(milliseconds: u64) {
    let limit = Duration::from_millis(milliseconds);
    let outcome = RunLoop::current().run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    let _timed_out = outcome.unwrap();
}

/// One round trip over each of these streams, on another thread, while this one serves them.
fn ping(clients: Vec<TcpStream>) -> Vec<TcpStream> {
    let handle = RunLoop::current().handle();
    let pinging = std::thread::spawn(move || {
        for mut client in &clients {
            client.write_all(b"!").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
        handle.stop().unwrap();
        clients
    });
    run();
    pinging.join().unwrap()
}

/// What it takes to keep one: `cargo test -p tests --test socket eight_thousand -- --nocapture` says it.
#[test]
fn eight_thousand_connections_are_served_and_idle_ones_cost_nothing() {
    in_own_process!({
        const MANY: usize = 8_000;
        let _watchdog = Watchdog::new();
        set_descriptors(None);
        let run_loop = RunLoop::current();
        let seen = Rc::new(Seen::default());
        let server = echo_server(&seen);
        pass();
        let (before, memory) = (open_descriptors().len(), resident());
        let address = address_of(&server);
        let connecting = std::thread::spawn(move || {
            let connect = |_| TcpStream::connect(address).unwrap();
            (0..MANY).map(connect).collect::<Vec<_>>()
        });
        while seen.accepted.get() < MANY {
            serve_for(10);
        }
        let clients = connecting.join().unwrap();
        assert_eq!(open_descriptors().len(), before + 2 * MANY);
        let each = || (resident() - memory) * 1_024 / MANY;
        let silent = each();

        let began = run_loop.statistics();
        serve_for(100);
        let passes = run_loop.statistics().passes - began.passes;
        assert!(passes <= 2, "{passes} passes with all of them idle");

        let began = run_loop.statistics();
        let clients = ping(clients);
        let done = run_loop.statistics();
        let (passes, waits) = (done.passes - began.passes, done.waits - began.waits);
        let most = u64::try_from(MANY).unwrap() + 20;
        assert!(
            passes <= most && waits <= 2 * most,
            "{passes} passes, {waits} waits"
        );
        assert_eq!(seen.bytes.get(), MANY);
        let spoken = each();
        println!("an idle connection takes {silent} bytes, one that has spoken {spoken}");
        assert!(spoken < 3_000, "{spoken} bytes each: no buffer is kept");

        drop(clients);
        while seen.ended.get() < MANY {
            pass();
        }
        assert_eq!(open_descriptors().len(), before, "all are closed");
    });
}

#[test]
fn a_storm_of_connections_of_which_half_are_reset_keeps_nobody_else_waiting() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        set_descriptors(None);
        let (run_loop, seen) = (RunLoop::current(), Rc::new(Seen::default()));
        let server = echo_server(&seen);
        let turns = Rc::new(Cell::new(0));
        let counted = Rc::clone(&turns);
        let other = Signalled::new(move |_| counted.set(counted.get() + 1));
        run_loop.add(&other, Mode::DEFAULT).unwrap();
        let address = address_of(&server);
        let storms: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(move || storm(address)))
            .collect();
        let mut passes = 0;
        while storms.iter().any(|storm| !storm.is_finished()) {
            other.signal();
            let accepted = seen.accepted.get();
            pass();
            passes += 1;
            assert_eq!(turns.get(), passes, "others have their turn in every pass");
            assert!(seen.accepted.get() <= accepted + 16, "a limit per pass");
        }
        let kept: usize = storms.into_iter().map(|storm| storm.join().unwrap()).sum();
        while seen.accepted.get() > seen.ended.get() + seen.failed.get() {
            pass();
        }
        assert!(seen.ended.get() >= kept, "those that stayed have ended");
        other.invalidate();
    });
}

/// Connects many times, resets every second connection, and has one answer of each of the others.
fn storm(address: SocketAddr) -> usize {
    let mut kept = 0;
    for number in 0..250 {
        let mut stream = TcpStream::connect(address).unwrap();
        if number % 2 == 0 {
            reset(&stream);
        } else {
            stream.write_all(b"?").unwrap();
            stream.read_exact(&mut [0]).unwrap();
            kept += 1;
        }
    }
    kept
}

#[test]
fn a_peer_that_resets_at_any_stage_ends_its_own_connection_and_no_other() {
    let _watchdog = Watchdog::new();
    let seen = Rc::new(Seen::default());
    let server = echo_server(&seen);
    let address = address_of(&server);
    let steady = TcpStream::connect(address).unwrap();
    let steady = ping(vec![steady]).remove(0);
    // Before it is accepted; before it has said anything; after that; with an answer on its way; after our side's end.
    let stages: [fn(&mut TcpStream); 5] = [
        |_| {},
        |_| pass(),
        |stream| {
            stream.write_all(b"said").unwrap();
            pass();
            pass();
        },
        |stream| {
            stream.set_nonblocking(true).unwrap();
            for _ in 0..200 {
                drop(stream.write(&[0; 65_536]));
                pass();
            }
        },
        |stream| {
            stream.write_all(b"said").unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            pass();
        },
    ];
    for (number, stage) in stages.into_iter().enumerate() {
        let mut stream = TcpStream::connect(address).unwrap();
        stage(&mut stream);
        reset(&stream);
        drop(stream);
        // All but the steady one have ended by then, and the watchdog does not wait for less.
        let over = || seen.ended.get() + seen.failed.get();
        while (seen.accepted.get(), over()) != (number + 2, number + 1) {
            pass();
        }
    }
    drop(ping(vec![steady]));
    server.invalidate();
}

#[test]
fn a_table_that_fills_up_and_empties_again_and_again_loses_nobody() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let run_loop = RunLoop::current();
        let place = Place::new("cycles");
        let kept = Rc::new(RefCell::new(Vec::new()));
        let (keeping, rests) = (Rc::clone(&kept), Rc::new(Cell::new(0)));
        let rested = Rc::clone(&rests);
        let path = place.path("listener");
        let address = SockAddr::unix(&path).unwrap();
        let listener = Socket::listening(address, move |_, _, accepted| match accepted {
            Ok(accepted) => keeping.borrow_mut().push(accepted),
            Err(AcceptError::Resting { .. }) => rested.set(rested.get() + 1),
            Err(other) => panic!("{other:?}"),
        });
        let listener = listener.unwrap();
        run_loop.add(&listener, Mode::DEFAULT).unwrap();
        pass();
        let before = open_descriptors().len();
        set_descriptors(Some(u64::try_from(before).unwrap() + 40));
        for _ in 0..4 {
            let begun = rests.get();
            // Thirty clients leave ten places for the other ends.
            let clients = [(); 30].map(|()| UnixStream::connect(&path).unwrap());
            while rests.get() == begun {
                serve_for(20);
            }
            assert!((1..30).contains(&kept.borrow().len()), "some were taken");
            full_table_is_told_to_who_connects(&path);
            let (mut accepted, begun) = (kept.take().len(), rests.get());
            drop(clients);
            while accepted < 30 {
                serve_for(20);
                accepted += kept.take().len();
            }
            assert_eq!(
                rests.get(),
                begun,
                "there is room again, and nobody is lost"
            );
        }
        listener.invalidate();
    });
}

/// A connection for which there is no descriptor fails with that reason.
fn full_table_is_told_to_who_connects(path: &std::path::Path) {
    let log = Log::new();
    let told = log.clone();
    let hoard: Vec<_> = std::iter::from_fn(|| UnixStream::pair().ok()).collect();
    let last = std::fs::File::open("/dev/null").ok();
    let target = Target::path(path).unwrap();
    let socket = Socket::connecting(target, move |_, _, event| match event {
        StreamEvent::ConnectFailed(ConnectError::Failed(error)) => {
            told.add(format!("{:?}", error.raw_os_error()));
        }
        other => panic!("{other:?}"),
    });
    RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
    while log.count() == 0 {
        pass();
    }
    assert_eq!(log.take(), ["Some(24)"], "EMFILE");
    drop((hoard, last));
}

/// The memory of this process that is in use, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().trim_end_matches(" kB");
    number.parse().unwrap()
}

/// The long form: `CONNECTIONS=100000 cargo test -p tests --test socket nothing_is_left_behind`.
#[test]
fn nothing_is_left_behind_by_thousands_of_connections() {
    in_own_process!({
        let _watchdog = Watchdog::with_limit(Duration::from_secs(600));
        let total = std::env::var("CONNECTIONS").map_or(2_000, |text| text.parse().unwrap());
        let (seen, run_loop) = (Rc::new(Seen::default()), RunLoop::current());
        let place = Place::new("leaks");
        let path = place.path("listener");
        let by_path = Rc::clone(&seen);
        let address = SockAddr::unix(&path).unwrap();
        let unix = Socket::listening(address, move |run_loop, _, accepted| {
            echo(run_loop, accepted.unwrap(), &by_path);
        });
        let unix = unix.unwrap();
        run_loop.add(&unix, Mode::DEFAULT).unwrap();
        let server = echo_server(&seen);
        let address = address_of(&server);
        let rounds = |count: usize| {
            let (target, handle) = (seen.accepted.get() + count, run_loop.handle());
            let path = path.clone();
            let clients = std::thread::spawn(move || {
                for number in 0..count {
                    one_visit(number, address, &path);
                }
                handle.wake_up().unwrap();
            });
            let over = || seen.ended.get() + seen.failed.get();
            while seen.accepted.get() < target || over() < target {
                serve_for(20);
            }
            clients.join().unwrap();
            seen.over.borrow_mut().clear();
        };
        rounds(total / 4);
        let before = (open_descriptors().len(), resident());
        // Rounds of one size, so that what this test writes down does not grow.
        (0..3).for_each(|_| rounds(total / 4));
        let after = (open_descriptors().len(), resident());
        println!("{total} connections: descriptors and KiB {before:?}, then {after:?}");
        assert_eq!(after.0, before.0, "descriptors");
        assert!(after.1 < before.1 + 1_024, "{before:?}, then {after:?} KiB");
    });
}

/// A client that comes, says something, hears it, and goes: some by the book, some by a reset.
fn one_visit(number: usize, address: SocketAddr, path: &std::path::Path) {
    let mut room = [0; 5];
    if number % 2 == 0 {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut room).unwrap();
    } else {
        // A reset leaves no port behind that could not be used for a while.
        let mut stream = TcpStream::connect(address).unwrap();
        reset(&stream);
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut room).unwrap();
    }
    assert_eq!(&room, b"hello");
}
