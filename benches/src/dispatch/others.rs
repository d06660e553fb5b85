//! Other event loops with the same pipes.

use crate::{Loop, Peer, take_byte};
use benches::Result;
use calloop::generic::Generic;
use calloop::{EventLoop, Interest, Mode, PostAction};
use mio::unix::SourceFd;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// All of them.
pub(crate) const ALL: [Peer; 3] = [("calloop", calloop), ("mio", mio), ("tokio", tokio)];

struct Calloop(EventLoop<'static, u64>, u64);

fn calloop(pipes: Vec<OwnedFd>) -> Result<Box<dyn Loop>> {
    let event_loop = EventLoop::<u64>::try_new()?;
    for pipe in pipes {
        let source = Generic::new(pipe, Interest::READ, Mode::Level);
        let called = |_, pipe: &mut calloop::generic::NoIoDrop<OwnedFd>, read: &mut u64| {
            *read += 1;
            take_byte(pipe).map_err(std::io::Error::other)?;
            Ok(PostAction::Continue)
        };
        event_loop
            .handle()
            .insert_source(source, called)
            .map_err(|error| error.to_string())?;
    }
    Ok(Box::new(Calloop(event_loop, 0)))
}

impl Loop for Calloop {
    fn run_until(&mut self, end: u64) -> Result<()> {
        while self.1 < end {
            self.0.dispatch(None, &mut self.1)?;
        }
        Ok(())
    }
}

struct Mio {
    poll: mio::Poll,
    events: mio::Events,
    pipes: Vec<OwnedFd>,
    read: u64,
}

fn mio(pipes: Vec<OwnedFd>) -> Result<Box<dyn Loop>> {
    let poll = mio::Poll::new()?;
    for (key, pipe) in pipes.iter().enumerate() {
        let fd = pipe.as_raw_fd();
        let interest = mio::Interest::READABLE;
        poll.registry()
            .register(&mut SourceFd(&fd), mio::Token(key), interest)?;
    }
    let events = mio::Events::with_capacity(256);
    Ok(Box::new(Mio {
        poll,
        events,
        pipes,
        read: 0,
    }))
}

impl Loop for Mio {
    fn run_until(&mut self, end: u64) -> Result<()> {
        while self.read < end {
            self.poll.poll(&mut self.events, None)?;
            for event in &self.events {
                take_byte(&self.pipes[event.token().0])?;
                self.read += 1;
            }
        }
        Ok(())
    }
}

struct Tokio {
    runtime: Runtime,
    read: Arc<AtomicU64>,
    end: Arc<AtomicU64>,
    reached: Arc<Notify>,
}

fn tokio(pipes: Vec<OwnedFd>) -> Result<Box<dyn Loop>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (read, end) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let reached = Arc::new(Notify::new());
    let guard = runtime.enter();
    for pipe in pipes {
        #[expect(
            deprecated,
            reason = "its successor is unsafe; this descriptor is owned and never replaced"
        )]
        let pipe = AsyncFd::new(pipe)?;
        let (read, end, reached) = (Arc::clone(&read), Arc::clone(&end), Arc::clone(&reached));
        runtime.spawn(async move {
            while let Ok(mut ready) = pipe.readable().await {
                let taken = ready.try_io(|pipe| {
                    let mut byte = [0];
                    Ok(rustix::io::read(pipe.get_ref(), &mut byte)?)
                });
                if matches!(taken, Ok(Ok(1))) {
                    let now = read.fetch_add(1, Ordering::Relaxed) + 1;
                    if now == end.load(Ordering::Relaxed) {
                        reached.notify_one();
                    }
                }
            }
        });
    }
    drop(guard);
    Ok(Box::new(Tokio {
        runtime,
        read,
        end,
        reached,
    }))
}

impl Loop for Tokio {
    fn run_until(&mut self, end: u64) -> Result<()> {
        self.end.store(end, Ordering::Relaxed);
        self.runtime.block_on(self.reached.notified());
        crate::agree(self.read.load(Ordering::Relaxed), end)
    }
}
