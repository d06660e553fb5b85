//! What the system tells a port: who is at the door, who rang, who is gone.

use crate::bell::{BellKind, Rest};
use crate::local::connection::Connection;
use crate::local::core::{DOOR, PortCore, TAKES_MAX};
use crate::local::doorkeeper::Welcome;
use std::sync::Arc;

impl PortCore {
    /// Takes what the hub has to tell: who is at the door, who rang, who is gone.
    pub(super) fn take_events(&self) {
        for _ in 0..TAKES_MAX {
            self.counters.wakes.count();
            let taken = self.hub.take();
            for (key, gone) in taken.iter() {
                if key == DOOR {
                    self.open_door();
                } else if let Some(connection) = self.connection(key) {
                    self.take_event(&connection, gone);
                }
            }
            if !taken.is_full() {
                return;
            }
        }
    }

    fn take_event(&self, connection: &Arc<Connection>, gone: bool) {
        if connection.link().is_none() && self.welcome(connection) != Welcome::Over {
            return;
        }
        let Some(link) = connection.link() else {
            return;
        };
        if link.bell().kind() == BellKind::Socket
            && matches!(link.drain(), Ok(Rest::Closed) | Err(_))
        {
            link.set_dead();
        }
        if gone {
            link.set_dead();
        }
        let dead = link.is_dead();
        self.was_rung(Arc::clone(connection));
        if dead {
            // Those at work for it may want to know.
            connection.abandon_requests();
        }
    }
}
