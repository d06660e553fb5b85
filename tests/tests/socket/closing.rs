//! When a stream has ended, on their side and on ours, and what that means for the socket.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use runloop::{Mode, RunLoop};
use socket_source::{AtEnd, Socket, SocketOptions, StreamEvent};
use tests::{Log, Watchdog};

use crate::{drain, pass, recorded, run};

#[test]
fn a_socket_that_leaves_its_mode_at_the_end_of_its_stream_ends_all_the_same() {
    let _watchdog = Watchdog::new();
    for unsent in [0, 900_000] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let socket = Socket::reading(ours, |run_loop, socket, event| {
            assert!(matches!(event, StreamEvent::Ended), "{event:?}");
            run_loop.remove(socket, Mode::DEFAULT);
        });
        let socket = socket.unwrap();
        RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
        socket.send(vec![0; unsent]).unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        pass();
        assert_eq!(socket.is_valid(), unsent > 0, "only what waits keeps it");
        if unsent > 0 {
            let reader = std::thread::spawn(move || drain(theirs).len());
            RunLoop::current().add(&socket, Mode::DEFAULT).unwrap();
            while socket.is_valid() {
                pass();
            }
            assert_eq!(reader.join().unwrap(), unsent, "all of it");
        }
    }
}

#[test]
fn a_kept_socket_goes_when_both_sides_have_ended_and_everything_is_sent() {
    let _watchdog = Watchdog::new();
    for (unsent, ours_first) in [(0, true), (0, false), (900_000, true), (900_000, false)] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let log = Log::new();
        let options = SocketOptions::new().at_end(AtEnd::Keep);
        let socket = recorded(options, ours, &log);
        socket.send(vec![0; unsent]).unwrap();
        if ours_first {
            socket.finish();
        }
        theirs.shutdown(Shutdown::Write).unwrap();
        run();
        assert_eq!(log.take(), ["Ended"]);
        if !ours_first {
            assert!(socket.is_valid(), "kept, since our side goes on");
            socket.finish();
        }
        pass();
        assert_eq!(socket.is_valid(), unsent > 0, "only what waits keeps it");
        let reader = std::thread::spawn(move || drain(theirs).len());
        while socket.is_valid() {
            pass();
        }
        assert_eq!(reader.join().unwrap(), unsent, "all of it");
    }
}
