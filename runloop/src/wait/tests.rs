//! What a wait makes of events that cannot happen.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::span::{Attributes, Record};
use tracing::{Event, Id, Level, Metadata, Subscriber};

use crate::arena::Key;
use crate::sys::Doorbell;
use crate::sys::poller::Held;
use crate::{Limit, Mode, Outcome, ReturnAfter, RunLoop, Signalled};

/// Counts warnings.
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// L2: nothing can leave such a registration behind, so the test makes one by hand.
#[test]
fn an_event_of_a_descriptor_that_nobody_watches_is_dropped_and_told_once() {
    let run_loop = RunLoop::current();
    let idle = Signalled::new(|_| unreachable!("nobody signals it"));
    run_loop.add(&idle, Mode::DEFAULT).unwrap();
    let poller = run_loop
        .core
        .with(|tables| tables.poller(Mode::DEFAULT).cloned());
    let bell = Arc::new(Doorbell::new().unwrap());
    let held = Held::new(bell.as_fd(), Arc::clone(&bell));
    let nobody = Key {
        index: 7,
        generation: u32::MAX,
    };
    let poller = poller.expect("the mode has a poll set");
    poller.add_edge(&held, nobody.pack()).unwrap();
    let warnings = Arc::new(AtomicUsize::new(0));
    tracing::subscriber::with_default(Warnings(Arc::clone(&warnings)), || {
        for round in 0..3 {
            bell.ring();
            let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
            assert_eq!(outcome.unwrap(), Outcome::TimedOut, "round {round}");
        }
    });
    assert_eq!(warnings.load(Ordering::Relaxed), 1, "the first time");
    poller.delete(&held).unwrap();
}
