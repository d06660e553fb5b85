//! Unix signals where they are dangerous: at the end of a thread, in a forked child, and at any point of a run.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use runloop::{Mode, Outcome, RunLoop, SignalsError, UnixSignal, UnixSignals};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use tests::{Log, Watchdog, fork, fork_and_wait, in_own_process, leave, open_descriptors};

use crate::support::{run, serve};
use crate::unix_signals::{listener, receive};

#[test]
fn the_end_of_a_thread_ends_its_listening() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let here = listener(&log, "here", [UnixSignal::USER_1]);
        let before = open_descriptors();
        let source = thread::spawn(|| {
            let source = UnixSignals::new([UnixSignal::USER_1], |_, _| {}).unwrap();
            RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
            source
        });
        let source = source.join().unwrap();
        receive(UnixSignal::USER_1);
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["here SIGUSR1"], "the others go on");
        assert_eq!(open_descriptors(), before, "nothing of it is left open");
        drop((source, here));
    });
}

#[test]
fn a_signal_to_a_forked_child_is_not_told_to_the_parent() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let log = Log::new();
        let _source = listener(&log, "parent", [UnixSignal::USER_1]);
        let status = fork_and_wait(|| {
            receive(UnixSignal::USER_1);
            7
        });
        assert_eq!(status.code(), Some(7), "the child lives through it");
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), [""; 0], "it was not ours");
        receive(UnixSignal::USER_1);
        serve(Mode::DEFAULT);
        assert_eq!(log.take(), ["parent SIGUSR1"], "this one is");
    });
}

/// Item E16: whoever stops a loop from a signal handler deadlocks sooner or later, because the signal comes while the loop
/// holds one of its own locks. Here it comes at every point of a run, on the thread of the loop.
#[test]
fn a_loop_is_stopped_by_signals_that_come_at_any_point_of_it() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        // A child with one thread, so that the kernel has no other to deliver to.
        let Some(child) = fork() else {
            // It is not to outlive a test that fails: whoever reads what that printed would wait for it.
            set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
            let stopped = catch_unwind(AssertUnwindSafe(|| {
                let source = UnixSignals::new([UnixSignal::USER_2], |run_loop, _| run_loop.stop());
                let source = source.unwrap();
                RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
                theirs.write_all(&std::process::id().to_ne_bytes()).unwrap();
                let runs = (0..2_000).map(|_| run(Mode::DEFAULT));
                runs.filter(|end| *end == Outcome::Stopped).count()
            }));
            leave(i32::from(stopped.ok() != Some(2_000)));
        };
        let mut pid = [0; 4];
        ours.read_exact(&mut pid).unwrap();
        let pid = Pid::from_raw(i32::from_ne_bytes(pid)).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let storm = thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                // Never two without a pause, or an idle machine lets the handler be all that the child comes to run; and
                // never twice the same one, so that they hit it anywhere.
                for pause in (0..64).cycle() {
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                    kill_process(pid, Signal::USR2).ok();
                    let until = Instant::now() + Duration::from_micros(8 + pause);
                    while Instant::now() < until {
                        std::hint::spin_loop();
                    }
                }
            }
        });
        let status = child.wait();
        ended.store(true, Ordering::SeqCst);
        storm.join().unwrap();
        assert!(status.success(), "every run was stopped: {status}");
    });
}

#[test]
fn a_closure_can_have_the_signal_do_what_it_usually_does() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let status = fork_and_wait(|| {
            let source = UnixSignals::new([UnixSignal::TERMINATE], |_, signal| {
                signal.act_as_default().unwrap();
            });
            let source = source.unwrap();
            RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
            receive(UnixSignal::TERMINATE);
            serve(Mode::DEFAULT);
            0
        });
        assert_eq!(status.signal(), Some(UnixSignal::TERMINATE.as_raw()));
        let realtime = UnixSignal::realtime(0).unwrap().act_as_default();
        assert!(matches!(realtime, Err(SignalsError::Unknown(_))));
    });
}
