//! Delivery on a queue: the background loop hears of messages, and the queue gets a job for each, one at a time.

use crate::background;
use crate::error::QueueError;
use crate::local::core::{Delivery, PortCore};
use crate::local::handler::Serve;
use crate::queue::{Job, Queue, Work};
use crate::transfer::{Arrival, Breach};
use runloop::{
    Cx, Interest, Mode, OnPanic, Ready, Source, SourceHandle, SourceOptions, SourceRef, Token,
};
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// A port's queue, and what is needed to serve the port there.
pub(crate) struct Dispatcher {
    core: Weak<PortCore>,
    serve: Weak<dyn Serve + Send + Sync>,
    queue: Box<dyn Queue>,
    /// Until another queue, or none, takes its place.
    attached: AtomicBool,
    /// What hears of messages.
    listener: OnceLock<SourceHandle>,
}

impl PortCore {
    /// Has the handler called on a queue from now on, in place of the one before.
    pub(crate) fn set_queue(self: &Arc<Self>, queue: Box<dyn Queue>) -> Result<(), QueueError> {
        let equipment = self.equipment.get().ok_or(QueueError::Invalid)?;
        let serve = equipment.serve.clone().ok_or(QueueError::Bound)?;
        let background = background::run_loop().map_err(QueueError::System)?;
        let dispatcher = Arc::new(Dispatcher {
            core: Arc::downgrade(self),
            serve,
            queue,
            attached: AtomicBool::new(true),
            listener: OnceLock::new(),
        });
        let listener = Listener {
            core: Arc::clone(self),
            dispatcher: Arc::clone(&dispatcher),
        };
        let options = SourceOptions::new().name(&self.label);
        let listener = SourceRef::with(options.on_panic(OnPanic::Keep), listener);
        drop(dispatcher.listener.set(listener.handle().clone()));
        let mut state = self.lock();
        if state.ended {
            return Err(QueueError::Invalid);
        }
        if matches!(state.delivery, Delivery::Loops(_)) {
            return Err(QueueError::InLoop);
        }
        let former = std::mem::replace(
            &mut state.delivery,
            Delivery::Queue(Arc::clone(&dispatcher)),
        );
        // Nobody looks before a sleep any more.
        self.spread.store(true, Ordering::SeqCst);
        drop(state);
        if let Delivery::Queue(former) = former {
            former.end();
        }
        self.announce();
        if background.add(&listener, Mode::DEFAULT).is_err() {
            self.clear_queue(Some(&dispatcher));
            let busy = io::Error::from(io::ErrorKind::ResourceBusy);
            return Err(QueueError::System(busy));
        }
        Ok(())
    }

    /// Has the handler called on no queue any more, or not on this one. Says whether that is a change.
    pub(crate) fn clear_queue(&self, only: Option<&Arc<Dispatcher>>) -> bool {
        let mut state = self.lock();
        let former = match &state.delivery {
            Delivery::Queue(queue) if only.is_none_or(|only| Arc::ptr_eq(only, queue)) => {
                std::mem::take(&mut state.delivery)
            }
            _ => return false,
        };
        self.spread.store(false, Ordering::SeqCst);
        drop(state);
        if let Delivery::Queue(former) = former {
            former.end();
        }
        true
    }

    /// A loop begins to serve the port.
    pub(crate) fn enter_loop(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.delivery = match state.delivery {
            Delivery::Nobody => Delivery::Loops(1),
            Delivery::Loops(count) => Delivery::Loops(count + 1),
            Delivery::Queue(_) => {
                let busy = io::ErrorKind::ResourceBusy;
                return Err(io::Error::new(busy, QueueError::OnQueue));
            }
        };
        Ok(())
    }

    /// A loop has ceased to serve the port.
    pub(crate) fn leave_loop(&self) {
        let mut state = self.lock();
        if let Delivery::Loops(count) = state.delivery {
            state.delivery = match count {
                0 | 1 => Delivery::Nobody,
                more => Delivery::Loops(more - 1),
            };
        }
    }

    /// Has whoever serves the port look at it.
    pub(crate) fn wake_server(&self) {
        let delivery = self.lock().delivery.clone();
        match delivery {
            Delivery::Nobody => {}
            Delivery::Loops(_) => self.source().into_iter().for_each(SourceHandle::signal),
            Delivery::Queue(dispatcher) => dispatcher.kick(self),
        }
    }
}

impl Dispatcher {
    /// Gives the queue a job if there is something to do and none is on its way.
    fn kick(self: &Arc<Self>, core: &PortCore) {
        let attached = self.attached.load(Ordering::SeqCst);
        if !attached || !core.is_valid() || !core.has_ready() {
            return;
        }
        if core.in_flight.swap(true, Ordering::SeqCst) {
            return;
        }
        let outer = DISPATCHING.replace(true);
        let job = Job::new(Arc::<Self>::clone(self));
        let dispatched = catch_unwind(AssertUnwindSafe(|| self.queue.dispatch(job)));
        DISPATCHING.set(outer);
        if dispatched.is_err() {
            // Its job, if it had not run, is offered again as one that was refused.
            tracing::error!(port = %core.label, "a queue has panicked");
        }
    }

    /// When its listener looks again.
    pub(super) fn set_deadline(&self, deadline: Option<Instant>) {
        if let Some(listener) = self.listener.get() {
            listener.set_deadline(deadline);
        }
    }

    /// The queue is this port's no more.
    pub(super) fn end(&self) {
        self.attached.store(false, Ordering::SeqCst);
        if let Some(listener) = self.listener.get() {
            listener.invalidate();
        }
    }

    /// Serves the port until a message has been handled, or there is none.
    fn serve(&self, core: &PortCore, serve: &(dyn Serve + Send + Sync)) {
        for _ in 0..RECORDS_PER_JOB {
            if !core.is_valid() || !self.attached.load(Ordering::SeqCst) {
                return;
            }
            let Some(connection) = core.next_ready() else {
                return;
            };
            if connection.flush().clogged {
                core.look_later(&connection);
            }
            if core.is_choked(&connection) {
                continue;
            }
            match connection.take() {
                Ok(Arrival::Nothing) => drop(core.rest(&connection)),
                Ok(Arrival::Held(_)) => core.hold(&connection),
                Ok(arrival) => {
                    let message = matches!(arrival, Arrival::Message(_));
                    let served = catch_unwind(AssertUnwindSafe(|| {
                        serve.arrived(&connection, arrival);
                    }));
                    core.enlist(connection);
                    if let Err(panic) = served {
                        // As in a loop, a port whose handler panics ends.
                        core.invalidate();
                        resume_unwind(panic);
                    }
                    if message {
                        return;
                    }
                }
                Err(Breach::Over) => {}
                Err(breach) => {
                    tracing::warn!(port = %core.label, %breach, "a client breaks the rules");
                    core.dismiss(&connection);
                }
            }
        }
    }
}

impl Work for Dispatcher {
    fn run(&self) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        let _flight = Flight(&core);
        if let Some(serve) = self.serve.upgrade() {
            self.serve(&core, &*serve);
        }
    }

    fn refused(&self) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        core.in_flight.store(false, Ordering::SeqCst);
        if !self.attached.load(Ordering::SeqCst) {
            return core.wake_server();
        }
        core.lock().again = Some(Instant::now() + REFUSED_FOR);
        if let Some(listener) = self.listener.get() {
            listener.set_deadline(core.next_look());
        }
    }
}

/// A job that runs. When it is over, the next one may be given.
struct Flight<'a>(&'a PortCore);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let core = self.0;
        if core.fork.is_forked() {
            return;
        }
        core.look_once_more();
        core.in_flight.store(false, Ordering::SeqCst);
        if !core.has_ready() {
            return;
        }
        let delivery = core.lock().delivery.clone();
        match delivery {
            // A queue that runs its jobs at once would be inside itself, deeper for each message.
            Delivery::Queue(dispatcher) if DISPATCHING.get() => {
                dispatcher
                    .listener
                    .get()
                    .into_iter()
                    .for_each(SourceHandle::signal);
            }
            _ => core.wake_server(),
        }
    }
}

/// What hears of a port's messages, in the background loop.
struct Listener {
    core: Arc<PortCore>,
    dispatcher: Arc<Dispatcher>,
}

impl Source for Listener {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        let hub = Arc::clone(self.core.hub.descriptor());
        cx.watch_shared(HUB, hub, Interest::READABLE)?;
        cx.watch_bell(BELLS, Arc::clone(self.core.bells.descriptor()))?;
        cx.set_deadline(self.core.next_look());
        cx.signal();
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        let core = &self.core;
        if !core.is_valid() || !self.dispatcher.attached.load(Ordering::SeqCst) {
            return;
        }
        if !ready.fds.is_empty() {
            core.take_events();
        } else if ready.deadline.is_some() {
            core.look_around(Instant::now());
        }
        if ready.rung || core.may_have_been_rung() {
            core.answer_bells();
        }
        cx.set_deadline(core.next_look());
        if core.may_have_been_rung() {
            cx.signal();
        }
        self.dispatcher.kick(core);
    }
}

thread_local! {
    /// This thread is giving a queue a job.
    static DISPATCHING: Cell<bool> = const { Cell::new(false) };
}

const HUB: Token = Token(0);
const BELLS: Token = Token(1);
/// How many records that are no whole message are taken in one job.
const RECORDS_PER_JOB: usize = 64;
/// After how long a queue that dropped a job is offered another.
const REFUSED_FOR: Duration = Duration::from_millis(100);
