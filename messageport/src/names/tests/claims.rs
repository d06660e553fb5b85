//! Claiming, renaming and giving up names, in one process.

use super::super::claim::{Claim, ClaimError};
use super::super::connect::connect;
use super::super::directory::Directory;
use super::super::find;
use super::super::list::NamedPort;
use super::super::wait::Watch;
use super::processes::Process;
use super::{Place, listed, name};
use crate::hello::tests::alone;
use crate::hello::{Accepted, accept};
use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::io::FdFlags;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

fn is_in_use_by(result: &Result<Claim, ClaimError>, owner: u32) -> bool {
    matches!(result, Err(ClaimError::NameInUse { pid, .. }) if *pid == Some(owner))
}

#[test]
fn a_claimed_name_is_a_lock_and_a_listening_socket() {
    let place = Place::new();
    let ports = place.ports();
    let claim = Claim::new(&ports, &name("a/b")).unwrap();
    assert_eq!(claim.name(), &name("a/b"), "its name");
    assert_eq!(claim.directory(), &ports, "its directory");
    assert_eq!(
        place.files(),
        ["a%2Fb.lock", "a%2Fb.sock"],
        "and nothing else"
    );
    let content = fs::read_to_string(place.ports_path().join("a%2Fb.sock"));
    assert!(content.is_err(), "a socket is no file");
    let listener = claim.listener();
    let flags = rustix::io::fcntl_getfd(listener).unwrap();
    assert!(flags.contains(FdFlags::CLOEXEC), "closed on exec");
    let flags = rustix::fs::fcntl_getfl(listener).unwrap();
    assert!(flags.contains(OFlags::NONBLOCK), "and never waiting");
    assert!(
        matches!(accept(listener.as_fd()), Ok(Accepted::Nobody)),
        "it listens"
    );
    drop(claim);
    assert_eq!(place.files(), [""; 0], "nothing stays behind");
}

#[test]
fn the_files_ask_to_be_spared_by_those_who_clean_up() {
    let place = Place::new();
    let _claim = Claim::new(&place.ports(), &name("a")).unwrap();
    for file in ["a.lock", "a.sock"] {
        let mode = fs::metadata(place.ports_path().join(file)).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o1600, "{file} is sticky, and its owner's alone");
    }
}

#[test]
fn any_name_can_be_claimed_reached_and_listed() {
    let place = Place::new();
    let ports = place.ports();
    let long = "x".repeat(255);
    let slashes = "/".repeat(255);
    let umlauts = "ü".repeat(127);
    let names = [
        "a",
        "..",
        ".",
        "/",
        "../../etc/passwd",
        "%2F",
        "a b",
        "-",
        &long,
        &slashes,
        &umlauts,
    ];
    let claims: Vec<Claim> = names
        .iter()
        .map(|text| Claim::new(&ports, &name(text)).unwrap())
        .collect();
    for text in names {
        let peer = connect(&ports, &name(text)).unwrap();
        assert!(!peer.is_dead(), "{text} is there");
    }
    let mut expected: Vec<NamedPort> = names
        .iter()
        .map(|text| listed(text, std::process::id()))
        .collect();
    expected.sort();
    assert_eq!(ports.names().unwrap(), expected, "all of them are listed");
    drop(claims);
    assert_eq!(ports.names().unwrap(), [], "and then none");
    assert_eq!(
        fs::read_dir(place.path()).unwrap().count(),
        1,
        "nothing was made elsewhere"
    );
}

#[test]
fn a_second_claim_in_the_same_process_is_refused_and_changes_nothing() {
    let place = Place::new();
    let ports = place.ports();
    let first = Claim::new(&ports, &name("a")).unwrap();
    let ours = std::process::id();
    assert!(
        is_in_use_by(&Claim::new(&ports, &name("a")), ours),
        "it is in use by ourselves"
    );
    let error = Claim::new(&ports, &name("a")).unwrap_err().to_string();
    let expected = format!(
        "the name \"a\" in {} is in use by this process ({ours})",
        ports.path().display()
    );
    assert_eq!(error, expected, "and the message says where and by whom");
    assert_eq!(
        find(&ports, &name("a")),
        Some(first.id()),
        "the first is still the one"
    );
    let mut other = Process::new(&place.ports_path());
    assert_eq!(
        other.ask("claim a"),
        format!("lost {ours}"),
        "and its lock is still held"
    );
}

#[test]
fn looking_at_names_does_not_give_ours_up() {
    let place = Place::new();
    let ports = place.ports();
    let mut other = Process::new(&place.ports_path());
    assert_eq!(other.ask("claim theirs"), "won", "nobody else wants it");
    let _ours = Claim::new(&ports, &name("ours")).unwrap();
    let expected = [
        listed("ours", std::process::id()),
        listed("theirs", other.pid()),
    ];
    assert_eq!(ports.names().unwrap(), expected, "each with its owner");
    // Another descriptor of the same directory must make no difference.
    assert_eq!(
        place.ports().names().unwrap(),
        expected,
        "each with its owner"
    );
    let lost = format!("lost {}", std::process::id());
    assert_eq!(other.ask("claim ours"), lost, "the lock is still held");
}

#[test]
fn a_second_copy_of_the_library_in_this_process_is_not_disturbed() {
    let place = Place::new();
    let ports = place.ports();
    // What the other copy does, which has a registry of its own.
    let path = place.ports_path().join("a.lock");
    let lock = fs::File::create(path).unwrap();
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let ours = std::process::id();
    assert!(
        is_in_use_by(&Claim::new(&ports, &name("a")), ours),
        "it is owned in this process"
    );
    let mut other = Process::new(&place.ports_path());
    assert_eq!(
        other.ask("claim a"),
        format!("lost {ours}"),
        "and stays locked"
    );
}

#[test]
fn giving_one_name_up_leaves_the_others() {
    let place = Place::new();
    let ports = place.ports();
    let names = ["a", "b", "c"].map(name);
    let [a, b, c] = names.clone().map(|name| Claim::new(&ports, &name).unwrap());
    drop(b);
    let found = names.map(|name| find(&ports, &name));
    assert_eq!(found, [Some(a.id()), None, Some(c.id())], "two are left");
}

#[test]
fn a_claim_in_a_directory_that_was_removed_is_an_error() {
    let place = Place::new();
    let ports = place.ports();
    fs::remove_dir(place.ports_path()).unwrap();
    let failed = Claim::new(&ports, &name("a"));
    assert!(
        matches!(failed, Err(ClaimError::Io { .. })),
        "there is no place: {failed:?}"
    );
    let again: Directory = place.ports();
    assert!(
        Claim::new(&again, &name("a")).is_ok(),
        "until it is made again"
    );
}

#[test]
fn nothing_that_names_do_leaves_a_descriptor_open() {
    if !alone(
        "names::tests::claims::nothing_that_names_do_leaves_a_descriptor_open",
        &[],
    ) {
        return;
    }
    let count = || fs::read_dir("/proc/self/fd").unwrap().count();
    let place = Place::new();
    let ports = place.ports();
    let mut other = Process::new(&place.ports_path());
    assert_eq!(other.ask("claim theirs"), "won", "nobody else wants it");
    let before = count();
    for _ in 0..50 {
        let mut claim = Claim::new(&ports, &name("ours")).unwrap();
        assert!(Claim::new(&ports, &name("ours")).is_err(), "taken by us");
        assert!(
            Claim::new(&ports, &name("theirs")).is_err(),
            "taken by them"
        );
        assert!(claim.rename(&name("theirs")).is_err(), "still taken");
        claim.rename(&name("renamed")).unwrap();
        let peers = ["renamed", "theirs"].map(|text| connect(&ports, &name(text)).unwrap());
        assert!(connect(&ports, &name("nobody's")).is_err(), "nobody has it");
        assert_eq!(ports.names().unwrap().len(), 2, "two names");
        assert!(accept(claim.listener().as_fd()).is_ok(), "one waits");
        drop((peers, claim, place.ports()));
    }
    assert_eq!(count(), before, "as many as before");
}

#[test]
fn programs_that_are_started_inherit_nothing_of_it() {
    if !alone(
        "names::tests::claims::programs_that_are_started_inherit_nothing_of_it",
        &[],
    ) {
        return;
    }
    let place = Place::new();
    let ports = place.ports();
    let count = || {
        Command::new("ls")
            .arg("/proc/self/fd")
            .output()
            .unwrap()
            .stdout
            .len()
    };
    let before = count();
    let claim = Claim::new(&ports, &name("a")).unwrap();
    let client = connect(&ports, &name("a")).unwrap();
    let server = accept(claim.listener().as_fd()).unwrap();
    let watch = Watch::new(&ports).unwrap();
    assert_eq!(count(), before, "no descriptor more");
    drop((claim, client, server, watch));
}
