//! The bare system: a futex, an event descriptor in a poll set of its own, and the standard library's channel.

use crate::{Plan, agree, flood, two_sides};
use benches::Result;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::{read, write};
use rustix::thread::futex;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Two threads hand a word to and fro, asleep in a futex while it is not theirs.
pub(crate) fn futex_ping_pong(plan: Plan) -> Result<Duration> {
    let word = AtomicU32::new(0);
    let side = |own: u32| -> Result<()> {
        for _ in 0..plan.count {
            while word.load(Ordering::Acquire) != own {
                match futex::wait(&word, futex::Flags::PRIVATE, 1 - own, None) {
                    Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            word.store(1 - own, Ordering::Release);
            futex::wake(&word, futex::Flags::PRIVATE, 1)?;
        }
        Ok(())
    };
    two_sides(plan, || side(0), || side(1))
}

/// Waits for the own event descriptor in a poll set, takes it, and rings the other's.
fn ring_to_and_fro(count: u64, begins: bool, own: &OwnedFd, other: &OwnedFd) -> Result<()> {
    let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(
        &set,
        own.as_fd(),
        epoll::EventData::new_u64(1),
        epoll::EventFlags::IN,
    )?;
    let mut events = Vec::with_capacity(8);
    if begins {
        write(other, &1_u64.to_ne_bytes())?;
    }
    for turn in 1..=count {
        events.clear();
        epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), None)?;
        let mut value = [0; 8];
        read(own, &mut value)?;
        agree(u64::from_ne_bytes(value), 1)?;
        if turn < count || !begins {
            write(other, &1_u64.to_ne_bytes())?;
        }
    }
    Ok(())
}

/// Two threads ring each other's event descriptor, asleep in a poll set.
pub(crate) fn eventfd_ping_pong(plan: Plan) -> Result<Duration> {
    let one = eventfd(0, EventfdFlags::CLOEXEC)?;
    let two = eventfd(0, EventfdFlags::CLOEXEC)?;
    two_sides(
        plan,
        || ring_to_and_fro(plan.count, true, &one, &two),
        || ring_to_and_fro(plan.count, false, &two, &one),
    )
}

/// A thread floods another by the standard library's bounded channel.
pub(crate) fn flood_std(plan: Plan) -> Result<Duration> {
    let (sender, receiver) = sync_channel(1_024);
    flood(
        plan,
        || Ok(receiver.recv()?),
        |number| Ok(sender.send(number)?),
    )
}
