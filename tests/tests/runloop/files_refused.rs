//! What the system refuses to watch: what this user may not read, and more than the user may watch.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use runloop::{FileChanges, FileInterest, FilesError};
use rustix::process::geteuid;
use rustix::thread::{Uid, set_thread_res_uid};
use tests::{Watchdog, in_own_process};

use crate::support::Place;

/// Takes the rights of root from this thread, or gives them back.
fn become_user(uid: Uid) {
    set_thread_res_uid(Uid::ROOT, uid, Uid::ROOT).unwrap();
}

#[test]
fn what_this_user_may_not_read_is_denied() {
    in_own_process!({
        let _watchdog = Watchdog::new();
        let place = Place::new("denied");
        let path = place.directory("closed");
        fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
        let files = FileChanges::new(|_, _, _| {}).unwrap();
        let root = geteuid().is_root();
        if root {
            become_user(Uid::from_raw(65_534));
        }
        let refused = files.watch(&path, FileInterest::all());
        if root {
            become_user(Uid::ROOT);
        }
        assert!(matches!(refused, Err(FilesError::Denied)), "{refused:?}");
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        files.watch(&path, FileInterest::all()).unwrap();
    });
}

/// The limit is the user's, whose other processes count, so it is lowered for a user of a namespace of its own, which not
/// every system lets be made.
#[test]
fn more_than_the_user_may_watch_is_refused_and_what_is_watched_stays() {
    let lower = r#"echo 2 >/proc/sys/user/max_inotify_watches && exec "$0" "$@""#;
    let wrapper = ["unshare", "--user", "--map-root-user", "sh", "-c", lower];
    let allowed = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg("true")
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return;
    }
    in_own_process!(under wrapper, {
        let _watchdog = Watchdog::new();
        let place = Place::new("many");
        let files = FileChanges::new(|_, _, _| {}).unwrap();
        let watch = |name| files.watch(place.directory(name), FileInterest::all());
        let first = watch("first").unwrap();
        watch("second").unwrap();
        let refused = watch("third");
        assert!(matches!(refused, Err(FilesError::TooManyWatches)), "{refused:?}");
        assert_eq!(files.watched().len(), 2, "as before");
        assert!(files.unwatch(first), "room for another");
        watch("fourth").unwrap();
    });
}
