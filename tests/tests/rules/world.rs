//! Rules 9 and 10: the world's mistakes are values, and what the documentation says holds.

use std::cell::Cell;
use std::error::Error;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::thread;

use runloop::{
    AddError, Descriptor, Interest, Limit, Mode, Outcome, PerformError, ReturnAfter, RunError,
    RunLoop, SendError, Signalled, SourceOptions, Unreachable, channel, channel_with,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::Watchdog;

#[test]
fn rule_9_what_cannot_be_polled_or_has_no_room_is_an_error_and_nothing_else() {
    tests::in_own_process!({
        let _watchdog = Watchdog::new();
        let run_loop = RunLoop::current();
        let file = File::open("/proc/self/exe").unwrap();
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let unpollable = Descriptor::new(file, Interest::READABLE, |_, _, _| {});
        let pollable = Descriptor::new(ours, Interest::READABLE, |_, _, _| {});

        let full = getrlimit(Resource::Nofile);
        let none = Rlimit {
            current: Some(3),
            maximum: full.maximum,
        };
        setrlimit(Resource::Nofile, none).unwrap();
        let refused = run_loop.add(&pollable, Mode::DEFAULT);
        setrlimit(Resource::Nofile, full).unwrap();
        let Err(AddError::PollSet(cause)) = refused else {
            panic!("{refused:?}");
        };
        assert!(cause.raw_os_error().is_some(), "the system's own: {cause}");

        let refused = run_loop.add(&unpollable, Mode::DEFAULT);
        let Err(AddError::Attach(cause)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(cause.kind(), io::ErrorKind::PermissionDenied, "{cause}");

        assert_eq!(run_loop.run().unwrap(), Outcome::Finished, "no trace");
        assert!(run_loop.add(&pollable, Mode::DEFAULT).unwrap(), "later on");
    });
}

#[test]
fn rule_9_errors_say_one_thing_in_lower_case_and_leave_the_cause_to_its_own_words() {
    let gone = thread::spawn(|| RunLoop::current().handle())
        .join()
        .unwrap();
    let (sender, receiver) = channel_with(SourceOptions::new(), 1, |_, _: u32| {});
    sender.send(1).unwrap();
    let full = sender.send(2).unwrap_err();
    receiver.invalidate();
    let unreachable = gone.perform(Mode::DEFAULT, |_| {}).map_err(|_| ());
    assert_eq!(unreachable, Err(()), "the thread has ended");
    let cause = || io::Error::other("the cause");
    let errors: [Box<dyn Error>; 12] = [
        Box::new(gone.stop().unwrap_err()),
        Box::new(Unreachable::Forked),
        Box::new(RunError::CommonMode),
        Box::new(RunError::Unreachable(Unreachable::Closed)),
        Box::new(RunError::Wait(cause())),
        Box::new(AddError::Invalid),
        Box::new(AddError::OtherLoop),
        Box::new(AddError::Attach(cause())),
        Box::new(AddError::PollSet(cause())),
        Box::new(PerformError::Full(())),
        Box::new(PerformError::Unreachable((), Unreachable::Closed)),
        Box::new(full),
    ];
    for error in errors {
        let text = error.to_string();
        let first = text.chars().next().unwrap();
        assert!(first.is_lowercase(), "{text}");
        assert!(!text.ends_with('.'), "{text}");
        if let Some(cause) = error.source() {
            assert!(!text.contains(&cause.to_string()), "{text}: twice");
        }
    }
    let closed = sender.send(3).unwrap_err();
    assert_eq!(closed.into_inner(), 3, "and give back what they refuse");
}

/// The text of the documentation with its line breaks taken out.
fn documentation(file: &str) -> String {
    let path = format!("{}/../runloop/src/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines = text.lines().map(|line| line.trim().trim_start_matches('/'));
    lines.collect::<Vec<_>>().join("")
}

#[test]
fn rule_10_the_numbers_of_the_documentation_are_those_of_the_loop() {
    let _watchdog = Watchdog::new();
    let run_loop = RunLoop::current();

    let mut closures = 0;
    while run_loop.perform(Mode::DEFAULT, |_| {}).is_ok() {
        closures += 1;
    }
    assert!(documentation("handle.rs").contains("as many as it may (1,024"));
    assert_eq!(closures, 1_024, "closures that may wait");
    assert_eq!(run_loop.run().unwrap(), Outcome::Finished, "they have run");

    let taken = Rc::new(Cell::new(0));
    let counted = Rc::clone(&taken);
    let (sender, receiver) = channel(move |_, _: u32| counted.set(counted.get() + 1));
    run_loop.add(&receiver, Mode::DEFAULT).unwrap();
    let mut values = 0;
    while sender.send(values) == Ok(()) {
        values += 1;
    }
    let channels = documentation("sources/channel.rs");
    assert!(channels.contains("at most 1,024 waiting"), "it says so");
    assert_eq!(values, 1_024, "values that may wait");
    assert_eq!(sender.send(0), Err(SendError::Full(0)), "no more");
    let pass = |run_loop: &RunLoop| {
        let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
        assert_eq!(outcome.unwrap(), Outcome::TimedOut, "one pass");
    };
    pass(&run_loop);
    assert!(channels.contains("up to 256 times in one perform"));
    assert_eq!(taken.get(), 256, "values that one perform takes");
}

#[test]
fn rule_10_a_run_that_ends_says_why_and_cannot_be_ignored() {
    let _watchdog = Watchdog::new();
    let limits = documentation("limit.rs");
    assert!(limits.contains("#[must_use"), "the compiler insists");
    let run_loop = RunLoop::current();
    let source = Signalled::new(RunLoop::stop);
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    source.signal();
    // The documented order of precedence: a handled source, the limit, a stop, an empty mode.
    let first = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::FirstSource);
    assert_eq!(first.unwrap(), Outcome::HandledSource, "before all else");
    let second = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
    assert_eq!(second.unwrap(), Outcome::Stopped, "the stop was kept");
    source.signal();
    let third = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
    assert_eq!(third.unwrap(), Outcome::TimedOut, "before a stop");
    source.invalidate();
    assert_eq!(run_loop.run().unwrap(), Outcome::Stopped, "kept again");
    assert_eq!(run_loop.run().unwrap(), Outcome::Finished, "last of all");
}
