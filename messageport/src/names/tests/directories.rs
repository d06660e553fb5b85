//! Directories that may be used for names, and those that may not.

use super::super::directory::{Directory, DirectoryError, Reach};
use super::{Place, is_root};
use crate::hello::tests::alone;
use std::fs::{self, Permissions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_private_directory_is_created_for_its_owner_alone() {
    let place = Place::new();
    let ports = place.ports();
    let found = fs::metadata(place.ports_path()).unwrap();
    assert_eq!(found.mode() & 0o777, 0o700, "others cannot enter it");
    assert_eq!(ports.path(), place.ports_path(), "and it says where it is");
    assert_eq!(ports.reach(), Reach::Owner, "its ports are for one user");
    assert_eq!(place.ports(), ports, "opened again it is the same");
}

#[test]
fn a_private_directory_that_others_may_enter_is_refused() {
    let place = Place::new();
    let path = place.ports_path();
    drop(place.ports());
    for mode in [0o701, 0o710, 0o755, 0o777] {
        chmod(&path, mode);
        let error = Directory::private(&path).unwrap_err();
        let refused = matches!(error, DirectoryError::Mode { mode: found, .. } if found == mode);
        assert!(refused, "{mode:o}: {error:?}");
    }
    // What a parent directory may add to those that are made in it does no harm.
    chmod(&path, 0o2700);
    Directory::private(&path).unwrap();
}

#[test]
fn a_link_is_not_followed_and_what_is_no_directory_is_refused() {
    let place = Place::new();
    let real = place.path().join("real");
    fs::create_dir(&real).unwrap();
    chmod(&real, 0o700);
    symlink(&real, place.ports_path()).unwrap();
    let slash = format!("{}/", place.ports_path().display());
    for path in [place.ports_path().as_path(), Path::new(&slash)] {
        let private = Directory::private(path);
        assert!(
            matches!(private, Err(DirectoryError::NotADirectory { .. })),
            "{private:?}"
        );
        let shared = Directory::open(path);
        assert!(
            matches!(shared, Err(DirectoryError::NotADirectory { .. })),
            "{shared:?}"
        );
    }
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Directory::private(&file);
    assert!(
        matches!(error, Err(DirectoryError::NotADirectory { .. })),
        "{error:?}"
    );
}

#[test]
fn a_directory_that_cannot_be_made_or_is_not_there_is_an_error_that_names_it() {
    let place = Place::new();
    let deep = place.path().join("missing").join("ports");
    let error = Directory::private(&deep).unwrap_err();
    assert!(matches!(error, DirectoryError::Create { .. }), "{error:?}");
    let expected = format!("cannot create the directory for ports {}", deep.display());
    assert_eq!(error.to_string(), expected, "it says which");
    let error = Directory::open(place.ports_path());
    assert!(
        matches!(error, Err(DirectoryError::Open { .. })),
        "not made by itself: {error:?}"
    );
    let error = Directory::private(Path::new("relative"));
    assert!(
        matches!(error, Err(DirectoryError::Relative { .. })),
        "{error:?}"
    );
}

#[test]
fn a_shared_directory_may_be_entered_but_not_written_by_others() {
    let place = Place::new();
    for mode in [0o700, 0o711, 0o755] {
        chmod(place.path(), mode);
        let shared = Directory::open(place.path()).unwrap();
        assert_eq!(
            shared.reach(),
            Reach::Others,
            "its ports decide whom they admit"
        );
    }
    for mode in [0o722, 0o775, 0o777, 0o1777] {
        chmod(place.path(), mode);
        let error = Directory::open(place.path()).unwrap_err();
        assert!(
            matches!(error, DirectoryError::Mode { .. }),
            "{mode:o}: {error:?}"
        );
    }
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    if !is_root() {
        return; // Only root can give a directory away.
    }
    let place = Place::new();
    drop(place.ports());
    chown(place.ports_path(), Some(65_534), None).unwrap();
    let private = Directory::private(&place.ports_path());
    assert!(
        matches!(private, Err(DirectoryError::Owner { owner: 65_534, .. })),
        "{private:?}"
    );
    let shared = Directory::open(place.ports_path());
    assert!(
        matches!(shared, Err(DirectoryError::Owner { owner: 65_534, .. })),
        "{shared:?}"
    );
}

#[test]
fn the_directory_of_this_user_is_opened_once_and_checked_every_time() {
    let place = Place::new();
    let name = "names::tests::directories::\
                the_directory_of_this_user_is_opened_once_and_checked_every_time";
    let chosen = place.ports_path();
    if !alone(name, &[("MESSAGEPORT_DIR", chosen.to_str().unwrap())]) {
        return;
    }
    let path = std::env::var_os("MESSAGEPORT_DIR").unwrap();
    let path = Path::new(&path);
    let first = Directory::of_this_user().unwrap();
    assert_eq!(first.path(), path, "it is where the environment says");
    let second = Directory::of_this_user().unwrap();
    let descriptor = |directory: &Directory| directory.as_fd().as_raw_fd();
    assert_eq!(
        descriptor(&first),
        descriptor(&second),
        "one descriptor serves all"
    );
    fs::remove_dir(path).unwrap();
    let third = Directory::of_this_user().unwrap();
    assert_ne!(third, first, "one that was removed is made again");
    chmod(path, 0o755);
    let error = Directory::of_this_user().unwrap_err();
    assert!(
        matches!(error, DirectoryError::Mode { .. }),
        "a change is noticed: {error:?}"
    );
}
