//! Fairness: what one source may take of a pass, and how often it may be performed at all.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use runloop::{
    FileChanges, FileInterest, ManualClock, Mode, Outcome, ReturnAfter, RunLoop, Signalled,
    SourceHandle, SourceOptions, UnixSignal, UnixSignals, channel_with,
};
use tests::{Log, Watchdog, in_own_process};

use crate::support::{Place, Probe, pair, ready_pair, run_one, serve};
use crate::unix_signals::receive;

const SECOND: Duration = Duration::from_secs(1);

/// Runs a mode for so long, on a clock that a test moves.
fn run_for(mode: Mode, time: Duration) {
    let run_loop = RunLoop::current();
    let outcome = run_loop.run_in_mode(mode, time, ReturnAfter::Limit);
    assert_eq!(outcome.unwrap(), Outcome::TimedOut, "to the end");
}

/// Limits a source to so many performs in a second.
fn limited(performs: u32) -> SourceOptions {
    SourceOptions::new().rate_limit(performs, SECOND)
}

/// A source that signals itself each time it is performed, and notes at which second.
fn always_signalled(log: &Log, clock: &ManualClock, options: SourceOptions) -> SourceHandle {
    let (begun, clock, log) = (clock.now(), clock.clone(), log.clone());
    let noting = Probe::new("", &Log::new()).performing(move |cx, _| {
        log.add((clock.now() - begun).as_secs().to_string());
        cx.signal();
    });
    let source = noting.with(options);
    source.handle().signal();
    RunLoop::current().adopt(&source)
}

#[test]
fn a_budget_is_what_a_channel_hands_over_in_one_perform() {
    let _watchdog = Watchdog::new();
    let (mode, log) = (Mode::new("fairness.channel"), Log::new());
    let inside = log.clone();
    let options = SourceOptions::new().budget(3);
    let (sender, source) = channel_with(options, 8, move |_, value: u32| {
        inside.add(value.to_string());
    });
    RunLoop::current().add(&source, mode).unwrap();
    (0..7).for_each(|value| sender.send(value).unwrap());
    for expected in [&["0", "1", "2"][..], &["3", "4", "5"], &["6"], &[]] {
        serve(mode);
        assert_eq!(log.take(), expected, "in one pass");
    }
}

#[test]
fn a_budget_counts_the_changes_of_files_and_the_signals_of_one_perform() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let (run_loop, mode) = (RunLoop::current(), Mode::new("fairness.kinds"));
        let (place, log) = (Place::new("fairness"), Log::new());
        let inside = log.clone();
        let one = || SourceOptions::new().budget(1);
        let files = FileChanges::with(one(), move |_, _, _| inside.add("file")).unwrap();
        let path = place.directory("box");
        files.watch(path, FileInterest::CREATED).unwrap();
        let inside = log.clone();
        let both = [UnixSignal::USER_1, UnixSignal::USER_2];
        let signals = UnixSignals::with(one(), both, move |_, signal| {
            inside.add(signal.to_string());
        });
        run_loop.add(&files, mode).unwrap();
        run_loop.add(&signals.unwrap(), mode).unwrap();
        place.write_all(["box/a", "box/b"]);
        both.into_iter().for_each(receive);
        for expected in ["SIGUSR1", "SIGUSR2"] {
            serve(mode);
            let mut lines = log.take();
            lines.sort();
            assert_eq!(lines, [expected, "file"], "one of each in a pass");
        }
    });
}

#[test]
fn a_source_of_a_user_reads_its_budget_and_has_its_own_without_one() {
    let _watchdog = Watchdog::new();
    let (mode, log) = (Mode::new("fairness.budget"), Log::new());
    for options in [
        SourceOptions::new(),
        SourceOptions::new().budget(5),
        SourceOptions::new().budget(0),
    ] {
        let inside = log.clone();
        let source = Probe::new("", &Log::new()).performing(move |cx, _| {
            inside.add(cx.budget(7).to_string());
        });
        let source = source.with(options);
        RunLoop::current().add(&source, mode).unwrap();
        source.handle().signal();
        serve(mode);
    }
    assert_eq!(
        log.take(),
        ["7", "5", "1"],
        "usual, set, and no less than one"
    );
}

#[test]
fn what_is_always_ready_always_signalled_and_always_due_starves_neither_itself_nor_the_limited() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("fairness.all"), Log::new());
    let none = Log::new();
    let (ours, _theirs) = ready_pair();
    let count = |name: &'static str| {
        let log = log.clone();
        move || log.add(name)
    };
    let ready = count("ready");
    let ready = Probe::new("", &none)
        .attaching({
            let ours = std::sync::Arc::new(ours);
            move |cx| {
                let ours = std::sync::Arc::clone(&ours);
                cx.watch_shared(runloop::Token(0), ours, runloop::Interest::READABLE)
            }
        })
        .performing(move |_, _| ready());
    let signalled = count("signalled");
    let signalled = Probe::new("", &none).performing(move |cx, _| {
        signalled();
        cx.signal();
    });
    let due = count("due");
    let due = Probe::new("", &none)
        .due(clock.now())
        .performing(move |cx, _| {
            due();
            cx.set_deadline(Some(RunLoop::now()));
        });
    let slow = count("limited");
    let slow = Probe::new("", &none).performing(move |cx, _| {
        slow();
        cx.signal();
    });
    let (ready, signalled, due) = (ready.source(), signalled.source(), due.source());
    let slow = slow.with(limited(2).order(-1));
    for source in [&ready, &signalled, &due, &slow] {
        run_loop.add(source, mode).unwrap();
        source.handle().signal();
    }
    // The first pass has the signals of all.
    serve(mode);
    log.take();
    let mut served = 0;
    for pass in 0..100 {
        clock.advance(SECOND / 20);
        serve(mode);
        let mut lines = log.take();
        lines.sort();
        served += lines.iter().filter(|line| *line == "limited").count();
        lines.retain(|line| line != "limited");
        assert_eq!(
            lines,
            ["due", "ready", "signalled"],
            "pass {pass}: each once"
        );
    }
    // Five seconds: the second of the first, and two of each that begin when it is performed again.
    assert_eq!(served, 9, "as often as it may");
}

#[test]
fn a_limited_source_is_performed_so_often_and_its_loop_sleeps_meanwhile() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("fairness.rate"), Log::new());
    let source = always_signalled(&log, &clock, limited(3));
    run_loop.add(&source, mode).unwrap();
    let before = run_loop.statistics();
    run_for(mode, SECOND * 5 / 2);
    let seconds = ["0", "0", "0", "1", "1", "1", "2", "2", "2"];
    assert_eq!(log.take(), seconds, "three in each");
    let passes = run_loop.statistics().passes - before.passes;
    assert!(passes < 30, "it slept: {passes} passes");
    assert!(source.is_signalled(), "the next is kept");
}

#[test]
fn deadlines_of_a_limited_source_are_late_and_not_lost() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("fairness.due"), Log::new());
    let (begun, inside) = (clock.now(), log.clone());
    let source = Probe::new("", &Log::new())
        .due(begun)
        .performing(move |cx, ready| {
            assert!(ready.deadline.is_some(), "it has nothing else");
            inside.add((RunLoop::now() - begun).as_millis().to_string());
            cx.set_deadline(Some(RunLoop::now() + SECOND / 10));
        });
    let source = source.with(limited(2));
    run_loop.add(&source, mode).unwrap();
    serve(mode);
    run_for(mode, SECOND / 4);
    let due = run_loop.next_deadline(mode).unwrap() - begun;
    assert_eq!(due, SECOND, "when it goes on");
    run_for(mode, SECOND);
    assert_eq!(log.take(), ["0", "100", "1000", "1100"], "two in a second");
}

#[test]
fn a_ready_descriptor_of_a_limited_source_neither_wakes_its_loop_nor_is_forgotten() {
    let _watchdog = Watchdog::new();
    let _clock = ManualClock::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("fairness.fd"), Log::new());
    let (ours, mut theirs) = pair();
    let source = Probe::new("p", &log).watching(ours).with(limited(1));
    run_loop.add(&source, mode).unwrap();
    log.take();
    theirs.write_all(b"x").unwrap();
    serve(mode);
    assert_eq!(log.take(), ["p ready 0"], "the first");
    theirs.write_all(b"x").unwrap();
    let before = run_loop.statistics();
    run_for(mode, SECOND * 9 / 10);
    let passes = run_loop.statistics().passes - before.passes;
    assert!(passes < 5, "it slept: {passes} passes");
    assert_eq!(log.take(), [""; 0], "it rests");
    run_for(mode, SECOND / 5);
    assert_eq!(log.take(), ["p ready 0"], "what came in its rest");
}

#[test]
fn a_run_until_one_source_sleeps_through_a_rest() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (mode, log) = (Mode::new("fairness.one"), Log::new());
    let source = always_signalled(&log, &clock, limited(1));
    RunLoop::current().add(&source, mode).unwrap();
    for _ in 0..3 {
        assert_eq!(run_one(mode), Outcome::HandledSource, "in the end");
    }
    assert_eq!(log.take(), ["0", "1", "2"], "one in each second");
}

#[test]
fn a_rest_outlasts_removal_and_holds_in_modes_that_are_joined_meanwhile() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let run_loop = RunLoop::current();
    let (first, second) = (Mode::new("fairness.first"), Mode::new("fairness.second"));
    let log = Log::new();
    let source = always_signalled(&log, &clock, limited(1));
    run_loop.add(&source, first).unwrap();
    serve(first);
    serve(first);
    assert_eq!(log.take(), ["0"], "and then it rests");
    run_loop.remove(&source, first);
    run_loop.add(&source, second).unwrap();
    serve(second);
    assert_eq!(log.take(), [""; 0], "still");
    run_for(second, SECOND * 3 / 2);
    assert_eq!(log.take(), ["1"], "the rest is over there as well");
}

#[test]
fn a_limited_source_that_is_reentrant_loses_nothing_by_a_rest_that_begins_inside_it() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("fairness.inside"), Log::new());
    let (ours, theirs) = pair();
    let depth = Rc::new(Cell::new(0));
    let source = Probe::new("p", &log)
        .watching(ours)
        .performing(move |_, _| {
            depth.set(depth.get() + 1);
            (&theirs).write_all(b"x").unwrap();
            if depth.get() < 4 {
                serve(mode);
            }
        });
    let source = source.with(limited(2).reentrant());
    run_loop.add(&source, mode).unwrap();
    source.handle().signal();
    serve(mode);
    let lines = [
        "p attach",
        "p schedule fairness.inside",
        "p signalled",
        "p ready 0",
    ];
    assert_eq!(log.take(), lines, "the second inside the first");
    serve(mode);
    assert_eq!(log.take(), [""; 0], "what was parked stays so");
    clock.advance(SECOND);
    serve(mode);
    serve(mode);
    assert_eq!(log.take(), ["p ready 0", "p ready 0"], "it goes on");
}

#[test]
fn a_hot_source_that_rests_is_not_asked_and_does_not_keep_its_loop_awake() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("fairness.hot"), Log::new());
    let (asked, inside) = (Rc::new(Cell::new(0)), log.clone());
    let asking = Rc::clone(&asked);
    let begun = clock.now();
    let source = Probe::new("", &Log::new())
        .attaching(|cx| {
            cx.look_before_sleep();
            Ok(())
        })
        .preparing(move |_, _| {
            asking.set(asking.get() + 1);
            runloop::Prepared::Ready
        })
        .performing(move |_, _| inside.add((RunLoop::now() - begun).as_secs().to_string()));
    run_loop.add(&source.with(limited(1)), mode).unwrap();
    run_for(mode, SECOND * 5 / 2);
    assert_eq!(log.take(), ["0", "1", "2"], "one in each second");
    assert!(
        asked.get() < 30,
        "and not asked in between: {}",
        asked.get()
    );
}

#[test]
fn a_limit_leaves_the_signals_of_others_in_their_pass() {
    let _watchdog = Watchdog::new();
    let clock = ManualClock::new();
    let (run_loop, mode, log) = (RunLoop::current(), Mode::new("fairness.others"), Log::new());
    let slow = always_signalled(&log, &clock, limited(1).order(-1));
    run_loop.add(&slow, mode).unwrap();
    let inside = log.clone();
    let other = Signalled::new(move |_| inside.add("other"));
    run_loop.add(&other, mode).unwrap();
    for _ in 0..3 {
        other.signal();
        serve(mode);
    }
    assert_eq!(log.take(), ["0", "other", "other", "other"], "each time");
}
