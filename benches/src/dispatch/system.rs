//! Raw epoll, level-triggered, with closures behind the events as every loop has them.

use crate::{Loop, take_byte};
use benches::Result;
use rustix::event::epoll;
use std::os::fd::{AsFd, OwnedFd};

/// What is called with the number of bytes read so far.
type Callback = Box<dyn FnMut(&mut u64) -> Result<()>>;

struct Epoll {
    set: OwnedFd,
    events: Vec<epoll::Event>,
    callbacks: Vec<Callback>,
    read: u64,
}

pub(crate) fn new(pipes: Vec<OwnedFd>) -> Result<Box<dyn Loop>> {
    let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut callbacks: Vec<Callback> = Vec::with_capacity(pipes.len());
    for (key, pipe) in (0_u64..).zip(pipes) {
        let data = epoll::EventData::new_u64(key);
        epoll::add(&set, pipe.as_fd(), data, epoll::EventFlags::IN)?;
        callbacks.push(Box::new(move |read| {
            *read += 1;
            take_byte(&pipe)
        }));
    }
    let events = Vec::with_capacity(256);
    Ok(Box::new(Epoll {
        set,
        events,
        callbacks,
        read: 0,
    }))
}

impl Loop for Epoll {
    fn run_until(&mut self, end: u64) -> Result<()> {
        while self.read < end {
            self.events.clear();
            epoll::wait(
                &self.set,
                rustix::buffer::spare_capacity(&mut self.events),
                None,
            )?;
            for event in &self.events {
                self.callbacks[usize::try_from(event.data.u64())?](&mut self.read)?;
            }
        }
        Ok(())
    }
}
