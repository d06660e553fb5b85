//! The run-loop source of a remote, for those who do nothing but wait: it hears of the port's end.

use crate::remote::client::{Client, End};
use runloop::{Cx, Interest, Ready, RunLoop, Source, Token};
use std::io;
use std::sync::Arc;

/// A remote as loops see it.
pub(super) struct Watcher(Arc<Client>);

impl Watcher {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self(client)
    }
}

impl Source for Watcher {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        let hub = Arc::clone(self.0.hub.descriptor());
        cx.watch_shared(HUB, hub, Interest::READABLE)?;
        self.0.enter_loop()?;
        // What there was to hear of before may have been heard by somebody else.
        cx.signal();
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        let client = &self.0;
        if client.is_forked() {
            return;
        }
        if !ready.fds.is_empty() {
            client.take_events();
        }
        // What was taken off the socket may have been meant for a thread that waits.
        client.take_in(cx.handle().as_ref());
        client.check();
        if client.end() != End::Open {
            client.tell_from_loop();
        }
    }

    fn detach(&self, _: &RunLoop) {
        self.0.leave_loop();
    }
}

const HUB: Token = Token(0);
