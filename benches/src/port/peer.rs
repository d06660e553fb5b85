//! What a way of exchanging messages must do to be measured.

use benches::Result;
use std::path::Path;

/// A way in which two processes, or two threads, exchange messages of one size.
pub(crate) trait Peer: Sync {
    /// Its name in a result.
    fn name(&self) -> &'static str;

    /// The serving side: [`Role::Echo`] sends everything back until the client goes; [`Role::Sink`] takes `count` messages
    /// in, checks them, and sends one back.
    fn serve(&self, place: &Path, task: Task) -> Result<()>;

    /// The asking side.
    fn connect(&self, place: &Path, task: Task) -> Result<Box<dyn Client>>;

    /// Whether it can do this at all.
    fn can(&self, _task: Task, _ends: Ends) -> bool {
        true
    }

    /// Whether its ends look again and again instead of sleeping, so that on one processor they keep it from each other.
    fn is_busy(&self) -> bool {
        false
    }
}

/// The asking side, connected.
pub(crate) trait Client {
    /// Sends a message and waits until as many bytes have come back in `reply`.
    fn round_trip(&mut self, data: &[u8], reply: &mut Vec<u8>) -> Result<()>;

    /// Sends a message that nobody answers.
    fn send(&mut self, data: &[u8]) -> Result<()>;

    /// Waits for the one message that a sink sends back.
    fn settle(&mut self) -> Result<()>;
}

/// What is exchanged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) role: Role,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// Messages that are exchanged, those for warming up included.
    pub(crate) count: u64,
}

/// What the serving side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It sends everything back.
    Echo,
    /// It takes everything in.
    Sink,
}

/// What the two ends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Two processes.
    Processes,
    /// Two threads of one process.
    Threads,
}

/// Checks what a sink takes in: each message carries its number.
#[derive(Debug, Default)]
pub(crate) struct Ledger(u64);

impl Ledger {
    /// Enters a message; says how many there are now.
    pub(crate) fn enter(&mut self, data: &[u8]) -> Result<u64> {
        if number(data) != self.0 {
            return Err(format!("message {} came as {}", self.0, number(data)).into());
        }
        self.0 += 1;
        Ok(self.0)
    }
}

/// The number that a message carries.
pub(crate) fn number(data: &[u8]) -> u64 {
    let bytes = data.first_chunk().copied().unwrap_or([0; 8]);
    u64::from_le_bytes(bytes)
}

/// Writes its number into a message.
pub(crate) fn set_number(data: &mut [u8], number: u64) {
    if let Some(bytes) = data.first_chunk_mut() {
        *bytes = number.to_le_bytes();
    }
}

/// The name under which everybody meets, in a directory of their own.
pub(crate) const NAME: &str = "bench";
