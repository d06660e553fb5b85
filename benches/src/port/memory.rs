//! Memory that both sides share: the least that an exchange can cost, with a side that spins or sleeps in a futex.
//!
//! The two sides are threads, since the cost is the processors' and they do not ask who owns the memory. One message is
//! under way at a time, in one place.

use crate::peer::{Client, Ends, Peer, Role, Task};
use benches::Result;
use rustix::thread::futex;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// How a side waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Spin,
    Futex,
}

pub(crate) struct SharedMemory(pub(crate) Wait);

/// The place of the message, and whose turn it is: even numbers are the client's, odd ones the server's.
struct Exchange {
    turn: AtomicU32,
    words: Vec<AtomicU64>,
}

static EXCHANGE: LazyLock<Arc<Exchange>> = LazyLock::new(|| {
    Arc::new(Exchange {
        turn: AtomicU32::new(0),
        words: (0..WORDS_MAX).map(|_| AtomicU64::new(0)).collect(),
    })
});

impl Exchange {
    fn write(&self, data: &[u8]) {
        for (word, bytes) in self.words.iter().zip(data.chunks_exact(8)) {
            word.store(crate::peer::number(bytes), Ordering::Relaxed);
        }
    }

    fn read(&self, data: &mut [u8]) {
        for (word, bytes) in self.words.iter().zip(data.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
    }

    /// Waits until the turn is this one; false if the other side has gone.
    fn wait(&self, wait: Wait, turn: u32) -> Result<bool> {
        loop {
            let now = self.turn.load(Ordering::Acquire);
            if now == turn {
                return Ok(true);
            }
            if now == OVER {
                return Ok(false);
            }
            match wait {
                Wait::Spin => std::hint::spin_loop(),
                Wait::Futex => match futex::wait(&self.turn, futex::Flags::PRIVATE, now, None) {
                    Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                },
            }
        }
    }

    fn pass(&self, wait: Wait, turn: u32) -> Result<()> {
        self.turn.store(turn, Ordering::Release);
        if wait == Wait::Futex {
            futex::wake(&self.turn, futex::Flags::PRIVATE, 1)?;
        }
        Ok(())
    }
}

impl Peer for SharedMemory {
    fn name(&self) -> &'static str {
        match self.0 {
            Wait::Spin => "memory-spin",
            Wait::Futex => "memory-futex",
        }
    }

    fn serve(&self, _: &Path, task: Task) -> Result<()> {
        let exchange = Arc::clone(&EXCHANGE);
        let mut data = vec![0; task.size];
        let mut turn = 1;
        while exchange.wait(self.0, turn)? {
            exchange.read(&mut data);
            exchange.write(&data);
            exchange.pass(self.0, turn + 1)?;
            turn += 2;
        }
        Ok(())
    }

    fn connect(&self, _: &Path, _: Task) -> Result<Box<dyn Client>> {
        Ok(Box::new(Side {
            wait: self.0,
            exchange: Arc::clone(&EXCHANGE),
            turn: 0,
        }))
    }

    fn can(&self, task: Task, ends: Ends) -> bool {
        let fits = task.size % 8 == 0 && task.size / 8 <= WORDS_MAX;
        task.role == Role::Echo && ends == Ends::Threads && fits
    }

    fn is_busy(&self) -> bool {
        self.0 == Wait::Spin
    }
}

struct Side {
    wait: Wait,
    exchange: Arc<Exchange>,
    turn: u32,
}

impl Client for Side {
    fn round_trip(&mut self, data: &[u8], reply: &mut Vec<u8>) -> Result<()> {
        self.exchange.write(data);
        self.exchange.pass(self.wait, self.turn + 1)?;
        self.turn += 2;
        if !self.exchange.wait(self.wait, self.turn)? {
            return Err("the other side is gone".into());
        }
        reply.resize(data.len(), 0);
        self.exchange.read(reply);
        Ok(())
    }

    fn send(&mut self, _: &[u8]) -> Result<()> {
        Err("only round trips".into())
    }

    fn settle(&mut self) -> Result<()> {
        Err("only round trips".into())
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.exchange.pass(self.wait, OVER).ok();
    }
}

/// The turn of nobody.
const OVER: u32 = u32::MAX;
/// The largest message, in words: 1 MiB.
const WORDS_MAX: usize = 1 << 17;
