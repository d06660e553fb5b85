//! Tests that need a process of their own: to count descriptors, to change limits, or to fork.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitStatus};

/// Runs a block in a process in which no other test runs: this test binary, started again for this one test.
///
/// The test fails if the block panics there, or if the process ends in any other way than by passing. After `under` there may
/// be the words of a program that starts it, such as a shell that changes what is inherited.
///
/// ```no_run
/// #[test]
/// fn nothing_is_left_open() {
///     tests::in_own_process!({
///         let before = tests::open_descriptors();
///         drop(std::fs::File::open("/dev/null").unwrap());
///         assert_eq!(tests::open_descriptors(), before);
///     });
/// }
/// ```
#[macro_export]
macro_rules! in_own_process {
    ($body:block) => {
        $crate::in_own_process!(under [], $body)
    };
    (under $wrapper:expr, $body:block) => {{
        fn here() {}
        $crate::run_in_own_process(std::any::type_name_of_val(&here), &$wrapper, || $body);
    }};
}

/// What [`in_own_process!`] does; `place` is the path of an item inside the test.
pub fn run_in_own_process(place: &str, wrapper: &[&str], body: impl FnOnce()) {
    let inside = place
        .split_once("::")
        .and_then(|(_, rest)| rest.rsplit_once("::"));
    let test = inside.expect("the path of an item inside a test").0;
    if env::var_os(MARK).is_some_and(|marked| marked == test) {
        return body();
    }
    let binary = env::current_exe().expect("a running test has a file");
    let mut command = match wrapper {
        [] => Command::new(binary),
        [program, words @ ..] => {
            let mut command = Command::new(program);
            command.args(words).arg(binary);
            command
        }
    };
    let output = command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .output()
        .expect("the test binary starts");
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{test} in a process of its own: {}\n{said}\n{complained}",
        output.status
    );
    print!("{said}");
}

/// Forks, and is in two processes afterwards: the child gets `None` and must end with [`leave`].
///
/// The child has one thread, a copy of this one. Locks that other threads held stay locked there, so this is for a
/// process in which no other test runs, and the child should do no more than it must.
pub fn fork() -> Option<Child> {
    #[expect(unsafe_code, reason = "the subject of the test is what `fork` does")]
    // SAFETY: no other thread of this process holds a lock that the child needs (the only other one is the test harness,
    // which waits), and the child leaves without returning into the harness.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    (child > 0).then_some(Child(child))
}

/// Ends a forked child at once, without any destructor.
pub fn leave(code: i32) -> ! {
    #[expect(unsafe_code, reason = "the child must not run the harness's exit")]
    // SAFETY: `_exit` takes any number and only ends this process.
    unsafe {
        libc::_exit(code)
    }
}

/// A child made by [`fork`].
#[derive(Debug)]
#[must_use = "a child that nobody waits for stays as a zombie"]
pub struct Child(libc::pid_t);

impl Child {
    /// Waits for the child to end.
    pub fn wait(self) -> ExitStatus {
        let mut status = 0;
        #[expect(
            unsafe_code,
            reason = "the standard library waits only for its own children"
        )]
        // SAFETY: `status` is a live integer, and the process is a child of this one that nobody else waits for.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        assert_eq!(waited, self.0, "the child has ended");
        ExitStatus::from_raw(status)
    }
}

/// Forks; the child does `check` and exits with what that answers (101 if it panics), and the parent gets its status.
pub fn fork_and_wait(check: impl FnOnce() -> i32) -> ExitStatus {
    match fork() {
        Some(child) => child.wait(),
        None => leave(catch_unwind(AssertUnwindSafe(check)).unwrap_or(101)),
    }
}

/// Set in a process that [`in_own_process!`] has started, to the name of the test.
const MARK: &str = "TESTS_IN_OWN_PROCESS";
