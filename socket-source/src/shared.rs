//! What every thread may know and change of a socket: the operating system's socket itself, which callbacks are enabled,
//! and what is still to be sent.
//!
//! The callback is not here, so this may live and die on any thread.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, ThreadId};

use bytes::Bytes;
use runloop::{ForkGuard, Interest, RunLoop, SourceHandle};

use crate::callbacks::Callbacks;
use crate::error::{SendError, TakeError, Unsent};
use crate::options::SocketOptions;
use crate::outbox::{Gate, Outbox, Piece, Told};
use crate::sys;

/// The part of a socket that any thread may touch.
pub(crate) struct Shared {
    /// The operating system's socket; `None` before it is made, and once it is closed or taken back.
    ///
    /// # Invariant
    ///
    /// Beside this share there is only the one that a loop holds for as long as it watches the descriptor, and that of a
    /// `Socket::native` call. So whoever takes this share out when no loop watches has the socket alone, and dropping it
    /// closes the descriptor.
    native: RwLock<Option<Arc<socket2::Socket>>>,
    /// The callbacks that are enabled, which are looked at before every callback, and [`UNDELIVERED`]. They are one word, so
    /// that whoever enables a callback and the loop that leaves something for it cannot miss each other.
    enabled: AtomicU8,
    /// A [`Phase`]. Only the thread of the socket's loop writes it.
    phase: AtomicU8,
    /// Held for a push, or for one system call that does not wait; never while anything of a user runs.
    outbox: Mutex<Outbox<Completion>>,
    /// How pieces are sent.
    manner: Manner,
    /// The thread whose loop the socket is made for.
    home: ThreadId,
    /// The process it was made in, whose loop a forked child cannot make let go.
    made_in: ForkGuard,
}

/// What is called when a piece has been sent, or never will be.
pub(crate) type Completion = Box<dyn FnOnce(&RunLoop, Parts, Result<(), Unsent>) + Send>;

/// A socket in parts, which those can pass on who know no more of it.
pub(crate) type Parts = (SourceHandle, Arc<Shared>);

/// How pieces are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// They are not.
    Never,
    /// By the callback itself.
    Raw,
    /// As one stream of bytes.
    Stream,
    /// One by one.
    Datagrams,
}

/// How things stand with what comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// A connection is being made.
    Dialing,
    Serving,
    /// Nothing until the deadline.
    Resting,
    /// Nothing comes in any more.
    Ended,
    /// Nothing comes in any more, and the socket goes when everything has been sent.
    Closing,
}

impl Shared {
    /// A socket made for the loop of this thread.
    pub(crate) fn new(
        native: Option<socket2::Socket>,
        options: &SocketOptions,
        (enabled, phase, manner): (Callbacks, Phase, Manner),
    ) -> Self {
        let gate = match (manner, phase) {
            (Manner::Never | Manner::Raw, _) => Gate::Finished,
            (_, Phase::Dialing) => Gate::Connecting,
            _ => Gate::Open,
        };
        Self {
            native: RwLock::new(native.map(Arc::new)),
            enabled: AtomicU8::new((enabled - options.disabled).bits()),
            phase: AtomicU8::new(phase as u8),
            outbox: Mutex::new(Outbox::new(options.marks, gate)),
            manner,
            home: thread::current().id(),
            made_in: ForkGuard::new(),
        }
    }

    /// Makes a system call that does not wait, and nothing else: the socket cannot be closed meanwhile.
    pub(crate) fn with<R>(&self, call: impl FnOnce(&socket2::Socket) -> R) -> Option<R> {
        let native = self.native.read().unwrap_or_else(PoisonError::into_inner);
        native.as_deref().map(call)
    }

    /// A share for the loop that is to watch the descriptor.
    pub(crate) fn share(&self) -> Option<Arc<socket2::Socket>> {
        let native = self.native.read().unwrap_or_else(PoisonError::into_inner);
        native.clone()
    }

    /// Puts another socket in the place of this one, which no loop may be watching any more.
    pub(crate) fn replace(&self, native: Option<socket2::Socket>) {
        let mut place = self.native.write().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *place, native.map(Arc::new));
        drop(place);
        drop(former);
    }

    /// Takes the socket out for good, unless a loop watches it that is not this thread's.
    pub(crate) fn take(&self) -> Result<Arc<socket2::Socket>, TakeError> {
        if self.made_in.is_forked() {
            return Err(TakeError::Watched);
        }
        if !self.lock().is_empty() {
            return Err(TakeError::Sending);
        }
        if self.is_undelivered() {
            return Err(TakeError::Undelivered);
        }
        let mut native = self.native.write().unwrap_or_else(PoisonError::into_inner);
        match &*native {
            Some(share) if !self.is_home() && Arc::strong_count(share) > 1 => {
                Err(TakeError::Watched)
            }
            _ => native.take().ok_or(TakeError::NotYet),
        }
    }

    /// Closes the socket, if nobody has taken it, and forgets what was to be sent.
    pub(crate) fn close(&self) {
        self.replace(None);
        let mut spent = Vec::new();
        let mut outbox = self.lock();
        outbox.break_off(0, &mut spent);
        let told: Vec<_> = std::iter::from_fn(|| outbox.next_told()).collect();
        drop(outbox);
        drop((spent, told));
    }

    pub(crate) fn enabled(&self) -> Callbacks {
        Callbacks::from_bits_truncate(self.enabled.load(Ordering::Acquire))
    }

    /// Enables kinds of callback, and says whether there is something for them that no descriptor tells of.
    pub(crate) fn enable(&self, kinds: Callbacks) -> bool {
        let former = self.enabled.fetch_or(kinds.bits(), Ordering::AcqRel);
        kinds.contains(Callbacks::READ) && former & UNDELIVERED != 0
    }

    pub(crate) fn disable(&self, kinds: Callbacks) {
        self.enabled.fetch_and(!kinds.bits(), Ordering::AcqRel);
    }

    /// Whether something has been received that the callback has not got.
    pub(crate) fn is_undelivered(&self) -> bool {
        self.enabled.load(Ordering::Acquire) & UNDELIVERED != 0
    }

    /// Says so, on the thread of the socket's loop.
    pub(crate) fn set_undelivered(&self, is_undelivered: bool) {
        if is_undelivered == self.is_undelivered() {
            return;
        }
        if is_undelivered {
            self.enabled.fetch_or(UNDELIVERED, Ordering::AcqRel);
        } else {
            self.enabled.fetch_and(!UNDELIVERED, Ordering::AcqRel);
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Dialing,
            1 => Phase::Serving,
            2 => Phase::Resting,
            3 => Phase::Ended,
            _ => Phase::Closing,
        }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// What the descriptor is to be watched for now. With an empty interest it is in no poll set at all, so nothing about
    /// it can wake the loop.
    pub(crate) fn interest(&self) -> Interest {
        let (enabled, phase) = (self.enabled(), self.phase());
        let mut interest = Interest::empty();
        if enabled.contains(Callbacks::READ) && matches!(phase, Phase::Serving | Phase::Dialing) {
            interest |= Interest::READABLE;
        }
        if phase == Phase::Dialing {
            if !enabled.contains(Callbacks::CONNECT) {
                return Interest::empty();
            }
            return interest | Interest::WRITABLE;
        }
        if self.wants_room() || !self.lock().is_empty() {
            interest |= Interest::WRITABLE;
        }
        interest
    }

    /// Whether the callback is to be told of room to send, without having been refused before.
    pub(crate) fn wants_room(&self) -> bool {
        let able = match self.manner {
            Manner::Never => false,
            Manner::Raw => true,
            _ => matches!(self.lock().gate(), Gate::Open | Gate::Broken(_)),
        };
        able && self.enabled().contains(Callbacks::WRITE) && self.phase() != Phase::Closing
    }

    /// Whether this is the thread whose loop the socket is made for.
    pub(crate) fn is_home(&self) -> bool {
        thread::current().id() == self.home
    }

    /// The queue of what is to be sent.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Outbox<Completion>> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes pieces to be sent, all of them or none. What the system takes at once goes at once. Says whether the loop
    /// has to do something about the rest.
    pub(crate) fn push(
        &self,
        pieces: Vec<Piece<Completion>>,
    ) -> Result<bool, SendError<Vec<Piece<Completion>>>> {
        let mut outbox = self.lock();
        match outbox.gate() {
            Gate::Connecting | Gate::Open => {}
            Gate::FinishingLater | Gate::Finishing | Gate::Finished => {
                return Err(SendError::Finished(pieces));
            }
            Gate::Broken(_) => return Err(SendError::Broken(pieces)),
        }
        if !outbox.has_room() {
            return Err(SendError::Full(pieces));
        }
        let idle = outbox.is_empty();
        pieces.into_iter().for_each(|piece| outbox.push(piece));
        drop(outbox);
        if idle {
            self.flush();
        }
        let outbox = self.lock();
        let broken = matches!(outbox.gate(), Gate::Broken(_));
        Ok(!outbox.is_empty() || outbox.has_told() || broken)
    }

    /// Sends what the system takes, up to a limit. What is to be told of it waits in the queue.
    pub(crate) fn flush(&self) {
        let mut spent = Vec::new();
        let native = self.native.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(native) = native.as_deref() {
            let mut outbox = self.lock();
            if matches!(outbox.gate(), Gate::Open | Gate::Finishing) {
                match self.manner {
                    Manner::Never | Manner::Raw => {}
                    Manner::Stream => send_stream(native, &mut outbox, &mut spent),
                    Manner::Datagrams => send_datagrams(native, &mut outbox, &mut spent),
                }
            }
        }
        drop(native);
        // Bytes may belong to somebody whose destructor does anything.
        drop(spent);
    }

    /// Has our side of the stream end after what waits. Says whether the loop has to see to it.
    pub(crate) fn finish(&self) -> bool {
        self.lock().finish();
        self.flush();
        !self.lock().is_empty()
    }

    /// The next thing to tell of what was sent.
    pub(crate) fn next_told(&self) -> Option<Told<Completion>> {
        self.lock().next_told()
    }
}

fn send_stream(native: &socket2::Socket, outbox: &mut Outbox<Completion>, spent: &mut Vec<Bytes>) {
    let mut budget = BYTES_PER_PASS;
    while !outbox.is_empty() && budget > 0 {
        let mut slices = [IoSlice::new(&[]); PIECES_PER_CALL];
        let count = outbox.slices(&mut slices);
        match sys::send(native, &slices[..count]) {
            Ok(sent) => {
                budget = budget.saturating_sub(sent.max(1));
                outbox.advance(sent, spent);
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return,
                io::ErrorKind::Interrupted => {}
                _ => return outbox.break_off(error.raw_os_error().unwrap_or(0), spent),
            },
        }
    }
    if outbox.is_empty() && outbox.gate() == Gate::Finishing {
        // A connection that is gone has no side that could end.
        let _ended_or_gone = native.shutdown(std::net::Shutdown::Write);
        outbox.finished();
    }
}

fn send_datagrams(
    native: &socket2::Socket,
    outbox: &mut Outbox<Completion>,
    spent: &mut Vec<Bytes>,
) {
    for _ in 0..DATAGRAMS_PER_PASS {
        let Some(first) = outbox.first() else { break };
        match sys::send_datagram(native, &first.bytes, first.to.as_ref()) {
            Ok(_whole) => spent.extend(outbox.pop(Ok(()))),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return,
                io::ErrorKind::Interrupted => {}
                _ => spent.extend(outbox.pop(Err(error.raw_os_error().unwrap_or(0)))),
            },
        }
    }
    if outbox.is_empty() && outbox.gate() == Gate::Finishing {
        outbox.finished();
    }
}

/// A bit beside those of [`Callbacks`]: something has been received that the callback has not got.
const UNDELIVERED: u8 = 128;
/// How many pieces one call sends.
const PIECES_PER_CALL: usize = 32;
/// How much of a stream goes before others have their turn.
const BYTES_PER_PASS: usize = 1024 * 1024;
/// How many datagrams go before others have their turn.
const DATAGRAMS_PER_PASS: usize = 64;
