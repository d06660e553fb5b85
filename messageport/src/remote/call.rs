//! One call on a link: getting the message in, waiting for the answer, and what has become of it in the end.

mod reply;

use crate::error::{SendError, TransportError};
use crate::link::Tick;
use crate::local::LARGEST;
use crate::message::Payload;
use crate::remote::Options;
use crate::remote::client::{Client, End};
use crate::remote::deadline::Deadline;
use crate::remote::waiter::{PRIVATE, Waiter};
use crate::remote::writing::{Sent, Writing};
use crate::ring::Lie;
use crate::transfer::{Descriptors, Step};
use crate::wire::{DESCRIPTORS_MAX, Head, Kind};
use runloop::{Limit, Mode, Outcome, ReturnAfter};
use std::os::fd::BorrowedFd;
use std::sync::Arc;

impl Client {
    /// Sends a message that wants no reply.
    pub(crate) fn send(
        self: &Arc<Self>,
        id: i32,
        data: &[u8],
        descriptors: &[BorrowedFd<'_>],
        options: Options,
    ) -> Result<(), SendError> {
        let mut call = Call::new(self, options, head(Kind::OneWay, id, descriptors)?);
        call.check(data)?;
        call.put(data, descriptors).map(drop)
    }

    /// Sends a request and waits for its reply.
    pub(crate) fn request(
        self: &Arc<Self>,
        id: i32,
        data: &[u8],
        descriptors: &[BorrowedFd<'_>],
        options: Options,
    ) -> Result<Answered, SendError> {
        let mut call = Call::new(self, options, head(Kind::Request, id, descriptors)?);
        call.check(data)?;
        if self.is_served_only_here(call.mode) {
            return Err(SendError::WouldDeadlock);
        }
        call.waiter()?;
        let sent = call.put(data, descriptors)?;
        call.expected = Some(sent.conversation);
        call.wait_for_reply(sent)
    }
}

/// A call in progress. However it ends, nothing of it stays behind.
struct Call<'a> {
    client: &'a Arc<Client>,
    options: Options,
    mode: Mode,
    head: Head,
    /// From the first wait on.
    waiter: Option<Waiter>,
    /// The waiter was added to a mode that the caller named, for this call.
    lodged: bool,
    /// How large its message is, in bytes.
    size: u64,
    /// It has run the loop.
    waited: bool,
    /// A stop came while the call was waiting; the run around it shall end.
    stopped: bool,
    /// The request whose answer is expected.
    expected: Option<u64>,
}

impl<'a> Call<'a> {
    fn new(client: &'a Arc<Client>, options: Options, head: Head) -> Self {
        Self {
            client,
            options,
            mode: options.mode.unwrap_or(*PRIVATE),
            head,
            waiter: None,
            lodged: false,
            size: 0,
            waited: false,
            stopped: false,
            expected: None,
        }
    }

    /// Whether the message can be sent at all.
    fn check(&mut self, data: &[u8]) -> Result<(), SendError> {
        if self.mode == Mode::COMMON {
            return Err(SendError::CommonMode);
        }
        match self.client.end() {
            End::Open => {}
            End::Broken => return Err(TransportError::Malformed.into()),
            End::Gone if self.client.refusal().is_some() => return Err(self.end()),
            End::Gone | End::Invalidated => return Err(SendError::Invalid),
        }
        let page = self.client.link.page();
        let limit = page.largest().unwrap_or(LARGEST);
        self.size = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if self.size > limit {
            return Err(TransportError::TooLarge { limit }.into());
        }
        let now = Tick::now();
        if self.client.link.is_alive(now) && !page.peer_is_closing() {
            self.client.link.tidy(now);
            return Ok(());
        }
        // Found out just now: that is what the caller is told, once.
        let known = self.client.is_known_to_end();
        self.client.check();
        if known {
            Err(SendError::Invalid)
        } else {
            Err(self.end())
        }
    }

    /// Gets the message into the ring.
    fn put(&mut self, data: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<Sent, SendError> {
        let client = self.client;
        let mut writing = Writing::new(client, self.head, data, descriptors);
        let mut deadline = None;
        loop {
            let asks = self.head.kind == Kind::Request;
            let asker = self
                .waiter
                .as_ref()
                .filter(|_| asks)
                .map(|waiter| &waiter.source);
            let step = writing.step(asker).map_err(|lie| self.broken(&lie))?;
            match step {
                Step::Whole => return Ok(writing.finish()),
                Step::Piece { first: true } => writing.go_on_in_pieces(&self.waiter()?.source),
                Step::Piece { first: false } => {}
                Step::Unpassable => return Err(TransportError::Unpassable.into()),
                Step::NoRoom | Step::Busy | Step::Clogged => {
                    let timeout = self.options.send_timeout;
                    let until = *deadline.get_or_insert_with(|| Deadline::after(timeout));
                    self.wait_for_room(&mut writing, step, until)?;
                }
            }
        }
    }

    /// Waits until it may be worth trying again.
    fn wait_for_room(
        &mut self,
        writing: &mut Writing<'_>,
        step: Step,
        until: Deadline,
    ) -> Result<(), SendError> {
        if self.client.end() != End::Open || self.client.link.page().peer_is_closing() {
            self.client.check();
            return Err(self.end());
        }
        if writing.join_queue(&self.waiter()?.source) {
            return Ok(());
        }
        if step == Step::NoRoom && writing.announce().map_err(|lie| self.broken(&lie))? {
            return Ok(());
        }
        if until.has_passed() {
            return Err(SendError::SendTimeout);
        }
        if self.client.is_served_only_here(self.mode) {
            return Err(SendError::WouldDeadlock);
        }
        // Of room for descriptors nobody tells.
        let clogged = step == Step::Clogged;
        self.wait(if clogged { until.or_soon() } else { until })
    }

    /// What a call that has begun says of the end of its link.
    fn end(&self) -> SendError {
        match (self.client.end(), self.client.refusal()) {
            (End::Broken, _) => TransportError::Malformed.into(),
            (End::Gone, Some(why)) => TransportError::Refused { why }.into(),
            _ => SendError::BecameInvalid,
        }
    }

    fn broken(&self, lie: &Lie) -> SendError {
        self.client.set_broken(lie);
        TransportError::Malformed.into()
    }

    /// Runs the loop once, until something concerns this call or the time is over.
    fn wait(&mut self, until: Deadline) -> Result<(), SendError> {
        let mode = self.mode;
        let waiter = self.waiter()?.clone();
        if mode != *PRIVATE && !self.lodged {
            self.lodged = waiter
                .run_loop
                .add(&waiter.source, mode)
                .map_err(unwaitable)?;
        }
        waiter.shared.expect(self.client);
        waiter.run_loop.look_before_sleep(&waiter.source);
        self.waited = true;
        let held = self.client.is_held();
        let limit = if held { until.or_soon() } else { until }.limit();
        let outcome = waiter
            .run_loop
            .wait_in_mode(mode, limit, ReturnAfter::FirstSource);
        if self.client.is_forked() {
            // A callback has forked, and this is the child: the memory of the link is its parent's.
            return Err(SendError::Invalid);
        }
        match outcome.map_err(SendError::Wait)? {
            // The stop was meant for the run around this call, and ends it as soon as the call has returned.
            Outcome::Stopped => self.stopped = true,
            Outcome::Finished | Outcome::TimedOut | Outcome::HandledSource => {}
        }
        if held {
            self.client.take_in(Some(&waiter.source));
        }
        Ok(())
    }

    /// This thread's waiter, from the first use on.
    fn waiter(&mut self) -> Result<&Waiter, SendError> {
        if self.waiter.is_none() {
            let waiter = Waiter::of(self.client).map_err(unwaitable)?;
            waiter.shared.enter();
            self.waiter = Some(waiter);
        }
        self.waiter.as_ref().ok_or(SendError::Invalid)
    }

    /// Hands a stop that came during the wait on to the run around this call.
    fn pass_stop_on(&self, waiter: &Waiter) {
        let mut stopped = self.stopped;
        if self.waited && self.mode != *PRIVATE && !std::thread::panicking() {
            // A stop that came together with what ended the wait is kept for the next run. This one does nothing else.
            let kept = waiter
                .run_loop
                .wait_in_mode(*PRIVATE, Limit::Now, ReturnAfter::FirstSource);
            stopped |= matches!(kept, Ok(Outcome::Stopped));
        }
        if stopped {
            waiter.run_loop.stop();
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.client.is_forked() {
            return;
        }
        if let Some(conversation) = self.expected {
            self.client.calls().give_up(conversation);
        }
        let Some(waiter) = &self.waiter else { return };
        waiter.shared.leave();
        if self.lodged {
            waiter.run_loop.remove(&waiter.source, self.mode);
        }
        self.pass_stop_on(waiter);
        if self.client.link.has_data() {
            // This thread has said that it would look, and nobody is rung for what it leaves there.
            self.client.take_in(Some(&waiter.source));
        }
        if waiter.shared.is_in_call() {
            // What came for the call around this one has been taken in here.
            waiter.source.signal();
        }
        if self.client.end() != End::Open {
            self.client.part_with_sources();
        }
    }
}

/// What a message says of itself.
fn head(kind: Kind, msgid: i32, descriptors: &[BorrowedFd<'_>]) -> Result<Head, TransportError> {
    let nfds = u16::try_from(descriptors.len()).unwrap_or(u16::MAX);
    if nfds > DESCRIPTORS_MAX {
        let limit = DESCRIPTORS_MAX.into();
        return Err(TransportError::TooManyDescriptors { limit });
    }
    Ok(Head {
        kind,
        msgid,
        aux: 0,
        conversation: 1,
        nfds,
    })
}

/// The bytes of a reply, and what came beside them.
pub(super) type Answered = (Payload, Descriptors);

/// Why this thread cannot wait on a link.
fn unwaitable(error: runloop::AddError) -> SendError {
    match error {
        runloop::AddError::Unreachable(why) => SendError::Wait(why.into()),
        runloop::AddError::PollSet(error) | runloop::AddError::Attach(error) => {
            SendError::Wait(runloop::RunError::Wait(error))
        }
        _ => SendError::Invalid,
    }
}
