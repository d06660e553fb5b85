//! Which loop belongs to which thread: the current one, the main one, and what happens when a thread ends.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::core::{Core, RunLoop};
use crate::shared::{Message, Shared};
use crate::sys;

/// The loop of the current thread; an unconnected, closed one where the thread is too near its end to have any.
pub(crate) fn current() -> RunLoop {
    CURRENT
        .try_with(|owner| owner.run_loop.clone())
        .unwrap_or_else(|_| {
            let (shared, _) = Shared::new();
            shared.close();
            RunLoop {
                core: Rc::new(Core::new(shared, None)),
            }
        })
}

/// Calls with the loop of this thread, if it has one: this makes none.
pub(crate) fn with_current<R>(call: impl FnOnce(&RunLoop) -> R) -> Option<R> {
    if current_id() == 0 {
        return None;
    }
    CURRENT.try_with(|owner| call(&owner.run_loop)).ok()
}

/// The number of this thread's loop, or zero if it has none (yet, or any more).
fn current_id() -> u64 {
    CURRENT_ID.get()
}

/// What other threads hold of the main thread's loop. It exists from the first call on, whichever thread makes it.
pub(crate) fn main() -> Arc<Shared> {
    Arc::clone(&main_inbox().shared)
}

thread_local! {
    static CURRENT: Owner = Owner::new();
    static CURRENT_ID: Cell<u64> = const { Cell::new(0) };
}

/// A thread's hold of its loop, which closes it when the thread ends.
struct Owner {
    run_loop: RunLoop,
}

impl Owner {
    fn new() -> Self {
        let (shared, inbox) = if sys::on_main_thread() {
            let main = main_inbox();
            let inbox = main
                .inbox
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            (Arc::clone(&main.shared), inbox)
        } else {
            let (shared, inbox) = Shared::new();
            (shared, Some(inbox))
        };
        if inbox.is_none() {
            // A forked child's first thread has the main thread's place but not its inbox.
            shared.close();
        }
        CURRENT_ID.set(shared.id);
        Self {
            run_loop: RunLoop {
                core: Rc::new(Core::new(shared, inbox)),
            },
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.run_loop.close();
        CURRENT_ID.set(0);
    }
}

struct MainInbox {
    shared: Arc<Shared>,
    /// Until the main thread takes it.
    inbox: Mutex<Option<Receiver<Message>>>,
}

fn main_inbox() -> &'static MainInbox {
    static MAIN: OnceLock<MainInbox> = OnceLock::new();
    MAIN.get_or_init(|| {
        let (shared, inbox) = Shared::new();
        MainInbox {
            shared,
            inbox: Mutex::new(Some(inbox)),
        }
    })
}
