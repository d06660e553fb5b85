//! The run-loop source of a port: what wakes it, whose turn it is, and calling the handler.

use crate::local::attention::Drained;
use crate::local::connection::Connection;
use crate::local::core::PortCore;
use crate::local::handler::Release;
use crate::local::message::Message;
use crate::local::serving::Serving;
use crate::message::Reply;
use crate::spin::Spin;
use crate::transfer::{Arrival, Breach};
use runloop::{Cx, Interest, Mode, Prepared, Ready, RunLoop, Source, Stage, Token, Why};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A port as its loop sees it.
pub(crate) struct PortSource<H> {
    core: Arc<PortCore>,
    serving: Arc<Serving<H>>,
    spin: Spin,
}

impl<H, R> PortSource<H>
where
    H: Fn(Message) -> R + 'static,
    R: Into<Reply>,
{
    pub(crate) fn new(serving: Arc<Serving<H>>) -> Self {
        Self {
            core: Arc::clone(serving.core()),
            spin: Spin::new(serving.core().limits.spinning),
            serving,
        }
    }

    /// Serves the clients in turn, one record each, up to a limit.
    fn serve(&self, cx: &mut Cx<'_, '_>) {
        // Once for all: it is not called any more when the port is invalid, and let go of here then.
        let handler = self.serving.handler().get();
        let mut round = Round {
            left: RECORDS_PER_PASS,
            served: false,
        };
        while round.left > 0 {
            let Some((connection, rivals)) = self.core.next_turn() else {
                return;
            };
            // Without a rival it keeps its place in the list from one record to the next.
            let most = if rivals == 0 { round.left } else { 1 };
            for _ in 0..most {
                if !self.core.is_valid() {
                    return;
                }
                round.left -= 1;
                if !self.serve_one(cx, handler.as_deref(), &connection, &mut round)
                    || self.core.is_spread()
                {
                    break;
                }
            }
        }
        if self.core.has_ready() {
            cx.signal();
        }
    }

    /// Serves one record of a client. Returns whether there was one.
    fn serve_one(
        &self,
        cx: &mut Cx<'_, '_>,
        handler: Option<&H>,
        connection: &Arc<Connection>,
        round: &mut Round,
    ) -> bool {
        if connection.flush().clogged {
            self.core.look_later(connection);
        }
        if self.core.is_choked(connection) {
            return false;
        }
        match connection.take() {
            Ok(Arrival::Nothing) => {
                self.core.strike_out(connection);
                if round.served && self.linger(cx, connection) {
                    self.core.enlist(Arc::clone(connection));
                } else {
                    self.rest(cx, connection);
                }
            }
            Ok(Arrival::Held(_)) => self.core.hold(connection),
            Ok(arrival) => {
                round.served = true;
                self.put_back(cx, connection);
                self.serving.arrived_for(handler, connection, arrival);
                return true;
            }
            Err(Breach::Over) => {}
            Err(breach) => {
                tracing::warn!(port = %self.core.label, %breach, "a client breaks the rules");
                self.core.dismiss(connection);
            }
        }
        false
    }

    /// Looks for a moment whether a client that was just served, and is at work on another processor, has more to say: a
    /// pass of the loop takes longer than such a client. Nobody else is kept waiting for it.
    fn linger(&self, cx: &Cx<'_, '_>, connection: &Connection) -> bool {
        let Some(link) = connection.link() else {
            return false;
        };
        if self.core.has_ready() || !cx.run_loop().may_spin() || !self.spin.is_worth_it(link.page())
        {
            return false;
        }
        (0..LINGERING).any(|_| {
            std::hint::spin_loop();
            link.has_data()
        })
    }

    /// Before a handler is called: what else there is must not wait for it, if somebody else could see to it.
    fn put_back(&self, cx: &mut Cx<'_, '_>, connection: &Arc<Connection>) {
        if !self.core.is_spread() {
            if !connection.is_listed() {
                self.core.enlist(Arc::clone(connection));
            }
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

    /// A connection has nothing more to say for now.
    fn rest(&self, cx: &mut Cx<'_, '_>, connection: &Arc<Connection>) {
        if let Some(link) = connection.link() {
            self.spin.expect(link.page());
        }
        match self.core.rest(connection) {
            Drained::Awake | Drained::Ready => cx.look_before_sleep(),
            Drained::Asleep => {}
        }
    }
}

impl<H> Drop for PortSource<H> {
    fn drop(&mut self) {
        // Nobody else can serve the port: its thread has ended, if it was not invalidated.
        self.core.invalidate();
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
        self.core.enter_loop()?;
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
            self.core.take_events();
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
        self.core.leave_loop();
        // What this loop had a deadline for is seen to by another.
        if let Some(source) = self.core.source() {
            source.signal();
        }
    }

    fn invalidated(&self, _: Why) {
        // Whoever ended the source has ended the port: there is no other way for it to be served.
        self.core.invalidate();
        self.serving.handler().release();
    }
}

/// What one perform serves.
struct Round {
    /// How many more records may be looked for.
    left: u32,
    /// Whether there was any.
    served: bool,
}

const HUB: Token = Token(0);
const BELLS: Token = Token(1);
/// How many records are taken, of all clients together, before the loop looks at anything else.
const RECORDS_PER_PASS: u32 = 64;
/// How often it looks for one more before it leaves the loop to others: a microsecond or two.
const LINGERING: u32 = 64;
