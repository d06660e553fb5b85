//! The main thread's loop: there for everybody before that thread has touched it. This file has no harness, since the
//! harness would run tests on other threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use runloop::{Limit, Mode, Outcome, ReturnAfter, RunLoop, Signalled, SourceRef};
use tests::{Log, Watchdog, fork, watched_descriptors};

fn main() {
    let _watchdog = Watchdog::new();
    messages_sent_before_the_main_thread_touched_its_loop_are_there();
    the_main_loop_is_that_of_the_main_thread();
    a_sleeping_main_loop_is_woken();
    a_child_that_exits_does_not_touch_the_loop_of_its_parent();
    println!("the main thread's loop: 4 passed");
}

fn messages_sent_before_the_main_thread_touched_its_loop_are_there() {
    struct Told(Arc<AtomicBool>);
    impl runloop::Source for Told {
        fn perform<'s>(&'s self, _: &mut runloop::Cx<'s, '_>, _: runloop::Ready<'_>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let log = Log::new();
    let (inside, told) = (log.clone(), Arc::new(AtomicBool::new(false)));
    let performed = Arc::clone(&told);
    let early = thread::spawn(move || {
        let main = RunLoop::main();
        assert_eq!(main, RunLoop::main(), "one for everybody");
        assert_eq!(main.is_waiting(), Ok(false), "nobody has run it");
        assert_ne!(main, RunLoop::current().handle(), "not this thread's");
        for text in ["first", "second"] {
            let (log, id) = (inside.clone(), thread::current().id());
            main.perform(Mode::DEFAULT, move |_| {
                let elsewhere = thread::current().id() != id;
                log.add(format!("{text}, elsewhere: {elsewhere}"));
            })
            .expect("the loop takes closures");
        }
        let source = SourceRef::new(Told(performed));
        main.add(&source, Mode::DEFAULT).expect("and sources");
        source.handle().signal();
        main.perform(Mode::DEFAULT, RunLoop::stop).expect("room");
        main.wake_up().expect("there is a loop to wake");
    });
    early.join().expect("nothing failed over there");
    let outcome = RunLoop::current().run().expect("the main loop runs");
    assert_eq!(outcome, Outcome::Stopped, "by the last closure");
    let expected = ["first, elsewhere: true", "second, elsewhere: true"];
    assert_eq!(log.take(), expected, "in their order, here");
    assert!(told.load(Ordering::SeqCst), "the source was performed");
}

fn the_main_loop_is_that_of_the_main_thread() {
    assert_eq!(RunLoop::main(), RunLoop::current().handle(), "this one");
    let outcome =
        RunLoop::current().run_in_mode(Mode::new("main.empty"), Limit::Never, ReturnAfter::Limit);
    assert_eq!(outcome.expect("it runs"), Outcome::Finished, "it is empty");
}

fn a_sleeping_main_loop_is_woken() {
    let run_loop = RunLoop::current();
    let idle = Signalled::new(|_| {});
    run_loop.add(&idle, Mode::DEFAULT).expect("there is room");
    let (begin, begun) = mpsc::channel();
    let helper = thread::spawn(move || {
        begun.recv().expect("the main thread says so");
        let main = RunLoop::main();
        while !main.is_waiting().expect("there is a loop") {
            thread::yield_now();
        }
        main.stop().expect("there is a loop to stop");
    });
    begin.send(()).expect("the helper waits");
    let outcome = run_loop.run().expect("it runs");
    assert_eq!(outcome, Outcome::Stopped, "by the helper");
    helper.join().expect("nothing failed over there");
    idle.invalidate();
}

/// `exit` runs the destructors of the thread's loop, in the child as well.
fn a_child_that_exits_does_not_touch_the_loop_of_its_parent() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let run_loop = RunLoop::current();
    let reader = runloop::Descriptor::new(ours, runloop::Interest::READABLE, |run_loop, _, _| {
        run_loop.stop();
    });
    run_loop.add(&reader, Mode::DEFAULT).expect("there is room");
    let before = watched_descriptors();
    let Some(child) = fork() else {
        std::process::exit(0);
    };
    assert_eq!(child.wait().code(), Some(0), "it left in peace");
    assert_eq!(watched_descriptors(), before, "the poll sets are ours");
    std::io::Write::write_all(&mut &theirs, b"x").expect("it is connected");
    let outcome = run_loop.run().expect("it runs");
    assert_eq!(outcome, Outcome::Stopped, "by the reader");
    reader.invalidate();
}
