//! Rules 5 and 6: whatever is found is looked up again at its turn, and leaves its queue only then.

use std::cell::RefCell;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Instant;

use runloop::{
    Cx, Interest, Limit, Mode, OnPanic, Outcome, Ready, ReturnAfter, RunLoop, Source,
    SourceOptions, SourceRef, Token,
};
use tests::{Log, Watchdog};

/// The three reasons for a perform.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reason {
    Signal,
    Deadline,
    Descriptor,
}

const REASONS: [Reason; 3] = [Reason::Signal, Reason::Deadline, Reason::Descriptor];

/// A source that is ready for one reason; the first of each test does something to the others.
struct Item {
    name: &'static str,
    log: Log,
    stream: UnixStream,
    act: Box<Act>,
}

type Act = dyn Fn(&RunLoop);

impl Source for Item {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        cx.watch(Token(0), self.stream.as_fd(), Interest::READABLE)
    }
    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, _: Ready<'_>) {
        self.log.add(self.name);
        drop(io::Read::read(&mut &self.stream, &mut [0; 8]));
        (self.act)(cx.run_loop());
    }
}

/// Sources of these names in the default mode, ready in this order for this reason, with the other ends of their streams.
fn batch(
    reason: Reason,
    log: &Log,
    names: &[&'static str],
    first: impl Fn(&RunLoop) + 'static,
) -> (Vec<SourceRef<Item>>, Vec<UnixStream>) {
    let mut act: Option<Box<Act>> = Some(Box::new(first));
    let (mut sources, mut streams) = (Vec::new(), Vec::new());
    for (order, name) in (0..).zip(names) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let item = Item {
            name,
            log: log.clone(),
            stream: ours,
            act: act.take().unwrap_or_else(|| Box::new(|_| {})),
        };
        let options = SourceOptions::new().order(order).on_panic(OnPanic::Keep);
        let source = SourceRef::with(options, item);
        RunLoop::current().add(&source, Mode::DEFAULT).unwrap();
        match reason {
            Reason::Signal => source.handle().signal(),
            Reason::Deadline => source.handle().set_deadline(Some(Instant::now())),
            Reason::Descriptor => (&theirs).write_all(b"x").unwrap(),
        }
        sources.push(source);
        streams.push(theirs);
    }
    (sources, streams)
}

fn pass() {
    let run_loop = RunLoop::current();
    let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Now, ReturnAfter::Limit);
    assert_ne!(outcome.unwrap(), Outcome::HandledSource, "one pass");
}

#[test]
fn rule_5_what_is_gone_at_its_turn_is_not_performed() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    let other = Mode::new("rules.elsewhere");
    for reason in REASONS {
        let slot: Rc<RefCell<Vec<SourceRef<Item>>>> = Rc::default();
        let known = Rc::clone(&slot);
        let names = ["first", "invalidated", "removed", "moved", "last"];
        let (sources, streams) = batch(reason, &log, &names, move |run_loop| {
            if let [_, invalidated, removed, moved, _] = &*known.take() {
                invalidated.invalidate();
                run_loop.remove(removed, Mode::DEFAULT);
                run_loop.add(moved, other).unwrap();
                run_loop.remove(moved, Mode::DEFAULT);
            }
        });
        slot.borrow_mut().extend(sources.iter().cloned());
        pass();
        assert_eq!(log.take(), ["first", "last"], "{reason:?}");
        sources.iter().for_each(SourceRef::invalidate);
        drop(streams);
    }
}

#[test]
fn rule_5_what_takes_the_place_of_something_gone_is_not_taken_for_it() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for reason in REASONS {
        let slot: Rc<RefCell<Vec<SourceRef<Item>>>> = Rc::default();
        let (known, inside) = (Rc::clone(&slot), log.clone());
        let (spare, others) = UnixStream::pair().unwrap();
        let quiet = RefCell::new(vec![spare]);
        let (sources, streams) = batch(reason, &log, &["first", "old"], move |run_loop| {
            // The old one leaves its places in all tables, and the new one takes them.
            let old = known.borrow_mut().pop();
            if let Some(old) = old {
                old.invalidate();
                drop(old);
                let item = Item {
                    name: "new",
                    log: inside.clone(),
                    stream: quiet.borrow_mut().pop().unwrap(),
                    act: Box::new(|_| {}),
                };
                let new = SourceRef::new(item);
                run_loop.add(&new, Mode::DEFAULT).unwrap();
                known.borrow_mut().push(new);
            }
        });
        let [first, old] =
            <[SourceRef<Item>; 2]>::try_from(sources).unwrap_or_else(|_| panic!("two"));
        slot.borrow_mut().push(old);
        pass();
        assert_eq!(log.take(), ["first"], "{reason:?}");
        first.invalidate();
        slot.borrow().iter().for_each(SourceRef::invalidate);
        drop((streams, others));
    }
}

#[test]
fn rule_6_a_panic_loses_nothing_of_the_rest() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for reason in REASONS {
        let names = ["first", "second", "third"];
        let (sources, streams) = batch(reason, &log, &names, |_| panic!("the test's panic"));
        assert!(catch_unwind(AssertUnwindSafe(pass)).is_err(), "it panics");
        assert_eq!(log.take(), ["first"], "{reason:?}: it came first");
        pass();
        assert_eq!(log.take(), ["second", "third"], "{reason:?}: the rest");
        sources.iter().for_each(SourceRef::invalidate);
        drop(streams);
    }
}

#[test]
fn rule_6_a_nested_run_goes_on_with_the_rest_and_each_is_served_once() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for reason in REASONS {
        let inside = log.clone();
        let (sources, streams) = batch(reason, &log, &["first", "second", "third"], move |_| {
            pass();
            inside.add("nested run over");
        });
        pass();
        let expected = ["first", "second", "third", "nested run over"];
        assert_eq!(log.take(), expected, "{reason:?}");
        sources.iter().for_each(SourceRef::invalidate);
        drop(streams);
    }
}

#[test]
fn rule_6_a_stop_loses_nothing_of_the_rest() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for reason in REASONS {
        let names = ["first", "second", "third"];
        let (sources, streams) = batch(reason, &log, &names, RunLoop::stop);
        let outcome = RunLoop::current().run();
        assert_eq!(outcome.unwrap(), Outcome::Stopped, "{reason:?}");
        pass();
        assert_eq!(log.take(), names, "{reason:?}: each once");
        sources.iter().for_each(SourceRef::invalidate);
        drop(streams);
    }
}

#[test]
fn rule_6_a_run_that_returns_after_one_source_leaves_the_rest_for_the_next() {
    let _watchdog = Watchdog::new();
    let log = Log::new();
    for reason in [Reason::Signal, Reason::Descriptor] {
        let names = ["first", "second", "third"];
        let (sources, streams) = batch(reason, &log, &names, |_| {});
        let run_loop = RunLoop::current();
        for name in names {
            let one = ReturnAfter::FirstSource;
            let outcome = run_loop.run_in_mode(Mode::DEFAULT, Limit::Never, one);
            assert_eq!(outcome.unwrap(), Outcome::HandledSource, "{reason:?}");
            assert_eq!(log.take(), [name], "{reason:?}");
        }
        sources.iter().for_each(SourceRef::invalidate);
        drop(streams);
    }
}
