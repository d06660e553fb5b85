//! Making a link: reaching the port, agreeing on bells and rings, and saying hello.

use crate::bell::{BellKind, Bells};
use crate::error::OpenError;
use crate::hello::{Hello, IntroduceError, Packet, Peer, Refusal, introduce, peek};
use crate::hub::Hub;
use crate::link::Link;
use crate::local::find_neighbour;
use crate::names::{ConnectError, Directory, Pauses, PortName, Watch, connect};
use crate::remote::client::{Client, PROCESS};
use crate::remote::settings::Settings;
use crate::remote::waiter::PRIVATE;
use crate::ring::{End, Layout};
use runloop::{Descriptor, Interest, Outcome, ReturnAfter, RunLoop, SourceOptions};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Client {
    /// Makes a link to the port of a name.
    pub(crate) fn connect(
        directory: &Directory,
        name: &PortName,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let mut patience = Patience::new();
        let peer = patience.retry(|| match connect(directory, name) {
            Err(error @ ConnectError::Busy { .. }) => Attempt::Busy(error.into()),
            other => Attempt::Over(other.map_err(OpenError::from)),
        })?;
        let kind = BellKind::choose(&peer.credentials(), peer.socket().as_fd());
        let bells = Bells::create(kind, peer.socket()).map_err(OpenError::System)?;
        let layout = Layout::new(settings.ring, settings.ring);
        let (end, memory) = End::create(layout).map_err(OpenError::System)?;
        let hello = Hello::new(kind, [settings.ring; 2], settings.largest_reply);
        patience.retry(|| {
            let socket = peer.socket().as_fd();
            match introduce(socket, &hello, memory.as_fd(), bells.descriptors()) {
                Ok(()) => Attempt::Over(Ok(())),
                Err(IntroduceError::Busy(error)) => Attempt::Busy(OpenError::System(error)),
                Err(IntroduceError::Closed) => Attempt::Over(Err(match refusal(&peer) {
                    Some(why) => OpenError::Refused { why },
                    None => not_found(directory, name),
                })),
                Err(IntroduceError::Io(error)) => Attempt::Over(Err(OpenError::System(error))),
            }
        })?;
        let hub = watch(&peer).map_err(OpenError::System)?;
        let ours = rustix::process::getpid().as_raw_nonzero().get();
        let is_ours = peer
            .credentials()
            .pid
            .and_then(|pid| i32::try_from(pid).ok())
            == Some(ours);
        let neighbour = is_ours.then(|| find_neighbour(directory, name)).flatten();
        let bells = [bells.client, bells.server];
        let link = Link::new(peer, end, bells, settings.largest_reply, Arc::default());
        Ok(Self::new(name.clone(), link, hub, neighbour, settings))
    }
}

/// Makes a link to the port of a name, which may have yet to appear.
pub(crate) fn connect_within(
    directory: &Directory,
    name: &PortName,
    timeout: Duration,
    settings: Settings,
) -> Result<Client, OpenError> {
    // A time too far away to be told is never.
    let until = Instant::now().checked_add(timeout);
    let mut waits = Waits::new();
    let mut pauses = Pauses::while_absent();
    // Made before the first look, so that no name appears in between. Without one, it is looked for from time to time.
    let appearing = Appearing::new(directory).ok();
    loop {
        match Client::connect(directory, name, settings) {
            Err(error) if error.is_not_found() => {
                let now = Instant::now();
                if until.is_some_and(|until| until <= now) {
                    return Err(error);
                }
                // Also with a watch a look now and then: the directory may have been made anew.
                let longest = if appearing.is_some() {
                    LOOK_AGAIN
                } else {
                    Duration::ZERO
                };
                let next = now + pauses.next().unwrap_or(LOOK_AGAIN).max(longest);
                let next = until.map_or(next, |until| until.min(next));
                waits.wait(next, ReturnAfter::FirstSource)?;
            }
            other => return other,
        }
    }
}

/// A name has appeared in a directory: a source of the private mode, as long as somebody waits.
struct Appearing {
    run_loop: RunLoop,
    source: Descriptor,
}

impl Appearing {
    fn new(directory: &Directory) -> Result<Self, OpenError> {
        let watch = Watch::new(directory).map_err(OpenError::System)?;
        let options = SourceOptions::new().name("names that appear").passive();
        let source = Descriptor::with(options, watch, Interest::READABLE, |_, watch, _| {
            if let Err(error) = watch.clear() {
                tracing::debug!(%error, "the names that have appeared cannot be read");
            }
        });
        let run_loop = RunLoop::current();
        let added = run_loop.add(&source, *PRIVATE);
        added.map_err(|error| OpenError::System(std::io::Error::other(error)))?;
        Ok(Self { run_loop, source })
    }
}

impl Drop for Appearing {
    fn drop(&mut self) {
        self.run_loop.remove(&self.source, *PRIVATE);
        self.source.invalidate();
    }
}

/// Waits of one call, in the private mode. A stop that comes meanwhile is for the run around the call.
struct Waits {
    run_loop: RunLoop,
    stopped: bool,
}

impl Waits {
    fn new() -> Self {
        Self {
            run_loop: RunLoop::current(),
            stopped: false,
        }
    }

    fn wait(&mut self, until: Instant, return_after: ReturnAfter) -> Result<(), OpenError> {
        let outcome = self.run_loop.wait_in_mode(*PRIVATE, until, return_after);
        self.stopped |= outcome.map_err(OpenError::Wait)? == Outcome::Stopped;
        Ok(())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if self.stopped {
            self.run_loop.stop();
        }
    }
}

/// What can wake whoever waits on the link, beside an event bell: the socket, and the end of the port's process.
pub(super) fn watch(peer: &Peer) -> std::io::Result<Hub> {
    let hub = Hub::new()?;
    hub.add_edge(peer.socket().as_fd(), SOCKET)?;
    if let Some(process) = peer.pidfd() {
        hub.add_edge(process, PROCESS)?;
    }
    Ok(hub)
}

/// Why a port has hung up on somebody who has not introduced themselves, if it has said so.
fn refusal(peer: &Peer) -> Option<Refusal> {
    let mut bytes = [0; Packet::SIZE];
    let length = peek(peer.socket().as_fd(), &mut bytes).ok()?.length;
    match Packet::decode(&bytes[..length])? {
        Packet::Refused(why) => Some(why),
        Packet::Descriptors { .. } => None,
    }
}

fn not_found(directory: &Directory, name: &PortName) -> OpenError {
    let directory = directory.path().to_owned();
    ConnectError::NotFound {
        name: name.clone(),
        directory,
    }
    .into()
}

/// How one attempt went.
enum Attempt<T> {
    /// It is worth trying again in a moment; otherwise, this is the error.
    Busy(OpenError),
    Over(Result<T, OpenError>),
}

/// How long it is tried to reach a port that is there.
struct Patience {
    until: Instant,
    pauses: Pauses,
    waits: Waits,
}

impl Patience {
    fn new() -> Self {
        Self {
            until: Instant::now() + BUSY_TIMEOUT,
            pauses: Pauses::while_busy(),
            waits: Waits::new(),
        }
    }

    fn retry<T>(&mut self, mut attempt: impl FnMut() -> Attempt<T>) -> Result<T, OpenError> {
        loop {
            let error = match attempt() {
                Attempt::Over(result) => return result,
                Attempt::Busy(error) => error,
            };
            let now = Instant::now();
            let pause = self.pauses.next().unwrap_or(BUSY_TIMEOUT);
            if now >= self.until {
                return Err(error);
            }
            self.waits
                .wait((now + pause).min(self.until), ReturnAfter::Limit)?;
        }
    }
}

/// How long a port may be too busy to be connected to.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it is waited for a name before looking again without being woken.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The key of the socket in the hub.
const SOCKET: u64 = 0;
