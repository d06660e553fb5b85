//! Many processes that want one name, some of which die of it.

use super::super::claim::{Claim, ClaimError};
use super::super::connect::{ConnectError, connect};
use super::processes::{self, Orphan, Process};
use super::{Place, name};
use std::sync::Barrier;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

#[test]
fn of_fifty_processes_one_gets_the_name_and_all_others_learn_its_pid() {
    let place = Place::new();
    let ports = place.ports();
    let mut processes: Vec<Process> = (0..50).map(|_| Process::new(&place.ports_path())).collect();
    for round in 0..6 {
        let order = format!("claim-at {} the one", processes::in_a_moment());
        for process in &mut processes {
            process.tell(&order);
        }
        let answers: Vec<String> = processes.iter_mut().map(Process::answer).collect();
        let winners: Vec<usize> = (0..answers.len())
            .filter(|&index| answers[index] == "won")
            .collect();
        assert_eq!(winners.len(), 1, "round {round}: {answers:?}");
        let winner = winners[0];
        let pid = processes[winner].pid();
        let lost = format!("lost {pid}");
        for (index, answer) in answers.iter().enumerate() {
            assert!(
                index == winner || *answer == lost,
                "round {round}: {answer}, not {lost}"
            );
        }
        let peer = connect(&ports, &name("the one")).unwrap();
        assert_eq!(
            peer.credentials().pid,
            Some(pid),
            "round {round}: and it listens"
        );
        if round % 2 == 0 {
            processes[winner].kill();
            processes.remove(winner);
        } else {
            assert_eq!(processes[winner].ask("drop"), "dropped", "round {round}");
        }
        assert!(peer.is_dead(), "round {round}: its client notices");
        let ours = Claim::new(&ports, &name("the one"));
        assert!(ours.is_ok(), "round {round}: free at once, but {ours:?}");
    }
    drop(processes);
    assert_eq!(place.files(), [""; 0], "and nothing is left");
}

#[test]
fn an_owner_that_goes_is_followed_by_exactly_one() {
    let place = Place::new();
    let ports = place.ports();
    let (sender, won) = channel();
    let mut processes: Vec<Process> = (0..20)
        .map(|index| {
            let mut process = Process::new(&place.ports_path());
            process.report(index, sender.clone());
            process.tell("chase the one");
            process
        })
        .collect();
    let mut quick = None;
    for turn in 0..processes.len() {
        let (owner, answer) = quick.take().unwrap_or_else(|| won.recv().unwrap());
        assert_eq!(answer, "won", "turn {turn}");
        let peer = connect(&ports, &name("the one")).unwrap();
        assert_eq!(
            peer.credentials().pid,
            Some(processes[owner].pid()),
            "turn {turn}"
        );
        let second = won.recv_timeout(Duration::from_millis(5));
        assert_eq!(
            second,
            Err(RecvTimeoutError::Timeout),
            "turn {turn}: one at a time"
        );
        if turn % 2 == 0 {
            processes[owner].kill();
            continue;
        }
        processes[owner].tell("drop");
        let mut said = won.recv().unwrap();
        if said.0 != owner {
            // The next owner has been quicker to speak than the last one.
            quick = Some(said);
            said = won.recv().unwrap();
        }
        assert_eq!(said, (owner, "dropped".to_owned()), "turn {turn}");
    }
}

#[test]
fn a_name_that_changes_hands_all_the_time_never_has_two_owners() {
    let place = Place::new();
    drop(place.ports());
    let mut processes: Vec<Process> = (0..8).map(|_| Process::new(&place.ports_path())).collect();
    for process in &mut processes {
        process.tell("contend the one");
    }
    for process in &mut processes {
        assert_eq!(
            process.answer(),
            "contended",
            "each owns it a hundred times"
        );
    }
    assert_eq!(place.files(), [""; 0], "and nothing is left");
}

#[test]
fn of_sixteen_threads_one_gets_the_name_and_the_others_learn_that_it_is_ours() {
    let place = Place::new();
    let ports = place.ports();
    for round in 0..20 {
        let start = Barrier::new(16);
        let results: Vec<Result<Claim, ClaimError>> = thread::scope(|scope| {
            let race = || {
                start.wait();
                Claim::new(&ports, &name("the one"))
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(race)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}");
        let ours = Some(std::process::id());
        for result in lost {
            let error = result.unwrap_err();
            assert!(
                matches!(&error, ClaimError::NameInUse { pid, .. } if *pid == ours),
                "round {round}: {error:?}"
            );
        }
        let winner = won.into_iter().next().unwrap().unwrap();
        let found = super::super::find(&ports, &name("the one"));
        assert_eq!(
            found,
            Some(winner.id()),
            "round {round}: the registry has the winner"
        );
    }
    assert_eq!(
        super::super::find(&ports, &name("the one")),
        None,
        "and nobody after it"
    );
}

#[test]
fn a_killed_owner_whose_child_lives_on_owns_nothing() {
    let place = Place::new();
    let ports = place.ports();
    let mut owner = Process::new(&place.ports_path());
    assert_eq!(owner.ask("claim the one"), "won", "nobody else wants it");
    let _orphan = Orphan::of(&owner.ask("orphan"));
    let peer = connect(&ports, &name("the one")).unwrap();
    owner.kill();
    if peer.pidfd().is_some() {
        assert!(
            peer.is_dead(),
            "its client notices, although the socket is still open"
        );
    }
    let stale = connect(&ports, &name("the one"));
    assert!(
        matches!(stale, Err(ConnectError::NotFound { .. })),
        "nobody serves it: {stale:?}"
    );
    assert_eq!(ports.names().unwrap(), [], "it is not listed");
    let claim = Claim::new(&ports, &name("the one")).unwrap();
    let peer = connect(&ports, &name("the one")).unwrap();
    assert_eq!(
        peer.credentials().pid,
        Some(std::process::id()),
        "clients reach the new owner"
    );
    drop(claim);
}

#[test]
fn an_owner_that_lets_go_hangs_up_although_its_child_lives_on() {
    let place = Place::new();
    let ports = place.ports();
    let mut owner = Process::new(&place.ports_path());
    assert_eq!(owner.ask("claim the one"), "won", "nobody else wants it");
    let _orphan = Orphan::of(&owner.ask("orphan"));
    let queued: Vec<_> = (0..3)
        .map(|_| connect(&ports, &name("the one")).unwrap())
        .collect();
    assert!(
        queued.iter().all(|peer| !peer.is_dead()),
        "they wait to be accepted"
    );
    assert_eq!(
        owner.ask("drop"),
        "dropped",
        "it lives, but not as the owner"
    );
    assert!(
        queued.iter().all(crate::hello::Peer::is_dead),
        "and all learn of it"
    );
}
