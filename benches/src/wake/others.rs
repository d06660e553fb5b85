//! Other event loops, each woken as its documentation says.

use crate::{Peer, Plan, agree, flood, post_all, two_sides};
use benches::Result;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// All of them.
pub(crate) const ALL: [Peer; 7] = [
    ("calloop", "ping-pong", calloop_ping_pong),
    ("calloop", "flood-channel", calloop_flood),
    ("mio", "ping-pong", mio_ping_pong),
    ("polling", "ping-pong", polling_ping_pong),
    ("tokio", "ping-pong", tokio_ping_pong),
    ("tokio", "flood-channel", tokio_flood),
    ("crossbeam", "flood-channel", crossbeam_flood),
];

/// Each side makes what wakes it and hands it to the other.
type Introduction<T> = (Sender<T>, Receiver<T>);

/// Runs two sides of the same kind; the first one begins.
fn both<T: Send>(
    plan: Plan,
    side: fn(u64, bool, Introduction<T>) -> Result<()>,
) -> Result<Duration> {
    let (give_first, take_first) = channel();
    let (give_second, take_second) = channel();
    two_sides(
        plan,
        move || side(plan.count, true, (give_first, take_second)),
        move || side(plan.count, false, (give_second, take_first)),
    )
}

fn calloop_side(
    count: u64,
    begins: bool,
    (give, take): Introduction<calloop::ping::Ping>,
) -> Result<()> {
    let mut event_loop = calloop::EventLoop::<u64>::try_new()?;
    let (ping, source) = calloop::ping::make_ping()?;
    give.send(ping)?;
    let other = take.recv()?;
    let begin = other.clone();
    let pinged = move |(): (), (): &mut (), turns: &mut u64| {
        *turns += 1;
        if *turns < count || !begins {
            other.ping();
        }
    };
    event_loop.handle().insert_source(source, pinged)?;
    if begins {
        begin.ping();
    }
    let mut turns = 0;
    while turns < count {
        event_loop.dispatch(None, &mut turns)?;
    }
    agree(turns, count)
}

fn calloop_ping_pong(plan: Plan) -> Result<Duration> {
    both(plan, calloop_side)
}

fn calloop_flood(plan: Plan) -> Result<Duration> {
    let (sender, source) = calloop::channel::sync_channel::<u64>(1_024);
    let taken = Rc::new(Cell::new(0));
    let counted = Rc::clone(&taken);
    let first = || {
        let mut event_loop = calloop::EventLoop::<()>::try_new()?;
        let came = move |event, (): &mut (), (): &mut ()| {
            if let calloop::channel::Event::Msg(number) = event {
                assert_eq!(
                    number,
                    counted.get(),
                    "in the order in which they were sent"
                );
                counted.set(number + 1);
            }
        };
        event_loop
            .handle()
            .insert_source(source, came)
            .map_err(|error| error.to_string())?;
        while taken.get() < plan.count {
            event_loop.dispatch(None, &mut ())?;
        }
        Ok(())
    };
    let second = || post_all(plan, |number| Ok(sender.send(number)?));
    two_sides(plan, first, second)
}

fn mio_side(count: u64, begins: bool, (give, take): Introduction<Arc<mio::Waker>>) -> Result<()> {
    let mut poll = mio::Poll::new()?;
    // Its owner keeps it too: a waker that is dropped takes its descriptor, and what it has just rung, with it.
    let own = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0))?);
    give.send(Arc::clone(&own))?;
    let other = take.recv()?;
    let mut events = mio::Events::with_capacity(8);
    if begins {
        other.wake()?;
    }
    let mut turns = 0;
    while turns < count {
        poll.poll(&mut events, None)?;
        for _ in &events {
            turns += 1;
            if turns < count || !begins {
                other.wake()?;
            }
        }
    }
    agree(turns, count)
}

fn mio_ping_pong(plan: Plan) -> Result<Duration> {
    both(plan, mio_side)
}

fn polling_side(
    count: u64,
    begins: bool,
    (give, take): Introduction<Arc<polling::Poller>>,
) -> Result<()> {
    let poller = Arc::new(polling::Poller::new()?);
    give.send(Arc::clone(&poller))?;
    let other = take.recv()?;
    let mut events = polling::Events::new();
    if begins {
        other.notify()?;
    }
    for turn in 1..=count {
        events.clear();
        poller.wait(&mut events, None)?;
        if turn < count || !begins {
            other.notify()?;
        }
    }
    Ok(())
}

fn polling_ping_pong(plan: Plan) -> Result<Duration> {
    both(plan, polling_side)
}

fn tokio_side(
    count: u64,
    begins: bool,
    (give, take): Introduction<Arc<tokio::sync::Notify>>,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let own = Arc::new(tokio::sync::Notify::new());
    give.send(Arc::clone(&own))?;
    let other = take.recv()?;
    if begins {
        other.notify_one();
    }
    runtime.block_on(async {
        for turn in 1..=count {
            own.notified().await;
            if turn < count || !begins {
                other.notify_one();
            }
        }
    });
    Ok(())
}

fn tokio_ping_pong(plan: Plan) -> Result<Duration> {
    both(plan, tokio_side)
}

fn tokio_flood(plan: Plan) -> Result<Duration> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1_024);
    let first = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            for number in 0..plan.count {
                agree(receiver.recv().await.ok_or("it ended early")?, number)?;
            }
            Ok(())
        })
    };
    let second = || post_all(plan, |number| Ok(sender.blocking_send(number)?));
    two_sides(plan, first, second)
}

fn crossbeam_flood(plan: Plan) -> Result<Duration> {
    let (sender, receiver) = crossbeam_channel::bounded(1_024);
    flood(
        plan,
        || Ok(receiver.recv()?),
        |number| Ok(sender.send(number)?),
    )
}
