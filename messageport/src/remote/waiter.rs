//! How a thread waits on a link: one source for each thread and link, which stays in the private mode between calls.

use crate::bell::BellKind;
use crate::remote::client::{Client, End};
use crate::spin::Spin;
use runloop::{
    AddError, Cx, Interest, Mode, Prepared, Ready, RunLoop, Source, SourceHandle, SourceOptions,
    SourceRef, Stage, Token,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

/// This thread's way of waiting on one link.
#[derive(Clone)]
pub(crate) struct Waiter {
    pub(crate) run_loop: RunLoop,
    pub(crate) source: SourceHandle,
    pub(crate) shared: Rc<Shared>,
}

/// What a thread's calls and its source for a link have in common.
pub(crate) struct Shared {
    client: Weak<Client>,
    /// Distinguishes it from those of other threads.
    number: u64,
    spin: Spin,
    /// Calls of this thread that wait on the link, one inside the other.
    calls: Cell<u32>,
    /// That the port is closing has been noticed.
    closing_noticed: Cell<bool>,
}

impl Waiter {
    /// The waiter of this thread for a link, made at its first call.
    pub(crate) fn of(client: &Arc<Client>) -> Result<Self, AddError> {
        let known = WAITERS.with_borrow(|waiters| waiters.get(&client.id).cloned());
        if let Some(waiter) = known.filter(|waiter| waiter.source.is_valid()) {
            return Ok(waiter);
        }
        let waiter = Self::new(client);
        waiter.run_loop.add(&waiter.source, *PRIVATE)?;
        client.add_source(waiter.shared.number, waiter.source.clone());
        let gone = WAITERS.with_borrow_mut(|waiters| {
            waiters.insert(client.id, waiter.clone());
            let stale: Vec<u64> = waiters
                .iter()
                .filter(|(_, waiter)| !waiter.source.is_valid())
                .map(|(&id, _)| id)
                .collect();
            stale
                .iter()
                .filter_map(|id| waiters.remove(id))
                .collect::<Vec<_>>()
        });
        drop(gone);
        Ok(waiter)
    }

    fn new(client: &Arc<Client>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let shared = Rc::new(Shared {
            client: Arc::downgrade(client),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            spin: Spin::new(client.settings.spinning),
            calls: Cell::new(0),
            closing_noticed: Cell::new(false),
        });
        let options = SourceOptions::new().name(client.name.as_str()).passive();
        let run_loop = RunLoop::current();
        let source = WaiterSource(Rc::clone(&shared));
        let source = run_loop.adopt(&SourceRef::with(options, source));
        Self {
            run_loop,
            source,
            shared,
        }
    }

    /// Looks for what the port says, without the loop, as long as that may come at once: a call that waits in the private
    /// mode waits for nothing else.
    pub(crate) fn look_closely(&self, client: &Client, enough: impl FnMut() -> bool) {
        if self.run_loop.may_spin() {
            self.shared.spin.look_closely(client.link.page(), enough);
        }
    }
}

impl Shared {
    /// A call begins to wait for an answer of the port.
    pub(crate) fn expect(&self, client: &Client) {
        self.spin.begin();
        self.spin.expect(client.link.page());
    }

    pub(crate) fn enter(&self) {
        self.calls.set(self.calls.get() + 1);
    }

    pub(crate) fn leave(&self) {
        self.calls.set(self.calls.get() - 1);
    }

    /// Whether a call of this thread is waiting, around whatever runs now.
    pub(crate) fn is_in_call(&self) -> bool {
        self.calls.get() > 0
    }
}

/// A thread's source for a link.
struct WaiterSource(Rc<Shared>);

impl WaiterSource {
    /// Takes in what has come for any thread; says whether something was for this one.
    fn take_in(&self, cx: &mut Cx<'_, '_>) -> bool {
        let client = self.0.client.upgrade().filter(|client| !client.is_forked());
        let Some(client) = client else { return false };
        let ours = client.take_in(cx.handle().as_ref());
        self.0
            .closing_noticed
            .set(client.link.page().peer_is_closing());
        if client.end() == End::Gone {
            client.check();
        }
        if self.0.is_in_call() {
            self.0.expect(&client);
            cx.look_before_sleep();
        }
        ours
    }
}

impl WaiterSource {
    /// Takes in what has come while the loop slept. What was for this thread need not ring any more, and nothing else would
    /// end its wait; nor would the port's closing, once it has been noticed here: of a bell on the socket only one thread
    /// hears, and tells nobody what all have been told of. Nor does anything ring for a reply that has no room here.
    fn look_awake(&self, cx: &mut Cx<'_, '_>) -> Prepared {
        let knew = self.0.closing_noticed.get();
        let ours = self.take_in(cx);
        let held = || {
            self.0
                .client
                .upgrade()
                .is_some_and(|client| client.is_held())
        };
        if ours || (self.0.closing_noticed.get() && !knew) || held() {
            Prepared::Ready
        } else {
            Prepared::Idle
        }
    }
}

impl Drop for WaiterSource {
    fn drop(&mut self) {
        if let Some(client) = self.0.client.upgrade().filter(|client| !client.is_forked()) {
            client.forget_source(self.0.number);
        }
    }
}

impl Source for WaiterSource {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        let Some(client) = self.0.client.upgrade() else {
            return Ok(());
        };
        cx.watch_shared(HUB, Arc::clone(client.hub.descriptor()), Interest::READABLE)?;
        if client.link.bell().kind() == BellKind::Event {
            cx.watch_bell(BELL, Arc::new(BellOf(client)))?;
        }
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        if !ready.fds.is_empty() {
            if let Some(client) = self.0.client.upgrade() {
                client.take_events();
            }
        }
        self.take_in(cx);
    }

    fn prepare<'s>(&'s self, cx: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        let Some(client) = self.0.client.upgrade() else {
            return Prepared::Idle;
        };
        if client.is_forked() {
            return Prepared::Idle;
        }
        let closing = || client.link.page().peer_is_closing() && !self.0.closing_noticed.get();
        match stage {
            Stage::Look if (client.link.has_data() && !client.is_held()) || closing() => {
                Prepared::Ready
            }
            Stage::Look => self.0.spin.look(),
            // A bell for nobody would only cost the port a system call.
            Stage::Announce if !client.calls().are_waiting() => Prepared::Idle,
            // Nor would it tell when there is room for descriptors: whoever waits looks again by itself.
            Stage::Announce if client.is_held() && !closing() => Prepared::Idle,
            // What is there need not ring, and this loop may be about to run something long, or to return: whoever else
            // it is for sleeps on until it is handed over.
            Stage::Announce if client.link.announce() => {
                self.take_in(cx);
                Prepared::Ready
            }
            Stage::Announce if closing() => Prepared::Ready,
            Stage::Announce => Prepared::Idle,
            Stage::Woken => self.look_awake(cx),
        }
    }
}

/// The bell of a link, which the loop holds as long as it watches it.
struct BellOf(Arc<Client>);

impl AsFd for BellOf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.link.bell().descriptor()
    }
}

/// The mode in which calls wait unless their caller names another; nothing else is ever in it.
pub(crate) static PRIVATE: LazyLock<Mode> = LazyLock::new(|| Mode::new("messageport.waiting"));

thread_local! {
    /// This thread's waiters, by link.
    static WAITERS: RefCell<HashMap<u64, Waiter>> = RefCell::new(HashMap::new());
}

const HUB: Token = Token(0);
const BELL: Token = Token(1);
