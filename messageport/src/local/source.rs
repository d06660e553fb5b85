//! The run-loop source of a port: what wakes it, whose turn it is, and calling the handler.

use crate::bell::{BellKind, Rest, drain};
use crate::local::attention::Drained;
use crate::local::connection::Connection;
use crate::local::core::{PortCore, TAKES_MAX};
use crate::local::doorkeeper::{DOOR, Welcome};
use crate::local::handler::{Release, Slot};
use crate::local::message::Message;
use crate::local::{LocalPort, PortInner};
use crate::message::{Payload, Reply};
use crate::spin::Spin;
use crate::transfer::{Arrival, Inbound};
use crate::wire::{Head, Kind, Status};
use bytes::Bytes;
use runloop::{Cx, Interest, Mode, Prepared, Ready, RunLoop, Source, Stage, Token, Why};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// A port as its loop sees it.
pub(crate) struct PortSource<H> {
    core: Arc<PortCore>,
    /// For the handler's messages; the source does not keep the port.
    port: Weak<PortInner>,
    handler: Arc<Slot<H>>,
    spin: Spin,
}

impl<H, R> PortSource<H>
where
    H: Fn(Message) -> R + 'static,
    R: Into<Reply>,
{
    pub(crate) fn new(core: Arc<PortCore>, port: Weak<PortInner>, handler: Arc<Slot<H>>) -> Self {
        Self {
            core,
            port,
            handler,
            spin: Spin::new(),
        }
    }

    /// Takes what the hub has to tell: who is at the door, who rang, who is gone.
    fn take_events(&self) {
        for _ in 0..TAKES_MAX {
            let taken = self.core.hub.take();
            for (key, gone) in taken.iter() {
                if key == DOOR {
                    self.core.open_door();
                } else if let Some(connection) = self.core.connection(key) {
                    self.take_event(connection, gone);
                }
            }
            if !taken.is_full() {
                return;
            }
        }
    }

    fn take_event(&self, connection: Arc<Connection>, gone: bool) {
        if connection.link().is_none() && self.core.welcome(&connection) != Welcome::Over {
            return;
        }
        let Some(link) = connection.link() else {
            return;
        };
        if link.bell().kind() == BellKind::Socket
            && matches!(drain(link.bell().descriptor()), Ok(Rest::Closed) | Err(_))
        {
            link.set_dead();
        }
        if gone {
            link.set_dead();
        }
        self.core.was_rung(connection);
    }

    /// Serves the clients in turn, one record each, up to a limit.
    fn serve(&self, cx: &mut Cx<'_, '_>) {
        for _ in 0..RECORDS_PER_PASS {
            if !self.core.is_valid() {
                return;
            }
            let Some(connection) = self.core.next_ready() else {
                return;
            };
            connection.flush();
            if connection.is_choked() {
                // It is looked at again when it has made room for its replies, or is gone.
                self.core.set_aside(&connection);
                continue;
            }
            match connection.take() {
                Ok(Arrival::Nothing) => self.rest(cx, connection),
                Ok(arrival) => {
                    self.put_back(cx, &connection);
                    self.arrived(&connection, arrival);
                }
                Err(breach) => {
                    tracing::warn!(port = %self.core.label, %breach, "a client breaks the rules");
                    self.core.dismiss(&connection);
                }
            }
        }
        if self.core.has_ready() {
            cx.signal();
        }
    }

    /// Before a handler is called: what else there is must not wait for it, if somebody else could see to it.
    fn put_back(&self, cx: &mut Cx<'_, '_>, connection: &Arc<Connection>) {
        if !self.core.is_spread() {
            self.core.enlist(Arc::clone(connection));
            // A handler that runs the loop is to find there what is still to be served here.
            return cx.look_before_sleep();
        }
        let link = connection.link();
        if link.is_some_and(|link| link.announce() || link.is_dead()) {
            self.core.enlist(Arc::clone(connection));
        }
        if let Some(source) = self.core.source().filter(|_| self.core.has_ready()) {
            source.signal();
        }
    }

    fn arrived(&self, connection: &Arc<Connection>, arrival: Arrival) {
        match arrival {
            Arrival::Message(inbound) => self.deliver(connection, inbound),
            Arrival::TooLarge(head) => {
                tracing::warn!(port = %self.core.label, "a message over the limit is dropped");
                PortCore::refuse(connection, head, Status::TooLarge);
            }
            Arrival::Nothing | Arrival::Begun(_) | Arrival::Piece | Arrival::Aborted(_) => {}
        }
    }

    /// A connection has nothing more to say for now.
    fn rest(&self, cx: &mut Cx<'_, '_>, connection: Arc<Connection>) {
        let Some(link) = connection.link() else {
            return;
        };
        if link.is_dead() && !link.has_data() {
            if connection.is_running() {
                self.core.set_aside(&connection);
            } else {
                self.core.dismiss(&connection);
            }
            return;
        }
        self.spin.expect(link.page());
        match self.core.drained(connection) {
            Drained::Awake | Drained::Ready => cx.look_before_sleep(),
            Drained::Asleep => {}
        }
    }

    fn deliver(&self, connection: &Arc<Connection>, inbound: Inbound) {
        let Inbound { head, payload } = inbound;
        if !matches!(head.kind, Kind::OneWay | Kind::Request) {
            // A cancellation: its request has been answered, or is being served.
            return;
        }
        let handler = self.handler.get();
        // From here on its request is answered in any case.
        let mut running = Running::new(&self.core, connection, head);
        let (Some(handler), Some(port), Some(link)) =
            (handler, self.port.upgrade(), connection.link())
        else {
            return;
        };
        if !self.core.is_valid() {
            return;
        }
        let message = Message {
            id: head.msgid,
            payload: Payload(payload),
            wants_reply: head.kind == Kind::Request,
            sender: link.peer().credentials(),
            port: LocalPort::of(Arc::clone(&port)),
        };
        let reply: Reply = handler(message).into();
        running.reply = Some(reply.0);
        // Before what may be the last to hold the port.
        drop(running);
    }
}

impl<H> Drop for PortSource<H> {
    fn drop(&mut self) {
        // Nobody else can serve the port: its thread has ended, if it was not invalidated.
        self.core.invalidate();
    }
}

/// A handler that is running. Its request is answered whatever becomes of it.
struct Running<'a> {
    core: &'a PortCore,
    connection: &'a Arc<Connection>,
    request: Head,
    /// What it has answered; nothing if it panicked, or was not called.
    reply: Option<Bytes>,
}

impl<'a> Running<'a> {
    fn new(core: &'a PortCore, connection: &'a Arc<Connection>, request: Head) -> Self {
        connection.begin();
        Self {
            core,
            connection,
            request,
            reply: None,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.core.fork.is_forked() {
            return;
        }
        if self.request.kind == Kind::Request {
            let status = if self.reply.is_some() {
                Status::Ok
            } else {
                Status::Invalidated
            };
            let reply = self.reply.take().unwrap_or_default();
            self.connection.answer(self.request, status, reply);
        }
        if !self.connection.end() {
            return;
        }
        if !self.core.is_valid() {
            self.core.take_leave(self.connection);
        } else if self
            .connection
            .link()
            .is_some_and(|link| link.is_dead() && !link.has_data())
        {
            // It was found dead meanwhile, and left to whoever ends last.
            self.core.dismiss(self.connection);
        }
    }
}

impl<H, R> Source for PortSource<H>
where
    H: Fn(Message) -> R + 'static,
    R: Into<Reply> + 'static,
{
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch_shared(
            HUB,
            Arc::clone(self.core.hub.descriptor()),
            Interest::READABLE,
        )?;
        cx.watch_bell(BELLS, Arc::clone(self.core.bells.descriptor()))?;
        cx.set_deadline(self.core.next_look());
        if self.core.has_ready() {
            cx.signal();
        }
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        if !self.core.is_valid() {
            return;
        }
        if !ready.fds.is_empty() {
            self.take_events();
        } else if ready.deadline.is_some() {
            self.core.look_around(Instant::now());
        } else {
            if ready.rung {
                self.core.rung.store(true, Ordering::Release);
            }
            self.core.enlist_awake();
            // Those that are known to have something to say come first; who rang is asked before the next sleep.
            if !self.core.has_ready() && self.core.may_have_been_rung() {
                self.core.answer_bells();
            }
        }
        cx.set_deadline(self.core.next_look());
        self.spin.begin();
        self.serve(cx);
        if self.core.may_have_been_rung() {
            cx.look_before_sleep();
        }
    }

    fn prepare<'s>(&'s self, _: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        if !self.core.is_valid() {
            return Prepared::Idle;
        }
        match stage {
            Stage::Look if self.core.is_spoken_to() => Prepared::Ready,
            Stage::Look => self.spin.look(),
            Stage::Announce if self.core.announce() => Prepared::Ready,
            Stage::Announce if self.core.may_have_been_rung() => {
                self.core.answer_bells();
                if self.core.has_ready() {
                    Prepared::Ready
                } else {
                    Prepared::Idle
                }
            }
            Stage::Announce | Stage::Woken => Prepared::Idle,
        }
    }

    fn schedule(&self, run_loop: &RunLoop, mode: Mode) {
        self.core.is_scheduled(run_loop, mode);
    }

    fn cancel(&self, run_loop: &RunLoop, mode: Mode) {
        self.core.is_cancelled(run_loop, mode);
    }

    fn detach(&self, _: &RunLoop) {
        // What this loop had a deadline for is seen to by another.
        if let Some(source) = self.core.source() {
            source.signal();
        }
    }

    fn invalidated(&self, _: Why) {
        // Whoever ended the source has ended the port: there is no other way for it to be served.
        self.core.invalidate();
        self.handler.release();
    }
}

const HUB: Token = Token(0);
const BELLS: Token = Token(1);
/// How many records are taken, of all clients together, before the loop looks at anything else.
const RECORDS_PER_PASS: usize = 64;
