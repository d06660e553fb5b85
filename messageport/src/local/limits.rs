//! What a port takes: from whom, how much, and how many at once.

use crate::pidfd::Credentials;
use std::fmt;
use std::sync::Arc;

/// What a port takes.
#[derive(Clone)]
pub(crate) struct Limits {
    /// The largest message, in bytes.
    pub(crate) largest: u64,
    /// Clients, of all users together.
    pub(crate) clients: usize,
    /// Clients of one user.
    pub(crate) clients_per_user: usize,
    /// Requests of one client that have no reply yet.
    pub(crate) requests_per_client: usize,
    /// Whether it may look again for a while instead of sleeping.
    pub(crate) spinning: bool,
    /// Who is let in; without one, this user alone.
    pub(crate) policy: Option<Policy>,
}

/// What decides who is let in.
pub(crate) type Policy = Arc<dyn Fn(&Credentials) -> bool + Send + Sync>;

impl Default for Limits {
    fn default() -> Self {
        Self {
            largest: LARGEST,
            clients: CLIENTS,
            clients_per_user: CLIENTS,
            requests_per_client: REQUESTS,
            spinning: true,
            policy: None,
        }
    }
}

impl Limits {
    /// Whether a client is let in, by whom it is. `shared` says whether other users are meant to come at all.
    pub(crate) fn admit(&self, client: &Credentials, shared: bool) -> bool {
        let ours = client.uid == rustix::process::geteuid().as_raw();
        match &self.policy {
            Some(policy) => (ours || shared) && policy(client),
            None => ours,
        }
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("largest", &self.largest)
            .field("clients", &self.clients)
            .field("clients_per_user", &self.clients_per_user)
            .field("requests_per_client", &self.requests_per_client)
            .field("spinning", &self.spinning)
            .finish_non_exhaustive()
    }
}

/// The largest message a port takes, and the largest reply a remote takes.
pub(crate) const LARGEST: u64 = 1 << 30;
/// How many clients a port takes unless told otherwise.
const CLIENTS: usize = 4_096;
/// How many requests of one client may be without a reply unless told otherwise.
const REQUESTS: usize = 256;
