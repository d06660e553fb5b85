//! What comes for a watch in the moment between the kernel's knowing of it and ours.

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use super::{FileChange, FileChanges, FileInterest};
use crate::core::RunLoop;
use crate::limit::{Limit, ReturnAfter};
use crate::mode::Mode;

fn run(limit: Limit) {
    let run_loop = RunLoop::current();
    let end = run_loop.run_in_mode(Mode::DEFAULT, limit, ReturnAfter::Limit);
    let _outcome = end.expect("the loop can run");
}

#[test]
fn what_is_told_of_a_watch_before_its_adding_has_ended_waits_for_that() {
    let place = std::env::temp_dir().join(format!("runloop-unsettled-{}", std::process::id()));
    fs::create_dir(&place).expect("there is room");
    let told = Rc::new(RefCell::new(Vec::new()));
    let inside = Rc::clone(&told);
    let files = FileChanges::new(move |_, _, change| inside.borrow_mut().push(change));
    let files = files.expect("there is room");
    let run_loop = RunLoop::current();
    run_loop.add(&files, Mode::DEFAULT).expect("it is new");

    // As another thread does that adds a watch and is slow about it.
    let watches = files.watches.upgrade().expect("the source is there");
    watches.begin();
    let number = watches.ask(&place, FileInterest::CREATED);
    fs::write(place.join("a"), "").expect("there is room");
    fs::remove_dir_all(&place).expect("it is ours");
    let passes = run_loop.statistics().passes;
    run(Limit::from(Duration::from_millis(50)));
    assert!(told.borrow().is_empty(), "nobody knows whose this is");
    let passes = run_loop.statistics().passes - passes;
    assert!(passes < 20, "and the loop sleeps meanwhile: {passes}");

    let (added, waited_for) = watches.end(number, &place);
    let added = added.expect("the kernel has taken it");
    assert!(waited_for, "the source is to be told");
    files.handle.signal();
    run(Limit::Now);
    let changes = told.take();
    assert!(
        matches!(&changes[..], [FileChange::Created(entry), FileChange::Vanished(gone)]
            if entry.watch() == added && gone.watch() == added),
        "in order: {changes:?}"
    );
    assert!(files.watched().is_empty(), "it has ended");

    fs::create_dir(&place).expect("there is room");
    files
        .watch(&place, FileInterest::empty())
        .expect("it is there");
    fs::remove_dir(&place).expect("it is ours");
    run(Limit::Now);
    assert_eq!(told.borrow().len(), 1, "the source reads on");
    files.invalidate();
}
