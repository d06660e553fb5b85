//! Timers that follow the system's other clocks: the wall's, and the one that counts the time of a suspended machine.

use std::time::{Duration, Instant, SystemTime};

use runloop::{ManualClock, Mode, Outcome, RunLoop};
use tests::{Log, Watchdog};
use timer_source::{BootInstant, Schedule, Timer};

use crate::support::{HOUR, MS, add, pass};

#[test]
fn timers_of_the_wall_and_of_the_boot_clock_fire_when_their_clock_shows_the_date() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let wall_date = SystemTime::now() + 20 * MS;
    let wall = Timer::new(Schedule::at(wall_date), {
        let log = log.clone();
        move |_, _| {
            assert!(SystemTime::now() >= wall_date, "never early");
            log.add("wall");
        }
    });
    let boot_date = BootInstant::now() + 30 * MS;
    let boot = Timer::new(Schedule::at(boot_date), {
        let log = log.clone();
        move |_, _| {
            assert!(BootInstant::now() >= boot_date, "never early");
            log.add("boot");
        }
    });
    assert_eq!(wall.next_fire_date(), Some(wall_date));
    assert_eq!(boot.next_fire_date(), Some(boot_date));
    RunLoop::current().add(&boot, Mode::COMMON).unwrap();
    RunLoop::current().add(&wall, Mode::DEFAULT).unwrap();
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Finished);
    assert_eq!(log.take(), ["wall", "boot"]);
}

/// In a process for which the machine seems to have been suspended for long: only then do the two clocks differ. Where the
/// system allows no such process the reading is compared with the system's own, which is all that can be said there.
#[test]
fn the_boot_clock_counts_the_time_of_a_suspended_machine() {
    const SUSPENDED: &str = "TIMER_TEST_SUSPENDED_FOR";
    let _watchdog = Watchdog::new();
    let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let monotonic = Duration::try_from(monotonic).unwrap();
    if std::env::var_os(SUSPENDED).is_some() {
        let ahead = BootInstant::now().since_boot() - monotonic;
        assert!(ahead >= 1_000 * HOUR, "{ahead:?}");
        return;
    }
    let seconds = (1_000 * HOUR).as_secs().to_string();
    let shifted = |program: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--time", "--boottime", &seconds, program]);
        command
    };
    if shifted("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        let binary = std::env::current_exe().unwrap();
        let test = "system_clocks::the_boot_clock_counts_the_time_of_a_suspended_machine";
        let inside = shifted(binary.to_str().unwrap())
            .args([test, "--exact"])
            .env(SUSPENDED, &seconds)
            .output()
            .unwrap();
        assert!(inside.status.success(), "{inside:?}");
    }
    let before = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let between = BootInstant::now().since_boot();
    assert!(Duration::try_from(before).unwrap() <= between);
}

#[test]
fn a_day_of_the_wall_clock_takes_no_time_when_a_test_has_the_loops_clock_in_hand() {
    let _watchdog = Watchdog::new();
    let (log, clock) = (Log::new(), ManualClock::new());
    let begun = clock.now();
    let inside = log.clone();
    let hourly = Schedule::at(SystemTime::now() + HOUR).every(HOUR);
    let timer = Timer::new(hourly, move |run_loop, _| {
        inside.add("fired");
        if inside.count() == 24 {
            run_loop.stop();
        }
    });
    RunLoop::current().add(&timer, Mode::DEFAULT).unwrap();
    assert_eq!(RunLoop::current().run().unwrap(), Outcome::Stopped);
    let passed = clock.now() - begun;
    assert!(
        passed < 24 * HOUR + HOUR / 2 && passed > 23 * HOUR,
        "{passed:?}"
    );
    assert_eq!(timer.missed(), 0);
}

#[test]
fn dates_too_far_away_on_any_clock_are_never() {
    let _watchdog = Watchdog::new();
    let century = Duration::from_secs(200 * 365 * 86_400);
    let wall = Timer::new(Schedule::at(SystemTime::now() + century), |_, _| {});
    let boot = Timer::new(Schedule::at(BootInstant::now() + Duration::MAX), |_, _| {});
    let monotonic = Timer::new(Schedule::<Instant>::never(), |_, _| {});
    RunLoop::current().add(&wall, Mode::DEFAULT).unwrap();
    RunLoop::current().add(&boot, Mode::DEFAULT).unwrap();
    add(&monotonic);
    pass();
    assert_eq!(wall.next_fire_date(), None);
    assert_eq!(boot.next_fire_date(), None);
    assert_eq!(RunLoop::current().next_deadline(Mode::DEFAULT), None);
    let past = Timer::new(Schedule::at(SystemTime::UNIX_EPOCH - century), |_, _| {});
    RunLoop::current().add(&past, Mode::DEFAULT).unwrap();
    pass();
    assert!(!past.is_valid(), "one as far in the past has come");
}
