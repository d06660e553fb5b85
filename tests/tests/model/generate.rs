//! Programs made up at random, the same for the same seed.

use crate::program::{
    Action, Answer, EVENTS, For, How, In, List, ObserverDef, Program, Script, SourceDef, Trait,
};

/// The program of a seed.
pub(crate) fn program(seed: u64) -> Program {
    let mut random = Random::new(seed);
    let sources = random.below(5) + 1;
    let observers = random.below(4);
    let mut makes = Makes {
        sources,
        observers,
        random,
    };
    let orders = makes.random.below(7);
    let mut program = Program::default();
    for id in 0..sources {
        program.sources.0.push(makes.source(id, orders));
    }
    for _ in 0..observers {
        program.observers.0.push(makes.observer());
    }
    program.main = makes.main();
    program
}

/// Makes up the parts of a program.
struct Makes {
    sources: usize,
    observers: usize,
    random: Random,
}

impl Makes {
    /// Most of what there is is added before anything else happens.
    fn main(&mut self) -> Script {
        let mut actions = Vec::new();
        for id in 0..self.sources {
            if !self.random.one_in(4) {
                actions.push(Action::Add(id, self.mode()));
            }
        }
        for id in 0..self.observers {
            if !self.random.one_in(4) {
                actions.push(Action::AddObserver(id, self.mode()));
            }
        }
        let length = 4 + self.random.below(20);
        actions.extend(self.script(length, 2).0);
        List(actions)
    }

    fn source(&mut self, id: usize, orders: usize) -> SourceDef {
        let mut watches = Vec::new();
        if self.random.one_in(2) {
            watches.extend((0..=self.random.below(2)).map(|_| self.random.below(EVENTS)));
        }
        let traits = [
            Trait::Reentrant,
            Trait::Passive,
            Trait::KeptOnPanic,
            Trait::Looks,
        ];
        let traits = traits
            .into_iter()
            .filter(|_| self.random.one_in(6))
            .collect();
        // In which order the kernel reports descriptors is not the loop's to promise, so their sources differ.
        let order = if watches.is_empty() {
            i32::try_from(self.random.below(3)).unwrap_or(0)
        } else {
            i32::try_from((id + orders) % 5).unwrap_or(0)
        };
        SourceDef {
            order,
            watches: List(watches),
            due: self.random.one_in(5).then(|| self.millis()),
            limit: self.random.one_in(4).then(|| self.limit()),
            traits: List(traits),
            calls: self.calls(),
            asked: self.asked(),
        }
    }

    fn limit(&mut self) -> (u32, Option<i64>) {
        let performs = u32::try_from(self.random.below(3)).unwrap_or(0) + 1;
        let per = i64::try_from(self.random.below(5)).unwrap_or(0) + 1;
        (performs, (!self.random.one_in(8)).then_some(per))
    }

    /// Most of those that are asked say something, and few do more than that.
    fn asked(&mut self) -> List<(Script, Answer)> {
        let count = self.random.below(6);
        let asked = (0..count).map(|_| {
            let length = if self.random.one_in(6) {
                self.random.below(3)
            } else {
                0
            };
            let answers = [Answer::Idle, Answer::Idle, Answer::Ready, Answer::Spin];
            (self.script(length, 1), answers[self.random.below(4)])
        });
        List(asked.collect())
    }

    fn observer(&mut self) -> ObserverDef {
        let moments = [1_u8, 2, 4, 32, 64, 128];
        let wide = self.random.one_in(3);
        let chosen = moments
            .into_iter()
            .filter(|_| wide || self.random.one_in(3));
        ObserverDef {
            moments: chosen.sum(),
            order: i32::try_from(self.random.below(2)).unwrap_or(0),
            once: self.random.one_in(4),
            calls: self.calls(),
        }
    }

    fn calls(&mut self) -> List<Script> {
        let count = self.random.below(5);
        let calls = (0..count).map(|_| {
            let length = self.random.below(5);
            self.script(length, 2)
        });
        List(calls.collect())
    }

    fn script(&mut self, length: usize, depth: usize) -> Script {
        List((0..length).map(|_| self.action(depth)).collect())
    }

    fn action(&mut self, depth: usize) -> Action {
        let source = self.random.below(self.sources);
        match self.random.below(20) {
            0..=2 => Action::Add(source, self.mode()),
            3 => Action::Remove(source, self.mode()),
            4..=5 => Action::Signal(source),
            6 => self.rare(source),
            7 => self.due(source),
            8 => self.on_observer(),
            9 => Action::AddCommon([In::B, In::C][self.random.below(2)]),
            10 if depth > 0 => {
                let length = self.random.below(3);
                Action::Perform(self.mode(), self.script(length, depth - 1))
            }
            11 => Action::Elsewhere(Box::new(self.elsewhere(source, depth))),
            12..=13 if self.random.one_in(8) => Action::HangUp(self.random.below(EVENTS)),
            12..=13 => Action::Write(self.random.below(EVENTS)),
            14 => self.order(depth),
            15 => Action::Advance(i64::try_from(self.random.below(4)).unwrap_or(0)),
            _ => self.run(),
        }
    }

    fn rare(&mut self, source: usize) -> Action {
        match self.random.below(11) {
            0 => Action::Adopt(source),
            1..=2 => Action::Invalidate(source),
            3 => Action::Drop(source),
            4 => Action::Read(self.random.below(EVENTS)),
            5 => Action::Keep,
            6 => Action::Watch(source, self.random.below(2), self.random.one_in(2)),
            7 => Action::Look,
            8..=9 => Action::LookBeforeSleep(source),
            _ => Action::Panic,
        }
    }

    fn on_observer(&mut self) -> Action {
        if self.observers == 0 {
            return Action::Look;
        }
        let observer = self.random.below(self.observers);
        match self.random.below(8) {
            0..=5 => Action::AddObserver(observer, self.mode()),
            6 => Action::RemoveObserver(observer, self.mode()),
            _ => Action::InvalidateObserver(observer),
        }
    }

    fn order(&mut self, depth: usize) -> Action {
        match self.random.below(6) {
            0..=1 => Action::Stop,
            2 => Action::SendStop,
            3 => Action::WakeUp,
            4 if depth > 0 => {
                let length = self.random.below(3);
                Action::Send(self.mode(), self.script(length, depth - 1))
            }
            _ => Action::ClosureLimit(self.random.below(3)),
        }
    }

    fn elsewhere(&mut self, source: usize, depth: usize) -> Action {
        match self.random.below(9) {
            0..=2 => Action::Signal(source),
            3 => Action::Invalidate(source),
            4 => self.due(source),
            5 => Action::Watch(source, self.random.below(2), self.random.one_in(2)),
            6 if depth > 0 => {
                let length = self.random.below(3);
                Action::Send(self.mode(), self.script(length, depth - 1))
            }
            7 => Action::SendStop,
            _ => Action::WakeUp,
        }
    }

    fn due(&mut self, source: usize) -> Action {
        if self.random.one_in(3) {
            return Action::DueWithin(source, self.millis(), self.millis() + 2);
        }
        Action::Due(source, (!self.random.one_in(6)).then(|| self.millis()))
    }

    fn run(&mut self) -> Action {
        let limit = match self.random.below(6) {
            0..=1 => For::APass,
            2 => For::Ever,
            _ => For::Millis(i64::try_from(self.random.below(9)).unwrap_or(0) + 1),
        };
        let how = [
            How::Plain,
            How::Plain,
            How::One,
            How::WhenEmpty,
            How::Catching,
        ];
        let how = how[self.random.below(how.len())];
        let mode = if self.random.one_in(50) {
            In::Common
        } else {
            self.a_mode()
        };
        Action::Run(mode, limit, how)
    }

    fn a_mode(&mut self) -> In {
        [In::A, In::A, In::B, In::C][self.random.below(4)]
    }

    fn mode(&mut self) -> In {
        if self.random.one_in(4) {
            In::Common
        } else {
            self.a_mode()
        }
    }

    fn millis(&mut self) -> i64 {
        i64::try_from(self.random.below(9)).unwrap_or(0) - 2
    }
}

/// Numbers that look random, the same for the same seed.
struct Random(fastrand::Rng);

impl Random {
    fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number below another.
    fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end.max(1))
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
