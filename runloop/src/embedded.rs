//! Modes inside somebody else's poll: how a loop lies down when no run is active, so that whatever there is to do makes
//! the poll set of the mode readable, and how it gets up again.
//!
//! A poll set is a descriptor, readable as long as a wait on it would find something. For the descriptors of sources
//! that is all there is to it. What no descriptor tells (signals, closures, deadlines, orders) is told by the mode's
//! beacon. Its edges are seen, and so taken back, by the next run of the mode.

use std::rc::Rc;

use crate::arena::Key;
use crate::clock::Tick;
use crate::core::{RunLoop, Tables};
use crate::devices::Beacon;
use crate::mode::Mode;
use crate::plan::Repose;
use crate::sys::poller::Poller;

impl RunLoop {
    /// Embeds a mode once more.
    pub(crate) fn embed(&self, mode: Mode) -> std::io::Result<Rc<Poller>> {
        let up = self.get_up();
        let poller = self.core.with(|tables| {
            tables.ensure_devices(&self.core.shared)?;
            tables.embed(mode)
        });
        if poller.is_ok() {
            self.core.repose.set(Repose::Awake);
        }
        up.lie_down();
        poller
    }

    /// Takes an embedding of a mode back.
    pub(crate) fn unembed(&self, mode: Mode) {
        if self.core.with(|tables| tables.unembed(mode)) {
            return;
        }
        if self.core.repose.replace(Repose::Alone) == Repose::Dozing {
            self.core.shared.sleep.end();
        }
    }

    /// A run begins: from here on the loop looks by itself.
    pub(crate) fn get_up(&self) -> GottenUp<'_> {
        if self.core.repose.get() == Repose::Dozing {
            self.core.repose.set(Repose::Awake);
            self.core.shared.sleep.end();
            self.tell_woken();
        }
        GottenUp { run_loop: self }
    }

    /// The last run has ended: the same steps as before a sleep, only that somebody else waits.
    fn lie_down(&self) {
        if self.core.repose.get() != Repose::Awake || self.core.shared.is_forked() {
            return;
        }
        let modes = self.core.with(|tables| {
            let idle = tables.activations.is_empty();
            if idle {
                tables.embedded.clone()
            } else {
                Default::default()
            }
        });
        for &mode in &modes {
            self.announce(mode);
        }
        // What is announced or taken in may have run the loop itself, which has lain down since.
        if modes.is_empty() || self.core.repose.get() != Repose::Awake {
            return;
        }
        self.core.shared.sleep.announce();
        self.collect();
        let ordered = self.core.shared.has_orders() || self.core.stop_kept.get();
        self.core.repose.set(Repose::Dozing);
        self.core.with(|tables| tables.look_around(ordered));
    }

    /// The clock of this thread was moved, stopped or let go: what is due by that is told to the polls around.
    #[cfg(feature = "manual-clock")]
    pub(crate) fn time_has_moved(&self) {
        if self.core.repose.get() == Repose::Dozing && !self.core.shared.is_forked() {
            self.core.with(|tables| tables.look_around(false));
        }
    }

    /// Lies down on the way of a panic, where nothing of a user may be called: every embedded mode is to be looked at.
    fn fall(&self) {
        if self.core.repose.get() == Repose::Awake && !self.core.shared.is_forked() {
            self.core.shared.sleep.announce();
            self.core.repose.set(Repose::Dozing);
            self.core.with(Tables::stir_all);
        }
    }
}

/// A loop in which a run is active.
pub(crate) struct GottenUp<'a> {
    run_loop: &'a RunLoop,
}

impl GottenUp<'_> {
    /// The run has returned.
    pub(crate) fn lie_down(self) {
        self.run_loop.lie_down();
    }
}

impl Drop for GottenUp<'_> {
    fn drop(&mut self) {
        let idle = || self.run_loop.core.with(|t| t.activations.is_empty());
        if self.run_loop.core.repose.get() == Repose::Awake && idle() {
            self.run_loop.fall();
        }
    }
}

impl Tables {
    fn embed(&mut self, mode: Mode) -> std::io::Result<Rc<Poller>> {
        let poller = self.own_poller(mode)?;
        let entry = self.mode_or_new(mode);
        if entry.beacon.is_none() {
            entry.beacon = Some(Box::new(Beacon::new(&poller)?));
            self.embedded.push(mode);
        }
        if let Some(beacon) = self.beacon(mode) {
            beacon.holders.set(beacon.holders.get() + 1);
        }
        Ok(poller)
    }

    /// Says whether any mode is still embedded.
    fn unembed(&mut self, mode: Mode) -> bool {
        let left = self
            .beacon(mode)
            .map_or(0, |beacon| beacon.holders.get() - 1);
        if left > 0 {
            if let Some(beacon) = self.beacon(mode) {
                beacon.holders.set(left);
            }
            return true;
        }
        self.embedded.retain(|&mut other| other != mode);
        let poller = self.poller(mode).map(Rc::clone);
        let beacon = self.mode_mut(mode).and_then(|entry| entry.beacon.take());
        if let (Some(beacon), Some(poller)) = (beacon, poller) {
            let left = beacon.leave(&poller);
            debug_assert!(left.is_ok(), "what was registered can be deleted: {left:?}");
        }
        !self.embedded.is_empty()
    }

    fn beacon(&self, mode: Mode) -> Option<&Beacon> {
        self.mode(mode)?.beacon.as_deref()
    }

    /// Whether a mode is embedded.
    pub(crate) fn is_embedded(&self, mode: Mode) -> bool {
        self.embedded.contains(&mode)
    }

    /// Something will be to do for a source at a moment: its embedded modes are to be readable then.
    pub(crate) fn stir(&mut self, source: Key, at: Tick) {
        if self.embedded.is_empty() || at == Tick::NEVER {
            return;
        }
        let Some(entry) = self.sources.get(source) else {
            return;
        };
        // Nothing is done for a source before the end of its rest.
        let at = if entry.is_resting() {
            at.max(entry.alarm().at)
        } else {
            at
        };
        for member in &entry.members {
            if let Some(beacon) = self.beacon(member.mode) {
                beacon.want(at);
                self.stirred = true;
            }
        }
    }

    /// Something is to do in a mode, or in the common ones.
    pub(crate) fn stir_mode(&mut self, mode: Mode) {
        for &embedded in &self.embedded {
            let concerned = embedded == mode
                || (mode == Mode::COMMON && self.mode(embedded).is_some_and(|entry| entry.common));
            if let Some(beacon) = self.beacon(embedded).filter(|_| concerned) {
                beacon.want(Tick(0));
                self.stirred = true;
            }
        }
    }

    /// Every embedded mode is to be looked at.
    pub(crate) fn stir_all(&mut self) {
        self.stirred = true;
        for beacon in self.embedded.iter().filter_map(|&mode| self.beacon(mode)) {
            beacon.want(Tick(0));
        }
    }

    /// Finds out for every embedded mode when there will be something to do; at once, if there is an order to any run.
    fn look_around(&mut self, ordered: bool) {
        for mode in self.embedded.clone() {
            let at = if ordered || self.has_work(mode) || self.is_hot(mode) {
                Tick(0)
            } else {
                self.limit_of(mode).unwrap_or(Tick::NEVER)
            };
            if let Some(beacon) = self.beacon(mode) {
                // What was noted during the run has been served by it, or is found here.
                beacon.want_only(at);
                self.stirred = true;
            }
        }
    }

    /// Passes on to the polls around what was asked of the beacons.
    pub(crate) fn light_beacons(&mut self) {
        if std::mem::take(&mut self.stirred) {
            for beacon in self.embedded.iter().filter_map(|&mode| self.beacon(mode)) {
                beacon.light();
            }
        }
    }
}
