//! A listener lives through a full descriptor table: it rests, nothing spins, and nobody who waits is lost.

use std::fs::File;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use runloop::RunLoop;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket_source::{AcceptError, SocketOptions};
use tests::{Log, Watchdog, in_own_process};

use crate::{address_of, count_passes, listener, run};

/// Lets this process have few descriptors.
fn lower_the_limit() {
    let limit = Rlimit {
        current: Some(64),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Takes every descriptor that is left.
fn hoard() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[test]
fn a_full_table_makes_the_listener_rest_and_come_back() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        lower_the_limit();
        let log = Log::new();
        let told = log.clone();
        let mut kept = Vec::new();
        let listener = listener(SocketOptions::new(), move |run_loop, _, accepted| {
            match accepted {
                Ok(accepted) => {
                    kept.push(accepted);
                    told.add("accepted");
                }
                Err(AcceptError::Resting { rest, source }) => {
                    assert_eq!(source.raw_os_error(), Some(24), "EMFILE: {source}");
                    told.add(format!("rests {} ms", rest.as_millis()));
                }
                Err(other) => told.add(format!("{other:?}")),
            }
            run_loop.stop();
        });
        let address = address_of(&listener);
        let clients = [(); 3].map(|()| TcpStream::connect(address).unwrap());
        let (passes, _observer) = count_passes();

        let hoarded = hoard();
        let began = Instant::now();
        for _ in 0..3 {
            run();
        }
        assert_eq!(log.take(), ["rests 100 ms", "rests 200 ms", "rests 400 ms"]);
        assert!(
            began.elapsed() >= Duration::from_millis(300),
            "two rests lie between three tries"
        );
        // A try takes one pass, and the end of a rest another.
        assert!(passes.get() <= 10, "{} passes in three tries", passes.get());
        assert!(listener.is_valid(), "it lives");

        drop(hoarded);
        run();
        assert_eq!(log.take(), ["accepted"; 3], "as soon as the rest is over");

        // A connection resets the length of the rests.
        let mut hoarded = hoard();
        drop(hoarded.pop());
        let last = TcpStream::connect(address).unwrap();
        run();
        assert_eq!(log.take(), ["rests 100 ms"]);
        drop(hoarded);
        run();
        assert_eq!(log.take(), ["accepted"]);
        drop((clients, last));
        assert!(
            RunLoop::current().remove(&listener, runloop::Mode::DEFAULT),
            "it was there"
        );
    });
}

#[test]
fn a_resting_listener_does_not_try_when_it_is_resumed_and_forgets_its_rest_when_it_is_added_again()
{
    in_own_process!({
        let _watchdog = Watchdog::new();
        lower_the_limit();
        let log = Log::new();
        let told = log.clone();
        let listener = listener(SocketOptions::new(), move |run_loop, _, accepted| {
            told.add(if accepted.is_ok() {
                "accepted"
            } else {
                "rests"
            });
            run_loop.stop();
        });
        let _client = TcpStream::connect(address_of(&listener)).unwrap();
        let hoarded = hoard();
        run();
        assert_eq!(log.take(), ["rests"]);
        let (run_loop, mode) = (RunLoop::current(), runloop::Mode::DEFAULT);
        drop(hoarded);

        listener.resume();
        for _ in 0..3 {
            crate::pass();
        }
        assert_eq!(log.take(), Vec::<String>::new(), "the rest is not over");

        assert!(run_loop.remove(&listener, mode), "it was there");
        run_loop.add(&listener, mode).unwrap();
        crate::pass();
        assert_eq!(log.take(), ["accepted"], "without waiting");
        listener.invalidate();
    });
}
