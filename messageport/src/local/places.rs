//! Where a port is served: by which loops, in which modes, and whether by several threads at once.

use crate::local::core::{Delivery, PortCore, Served, State};
use runloop::{Mode, RunLoop};
use std::sync::atomic::Ordering;

impl PortCore {
    /// Whether only this thread can serve the port, and not in this mode. A port whose handler goes anywhere, and which
    /// nobody serves yet, may be served by anybody.
    pub(crate) fn is_served_only_here(&self, mode: Mode) -> bool {
        let Some(equipment) = self.equipment.get().filter(|_| self.is_valid()) else {
            return false;
        };
        let here = RunLoop::current().handle();
        let state = self.lock();
        if matches!(state.delivery, Delivery::Queue(_)) {
            return false;
        }
        let bound = match equipment.home {
            Some(home) => home == std::thread::current().id(),
            None => {
                !state.served.is_empty()
                    && state.served.iter().all(|served| served.run_loop == here)
            }
        };
        bound && state.served.iter().all(|served| served.mode != mode)
    }

    /// A loop serves the port in a mode from now on.
    pub(crate) fn is_scheduled(&self, run_loop: &RunLoop, mode: Mode) {
        let run_loop = run_loop.handle();
        let mut state = self.lock();
        state.served.push(Served { run_loop, mode });
        self.note_spread(&state);
        drop(state);
        if self.is_spread() {
            // Nobody may count on one of them to look before it sleeps: it may be in a long callback.
            self.announce();
        }
    }

    /// A loop serves the port in a mode no more.
    pub(crate) fn is_cancelled(&self, run_loop: &RunLoop, mode: Mode) {
        if !self.is_valid() {
            // Where it was served is where its last replies are sent from.
            return;
        }
        let run_loop = run_loop.handle();
        let mut state = self.lock();
        let same = |served: &Served| served.mode == mode && served.run_loop == run_loop;
        let place = state.served.iter().position(same);
        let gone = place.map(|place| state.served.swap_remove(place));
        self.note_spread(&state);
        drop(state);
        drop(gone);
    }

    /// Whether the loops of several threads serve it.
    pub(crate) fn is_spread(&self) -> bool {
        self.spread.load(Ordering::SeqCst)
    }

    fn note_spread(&self, state: &State) {
        let mut loops = state.served.iter().map(|served| &served.run_loop);
        let first = loops.next();
        let spread = loops.any(|other| Some(other) != first);
        self.spread.store(spread, Ordering::SeqCst);
    }
}
