//! Two of our loops that signal each other, and one that is flooded.

use crate::{Plan, agree, two_sides};
use benches::Result;
use runloop::{Limit, Mode, PerformError, ReturnAfter, RunLoop, SendError, Signalled, channel};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel as std_channel};
use std::time::Duration;

type Introduction = (Sender<Signalled>, Receiver<Signalled>);

/// One side: each time it is signalled it signals the other, `count` times; the first one begins.
fn side(count: u64, begins: bool, (give, take): Introduction) -> Result<()> {
    let run_loop = RunLoop::current();
    let turns = Rc::new(Cell::new(0));
    let other = Rc::new(Cell::new(None::<Signalled>));
    let (counted, partner) = (Rc::clone(&turns), Rc::clone(&other));
    let own = Signalled::new(move |run_loop| {
        counted.set(counted.get() + 1);
        if counted.get() < count || !begins {
            let signalled = partner.take();
            signalled.iter().for_each(Signalled::signal);
            partner.set(signalled);
        }
        if counted.get() == count {
            run_loop.stop();
        }
    });
    run_loop.add(&own, Mode::DEFAULT)?;
    give.send(own.clone())?;
    other.set(Some(take.recv()?));
    if begins {
        let first = other.take();
        first.iter().for_each(Signalled::signal);
        other.set(first);
    }
    let _stopped = run_loop.wait_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit)?;
    own.invalidate();
    agree(turns.get(), count)
}

/// Two loops signal each other.
pub(crate) fn ping_pong(plan: Plan) -> Result<Duration> {
    let (give_first, take_first) = std_channel();
    let (give_second, take_second) = std_channel();
    two_sides(
        plan,
        move || side(plan.count, true, (give_first, take_second)),
        move || side(plan.count, false, (give_second, take_first)),
    )
}

/// A thread sends numbers to a loop by its channel source.
pub(crate) fn flood_channel(plan: Plan) -> Result<Duration> {
    let taken = Rc::new(Cell::new(0));
    let counted = Rc::clone(&taken);
    let count = plan.count;
    let (sender, source) = channel(move |run_loop, number: u64| {
        assert_eq!(
            number,
            counted.get(),
            "in the order in which they were sent"
        );
        counted.set(number + 1);
        if counted.get() == count {
            run_loop.stop();
        }
    });
    let first = || {
        let run_loop = RunLoop::current();
        run_loop.add(&source, Mode::DEFAULT)?;
        let _stopped = run_loop.run()?;
        source.invalidate();
        agree(taken.get(), count)
    };
    let second = move || {
        for number in 0..count {
            while let Err(SendError::Full(_)) = sender.send(number) {
                std::thread::yield_now();
            }
        }
        Ok(())
    };
    two_sides(plan, first, second)
}

/// A thread has a loop perform closures.
pub(crate) fn flood_perform(plan: Plan) -> Result<Duration> {
    thread_local!(static TAKEN: Cell<u64> = const { Cell::new(0) });
    TAKEN.set(0);
    let run_loop = RunLoop::current();
    let handle = run_loop.handle();
    let count = plan.count;
    let first = || {
        let _stopped = run_loop.wait_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit)?;
        agree(TAKEN.get(), count)
    };
    let second = move || {
        for number in 0..count {
            let mut closure = move |run_loop: &RunLoop| {
                assert_eq!(number, TAKEN.get(), "in the order in which they were sent");
                TAKEN.set(number + 1);
                if number + 1 == count {
                    run_loop.stop();
                }
            };
            while let Err(PerformError::Full(same)) = handle.perform(Mode::DEFAULT, closure) {
                closure = same;
                std::thread::yield_now();
            }
        }
        Ok(())
    };
    two_sides(plan, first, second)
}
