//! Taking in what other threads have sent: the loop's side of the inbox, and orders given through a source's handle.

use std::sync::Arc;
use std::sync::mpsc::TryRecvError;

use crate::arena::Key;
use crate::core::{Closure, RunLoop, Tables};
use crate::flags::Mark;
use crate::mode::Mode;
use crate::readiness::Why;
use crate::shared::Message;
use crate::state::Request;
use crate::wake::POSTED;

impl RunLoop {
    /// Takes in what is in the inbox; says whether anything was.
    ///
    /// One message leaves the queue at a time, so one that panics takes no other with it, and there is a limit, so that
    /// a flood of them cannot keep the loop here.
    #[inline]
    pub(crate) fn collect(&self) -> bool {
        self.core.shared.sleep.has(POSTED) && self.empty_inbox()
    }

    fn empty_inbox(&self) -> bool {
        for taken in 0..MESSAGES_PER_LOOK {
            match self.next_message() {
                Ok(message) => {
                    self.core.aside.visit();
                    self.take_in(message);
                }
                Err(_) => return taken > 0,
            }
        }
        true
    }

    /// The next message of the inbox. The mark that there are some goes only once there are none, so that a panic or a
    /// nested run finds the rest; then it is looked once more, since one may have come before the mark went.
    fn next_message(&self) -> Result<Message, TryRecvError> {
        let inbox = self.core.inbox.borrow();
        let inbox = inbox.as_ref().ok_or(TryRecvError::Disconnected)?;
        inbox.try_recv().or_else(|_| {
            let sleep = &self.core.shared.sleep;
            sleep.take(POSTED);
            inbox.try_recv().inspect(|_| {
                sleep.mark(POSTED);
            })
        })
    }

    fn take_in(&self, message: Message) {
        match message {
            Message::Notice(key, mark) => self.take_notice(key, mark.as_deref()),
            Message::Perform(mode, job) => {
                self.core
                    .with(|tables| tables.queue(mode, Closure::Sent(job)));
            }
            Message::Control(job) => {
                self.core.shared.release_closure();
                job();
            }
        }
    }

    /// Does what the flags of a source ask for, now that they have changed on another thread. The mark of the notice is
    /// taken back first.
    fn take_notice(&self, key: Key, mark: Option<&Mark>) {
        let state = self.core.with(|tables| {
            let entry = tables.sources.get(key)?;
            let state = Arc::clone(&entry.state);
            let signalled = match mark {
                Some(mark) => {
                    mark.take_back();
                    state.is_signalled()
                }
                None => state.heed(),
            };
            if signalled {
                tables.list(key);
            }
            Some(state)
        });
        let Some(state) = state else { return };
        if !state.is_valid() {
            return self.tear_down(key, Why::Asked);
        }
        for request in state.take_requests(self.core.shared.id) {
            self.grant(key, request);
        }
        self.settle(key);
    }

    /// Does what a handle asked for.
    pub(crate) fn grant(&self, key: Key, request: Request) {
        match request {
            Request::Deadline(deadline) => self.move_deadline(key, deadline),
            Request::Interest(token, interest) => {
                let set = self
                    .core
                    .with(|tables| tables.set_interest(key, token, interest));
                match set {
                    // The source does not watch that descriptor (any more): nothing to change.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => self.fail(key, &error),
                    Ok(()) => {}
                }
            }
        }
    }
}

impl Tables {
    /// Puts a closure behind those that wait for the same mode.
    pub(crate) fn queue(&mut self, mode: Mode, closure: Closure) {
        let number = self.count();
        if mode == Mode::COMMON {
            self.common_closures.push_back((number, closure));
        } else {
            self.mode_or_new(mode).closures.push_back((number, closure));
        }
        self.stir_mode(mode);
    }
}

/// How many messages are taken in before the loop looks at anything else.
const MESSAGES_PER_LOOK: usize = 2_048;
