//! The sources and observers of a program: they write down what happens to them, and do what the program says.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use runloop::{
    Activity, Cx, Interest, Mode, Observer, OnPanic, Prepared, Readiness, Ready, RunLoop, Source,
    SourceOptions, SourceRef, Stage, Token, Why,
};
use tests::Log;

use crate::program::{Action, Answer, In, ObserverDef, SourceDef, Trait};
use crate::real::{drain, mode_of, world};

/// A source that writes down what happens to it, and does what the program says.
pub(crate) struct Probe {
    id: usize,
    def: SourceDef,
    events: Vec<Arc<OwnedFd>>,
    calls: Cell<usize>,
    asked: Cell<usize>,
    log: Log,
}

impl Probe {
    pub(crate) fn source(
        id: usize,
        def: &SourceDef,
        events: &[Arc<OwnedFd>],
        log: &Log,
    ) -> SourceRef<Self> {
        let has = |what: Trait| def.traits.0.contains(&what);
        let mut options = SourceOptions::new().order(def.order);
        if has(Trait::Reentrant) {
            options = options.reentrant();
        }
        if has(Trait::Passive) {
            options = options.passive();
        }
        if has(Trait::KeptOnPanic) {
            options = options.on_panic(OnPanic::Keep);
        }
        if let Some((performs, per)) = def.limit {
            let per = per.map_or(Duration::MAX, |per| {
                Duration::from_millis(per.unsigned_abs())
            });
            options = options.rate_limit(performs, per);
        }
        let probe = Self {
            id,
            def: def.clone(),
            events: def
                .watches
                .0
                .iter()
                .map(|&event| Arc::clone(&events[event]))
                .collect(),
            calls: Cell::new(0),
            asked: Cell::new(0),
            log: log.clone(),
        };
        SourceRef::with(options, probe)
    }

    fn say(&self, what: &str) {
        self.log.add(format!("s{} {what}", self.id));
    }
}

impl Source for Probe {
    fn attach<'s>(&'s self, cx: &mut Cx<'s, '_>) -> io::Result<()> {
        self.say("attach");
        for (token, event) in (0..).map(Token).zip(&self.events) {
            if token.0 == 0 {
                cx.watch(token, event.as_fd(), Interest::READABLE)?;
            } else {
                cx.watch_shared(token, Arc::clone(event), Interest::READABLE)?;
            }
        }
        if let Some(millis) = self.def.due {
            cx.set_deadline(Some(world().at(millis)));
        }
        if self.def.traits.0.contains(&Trait::Looks) {
            cx.look_before_sleep();
        }
        Ok(())
    }

    fn perform<'s>(&'s self, cx: &mut Cx<'s, '_>, ready: Ready<'_>) {
        let world = world();
        let mut fds = ready.fds.to_vec();
        fds.sort_unstable_by_key(|(token, _)| token.0);
        let what = match (ready.signalled, ready.deadline) {
            (true, _) => "signalled".to_owned(),
            (_, Some(_)) => "deadline".to_owned(),
            _ => format!("ready {:?}", fds.iter().map(said).collect::<Vec<_>>()),
        };
        self.say(&format!("{what} in {:?} at {}", mode_of(), world.now()));
        let call = self.calls.replace(self.calls.get() + 1);
        let script = self.def.calls.0.get(call);
        let keeps = script.is_some_and(|script| matches!(script.0.first(), Some(Action::Keep)));
        if !keeps {
            for (token, readiness) in fds {
                drain(&self.events[usize::try_from(token.0).expect("a small number")]);
                if readiness.contains(Readiness::HANGUP) {
                    cx.set_interest(token, Interest::empty())
                        .expect("what is reported is watched");
                }
            }
        }
        if let Some(script) = script {
            world.follow(script);
        }
    }

    fn prepare<'s>(&'s self, _: &mut Cx<'s, '_>, stage: Stage) -> Prepared {
        let world = world();
        self.say(&format!("{stage:?} in {:?} at {}", mode_of(), world.now()));
        let asked = self.asked.replace(self.asked.get() + 1);
        let Some((script, answer)) = self.def.asked.0.get(asked) else {
            return Prepared::Idle;
        };
        world.follow(script);
        match answer {
            Answer::Idle => Prepared::Idle,
            Answer::Ready => Prepared::Ready,
            Answer::Spin => Prepared::Spin(Duration::from_micros(20)),
        }
    }

    fn schedule(&self, _: &RunLoop, mode: Mode) {
        self.say(&format!("schedule {:?}", In::of(mode)));
    }

    fn cancel(&self, _: &RunLoop, mode: Mode) {
        self.say(&format!("cancel {:?}", In::of(mode)));
    }

    fn detach(&self, _: &RunLoop) {
        self.say("detach");
    }

    fn invalidated(&self, why: Why) {
        self.say(&format!("invalidated {why:?}"));
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.say("dropped");
    }
}

/// What is reported of a descriptor: its token, whether it can be read, and whether its other end is closed.
fn said((token, readiness): &(Token, Readiness)) -> (u32, bool, bool) {
    let has = |what| readiness.contains(what);
    (token.0, has(Readiness::READABLE), has(Readiness::HANGUP))
}

/// An observer of a program.
pub(crate) fn observer(id: usize, def: &ObserverDef) -> Observer {
    let (calls, count) = (def.calls.0.clone(), Cell::new(0));
    let act = move |_: &RunLoop, activity: Activity| {
        let world = world();
        world
            .log
            .add(format!("o{id} {} in {:?}", activity.bits(), mode_of()));
        let call = count.replace(count.get() + 1);
        if let Some(script) = calls.get(call) {
            world.follow(script);
        }
    };
    let moments = Activity::from_bits_truncate(def.moments);
    if def.once {
        Observer::once(moments, def.order, act)
    } else {
        Observer::new(moments, def.order, act)
    }
}

impl In {
    pub(crate) const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::Common];

    pub(crate) fn real(self) -> Mode {
        match self {
            Self::A => Mode::DEFAULT,
            Self::B => Mode::new("model-b"),
            Self::C => Mode::new("model-c"),
            Self::Common => Mode::COMMON,
        }
    }

    pub(crate) fn of(mode: Mode) -> Self {
        let found = Self::ALL.into_iter().find(|known| known.real() == mode);
        found.expect("a program has no other mode")
    }
}
