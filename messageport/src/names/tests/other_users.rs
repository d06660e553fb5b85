//! What processes of other users can do. Only root can start one, so others skip these.

use super::super::claim::Claim;
use super::super::connect::{ConnectError, connect};
use super::super::directory::Directory;
use super::processes::Process;
use super::{Place, is_root, name};
use crate::hello::{Accepted, accept};
use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;

/// The user that owns nothing.
const NOBODY: u32 = 65_534;

/// A process of that user, if this one can start it.
fn nobody(place: &Place) -> Option<Process> {
    if !is_root() {
        return None;
    }
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    Process::of_user(&place.ports_path(), Some(NOBODY)).ok()
}

#[test]
fn other_users_reach_the_ports_of_a_shared_directory_and_own_none() {
    let place = Place::new();
    drop(place.ports());
    fs::set_permissions(place.ports_path(), Permissions::from_mode(0o755)).unwrap();
    let ports = Directory::open(place.ports_path()).unwrap();
    let claim = Claim::new(&ports, &name("service")).unwrap();
    let Some(mut nobody) = nobody(&place) else {
        return;
    };
    let connected = format!("connected to Some({})", std::process::id());
    assert_eq!(
        nobody.ask("connect-shared service"),
        connected,
        "it gets through"
    );
    let Ok(Accepted::Client(client)) = accept(claim.listener().as_fd()) else {
        panic!("it waits to be accepted");
    };
    assert_eq!(client.credentials().uid, NOBODY, "as who it is");
    assert_eq!(
        client.credentials().pid,
        Some(nobody.pid()),
        "and which process"
    );
    let listed = "[NamedPort { name: \"service\", pid: None }]";
    assert_eq!(
        nobody.ask("list-shared"),
        listed,
        "it sees the name, not the owner"
    );
    for (text, why) in [("mine", "a new name"), ("service", "a taken one")] {
        let answer = nobody.ask(&format!("claim-shared {text}"));
        assert!(
            answer.starts_with("failed PermissionDenied"),
            "{why}: {answer}"
        );
    }
}

#[test]
fn a_server_of_a_user_who_has_no_business_there_is_not_trusted() {
    let place = Place::new();
    let ports = place.ports();
    let Some(mut squatter) = nobody(&place) else {
        return;
    };
    // As if somebody had found a way in.
    fs::set_permissions(place.ports_path(), Permissions::from_mode(0o777)).unwrap();
    assert_eq!(squatter.ask("squat a.sock"), "squatting", "it listens");
    let error = connect(&ports, &name("a")).unwrap_err();
    assert!(
        matches!(error, ConnectError::ForeignOwner { uid: NOBODY, .. }),
        "{error:?}"
    );
}
