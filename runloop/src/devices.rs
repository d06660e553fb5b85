//! The descriptors of the loop itself: what wakes it, what wakes it in time, and what tells somebody else's poll of it.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::{self, Tick};
use crate::sys::poller::{Held, Poller};
use crate::sys::{Alarm, Doorbell};

/// The descriptors of the loop itself, which are in every poll set.
pub(crate) struct Devices {
    /// The poll set of all modes that watch no descriptor.
    pub(crate) bare: Rc<Poller>,
    pub(crate) bell: Held<Arc<Doorbell>>,
    pub(crate) alarm: Held<Arc<Alarm>>,
}

impl Devices {
    pub(crate) fn new() -> io::Result<Self> {
        let devices = Self {
            bare: Rc::new(Poller::new()?),
            bell: hold_bell()?,
            alarm: hold_alarm()?,
        };
        devices.join(&devices.bare)?;
        Ok(devices)
    }

    pub(crate) fn join(&self, poller: &Poller) -> io::Result<()> {
        poller.add_edge(&self.bell, BELL_KEY)?;
        poller.add_edge(&self.alarm, ALARM_KEY)
    }
}

/// The descriptors that make the poll set of one embedded mode readable for what no descriptor of a source tells.
///
/// They are this mode's alone: the loop's own are in every poll set, and a mode that somebody polls must not be readable
/// again and again for the work of one that nobody polls just now.
pub(crate) struct Beacon {
    bell: Held<Arc<Doorbell>>,
    alarm: Held<Arc<Alarm>>,
    /// A ring has not been seen yet.
    rung: Cell<bool>,
    /// The moment the alarm was last set for, or `NEVER`.
    armed: Cell<Tick>,
    /// The earliest moment for which the poll has to be told of something new.
    wanted: Cell<Tick>,
    /// How many embeddings of the mode there are.
    pub(crate) holders: Cell<usize>,
}

impl Beacon {
    /// A beacon in this poll set.
    pub(crate) fn new(poller: &Poller) -> io::Result<Self> {
        let beacon = Self {
            bell: hold_bell()?,
            alarm: hold_alarm()?,
            rung: Cell::new(false),
            armed: Cell::new(Tick::NEVER),
            wanted: Cell::new(Tick::NEVER),
            holders: Cell::new(0),
        };
        poller.add_edge(&beacon.bell, BEACON_BELL_KEY)?;
        poller
            .add_edge(&beacon.alarm, BEACON_ALARM_KEY)
            .inspect_err(|_| drop(poller.delete(&beacon.bell)))?;
        Ok(beacon)
    }

    /// Takes it out of its poll set.
    pub(crate) fn leave(&self, poller: &Poller) -> io::Result<()> {
        poller.delete(&self.bell)?;
        poller.delete(&self.alarm)
    }

    /// Notes that there will be something to do at a moment; `Tick(0)` is at once.
    pub(crate) fn want(&self, at: Tick) {
        self.wanted.set(self.wanted.get().min(at));
    }

    /// Notes the same in place of what was noted before.
    pub(crate) fn want_only(&self, at: Tick) {
        self.wanted.set(at);
    }

    /// Passes on what was noted: the poll set is readable at that moment, and stays so until a run has looked.
    pub(crate) fn light(&self) {
        let at = self.wanted.replace(Tick::NEVER);
        if at >= self.armed.get() || self.rung.get() {
            return;
        }
        // A clock that a test moves is no clock of the system's.
        if clock::standing().is_some_and(|now| at > now) {
            return;
        }
        if at > Tick(0) && clock::standing().is_none() && self.alarm.keeper().set(at.0).is_ok() {
            self.armed.set(at);
            return;
        }
        self.rung.set(true);
        self.bell.keeper().ring();
    }

    /// A run has seen what made the poll set readable.
    pub(crate) fn seen(&self, heard: Heard) {
        if heard.contains(Heard::BEACON_BELL) {
            self.rung.set(false);
        }
        if heard.contains(Heard::BEACON_ALARM) {
            self.armed.set(Tick::NEVER);
        }
    }
}

bitflags::bitflags! {
    /// Which descriptors of the loop itself a wait has found ready.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Heard: u8 {
        const BELL = 1;
        const ALARM = 2;
        const BEACON_BELL = 4;
        const BEACON_ALARM = 8;
    }
}

impl Heard {
    /// What an event with this key is, unless it is one of a watch.
    pub(crate) fn from_key(key: u64) -> Option<Self> {
        match key {
            BELL_KEY => Some(Self::BELL),
            ALARM_KEY => Some(Self::ALARM),
            BEACON_BELL_KEY => Some(Self::BEACON_BELL),
            BEACON_ALARM_KEY => Some(Self::BEACON_ALARM),
            _ => None,
        }
    }
}

fn hold_bell() -> io::Result<Held<Arc<Doorbell>>> {
    let bell = Arc::new(Doorbell::new()?);
    Ok(Held::new(bell.as_fd(), Arc::clone(&bell)))
}

fn hold_alarm() -> io::Result<Held<Arc<Alarm>>> {
    let alarm = Arc::new(Alarm::new()?);
    Ok(Held::new(alarm.as_fd(), Arc::clone(&alarm)))
}

/// The doorbell's key in every poll set; the upper half is no index of a watch.
const BELL_KEY: u64 = 0xffff_ffff_0000_0000;
/// The timer descriptor's.
const ALARM_KEY: u64 = 0xffff_ffff_0000_0001;
/// Those of the mode's own, if it is embedded.
const BEACON_BELL_KEY: u64 = 0xffff_ffff_0000_0002;
const BEACON_ALARM_KEY: u64 = 0xffff_ffff_0000_0003;

#[cfg(test)]
mod tests {
    use super::{Beacon, Heard};
    use crate::clock::Tick;
    use crate::sys::poller::{Events, Patience, Poller};

    /// What a look at the poll set finds.
    fn look(poller: &Poller, beacon: &Beacon) -> Heard {
        let mut events = Events::with_capacity(8);
        poller.wait(&mut events, Patience::Look).unwrap();
        let keys = events.iter().filter_map(|(key, _)| Heard::from_key(key));
        let heard = keys.fold(Heard::empty(), |all, one| all | one);
        beacon.seen(heard);
        heard
    }

    #[test]
    fn a_beacon_is_lit_until_somebody_has_looked_and_no_longer() {
        let poller = Poller::new().unwrap();
        let beacon = Beacon::new(&poller).unwrap();
        for round in 0..3 {
            beacon.want(Tick(0));
            beacon.light();
            assert!(poller.is_readable().unwrap(), "round {round}: lit");
            assert_eq!(look(&poller, &beacon), Heard::BEACON_BELL, "once");
            assert!(!poller.is_readable().unwrap(), "round {round}: seen");
        }
    }

    #[test]
    fn the_earliest_wish_counts_and_a_later_one_changes_nothing() {
        let poller = Poller::new().unwrap();
        let beacon = Beacon::new(&poller).unwrap();
        let far = Tick(Tick::NEVER.0 / 4);
        beacon.want(far);
        beacon.light();
        assert!(!poller.is_readable().unwrap(), "not yet");
        beacon.want(Tick(1));
        beacon.want(far);
        beacon.light();
        while !poller.is_readable().unwrap() {
            std::hint::spin_loop();
        }
        assert_eq!(look(&poller, &beacon), Heard::BEACON_ALARM, "in time");
        assert!(!poller.is_readable().unwrap(), "seen");
    }
}
