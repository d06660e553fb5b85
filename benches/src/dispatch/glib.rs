//! GLib's main loop with the same pipes.

use crate::{Loop, Peer, take_byte};
use benches::Result;
use glib::source::unix_fd_source_new;
use glib::{ControlFlow, IOCondition, MainContext, Priority};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// All of it.
pub(crate) const ALL: [Peer; 1] = [("glib", glib)];

struct Glib {
    context: MainContext,
    read: Arc<AtomicU64>,
}

fn glib(pipes: Vec<OwnedFd>) -> Result<Box<dyn Loop>> {
    let (context, read) = (MainContext::new(), Arc::new(AtomicU64::new(0)));
    for pipe in pipes {
        let read = Arc::clone(&read);
        let (number, usual) = (pipe.as_raw_fd(), Priority::DEFAULT);
        let called = move |_, _| match take_byte(&pipe) {
            Ok(()) => {
                read.fetch_add(1, Ordering::Relaxed);
                ControlFlow::Continue
            }
            Err(_) => ControlFlow::Break,
        };
        let source = unix_fd_source_new(number, IOCondition::IN, None, usual, called);
        source.attach(Some(&context));
    }
    Ok(Box::new(Glib { context, read }))
}

impl Loop for Glib {
    fn run_until(&mut self, end: u64) -> Result<()> {
        while self.read.load(Ordering::Relaxed) < end {
            self.context.iteration(true);
        }
        Ok(())
    }
}
