//! The ports of this process, by their names: for finding one again, and so that a remote can tell that it would wait for
//! its own thread.

use crate::local::PortInner;
use crate::local::core::PortCore;
use crate::names::{ClaimId, Directory, PortName, find as find_claim};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

/// Writes a port down that has a name now.
pub(super) fn add(id: ClaimId, port: &Arc<PortInner>) {
    let mut ports = ports();
    ports.retain(|_, port| port.strong_count() > 0);
    ports.insert(id, Arc::downgrade(port));
}

/// The inside of the port of this process that has this name.
pub(crate) fn find(directory: &Directory, name: &PortName) -> Option<Weak<PortCore>> {
    Some(Arc::downgrade(find_port(directory, name)?.core()))
}

/// The port of this process that has this name.
pub(super) fn find_port(directory: &Directory, name: &PortName) -> Option<Arc<PortInner>> {
    let id = find_claim(directory, name)?;
    // Not in one expression: the last share of a port ends it, which is not done under a lock.
    let port = ports().get(&id)?.upgrade();
    port.filter(|port| port.core().is_valid())
}

fn ports() -> MutexGuard<'static, HashMap<ClaimId, Weak<PortInner>>> {
    static PORTS: LazyLock<Mutex<HashMap<ClaimId, Weak<PortInner>>>> =
        LazyLock::new(Mutex::default);
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}
