//! As many descriptors as the system allows, in a thousand modes.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use runloop::{Descriptor, Interest, Limit, Mode, Outcome, ReturnAfter, RunLoop, SourceHandle};
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::Watchdog;

/// Has this process open as many descriptors as it may; says how many that are.
fn raise_the_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit anybody may");
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// A source that counts its calls and reads what is there.
fn counting(event: OwnedFd, count: &Rc<Cell<usize>>) -> Descriptor {
    let count = Rc::clone(count);
    Descriptor::new(event, Interest::READABLE, move |_, event: &OwnedFd, _| {
        rustix::io::read(event, &mut [0; 8]).expect("it is ready");
        count.set(count.get() + 1);
    })
}

fn ready_event() -> OwnedFd {
    eventfd(1, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).expect("there is room for it")
}

#[test]
fn a_thousand_modes_serve_as_many_descriptors_as_the_system_allows() {
    let _watchdog = Watchdog::new();
    // Two tests of this process have a thousand modes with descriptors each.
    let most = raise_the_limit();
    let count = most
        .saturating_sub(2 * MODES * PER_POLL_SET + SPARE)
        .min(100_000);
    println!(
        "{count} descriptors in {MODES} modes, of {most} descriptors that this process may have"
    );
    assert!(
        count >= 1_000,
        "a limit of {most} leaves too few to tell anything"
    );
    let run_loop = RunLoop::current();
    let modes: Vec<_> = (0..MODES)
        .map(|number| Mode::new(&format!("scale-{number}")))
        .collect();
    let calls: Vec<_> = modes.iter().map(|_| Rc::new(Cell::new(0))).collect();
    let mut handles: Vec<SourceHandle> = Vec::new();
    for number in 0..count {
        let source = counting(ready_event(), &calls[number % MODES]);
        run_loop.add(&source, modes[number % MODES]).unwrap();
        handles.push(source.handle().clone());
    }
    for (place, &mode) in modes.iter().enumerate() {
        let inside = (count - place).div_ceil(MODES);
        while calls[place].get() < inside {
            let before = calls[place].get();
            let outcome = run_loop.run_in_mode(mode, Limit::Now, ReturnAfter::Limit);
            assert_eq!(outcome.unwrap(), Outcome::TimedOut);
            assert!(
                calls[place].get() > before,
                "each pass serves some of what is ready"
            );
        }
        let outcome = run_loop.run_in_mode(mode, Limit::Now, ReturnAfter::Limit);
        assert_eq!(outcome.unwrap(), Outcome::TimedOut);
        assert_eq!(
            calls[place].get(),
            inside,
            "mode {place}: each of its own once"
        );
    }
    for handle in &handles {
        handle.invalidate();
    }
    let left = modes.iter().filter(|&&mode| {
        let outcome = run_loop.run_in_mode(mode, Limit::Never, ReturnAfter::Limit);
        outcome.unwrap() != Outcome::Finished
    });
    assert_eq!(left.count(), 0, "nothing is left in any of them");
}

#[test]
fn one_source_in_a_thousand_modes_is_served_in_each_of_them() {
    let _watchdog = Watchdog::new();
    raise_the_limit();
    let run_loop = RunLoop::current();
    let count = Rc::new(Cell::new(0));
    let source = counting(ready_event(), &count);
    let modes: Vec<_> = (0..MODES)
        .map(|number| Mode::new(&format!("each-{number}")))
        .collect();
    for &mode in &modes {
        assert!(run_loop.add(&source, mode).unwrap(), "it was not there");
    }
    let outcome = run_loop.run_in_mode(modes[MODES / 2], Limit::Now, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut);
    assert_eq!(count.get(), 1, "served once");
    for &mode in &modes {
        assert!(run_loop.contains(&source, mode), "in all of them");
    }
    source.invalidate();
    for &mode in &modes {
        assert!(!run_loop.contains(&source, mode), "out of all of them");
    }
}

const MODES: usize = 1_000;
/// What a poll set takes itself: the one that is waited for, and two of `polling`'s that are not used here.
const PER_POLL_SET: usize = 3;
/// What the rest of the process may need.
const SPARE: usize = 200;
