//! Looking up the name of a host, on a thread that lives for one look-up.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use runloop::SourceHandle;
use socket2::SockAddr;

use crate::sys;

/// A look-up that is under way, or its answer.
#[derive(Debug, Default)]
pub(crate) struct LookUp {
    answer: Arc<Mutex<Option<io::Result<Vec<SockAddr>>>>>,
}

impl LookUp {
    /// Begins to look up a host, and signals the source when there is an answer.
    ///
    /// The system's resolver can neither be asked without waiting nor be interrupted, so it gets a thread; when nobody
    /// wants the answer any more, the thread still lives until the resolver has given up.
    pub(crate) fn begin(host: String, port: u16, source: SourceHandle) -> io::Result<Self> {
        let look_up = Self::default();
        let answer = Arc::clone(&look_up.answer);
        let ask = move || {
            let found = sys::resolve(&host, port);
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            source.signal();
        };
        thread::Builder::new()
            .name("look-up".to_owned())
            .spawn(ask)?;
        Ok(look_up)
    }

    /// Takes the answer, if it is there.
    pub(crate) fn take(&self) -> Option<io::Result<Vec<SockAddr>>> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.take()
    }
}
