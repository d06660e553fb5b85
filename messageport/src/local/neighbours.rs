//! The ports of this process, so that a remote can tell that it would wait for its own thread.

use crate::local::core::PortCore;
use crate::names::{ClaimId, Directory, PortName, find as find_claim};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

/// Writes a port down.
pub(crate) fn add(port: &Arc<PortCore>) {
    let Some(id) = port.lock().claim.as_ref().map(crate::names::Claim::id) else {
        return;
    };
    let mut ports = ports();
    ports.retain(|_, port| port.strong_count() > 0);
    ports.insert(id, Arc::downgrade(port));
}

/// The port of this process that has this name.
pub(crate) fn find(directory: &Directory, name: &PortName) -> Option<Weak<PortCore>> {
    let id = find_claim(directory, name)?;
    ports().get(&id).cloned()
}

fn ports() -> MutexGuard<'static, HashMap<ClaimId, Weak<PortCore>>> {
    static PORTS: LazyLock<Mutex<HashMap<ClaimId, Weak<PortCore>>>> = LazyLock::new(Mutex::default);
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}
