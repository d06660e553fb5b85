//! A loop that sleeps, and one wake-up at a time, at every moment of its falling asleep.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use runloop::{
    Cx, Handle, Limit, Mode, Outcome, Ready, ReturnAfter, RunLoop, Sender, Signalled, Source,
    SourceHandle, SourceRef, channel,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tests::Watchdog;

/// A source that stops its loop at its deadline, or when it is signalled; and then goes, if it is for once.
struct Stopper {
    once: bool,
}

impl Source for Stopper {
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        cx.run_loop().stop();
        if let Some(handle) = cx.handle().filter(|_| self.once) {
            handle.invalidate();
        }
    }
}

/// Everything with which another thread can wake a loop.
struct Wakers {
    handle: Handle,
    signalled: Signalled,
    source: SourceHandle,
    channel: Sender<u64>,
}

impl Wakers {
    /// Wakes the loop in one of the ways.
    fn wake(&self, way: u64, round: u64) {
        match way % WAYS {
            0 => self.signalled.signal(),
            1 => self.source.signal(),
            2 => self.source.set_deadline(Some(Instant::now())),
            3 => {
                let sent = self.handle.perform(Mode::DEFAULT, RunLoop::stop);
                assert!(sent.is_ok(), "there is room for one");
            }
            4 => self.channel.send(round).expect("there is room for one"),
            5 => self.handle.stop().expect("the loop is there"),
            _ => {
                let added = self.handle.add(&stopping(), Mode::DEFAULT);
                assert!(added.is_ok(), "there is room for one");
            }
        }
    }
}

/// A source that stops its loop in its first pass.
fn stopping() -> SourceRef<Stopper> {
    let source = SourceRef::new(Stopper { once: true });
    source.handle().signal();
    source
}

#[test]
fn no_single_wake_up_is_lost_whenever_it_comes() {
    let rounds = std::env::var("STRESS_WAKES").ok();
    let rounds = rounds
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(5_000_u64);
    let _watchdog = Watchdog::with_limit(Duration::from_secs(120 + rounds / 500));
    let run_loop = RunLoop::current();
    let received = Rc::new(RefCell::new(Vec::new()));
    let inside = Rc::clone(&received);
    let (sender, receiver) = channel(move |run_loop, value: u64| {
        inside.borrow_mut().push(value);
        run_loop.stop();
    });
    let signalled = Signalled::new(RunLoop::stop);
    let source = SourceRef::new(Stopper { once: false });
    run_loop.add(&receiver, Mode::DEFAULT).unwrap();
    run_loop.add(&signalled, Mode::DEFAULT).unwrap();
    run_loop.add(&source, Mode::DEFAULT).unwrap();
    let wakers = Wakers {
        handle: run_loop.handle(),
        signalled,
        source: source.handle().clone(),
        channel: sender,
    };
    // The number of the round whose wake-up may come.
    let round = Arc::new(AtomicU64::new(0));
    let waker = std::thread::spawn({
        let round = Arc::clone(&round);
        move || wake_each(&wakers, &round, rounds)
    });
    let anywhere = take_processor(0);
    let mut sent = Vec::new();
    for number in 1..=rounds {
        if number == rounds.min(RACED) / 2 {
            sched_setaffinity(None, &anywhere).ok();
        }
        round.store(number, Ordering::Release);
        if moment_of(number) == Moment::AnyTime {
            // The other thread needs a while to see it, and may do so at any time of falling asleep.
            spin((way_of(number) >> 20) % LATER);
        }
        let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit);
        assert_eq!(outcome.unwrap(), Outcome::Stopped, "round {number}");
        if way_of(number) % WAYS == 4 {
            sent.push(number);
        }
        if number % 100_000 == 0 {
            println!("{number} wake-ups, none lost");
        }
    }
    let asleep = waker.join().unwrap();
    println!("{rounds} wake-ups, none lost; {asleep} found the loop asleep");
    assert_eq!(*received.borrow(), sent, "every value once, in its round");
}

/// Wakes the loop once in each round, a while after it has begun to run or to sleep. Says how often it slept already.
fn wake_each(wakers: &Wakers, round: &AtomicU64, rounds: u64) -> u64 {
    let anywhere = take_processor(1);
    let mut asleep = 0;
    for number in 1..=rounds {
        if number == rounds.min(RACED) / 2 {
            sched_setaffinity(None, &anywhere).ok();
        }
        spin_until(|| round.load(Ordering::Acquire) >= number);
        let (way, moment) = (way_of(number), moment_of(number));
        if moment != Moment::AnyTime {
            spin_until(|| wakers.handle.is_waiting() == Ok(true));
        }
        spin((way >> 40) % if moment == Moment::Later { LATER } else { SOON });
        asleep += u64::from(wakers.handle.is_waiting() == Ok(true));
        wakers.wake(way, number);
    }
    asleep
}

/// Stays on one processor, if there are that many: two threads that share one do not race. Says where it could be before.
fn take_processor(number: usize) -> CpuSet {
    let before = sched_getaffinity(None).unwrap_or_default();
    let mut set = CpuSet::new();
    set.set(number);
    sched_setaffinity(None, &set).ok();
    before
}

fn spin(turns: u64) {
    for _ in 0..turns {
        std::hint::spin_loop();
    }
}

/// Looks again at once, and lets others have the processor only after a while: who yields comes too late for a race.
fn spin_until(is_true: impl Fn() -> bool) {
    for turn in 0_u32.. {
        if is_true() {
            return;
        }
        if turn < 20_000 {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

/// What is random about a round: how it is woken, and when.
fn way_of(round: u64) -> u64 {
    let mixed = (round ^ (round >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 7
}

/// When a round's wake-up comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Before the run, while it falls asleep, or after that.
    AnyTime,
    /// Soon after sleep was announced.
    Soon,
    /// Some time after that.
    Later,
}

fn moment_of(round: u64) -> Moment {
    match (way_of(round) >> 32) % 3 {
        0 => Moment::AnyTime,
        1 => Moment::Soon,
        _ => Moment::Later,
    }
}

/// How many rounds, at most and twice, are run on two processors; where others work as well that takes long.
const RACED: u64 = 40_000;
/// In how many ways a loop can be woken.
const WAYS: u64 = 7;
/// For how many turns of a short loop a wake-up is put off at most: for about as long as it takes to fall asleep,
const SOON: u64 = 60;
/// and for long after that.
const LATER: u64 = 3_000;
