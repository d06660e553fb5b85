//! The protocol of sleeping and waking under a model checker, which tries every order of every access.
//!
//! A lost wake-up shows as a deadlock. That the checker would find one is shown by taking out either fence.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p messageport --lib loom`

use std::sync::atomic::Ordering;

use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::sync::{Arc, Notify};
use loom::thread;

use super::{Alarm, Word};

/// Everything between two ends, as the model checker sees it.
struct Shared {
    written: AtomicU64,
    data_sleep: AtomicU32,
    read: AtomicU64,
    space_sleep: AtomicU32,
    closing: AtomicU32,
    /// What was written, one word for each unit.
    slots: [AtomicU32; 2],
    consumers_bell: Notify,
    producers_bell: Notify,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            written: AtomicU64::new(0),
            data_sleep: AtomicU32::new(0),
            read: AtomicU64::new(0),
            space_sleep: AtomicU32::new(0),
            closing: AtomicU32::new(0),
            slots: [AtomicU32::new(0), AtomicU32::new(0)],
            consumers_bell: Notify::new(),
            producers_bell: Notify::new(),
        })
    }

    fn data(&self) -> Alarm<'_, AtomicU64, AtomicU32> {
        Alarm {
            position: &self.written,
            flag: &self.data_sleep,
        }
    }

    fn space(&self) -> Alarm<'_, AtomicU64, AtomicU32> {
        Alarm {
            position: &self.read,
            flag: &self.space_sleep,
        }
    }

    /// Writes a unit and wakes the consumer if it sleeps.
    fn write(&self, unit: u64) {
        self.slots[slot(unit)].store(value(unit), Ordering::Relaxed);
        self.data().publish(unit + 1);
        if self.data().must_ring(|_| true) {
            self.consumers_bell.notify();
        }
    }

    /// Sleeps until a unit is written, and takes it.
    fn take(&self, unit: u64) {
        while self.written.load(Ordering::Acquire) <= unit {
            if self.data().announce(1) > unit {
                self.data().withdraw();
                break;
            }
            self.consumers_bell.wait();
        }
        let found = self.slots[slot(unit)].load(Ordering::Relaxed);
        assert_eq!(
            found,
            value(unit),
            "what was written before is seen with the position"
        );
    }

    /// Gives back the space of all units before this one and wakes the producer if that is enough for it.
    fn give_back(&self, read: u64) {
        self.space().publish(read);
        if self.space().must_ring(|wish| u64::from(wish) <= read) {
            self.producers_bell.notify();
        }
    }

    /// Sleeps until the space of all units before this one was given back.
    fn wait_for_space(&self, read: u64) {
        while self.read.load(Ordering::Acquire) < read {
            let wish = u32::try_from(read).unwrap();
            if self.space().announce(wish) >= read {
                self.space().withdraw();
                break;
            }
            self.producers_bell.wait();
        }
    }
}

#[test]
fn loom_no_wake_up_is_lost_while_two_records_are_written() {
    loom::model(|| {
        let shared = Shared::new();
        let producer = Arc::clone(&shared);
        let thread = thread::spawn(move || (0..2).for_each(|unit| producer.write(unit)));
        (0..2).for_each(|unit| shared.take(unit));
        thread.join().unwrap();
    });
}

#[test]
fn loom_a_writer_is_woken_when_as_much_is_free_as_it_asked_for() {
    loom::model(|| {
        let shared = Shared::new();
        let consumer = Arc::clone(&shared);
        let thread = thread::spawn(move || (1..=2).for_each(|read| consumer.give_back(read)));
        shared.wait_for_space(2);
        thread.join().unwrap();
    });
}

#[test]
fn loom_both_sides_of_a_full_ring_wake_each_other() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Shared::new();
        let producer = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for unit in 0..2 {
                // A ring of one unit: the one before must have been taken.
                producer.wait_for_space(unit);
                producer.write(unit);
            }
        });
        for unit in 0..2 {
            shared.take(unit);
            shared.give_back(unit + 1);
        }
        thread.join().unwrap();
    });
}

#[test]
fn loom_closing_wakes_a_sleeper_beside_a_writer() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shared = Shared::new();
        let (producer, closer) = (Arc::clone(&shared), Arc::clone(&shared));
        let writing = thread::spawn(move || producer.write(0));
        let closing = thread::spawn(move || {
            closer.closing.store(1, Ordering::Release);
            if closer.data().must_ring(|_| true) {
                closer.consumers_bell.notify();
            }
        });
        let is_over = |written| written == 1 && shared.closing.load(Ordering::Acquire) == 1;
        while !is_over(shared.data().announce(1)) {
            shared.consumers_bell.wait();
        }
        writing.join().unwrap();
        closing.join().unwrap();
    });
}

/// A flag whose fence is missing.
struct Fenceless<'a>(&'a AtomicU32);

#[test]
#[should_panic(expected = "deadlock")]
fn loom_finds_the_loss_when_the_ringer_has_no_fence() {
    loom::model(|| {
        let shared = Shared::new();
        let producer = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let flag = Fenceless(&producer.data_sleep);
            let alarm = Alarm {
                position: &producer.written,
                flag: &flag,
            };
            producer.slots[0].store(value(0), Ordering::Relaxed);
            alarm.publish(1);
            if alarm.must_ring(|_| true) {
                producer.consumers_bell.notify();
            }
        });
        shared.take(0);
        thread.join().unwrap();
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_finds_the_loss_when_the_sleeper_has_no_fence() {
    loom::model(|| {
        let shared = Shared::new();
        let producer = Arc::clone(&shared);
        let thread = thread::spawn(move || producer.write(0));
        let flag = Fenceless(&shared.data_sleep);
        let alarm = Alarm {
            position: &shared.written,
            flag: &flag,
        };
        while alarm.announce(1) == 0 {
            shared.consumers_bell.wait();
        }
        thread.join().unwrap();
    });
}

impl Word<u32> for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        Self::load(self, order)
    }

    fn store(&self, value: u32, order: Ordering) {
        Self::store(self, value, order);
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        Self::swap(self, value, order)
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

impl Word<u64> for AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        Self::load(self, order)
    }

    fn store(&self, value: u64, order: Ordering) {
        Self::store(self, value, order);
    }

    fn swap(&self, value: u64, order: Ordering) -> u64 {
        Self::swap(self, value, order)
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

impl Word<u32> for Fenceless<'_> {
    fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }

    fn store(&self, value: u32, order: Ordering) {
        self.0.store(value, order);
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.0.swap(value, order)
    }

    fn fence(&self) {}
}

fn slot(unit: u64) -> usize {
    usize::try_from(unit % 2).unwrap()
}

fn value(unit: u64) -> u32 {
    u32::try_from(unit).unwrap() + 1
}
