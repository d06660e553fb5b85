//! Making a failing program smaller, for as long as it still fails.

use crate::program::{Action, Answer, List, Program, Script, SourceDef};

/// The smallest program that can be found by taking things out of this one, and for which `fails` still holds.
pub(crate) fn shrink(mut program: Program, fails: impl Fn(&Program) -> bool) -> Program {
    loop {
        let smaller = candidates(&program);
        let next = smaller
            .into_iter()
            .find(|candidate| candidate.size() < program.size() && fails(candidate));
        let Some(next) = next else {
            return program;
        };
        program = next;
    }
}

/// Programs that are this one with something left out, the most promising first.
fn candidates(program: &Program) -> Vec<Program> {
    let mut found = Vec::new();
    for main in scripts(&program.main) {
        found.push(Program {
            main,
            ..program.clone()
        });
    }
    for (id, def) in program.sources.0.iter().enumerate() {
        let mut with = |change: &dyn Fn(&mut SourceDef)| {
            let mut smaller = program.clone();
            change(&mut smaller.sources.0[id]);
            found.push(smaller);
        };
        with(&|def| *def = SourceDef::default());
        with(&|def| def.due = None);
        with(&|def| def.limit = None);
        with(&|def| def.order = 0);
        for list in [1, 0] {
            with(&|def| def.watches.0.truncate(list));
            with(&|def| def.traits.0.truncate(list));
        }
        with(&|def| drop(def.traits.0.drain(..def.traits.0.len().min(1))));
        for calls in calls(&def.calls) {
            with(&|def| def.calls = calls.clone());
        }
        for asked in asked(&def.asked) {
            with(&|def| def.asked = asked.clone());
        }
    }
    for (id, def) in program.observers.0.iter().enumerate() {
        let mut with = |change: &dyn Fn(&mut crate::program::ObserverDef)| {
            let mut smaller = program.clone();
            change(&mut smaller.observers.0[id]);
            found.push(smaller);
        };
        with(&|def| *def = crate::program::ObserverDef::default());
        with(&|def| def.order = 0);
        for bit in 0..8 {
            with(&|def| def.moments &= !(1 << bit));
        }
        for calls in calls(&def.calls) {
            with(&|def| def.calls = calls.clone());
        }
    }
    found.extend(without_last(program));
    found
}

/// Without what nothing speaks of any more.
fn without_last(program: &Program) -> Vec<Program> {
    let mut found = Vec::new();
    let text = format!("{program:?}");
    let last = program.sources.0.len().wrapping_sub(1);
    let named = [
        "Add",
        "Remove",
        "Adopt",
        "Invalidate",
        "Drop",
        "Signal",
        "LookBeforeSleep",
        "Due",
        "DueWithin",
        "Watch",
    ];
    let speaks = |verb: &&str| {
        text.contains(&format!("{verb}({last},")) || text.contains(&format!("{verb}({last})"))
    };
    if !program.sources.0.is_empty() && !named.iter().any(speaks) {
        let mut smaller = program.clone();
        smaller.sources.0.pop();
        found.push(smaller);
    }
    let last = program.observers.0.len().wrapping_sub(1);
    if !program.observers.0.is_empty() && !text.contains(&format!("Observer({last}")) {
        let mut smaller = program.clone();
        smaller.observers.0.pop();
        found.push(smaller);
    }
    found
}

/// Lists of scripts with something left out.
fn calls(calls: &List<Script>) -> Vec<List<Script>> {
    let mut found = Vec::new();
    if !calls.0.is_empty() {
        found.push(List(Vec::new()));
        found.push(List(calls.0[..calls.0.len() - 1].to_vec()));
    }
    for (place, script) in calls.0.iter().enumerate() {
        for smaller in scripts(script) {
            let mut calls = calls.clone();
            calls.0[place] = smaller;
            found.push(calls);
        }
    }
    found
}

/// What a source does and says when it is asked, with something left out.
fn asked(asked: &List<(Script, Answer)>) -> Vec<List<(Script, Answer)>> {
    let mut found = Vec::new();
    if let Some((_, fewer)) = asked.0.split_last() {
        found.push(List(Vec::new()));
        found.push(List(fewer.to_vec()));
    }
    for (place, (script, answer)) in asked.0.iter().enumerate() {
        let scripts = scripts(script).into_iter();
        let simpler = scripts.map(|script| (script, *answer));
        for simpler in simpler.chain([(script.clone(), Answer::Idle)]) {
            let mut asked = asked.clone();
            asked.0[place] = simpler;
            found.push(asked);
        }
    }
    found
}

/// Scripts with something left out: halves, then single actions, then what is inside of one.
fn scripts(script: &Script) -> Vec<Script> {
    let actions = &script.0;
    let mut found = Vec::new();
    if actions.len() > 3 {
        found.push(List(actions[actions.len() / 2..].to_vec()));
        found.push(List(actions[..actions.len() / 2].to_vec()));
    }
    for place in (0..actions.len()).rev() {
        let mut fewer = actions.clone();
        fewer.remove(place);
        found.push(List(fewer));
    }
    for (place, action) in actions.iter().enumerate() {
        for simpler in simpler(action) {
            let mut actions = actions.clone();
            actions[place] = simpler;
            found.push(List(actions));
        }
    }
    found
}

fn simpler(action: &Action) -> Vec<Action> {
    match action {
        Action::Perform(mode, script) => {
            let inner = scripts(script).into_iter();
            inner.map(|script| Action::Perform(*mode, script)).collect()
        }
        Action::Send(mode, script) => {
            let inner = scripts(script).into_iter();
            inner.map(|script| Action::Send(*mode, script)).collect()
        }
        Action::Elsewhere(inner) => {
            let simpler = simpler(inner).into_iter();
            let mut found: Vec<_> = simpler
                .map(|inner| Action::Elsewhere(Box::new(inner)))
                .collect();
            found.push((**inner).clone());
            found
        }
        Action::DueWithin(id, millis, _) => vec![Action::Due(*id, Some(*millis))],
        _ => Vec::new(),
    }
}
