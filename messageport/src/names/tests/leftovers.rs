//! What lies in a directory that nobody who lives has put there, or that is not what it seems.

use super::super::claim::{Claim, ClaimError};
use super::super::connect::{ConnectError, connect};
use super::super::find;
use super::processes::Process;
use super::{Place, listed, name};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

#[test]
fn what_a_killed_owner_left_is_taken_over() {
    let place = Place::new();
    let ports = place.ports();
    let mut owner = Process::new(&place.ports_path());
    let long = "x".repeat(255);
    assert_eq!(
        owner.ask(&format!("claim {long}")),
        "won",
        "nobody else wants it"
    );
    assert_eq!(
        ports.names().unwrap(),
        [listed(&long, owner.pid())],
        "it is read back"
    );
    owner.kill();
    assert_eq!(place.files().len(), 2, "it could not clean up");
    assert_eq!(ports.names().unwrap(), [], "but it is not listed");
    let stale = connect(&ports, &name(&long));
    assert!(
        matches!(stale, Err(ConnectError::NotFound { .. })),
        "nor reached: {stale:?}"
    );
    let claim = Claim::new(&ports, &name(&long)).unwrap();
    drop(claim);
    assert_eq!(place.files(), [""; 0], "and its successor cleans up");
}

#[test]
fn a_lock_file_that_lies_about_its_name_is_not_believed() {
    let place = Place::new();
    let ports = place.ports();
    let long = "x".repeat(255);
    let mut owner = Process::new(&place.ports_path());
    assert_eq!(
        owner.ask(&format!("claim {long}")),
        "won",
        "nobody else wants it"
    );
    for lie in [b"another name".as_slice(), b"", &[0xff; 300]] {
        fs::write(place.ports_path().join(&place.files()[0]), lie).unwrap();
        assert_eq!(
            ports.names().unwrap(),
            [],
            "a name that cannot be told is not listed"
        );
        let error = Claim::new(&ports, &name(&long)).unwrap_err();
        let told = matches!(&error, ClaimError::NameInUse { name, .. } if name.as_str() == long);
        assert!(told, "the name that was asked for is in use: {error:?}");
    }
}

#[test]
fn what_an_owner_left_that_was_killed_half_way_is_overcome() {
    let place = Place::new();
    let ports = place.ports();
    fs::write(place.ports_path().join("a.lock"), "").unwrap();
    let lock = fs::metadata(place.ports_path().join("a.lock")).unwrap();
    fs::write(place.ports_path().join(format!("t-{:x}", lock.ino())), "").unwrap();
    let claim = Claim::new(&ports, &name("a")).unwrap();
    assert_eq!(
        place.files(),
        ["a.lock", "a.sock"],
        "its temporary name is gone"
    );
    drop(claim);
    assert_eq!(place.files(), [""; 0], "with all the rest");
}

#[test]
fn rubbish_in_the_directory_is_overcome() {
    let place = Place::new();
    let ports = place.ports();
    let at = |file: &str| place.ports_path().join(file);
    fs::write(at("a.lock"), [0xff; 4096]).unwrap();
    fs::write(at("a.sock"), "not a socket").unwrap();
    fs::write(at("%zz.sock"), "of no name").unwrap();
    symlink("/etc/passwd", at("b.sock")).unwrap();
    fs::create_dir(at("c.lock")).unwrap();
    assert_eq!(ports.names().unwrap(), [], "none of it is a port");
    for text in ["a", "b"] {
        let refused = connect(&ports, &name(text));
        assert!(
            matches!(refused, Err(ConnectError::NotFound { .. })),
            "{text}: {refused:?}"
        );
        let claim = Claim::new(&ports, &name(text)).unwrap();
        assert!(connect(&ports, &name(text)).is_ok(), "{text} can be had");
        drop(claim);
    }
    let refused = Claim::new(&ports, &name("c"));
    assert!(
        matches!(refused, Err(ClaimError::Io { .. })),
        "a directory stays: {refused:?}"
    );
    symlink("/tmp/elsewhere", at("d.lock")).unwrap();
    let refused = Claim::new(&ports, &name("d"));
    assert!(
        matches!(refused, Err(ClaimError::Io { .. })),
        "a link is not followed: {refused:?}"
    );
}

#[test]
fn a_claim_that_fails_half_way_leaves_nothing() {
    let place = Place::new();
    let ports = place.ports();
    fs::create_dir(place.ports_path().join("a.sock")).unwrap();
    for _ in 0..2 {
        let failed = Claim::new(&ports, &name("a"));
        assert!(
            matches!(failed, Err(ClaimError::Io { .. })),
            "in the way: {failed:?}"
        );
        assert_eq!(place.files(), ["a.sock"], "neither lock nor temporary name");
    }
    assert_eq!(find(&ports, &name("a")), None, "nor an entry");
    fs::remove_dir(place.ports_path().join("a.sock")).unwrap();
    assert!(Claim::new(&ports, &name("a")).is_ok(), "and then it works");
}

#[test]
fn what_somebody_else_put_in_place_of_our_files_is_left_alone() {
    let place = Place::new();
    let ports = place.ports();
    let claim = Claim::new(&ports, &name("a")).unwrap();
    for file in ["a.lock", "a.sock"] {
        // Moved and not removed, so that the number of the file cannot be used again.
        fs::rename(place.ports_path().join(file), place.path().join(file)).unwrap();
        fs::write(place.ports_path().join(file), "theirs").unwrap();
    }
    drop(claim);
    assert_eq!(
        place.files(),
        ["a.lock", "a.sock"],
        "they are not ours to remove"
    );
}
