//! Handing messages to a port's handler, and what it answers to their senders, wherever it is called.

use crate::local::connection::Connection;
use crate::local::core::PortCore;
use crate::local::handler::{Serve, Slot};
use crate::local::message::Message;
use crate::local::{LocalPort, PortInner};
use crate::message::{Payload, Reply};
use crate::transfer::{Arrival, Inbound};
use crate::wire::{Head, Kind, Status};
use std::sync::{Arc, Weak};

/// A port's handler, and what it takes to call it.
pub(crate) struct Serving<H> {
    core: Arc<PortCore>,
    /// For the handler's messages; nothing here keeps the port.
    port: Weak<PortInner>,
    handler: Arc<Slot<H>>,
}

impl<H> Serving<H> {
    pub(crate) fn new(core: Arc<PortCore>, port: Weak<PortInner>, handler: Arc<Slot<H>>) -> Self {
        Self {
            core,
            port,
            handler,
        }
    }

    pub(crate) fn core(&self) -> &Arc<PortCore> {
        &self.core
    }

    pub(crate) fn handler(&self) -> &Slot<H> {
        &self.handler
    }
}

impl<H, R> Serving<H>
where
    H: Fn(Message) -> R + 'static,
    R: Into<Reply>,
{
    /// As [`arrived`](Serve::arrived), for one who has the handler already.
    pub(crate) fn arrived_for(
        &self,
        handler: Option<&H>,
        connection: &Arc<Connection>,
        arrival: Arrival,
    ) {
        match arrival {
            Arrival::Message(inbound) => self.deliver(handler, connection, inbound),
            Arrival::TooLarge(head) => {
                tracing::warn!(port = %self.core.label, "a message over the limit is dropped");
                self.core.counters.discarded.count();
                if head.kind == Kind::Request {
                    let progress = connection.answer(head, Status::TooLarge, Reply::empty());
                    if progress.clogged {
                        self.core.look_later(connection);
                    }
                }
            }
            Arrival::Nothing
            | Arrival::Held(_)
            | Arrival::Begun(_)
            | Arrival::Piece
            | Arrival::Aborted(_) => {}
        }
    }

    fn deliver(&self, handler: Option<&H>, connection: &Arc<Connection>, inbound: Inbound) {
        let Inbound {
            head,
            payload,
            descriptors,
        } = inbound;
        match head.kind {
            Kind::OneWay | Kind::Request => {}
            Kind::Cancel => return connection.cancel(head.conversation),
            // Nothing else is a message.
            _ => return,
        }
        // From here on its request is answered in any case.
        let mut running = Running::new(&self.core, connection, head);
        let (Some(handler), Some(port)) = (handler, self.port.upgrade()) else {
            return self.core.counters.discarded.count();
        };
        if !self.core.is_valid() {
            return self.core.counters.discarded.count();
        }
        self.core.counters.received.count();
        // It may be the last to hold the port, which then ends as if the handler had said so.
        let message = Message::new(
            head,
            (Payload(payload), descriptors),
            Arc::clone(connection),
            LocalPort::of(port),
        );
        running.reply = Some(handler(message).into());
    }
}

impl<H, R> Serve for Serving<H>
where
    H: Fn(Message) -> R + 'static,
    R: Into<Reply>,
{
    fn arrived(&self, connection: &Arc<Connection>, arrival: Arrival) {
        let handler = self.handler.get();
        self.arrived_for(handler.as_deref(), connection, arrival);
    }
}

/// A handler that is running. Its request is answered whatever becomes of it, unless somebody else is to answer it.
struct Running<'a> {
    core: &'a PortCore,
    connection: &'a Arc<Connection>,
    request: Head,
    /// What it has answered; nothing if it panicked, or was not called.
    reply: Option<Reply>,
}

impl<'a> Running<'a> {
    fn new(core: &'a PortCore, connection: &'a Arc<Connection>, request: Head) -> Self {
        connection.begin(request);
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
            let valid = || self.core.is_valid();
            let progress = self
                .connection
                .conclude(self.request, self.reply.take(), valid);
            if progress.clogged {
                self.core.look_later(self.connection);
            }
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
