//! Live claims that change their name.

use super::super::claim::{Claim, ClaimError};
use super::super::connect::{ConnectError, connect};
use super::super::find;
use super::processes::Process;
use super::{Place, name};
use crate::hello::{Accepted, accept};
use std::fs;
use std::os::fd::AsFd;

#[test]
fn a_renamed_claim_keeps_its_socket_and_all_who_wait_there() {
    let place = Place::new();
    let ports = place.ports();
    let mut claim = Claim::new(&ports, &name("old")).unwrap();
    let id = claim.id();
    let before = connect(&ports, &name("old")).unwrap();
    claim.rename(&name("new")).unwrap();
    assert_eq!(claim.name(), &name("new"), "it has the new name");
    assert_eq!(place.files(), ["new.lock", "new.sock"], "and only that");
    assert_eq!(
        (find(&ports, &name("old")), find(&ports, &name("new"))),
        (None, Some(id)),
        "so"
    );
    assert!(!before.is_dead(), "who was connected still is");
    let after = connect(&ports, &name("new")).unwrap();
    for who in ["the one from before", "the one from after"] {
        let accepted = accept(claim.listener().as_fd());
        assert!(
            matches!(accepted, Ok(Accepted::Client(_))),
            "{who} is queued"
        );
    }
    drop(after);
    let gone = connect(&ports, &name("old"));
    assert!(
        matches!(gone, Err(ConnectError::NotFound { .. })),
        "the old name is no more"
    );
    let mut other = Process::new(&place.ports_path());
    assert_eq!(other.ask("claim old"), "won", "and free for others");
    let lost = format!("lost {}", std::process::id());
    assert_eq!(other.ask("claim new"), lost, "unlike the new one");
}

#[test]
fn a_rename_to_the_same_name_is_no_change() {
    let place = Place::new();
    let ports = place.ports();
    let mut claim = Claim::new(&ports, &name("a")).unwrap();
    claim.rename(&name("a")).unwrap();
    assert_eq!(place.files(), ["a.lock", "a.sock"], "all is as it was");
    assert!(connect(&ports, &name("a")).is_ok(), "and it is reached");
}

#[test]
fn a_rename_to_a_taken_name_changes_nothing() {
    let place = Place::new();
    let ports = place.ports();
    let mut other = Process::new(&place.ports_path());
    assert_eq!(other.ask("claim theirs"), "won", "nobody else wants it");
    let mut claim = Claim::new(&ports, &name("ours")).unwrap();
    let second = Claim::new(&ports, &name("second")).unwrap();
    for (taken, owner) in [("theirs", other.pid()), ("second", std::process::id())] {
        let error = claim.rename(&name(taken)).unwrap_err();
        assert!(
            matches!(&error, ClaimError::NameInUse { pid, .. } if *pid == Some(owner)),
            "{taken} is taken: {error:?}"
        );
        assert_eq!(claim.name(), &name("ours"), "it keeps its name");
        assert!(
            connect(&ports, &name("ours")).is_ok(),
            "and is reached by it"
        );
    }
    assert_eq!(
        find(&ports, &name("ours")),
        Some(claim.id()),
        "and registered by it"
    );
    drop(second);
    claim.rename(&name("second")).unwrap();
}

#[test]
fn a_rename_whose_socket_was_taken_away_fails_and_frees_the_new_name() {
    let place = Place::new();
    let ports = place.ports();
    let mut claim = Claim::new(&ports, &name("a")).unwrap();
    let socket = place.ports_path().join("a.sock");
    fs::rename(&socket, place.path().join("elsewhere")).unwrap();
    let failed = claim.rename(&name("b"));
    assert!(
        matches!(failed, Err(ClaimError::Io { .. })),
        "nothing to rename: {failed:?}"
    );
    assert_eq!(place.files(), ["a.lock"], "the new name is free again");
    fs::write(&socket, "theirs").unwrap();
    let failed = claim.rename(&name("b"));
    assert!(
        matches!(failed, Err(ClaimError::Io { .. })),
        "nothing of ours: {failed:?}"
    );
    assert_eq!(
        place.files(),
        ["a.lock", "a.sock"],
        "and theirs is left alone"
    );
}
