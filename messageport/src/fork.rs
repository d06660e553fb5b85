//! Whether this process is a forked child that only inherited what it holds.
//!
//! For whatever must do nothing but close its descriptors in such a child: names, sockets and
//! mappings belong to the parent there.

use runloop::ForkGuard;
use std::sync::OnceLock;

/// Whether this process was forked, without executing anything, from one that has used ports.
pub(crate) fn forked() -> bool {
    static FIRST: OnceLock<ForkGuard> = OnceLock::new();
    FIRST.get_or_init(ForkGuard::new).is_forked()
}
