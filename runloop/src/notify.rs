//! Calling observers, and their places in the modes of a loop.

use std::panic::resume_unwind;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::activity::Activity;
use crate::core::{ModeEntry, Observing, RunLoop, Seat, Tables};
use crate::member::How;
use crate::mode::Mode;
use crate::trace::Call;

impl RunLoop {
    /// Calls the observers of a mode that watch this moment, lowest order first.
    ///
    /// Those to call are found first; one that an earlier one has invalidated or removed is skipped, and one that was
    /// added meanwhile waits for the next moment.
    #[inline]
    pub(crate) fn notify(&self, mode: Mode, activity: Activity) {
        if self.core.observed.get().intersects(activity) {
            self.call_observers(mode, activity);
        }
    }

    fn call_observers(&self, mode: Mode, activity: Activity) {
        for (number, observer) in self.core.with(|tables| tables.observers_of(mode, activity)) {
            let mut panic = None;
            if observer.is_valid() && self.core.with(|tables| tables.has_seat(mode, number)) {
                self.tell(&mut panic, Call::Observer, || {
                    observer.observe(self, activity);
                });
            }
            if !observer.is_valid() {
                self.unseat(&observer);
            }
            if let Some(panic) = panic {
                resume_unwind(panic);
            }
        }
    }

    /// Changes the places of observers, and keeps in mind what any of them wants to see.
    fn reseat_observers<R>(&self, change: impl FnOnce(&mut Tables) -> R) -> R {
        let (changed, observed) = self.core.with(|tables| (change(tables), tables.observed()));
        self.core.observed.set(observed);
        changed
    }

    /// Puts an observer into a mode, or into the common set; says whether it was not there before.
    pub(crate) fn seat(&self, observer: Rc<dyn Observing>, order: i32, mode: Mode) -> bool {
        self.reseat_observers(|tables| tables.seat(observer, order, mode))
    }

    /// Takes an observer out of a mode, or out of the common set; says whether something changed.
    pub(crate) fn unseat_from(&self, observer: &Rc<dyn Observing>, mode: Mode) -> bool {
        let (changed, gone) = self.reseat_observers(|tables| tables.unseat_from(observer, mode));
        drop(gone);
        changed
    }

    /// Takes an observer out of everything.
    pub(crate) fn unseat(&self, observer: &Rc<dyn Observing>) {
        let gone = self.reseat_observers(|tables| tables.unseat(observer));
        drop(gone);
    }

    pub(crate) fn is_seated(&self, observer: &Rc<dyn Observing>, mode: Mode) -> bool {
        self.core.with(|tables| {
            let seats = match tables.mode(mode) {
                _ if mode == Mode::COMMON => &tables.common_observers,
                Some(entry) => &entry.observers,
                None => return false,
            };
            seats
                .iter()
                .any(|seat| Rc::ptr_eq(&seat.observer, observer))
        })
    }

    /// Puts every observer of the common set into a mode that has just joined the set.
    pub(crate) fn join_common_observers(&self, mode: Mode) {
        self.reseat_observers(|tables| {
            for mut seat in tables.common_observers.clone() {
                seat.number = tables.count();
                tables.mode_or_new(mode).seat(seat);
            }
        });
    }

    /// Takes all observers out of everything.
    pub(crate) fn take_observers(&self) -> Vec<Seat> {
        self.reseat_observers(|tables| {
            let modes: Vec<Mode> = tables.modes().map(|entry| entry.mode).collect();
            let mut seats = std::mem::take(&mut tables.common_observers);
            for mode in modes {
                if let Some(entry) = tables.mode_mut(mode) {
                    entry.observed = Activity::empty();
                    seats.append(&mut entry.observers);
                }
            }
            seats
        })
    }
}

/// The observers to call at a moment, each with its number.
type Found = SmallVec<[(u64, Rc<dyn Observing>); 4]>;

impl Tables {
    /// What any observer of any mode wants to see.
    fn observed(&self) -> Activity {
        self.modes()
            .fold(Activity::empty(), |all, entry| all | entry.observed)
    }

    fn observers_of(&self, mode: Mode, activity: Activity) -> Found {
        let entry = self.mode(mode);
        let entry = entry.filter(|entry| entry.observed.intersects(activity));
        let seats = entry.into_iter().flat_map(|entry| &entry.observers);
        let seats = seats.filter(|seat| seat.observer.activities().intersects(activity));
        seats
            .map(|seat| (seat.number, Rc::clone(&seat.observer)))
            .collect()
    }

    fn has_seat(&self, mode: Mode, number: u64) -> bool {
        let entry = self.mode(mode);
        entry.is_some_and(|entry| entry.observers.iter().any(|seat| seat.number == number))
    }

    fn seat(&mut self, observer: Rc<dyn Observing>, order: i32, mode: Mode) -> bool {
        let how = if mode == Mode::COMMON {
            How::COMMON
        } else {
            How::INDIVIDUAL
        };
        let mut seat = Seat {
            order,
            number: 0,
            how,
            observer,
        };
        let mut changed = false;
        for concrete in self.concrete(mode) {
            seat.number = self.count();
            changed |= self.mode_or_new(concrete).seat(seat.clone());
        }
        if mode == Mode::COMMON {
            let mut common = self.common_observers.iter();
            if !common.any(|other| Rc::ptr_eq(&other.observer, &seat.observer)) {
                self.common_observers.push(seat);
                changed = true;
            }
        }
        changed
    }

    fn unseat_from(&mut self, observer: &Rc<dyn Observing>, mode: Mode) -> (bool, Vec<Seat>) {
        let mut gone = Vec::new();
        if mode != Mode::COMMON {
            if let Some(entry) = self.mode_mut(mode) {
                entry.unseat(observer, How::all(), &mut gone);
            }
            return (!gone.is_empty(), gone);
        }
        let common = self.common_observers.iter();
        let place = common
            .enumerate()
            .find(|(_, seat)| Rc::ptr_eq(&seat.observer, observer));
        let Some(place) = place.map(|(place, _)| place) else {
            return (false, gone);
        };
        let seat = self.common_observers.remove(place);
        gone.push(seat);
        for mode in self.concrete(Mode::COMMON) {
            if let Some(entry) = self.mode_mut(mode) {
                entry.unseat(observer, How::COMMON, &mut gone);
            }
        }
        (true, gone)
    }

    fn unseat(&mut self, observer: &Rc<dyn Observing>) -> Vec<Seat> {
        let (_, mut gone) = self.unseat_from(observer, Mode::COMMON);
        let modes: Vec<Mode> = self.modes().map(|entry| entry.mode).collect();
        for mode in modes {
            if let Some(entry) = self.mode_mut(mode) {
                entry.unseat(observer, How::all(), &mut gone);
            }
        }
        gone
    }
}

impl ModeEntry {
    /// Gives an observer its place; says whether anything is new.
    fn seat(&mut self, seat: Seat) -> bool {
        let known = self
            .observers
            .iter_mut()
            .find(|other| Rc::ptr_eq(&other.observer, &seat.observer));
        if let Some(known) = known {
            let new = !known.how.contains(seat.how);
            known.how |= seat.how;
            return new;
        }
        let rank = (seat.order, seat.number);
        let place = self
            .observers
            .partition_point(|other| (other.order, other.number) < rank);
        self.observed |= seat.observer.activities();
        self.observers.insert(place, seat);
        true
    }

    fn unseat(&mut self, observer: &Rc<dyn Observing>, how: How, gone: &mut Vec<Seat>) {
        let place = self
            .observers
            .iter()
            .position(|seat| Rc::ptr_eq(&seat.observer, observer));
        let Some(place) = place else { return };
        self.observers[place].how.remove(how);
        if self.observers[place].how.is_empty() {
            gone.push(self.observers.remove(place));
            let seats = self.observers.iter();
            self.observed = seats.fold(Activity::empty(), |all, s| all | s.observer.activities());
        }
    }
}
