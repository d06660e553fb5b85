//! GLib's main loop, woken by closures for its context.

use crate::{Peer, Plan, agree, two_sides};
use benches::Result;
use glib::MainContext;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// All of it.
pub(crate) const ALL: [Peer; 2] = [
    ("glib", "ping-pong", ping_pong),
    ("glib", "flood-perform", flood_perform),
];

/// One of two loops that give each other closures.
struct Side {
    context: MainContext,
    turns: AtomicU64,
}

impl Side {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            context: MainContext::new(),
            turns: AtomicU64::new(0),
        })
    }

    /// Has this side take its turn, and give the other one its own, until each has had `count`.
    fn take_turn(self: &Arc<Self>, other: &Arc<Self>, last: u64) {
        let (own, other) = (Arc::clone(self), Arc::clone(other));
        let turn = move || {
            if own.turns.fetch_add(1, Ordering::Relaxed) + 1 < last {
                other.take_turn(&own, last);
            }
        };
        // A call that would run it at once is not what is measured.
        let idle = glib::source::idle_source_new(None, glib::Priority::DEFAULT, once(turn));
        idle.attach(Some(&self.context));
    }

    fn run(&self, until: u64) -> Result<()> {
        while self.turns.load(Ordering::Relaxed) < until {
            self.context.iteration(true);
        }
        agree(self.turns.load(Ordering::Relaxed), until)
    }
}

/// A closure that is called once, as GLib wants it.
fn once(call: impl FnOnce() + Send + 'static) -> impl FnMut() -> glib::ControlFlow + Send {
    let mut call = Some(call);
    move || {
        if let Some(call) = call.take() {
            call();
        }
        glib::ControlFlow::Break
    }
}

fn ping_pong(plan: Plan) -> Result<Duration> {
    let (first, second) = (Side::new(), Side::new());
    let (own, other) = (Arc::clone(&first), Arc::clone(&second));
    let begin = move || {
        own.take_turn(&other, plan.count + 1);
        own.run(plan.count)
    };
    two_sides(plan, begin, move || second.run(plan.count))
}

fn flood_perform(plan: Plan) -> Result<Duration> {
    let side = Side::new();
    let sender = Arc::clone(&side);
    let second = move || {
        for number in 0..plan.count {
            let side = Arc::clone(&sender);
            let closure = move || {
                let taken = side.turns.fetch_add(1, Ordering::Relaxed);
                assert_eq!(taken, number, "in the order in which they were sent");
            };
            let idle = glib::source::idle_source_new(None, glib::Priority::DEFAULT, once(closure));
            idle.attach(Some(&sender.context));
        }
        Ok(())
    };
    two_sides(plan, || side.run(plan.count), second)
}
