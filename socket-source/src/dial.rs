//! How a connection comes about: a look-up, attempts one after the other, and what time is left for them.
//!
//! The present is passed in. Nothing here calls back or knows what is watched.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use runloop::SourceHandle;
use socket2::{SockAddr, Socket};

use crate::error::ConnectError;
use crate::look_up::LookUp;
use crate::options::SocketOptions;
use crate::sys;
use crate::target::{Place, Target};

/// A connection that is to be made.
pub(crate) struct Dial {
    stage: Stage,
    /// Still to be tried.
    addresses: VecDeque<SockAddr>,
    /// Why the last attempt came to nothing.
    failure: Option<ConnectError>,
    options: SocketOptions,
    /// When all of it must be over.
    end: Option<Instant>,
    /// When to look again although nothing is ready: this attempt's share of the time is over, or it is to be repeated.
    again: Option<Instant>,
    /// How long to wait for a listener whose queue is full.
    patience: Duration,
}

enum Stage {
    Unbegun(Target),
    LookingUp(LookUp),
    Between,
    /// The socket that the source has now is being connected.
    Trying,
}

/// What follows.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing, until something is ready or it is time to look again.
    Wait,
    /// This socket is being connected, in place of the former one.
    Try(Socket),
    /// The socket of the last attempt is connected.
    Connected,
    Failed(ConnectError),
}

impl Dial {
    pub(crate) fn new(target: Target, options: SocketOptions) -> Self {
        Self::at(Stage::Unbegun(target), options)
    }

    /// For a socket that its owner has begun to connect, or that is connected already.
    pub(crate) fn begun(options: SocketOptions) -> Self {
        Self::at(Stage::Trying, options)
    }

    fn at(stage: Stage, options: SocketOptions) -> Self {
        Self {
            stage,
            addresses: VecDeque::new(),
            failure: None,
            options,
            end: None,
            again: None,
            patience: FIRST_PATIENCE,
        }
    }

    /// Goes on as far as it gets without waiting. `native` is the socket of the last attempt, and whether it is ready.
    pub(crate) fn advance(
        &mut self,
        now: Instant,
        (native, is_ready): (Option<&Socket>, bool),
        source: &SourceHandle,
    ) -> Step {
        if let Stage::Unbegun(target) = &self.stage {
            let target = target.clone();
            self.begin(now, target.0, source);
        }
        if let Stage::LookingUp(look_up) = &self.stage {
            match look_up.take() {
                Some(answer) => self.answered(answer),
                None => return self.wait(now),
            }
        }
        if matches!(self.stage, Stage::Trying) {
            match native.map_or(Ok(false), sys::is_connected) {
                Ok(true) => return Step::Connected,
                // It would be ready for ever: nobody has begun to connect it, or somebody else has taken the error.
                Ok(false) if is_ready => {
                    self.failed(io::Error::from(io::ErrorKind::NotConnected).into());
                }
                Ok(false) if self.again.is_none_or(|again| now < again) => return self.wait(now),
                Ok(false) => self.failed(ConnectError::TimedOut),
                Err(error) => self.failed(error.into()),
            }
        }
        self.try_next(now)
    }

    /// When to go on although nothing is ready.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.again.into_iter().chain(self.end).min()
    }

    fn begin(&mut self, now: Instant, place: Place, source: &SourceHandle) {
        let timeout = self.options.connect_timeout;
        self.end = timeout.and_then(|timeout| now.checked_add(timeout));
        self.stage = Stage::Between;
        match place {
            Place::Addresses(addresses) => self.addresses = addresses.into(),
            Place::Host(host, port) => match LookUp::begin(host, port, source.clone()) {
                Ok(look_up) => {
                    self.stage = Stage::LookingUp(look_up);
                    self.again = self.end;
                }
                Err(error) => self.failed(ConnectError::LookUp(error)),
            },
        }
    }

    fn answered(&mut self, answer: io::Result<Vec<SockAddr>>) {
        self.stage = Stage::Between;
        self.again = None;
        match answer {
            Ok(addresses) => self.addresses = addresses.into(),
            Err(error) => self.failed(ConnectError::LookUp(error)),
        }
    }

    fn failed(&mut self, why: ConnectError) {
        self.stage = Stage::Between;
        self.again = None;
        self.failure = Some(why);
    }

    /// Nothing to do now, unless the time is over.
    fn wait(&mut self, now: Instant) -> Step {
        if self.end.is_some_and(|end| now >= end) {
            self.stage = Stage::Between;
            return Step::Failed(ConnectError::TimedOut);
        }
        Step::Wait
    }

    /// Begins an attempt at the first address that lets it begin.
    fn try_next(&mut self, now: Instant) -> Step {
        if self.end.is_some_and(|end| now >= end) {
            return Step::Failed(ConnectError::TimedOut);
        }
        if self.again.is_some_and(|again| now < again) {
            return Step::Wait;
        }
        while let Some(address) = self.addresses.pop_front() {
            match sys::connect(&address, &self.options) {
                Ok(socket) => {
                    self.stage = Stage::Trying;
                    self.again = self.share(now);
                    return Step::Try(socket);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.addresses.push_front(address);
                    self.again = now.checked_add(self.patience);
                    self.patience = (self.patience * 2).min(LAST_PATIENCE);
                    return Step::Wait;
                }
                Err(error) => self.failure = Some(error.into()),
            }
        }
        let nowhere = || io::Error::from(io::ErrorKind::AddrNotAvailable).into();
        Step::Failed(self.failure.take().unwrap_or_else(nowhere))
    }

    /// Until when an attempt may take: an address that never answers must leave time for the others.
    fn share(&self, now: Instant) -> Option<Instant> {
        let left = self.end?.saturating_duration_since(now);
        let sharers = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        now.checked_add(left / sharers.saturating_add(1))
    }
}

/// The first and the longest time to wait for a listener whose queue is full.
const FIRST_PATIENCE: Duration = Duration::from_millis(1);
const LAST_PATIENCE: Duration = Duration::from_millis(50);
