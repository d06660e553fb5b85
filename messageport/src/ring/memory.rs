//! The mapping that two ends share, and all the `unsafe` of the rings.
//!
//! For the producer and the consumer. It knows addresses and bounds, and nothing of what the bytes mean: a wrong offset
//! can make it panic, but never leave the mapping.
//!
//! Whoever holds the other end may change any byte at any moment. So the words of the first page and the headers are
//! only ever seen as atomics, and no reference to bytes of payload ever exists: they are copied between raw pointers. That
//! copy races with a peer that breaks the rules, and what it then yields is any bytes at all, which payload is anyhow.

use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags};
use rustix::process::Pid;

use super::layout::{Direction, Layout, PAGE, UNIT, Words};
use crate::wire::Encoded;

/// A shared mapping of the memory of one link.
#[derive(Debug)]
pub(super) struct Memory {
    /// The first byte.
    ///
    /// # Invariant
    ///
    /// From here on `layout.file_len()` bytes are mapped shared, readable and writable, from a file that cannot shrink,
    /// until `self` is dropped; but not in a forked child of `owner`, where nobody may use them.
    base: NonNull<u8>,
    /// Where the rings are.
    layout: Layout,
    /// Bytes that this end has ever read. Its peer cannot write here, as it can into the words of the first page.
    pub(super) taken: AtomicU64,
    /// The process that made the mapping; a forked child inherits the value but not the pages.
    owner: Pid,
}

impl Memory {
    /// Maps a file that is known to have this layout and to keep its size.
    pub(super) fn map(file: impl AsFd, layout: Layout) -> io::Result<Self> {
        let len = index(layout.file_len());
        let access = ProtFlags::READ | ProtFlags::WRITE;
        #[expect(unsafe_code, reason = "mapping a file has no safe form")]
        // SAFETY: no address is asked for, so the new mapping replaces nothing that exists.
        let base =
            unsafe { rustix::mm::mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let (taken, owner) = (AtomicU64::new(0), rustix::process::getpid());
        let memory = Self {
            base,
            layout,
            taken,
            owner,
        };
        // A child that wrote here would speak with its parent's voice.
        memory.advise(0, len, Advice::LinuxDontFork)?;
        Ok(memory)
    }

    /// Where the rings are.
    #[inline]
    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// The words of a ring.
    #[inline]
    pub(super) fn words(&self, direction: Direction) -> &Words {
        let at = direction.index() * size_of::<Words>();
        #[expect(unsafe_code, reason = "the mapping is known by its address")]
        // SAFETY: both `Words`, two times 512 bytes, lie in the first page, which is mapped as long as `self` lives.
        let words = unsafe { self.base.add(at) };
        #[expect(unsafe_code, reason = "the mapping is known by its address")]
        // SAFETY: `words` is mapped, as above, and aligned, because the page is and `at` is a multiple of 512. All fields
        // of `Words` are atomics, for which every bit pattern is valid and which others may change while we look.
        unsafe {
            words.cast().as_ref()
        }
    }

    /// Reads the header at an offset of a ring.
    #[inline]
    pub(super) fn header(&self, direction: Direction, offset: u64) -> Encoded {
        let words = self.header_words(direction, offset);
        words
            .each_ref()
            .map(|word| u64::from_le(word.load(Ordering::Relaxed)))
    }

    /// Writes the header at an offset of a ring.
    #[inline]
    pub(super) fn set_header(&self, direction: Direction, offset: u64, header: &Encoded) {
        for (word, value) in self.header_words(direction, offset).iter().zip(header) {
            word.store(value.to_le(), Ordering::Relaxed);
        }
    }

    /// Copies bytes into a ring, to an offset.
    #[inline]
    pub(super) fn copy_in(&self, direction: Direction, offset: u64, bytes: &[u8]) {
        let to = self.span(direction, offset, bytes.len());
        #[expect(unsafe_code, reason = "no reference to bytes of a ring may exist")]
        // SAFETY: `bytes` is readable, `span` has checked that as many bytes are mapped and writable at `to`. They cannot
        // overlap: no slice ever refers to the mapping. Bytes have no alignment.
        unsafe {
            copy(bytes.as_ptr(), to.as_ptr(), bytes.len());
        }
    }

    /// Copies bytes out of a ring, from an offset.
    #[inline]
    pub(super) fn copy_out(&self, direction: Direction, offset: u64, bytes: &mut [u8]) {
        let from = self.span(direction, offset, bytes.len());
        #[expect(unsafe_code, reason = "no reference to bytes of a ring may exist")]
        // SAFETY: `span` has checked that as many bytes are mapped and readable at `from`, `bytes` is writable. They cannot
        // overlap: no slice ever refers to the mapping. Bytes have no alignment.
        unsafe {
            copy(from.as_ptr(), bytes.as_mut_ptr(), bytes.len());
        }
    }

    /// Appends bytes of a ring, from an offset, without filling their place with zeros first.
    #[inline]
    pub(super) fn append(
        &self,
        direction: Direction,
        offset: u64,
        len: usize,
        buffer: &mut Vec<u8>,
    ) {
        let from = self.span(direction, offset, len);
        buffer.reserve(len);
        let to = buffer.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        #[expect(unsafe_code, reason = "no reference to bytes of a ring may exist")]
        // SAFETY: `span` has checked that `len` bytes are mapped and readable at `from`; `reserve` has made room for as many
        // at `to`. They cannot overlap: no vector ever owns the mapping. Bytes have no alignment.
        unsafe {
            copy(from.as_ptr(), to, len);
        }
        #[expect(
            unsafe_code,
            reason = "the bytes were written behind the vector's back"
        )]
        // SAFETY: the copy above has initialised the `len` bytes after the present length, and they are within the capacity.
        unsafe {
            buffer.set_len(buffer.len() + len);
        }
    }

    /// Gives the pages of a ring after its first back to the system; they read as zero afterwards.
    pub(super) fn discard(&self, direction: Direction) -> io::Result<()> {
        let page = rustix::param::page_size();
        let start = index(self.layout.ring_start(direction));
        let end = start + index(self.layout.ring_len(direction));
        // Where pages are large, the first and the last may hold something else too.
        let from = (start + index(PAGE)).next_multiple_of(page);
        let to = end - end % page;
        if from < to {
            self.advise(from, to - from, Advice::LinuxRemove)
        } else {
            Ok(())
        }
    }

    /// The four words of the header at an offset of a ring.
    #[inline]
    fn header_words(&self, direction: Direction, offset: u64) -> &[AtomicU64; 4] {
        assert!(
            offset % UNIT == 0,
            "headers stand at multiples of their size"
        );
        let at = self.span(direction, offset, size_of::<Encoded>());
        #[expect(unsafe_code, reason = "the mapping is known by its address")]
        // SAFETY: `span` has checked that 32 bytes are mapped at `at` as long as `self` lives. They are aligned, because rings
        // begin at multiples of a page and `offset` is a multiple of 32. Atomics may be changed by others while we look.
        unsafe {
            at.cast().as_ref()
        }
    }

    /// Where `len` bytes at an offset of a ring are; that they are within it is checked even in a release.
    #[inline]
    fn span(&self, direction: Direction, offset: u64, len: usize) -> NonNull<u8> {
        let ring = index(self.layout.ring_len(direction));
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        assert!(
            offset <= ring && len <= ring - offset,
            "a record lies within its ring"
        );
        let at = index(self.layout.ring_start(direction)) + offset;
        #[expect(unsafe_code, reason = "the mapping is known by its address")]
        // SAFETY: the ring lies wholly within the mapping, and `offset` is within the ring.
        unsafe {
            self.base.add(at)
        }
    }

    /// Tells the system something about a part of the mapping.
    fn advise(&self, from: usize, len: usize, advice: Advice) -> io::Result<()> {
        #[expect(unsafe_code, reason = "the mapping is known by its address")]
        // SAFETY: every caller names a part of the mapping.
        let at = unsafe { self.base.add(from) };
        #[expect(unsafe_code, reason = "some advice destroys what is in memory")]
        // SAFETY: the range is a part of our own mapping, of which there are no references but to atomics. Of the two kinds
        // of advice given here one changes only forks; the other makes bytes zero, as a peer can do at any time too.
        unsafe {
            rustix::mm::madvise(at.as_ptr().cast(), len, advice)?;
        }
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // In a forked child these addresses are unmapped, or something else's by now.
        if rustix::process::getpid() != self.owner {
            return;
        }
        let len = index(self.layout.file_len());
        #[expect(unsafe_code, reason = "unmapping has no safe form")]
        // SAFETY: the mapping is ours, it is this long, and every reference into it borrows `self`.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), len) };
        debug_assert!(unmapped.is_ok(), "a mapping of one's own can be unmapped");
    }
}

#[expect(
    unsafe_code,
    reason = "the compiler knows nothing of the address in `Memory`"
)]
// SAFETY: a mapping belongs to the whole process, so any thread may use it and unmap it.
unsafe impl Send for Memory {}

#[expect(
    unsafe_code,
    reason = "the compiler knows nothing of the address in `Memory`"
)]
// SAFETY: all shared access is to atomics, or by copies of bytes that another process may change during the copy anyhow.
unsafe impl Sync for Memory {}

/// Copies bytes in steps for which vector instructions are used everywhere. Longer ones may be left to the processor's string
/// instruction, and some processors take twenty times as long with that where the target lies a few bytes behind the source
/// within a page, as a ring's payload does behind that of a large allocation.
///
/// # Safety
///
/// As many bytes must be readable at `from` and writable at `to`, and the two must not overlap.
#[inline]
#[expect(unsafe_code, reason = "no reference to bytes of a ring may exist")]
unsafe fn copy(mut from: *const u8, mut to: *mut u8, mut len: usize) {
    while len > COPY_STEP {
        // SAFETY: the caller promises it for more than these bytes.
        unsafe { ptr::copy_nonoverlapping(from, to, COPY_STEP) };
        // SAFETY: it stays within what the caller promises, as more bytes than these are left.
        from = unsafe { from.add(COPY_STEP) };
        // SAFETY: likewise.
        to = unsafe { to.add(COPY_STEP) };
        len -= COPY_STEP;
    }
    // SAFETY: these are the last of the bytes for which the caller promises it.
    unsafe { ptr::copy_nonoverlapping(from, to, len) };
}

/// Bytes that are copied at once.
const COPY_STEP: usize = 2 << 10;

/// A length or place in the mapping as one in the address space, of which it is always a part.
#[inline]
fn index(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
