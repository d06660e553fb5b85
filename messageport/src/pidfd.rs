//! Which process is on the other side: of a connected socket, or of a lock on a file.
//!
//! For the parts that look for names and for those that judge a peer. It asks the kernel and
//! knows neither names nor links. The three questions stand here because the safe wrappers do not
//! fit them: one does not exist yet, and two hand out process ids that can never be zero or
//! negative, which the kernel does not promise across pid namespaces.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Who opened the other end of a connection, as the kernel recorded it then.
///
/// The record stays as it is when the descriptor is passed on or inherited. The process id is for
/// display: by the time it is looked up it may be somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Credentials {
    /// The process, or `None` where this process cannot name it (another pid namespace).
    pub pid: Option<u32>,
    /// The effective user of that process.
    pub uid: u32,
    /// The effective group of that process.
    pub gid: u32,
}

impl Credentials {
    /// The credentials of the process at the other end of `socket`.
    ///
    /// Linux, `SO_PEERCRED` of `unix(7)`.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let raw: libc::ucred = option(socket, libc::SO_PEERCRED)?;
        Ok(Self {
            pid: named(raw.pid),
            uid: raw.uid,
            gid: raw.gid,
        })
    }
}

/// What the kernel hands out for the process at the other end of a socket.
#[derive(Debug)]
pub(crate) enum Process {
    /// A descriptor that becomes readable when the process ends; it may have ended already.
    Watched(OwnedFd),
    /// The process has ended and has been waited for.
    Gone,
    /// The kernel cannot tell: it is older than Linux 6.5, or there is no room for a descriptor.
    Unknown,
}

impl Process {
    /// The process at the other end of `socket`.
    ///
    /// Linux 6.5, `SO_PEERPIDFD` of `unix(7)`.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> Self {
        match option::<RawFd>(socket, libc::SO_PEERPIDFD) {
            Ok(fd) => Self::Watched(adopt(fd)),
            Err(error) => match error.raw_os_error() {
                // Of a process that is gone, older kernels say EINVAL and newer ones ESRCH.
                Some(libc::ESRCH | libc::EINVAL) => Self::Gone,
                _ => Self::Unknown,
            },
        }
    }
}

/// Who holds a lock that keeps us from locking a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The process, or `None` where this process cannot name it.
    pub(crate) pid: Option<u32>,
}

/// The process that holds a record lock on `file`; none if there is none, or only our own.
///
/// `F_GETLK` of `fcntl(2)`.
pub(crate) fn lock_holder(file: BorrowedFd<'_>) -> io::Result<Option<Holder>> {
    // All zero but for its kind: from the start of the file to wherever its end may be.
    let mut found: libc::flock = zeroed();
    found.l_type = lock_kind(libc::F_WRLCK);
    found.l_whence = lock_kind(libc::SEEK_SET);
    #[expect(
        unsafe_code,
        reason = "the safe wrapper panics on a lock without a process"
    )]
    // SAFETY: `file` is open for the call, and `F_GETLK` wants a pointer to one `flock`, which
    // `found` is, initialised and not shared.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut found) };
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    let free = found.l_type == lock_kind(libc::F_UNLCK);
    Ok((!free).then(|| Holder {
        pid: named(found.l_pid),
    }))
}

/// Reads a socket option of a type for which every bit pattern is a value.
fn option<T: Plain>(socket: BorrowedFd<'_>, option: libc::c_int) -> io::Result<T> {
    let mut value: T = zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    #[expect(
        unsafe_code,
        reason = "no safe wrapper reads these options without a promise on the process id"
    )]
    // SAFETY: `socket` is open for the call; `value` has room for the `length` bytes that are
    // announced, any bytes are a value of it, and both outlive the call.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(value)
}

/// The value of which all bytes are zero.
fn zeroed<T: Plain>() -> T {
    #[expect(
        unsafe_code,
        reason = "structures of the system may have fields that have no name"
    )]
    // SAFETY: `Plain` says that any bytes are a value of `T`, and these are initialised.
    let value = unsafe { MaybeUninit::zeroed().assume_init() };
    value
}

/// Takes over a descriptor that the kernel has just made for us.
fn adopt(fd: RawFd) -> OwnedFd {
    #[expect(unsafe_code, reason = "the kernel returns the descriptor as a number")]
    // SAFETY: `SO_PEERPIDFD` succeeded, so `fd` is open, was made by that call, and nothing else
    // knows of it.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    owned
}

/// A process id that means something here: 0 and -1 stand for processes that cannot be named.
fn named(pid: libc::pid_t) -> Option<u32> {
    u32::try_from(pid).ok().filter(|&pid| pid != 0)
}

/// The small constants of a lock in the width that `flock` has for them.
fn lock_kind(constant: libc::c_int) -> libc::c_short {
    libc::c_short::try_from(constant).unwrap_or(libc::c_short::MAX)
}

/// Types of which any bytes are a value: whole numbers and structures of them.
trait Plain {}

impl Plain for libc::flock {}
impl Plain for libc::ucred {}
impl Plain for RawFd {}

#[cfg(test)]
mod tests {
    use super::{Credentials, Process, lock_holder, named};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let credentials = Credentials::of(one.as_fd()).unwrap();
        assert_eq!(
            credentials.pid,
            Some(std::process::id()),
            "both ends are ours"
        );
        assert_eq!(
            credentials.uid,
            rustix::process::geteuid().as_raw(),
            "and so is the user"
        );
        assert_eq!(
            credentials.gid,
            rustix::process::getegid().as_raw(),
            "and the group"
        );
    }

    #[test]
    fn a_living_process_has_a_descriptor_that_is_not_readable() {
        let (one, _other) = UnixStream::pair().unwrap();
        let Process::Watched(pidfd) = Process::of(one.as_fd()) else {
            return; // A kernel before 6.5.
        };
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        assert_eq!(
            poll(&mut fds, Some(&Timespec::default())).unwrap(),
            0,
            "this process lives"
        );
        let flags = rustix::io::fcntl_getfd(&pidfd).unwrap();
        assert!(
            flags.contains(rustix::io::FdFlags::CLOEXEC),
            "no descriptor survives an exec"
        );
    }

    #[test]
    fn what_is_no_socket_is_an_error_and_not_a_process() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(Credentials::of(file.as_fd()).is_err(), "a file has no peer");
        assert!(
            matches!(Process::of(file.as_fd()), Process::Unknown),
            "and no process"
        );
    }

    #[test]
    fn a_file_nobody_locked_has_no_holder() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(lock_holder(file.as_fd()).unwrap(), None, "nobody locks it");
    }

    #[test]
    fn processes_of_other_pid_namespaces_have_no_number() {
        assert_eq!(
            named(0),
            None,
            "0 is what the kernel says across namespaces"
        );
        assert_eq!(
            named(-1),
            None,
            "-1 is what it says of locks without a process"
        );
        assert_eq!(named(7), Some(7), "others are what they are");
    }
}
