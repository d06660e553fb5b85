//! The file behind the shared memory: made so that it can never change its size, and checked for that on receipt.
//!
//! A file that its maker could still truncate would kill whoever reads it. So would huge pages when their pool is empty,
//! and files of other kinds answer questions about seals too; hence the check of the file system.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FsWord, MemfdFlags, SealFlags};
use rustix::io::Errno;

use super::layout::Layout;

/// Makes a file for this layout, sealed at its size.
pub(super) fn create(layout: Layout) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(NAME, flags | MemfdFlags::NOEXEC_SEAL) {
        // A kernel older than 6.3 does not know the flag; files of memory are executable there, and nothing more.
        Err(Errno::INVAL) => rustix::fs::memfd_create(NAME, flags)?,
        made => made?,
    };
    rustix::fs::ftruncate(&file, u64::from(layout.file_len()))?;
    rustix::fs::fcntl_add_seals(&file, NEEDED)?;
    Ok(file)
}

/// Makes sure that a file somebody sent is memory of exactly this layout, and stays so.
pub(super) fn check(file: BorrowedFd<'_>, layout: Layout) -> Result<(), AdoptError> {
    let seals = match rustix::fs::fcntl_get_seals(file) {
        Err(Errno::INVAL) => return Err(AdoptError::Unsealed),
        seals => seals.map_err(system)?,
    };
    if !seals.contains(NEEDED) {
        return Err(AdoptError::Unsealed);
    }
    if seals.intersects(SealFlags::WRITE | SealFlags::FUTURE_WRITE) {
        return Err(AdoptError::WriteSealed);
    }
    if rustix::fs::fstatfs(file).map_err(system)?.f_type != TMPFS {
        return Err(AdoptError::NotMemory);
    }
    let found = rustix::fs::fstat(file).map_err(system)?.st_size;
    let expected = layout.file_len();
    if found != i64::from(expected) {
        return Err(AdoptError::Size { found, expected });
    }
    Ok(())
}

/// Why memory that somebody sent cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdoptError {
    /// The file could still change its size, or its seals.
    #[error("the memory that was sent is not sealed")]
    Unsealed,
    /// The file cannot be written, or cannot be mapped for writing.
    #[error("the memory that was sent is sealed against writing")]
    WriteSealed,
    /// The file is none of ordinary memory: huge pages, or a disk.
    #[error("what was sent is not a file of ordinary memory")]
    NotMemory,
    /// The file does not have the size that its rings need.
    #[error("the memory that was sent has {found} bytes instead of {expected}")]
    Size {
        /// Bytes the file has.
        found: i64,
        /// Bytes it should have.
        expected: u32,
    },
    /// The system did not answer a question about the file, or did not map it.
    #[error("the memory that was sent cannot be examined or mapped")]
    System(#[source] io::Error),
}

fn system(errno: Errno) -> AdoptError {
    AdoptError::System(errno.into())
}

/// What `/proc` shows.
const NAME: &str = "messageport";

/// With these no one can ever change the size of the file.
const NEEDED: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// The file system of ordinary memory, by the number that the kernel gives it.
const TMPFS: FsWord = 0x0102_1994;
