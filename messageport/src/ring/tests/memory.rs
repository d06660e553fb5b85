//! The file and the mapping: what stands where, what is accepted from others, and what is left behind.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

use super::{bytes, one_way, pair};
use crate::ring::layout::Direction;
use crate::ring::memory::Memory;
use crate::ring::{AdoptError, End, Layout, RingSize, Room};

const SIZE: u64 = 4096 + 2 * (64 << 10);

fn layout() -> Layout {
    Layout::new(RingSize::MIN, RingSize::MIN)
}

/// A file of memory with these seals.
fn sealed(flags: MemfdFlags, size: u64, seals: SealFlags) -> OwnedFd {
    let file = rustix::fs::memfd_create("test", flags | MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&file, size).unwrap();
    rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    file
}

fn needed() -> SealFlags {
    SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL
}

/// Why a file is refused.
fn refusal(file: impl AsFd) -> Option<AdoptError> {
    End::adopt(file.as_fd(), layout()).err()
}

/// The bytes of a file at an offset.
fn read<const N: usize>(file: &OwnedFd, at: u64) -> [u8; N] {
    let mut bytes = [0; N];
    assert_eq!(
        rustix::io::pread(file, &mut bytes, at),
        Ok(N),
        "the file is that long"
    );
    bytes
}

/// The lines that tell of the mappings of a file in `/proc/self/smaps`.
fn mappings(file: &OwnedFd) -> Vec<String> {
    let inode = format!(" {} ", rustix::fs::fstat(file).unwrap().st_ino);
    let all = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut found = Vec::new();
    let mut ours = false;
    for line in all.lines() {
        // Of these lines only the one that begins a mapping does not begin with a name and a colon.
        if line
            .split_whitespace()
            .next()
            .is_some_and(|first| !first.ends_with(':'))
        {
            ours = line.contains(&inode) && line.contains("memfd:messageport");
        }
        if ours {
            found.push(line.to_owned());
        }
    }
    found
}

#[test]
fn each_record_and_position_stands_at_its_place_in_the_file() {
    let (mut client, mut server, file) = pair(RingSize::MIN);
    client
        .producer
        .put(&one_way(1, 40), &[0xc1; 40], Room::anywhere(32))
        .unwrap();
    server
        .producer
        .put(&one_way(1, 0), &[], Room::anywhere(32))
        .unwrap();
    assert_eq!(
        read(&file, 0),
        96_u64.to_le_bytes(),
        "written to the server"
    );
    assert_eq!(
        read(&file, 512),
        32_u64.to_le_bytes(),
        "written to the client"
    );
    assert_eq!(read(&file, 4096), bytes(&one_way(1, 40)), "the header");
    assert_eq!(read(&file, 4096 + 32), [0xc1; 40], "the payload");
    assert_eq!(
        read(&file, 4096 + (64 << 10)),
        bytes(&one_way(1, 0)),
        "the way back"
    );
    server.consumer.record().unwrap().unwrap().release();
    client.consumer.record().unwrap().unwrap().release();
    assert_eq!(read(&file, 128), 96_u64.to_le_bytes(), "read by the server");
    assert_eq!(
        read(&file, 512 + 128),
        32_u64.to_le_bytes(),
        "read by the client"
    );
}

#[test]
fn each_flag_and_state_stands_at_its_place_in_the_file() {
    let (mut client, mut server, file) = pair(RingSize::MIN);
    server.consumer.announce();
    assert_eq!(read(&file, 256), 1_u32.to_le_bytes(), "the server sleeps");
    client.consumer.announce();
    assert_eq!(
        read(&file, 512 + 256),
        1_u32.to_le_bytes(),
        "the client sleeps"
    );
    client.producer.announce(33).unwrap();
    assert_eq!(
        read(&file, 384),
        2_u32.to_le_bytes(),
        "the client wants two units"
    );
    client.page.set_closing();
    assert_eq!(
        read(&file, 12),
        1_u32.to_le_bytes(),
        "the client is closing"
    );
    server.page.set_largest(0x1234);
    assert_eq!(
        read(&file, 448),
        0x1234_u64.to_le_bytes(),
        "what the server takes"
    );
    server.page.set_processor();
    assert_ne!(
        read(&file, 512 + 8),
        0_u32.to_le_bytes(),
        "where the server runs"
    );
}

#[test]
fn rings_of_different_sizes_lie_behind_each_other() {
    let (small, large) = (RingSize::MIN, RingSize::new(256 << 10).unwrap());
    let layout = Layout::new(large, small);
    let (mut client, file) = End::create(layout).unwrap();
    let mut server = End::adopt(file.as_fd(), layout).unwrap();
    assert_eq!(
        layout.file_len(),
        4096 + (320 << 10),
        "their sum and a page"
    );
    for (end, ring) in [(&mut client, 256 << 10), (&mut server, 64 << 10)] {
        let mut bytes = 0;
        while end
            .producer
            .put(&one_way(1, 992), &[3; 992], Room::anywhere(32))
            .unwrap()
            .is_some()
        {
            bytes += 1024;
        }
        assert_eq!(bytes, ring - 1024, "all but what is kept");
    }
    let mut record = 0;
    while let Some(found) = server.consumer.record().unwrap() {
        let mut copy = [0; 992];
        found.copy_to(&mut copy);
        assert_eq!(copy, [3; 992], "record {record} is undamaged");
        found.release();
        record += 1;
    }
    assert_eq!(record, 255, "all of them");
}

#[test]
fn only_memory_of_the_exact_size_is_adopted() {
    assert!(
        refusal(sealed(MemfdFlags::CLOEXEC, SIZE, needed())).is_none(),
        "this is as it should be"
    );
    for size in [0, 4096, SIZE - 4096, SIZE - 1, SIZE + 1, SIZE * 2] {
        let refused = refusal(sealed(MemfdFlags::CLOEXEC, size, needed()));
        assert!(
            matches!(refused, Some(AdoptError::Size { .. })),
            "{size} bytes: {refused:?}"
        );
    }
}

#[test]
fn memory_that_can_change_its_size_is_not_adopted() {
    for missing in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::SEAL] {
        let refused = refusal(sealed(MemfdFlags::CLOEXEC, SIZE, needed() - missing));
        assert!(
            matches!(refused, Some(AdoptError::Unsealed)),
            "without {missing:?}: {refused:?}"
        );
    }
    let refused = refusal(rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap());
    assert!(
        matches!(refused, Some(AdoptError::Unsealed)),
        "never sealed: {refused:?}"
    );
}

#[test]
fn memory_that_cannot_be_written_is_not_adopted() {
    for seal in [SealFlags::WRITE, SealFlags::FUTURE_WRITE] {
        let refused = refusal(sealed(MemfdFlags::CLOEXEC, SIZE, needed() | seal));
        assert!(
            matches!(refused, Some(AdoptError::WriteSealed)),
            "with {seal:?}: {refused:?}"
        );
    }
    let file = sealed(MemfdFlags::CLOEXEC, SIZE, needed());
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let refused = refusal(fs::File::open(path).unwrap());
    assert!(
        matches!(refused, Some(AdoptError::System(_))),
        "opened for reading: {refused:?}"
    );
}

#[test]
fn files_and_huge_pages_are_not_adopted() {
    let path = format!("/dev/shm/messageport-test-{}", std::process::id());
    let plain = fs::File::create_new(&path).unwrap();
    fs::remove_file(&path).unwrap();
    plain.set_len(SIZE).unwrap();
    let refused = refusal(&plain);
    assert!(
        matches!(refused, Some(AdoptError::Unsealed)),
        "a file in memory: {refused:?}"
    );
    let refused = refusal(fs::File::open("/proc/self/exe").unwrap());
    assert!(
        matches!(refused, Some(AdoptError::Unsealed)),
        "a file on a disk: {refused:?}"
    );
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let refused = refusal(socket);
    assert!(
        matches!(refused, Some(AdoptError::Unsealed)),
        "a socket: {refused:?}"
    );
    // Some kernels are built without huge pages.
    if rustix::fs::memfd_create("test", MemfdFlags::HUGETLB).is_ok() {
        let refused = refusal(sealed(MemfdFlags::HUGETLB, 0, needed()));
        assert!(
            matches!(refused, Some(AdoptError::NotMemory)),
            "huge pages: {refused:?}"
        );
    }
}

#[test]
fn what_is_made_can_never_change_its_size() {
    let (_client, _server, file) = pair(RingSize::MIN);
    let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
    assert!(seals.contains(needed()), "sealed: {seals:?}");
    assert!(
        rustix::fs::ftruncate(&file, 4096).is_err(),
        "it does not shrink"
    );
    assert!(
        rustix::fs::ftruncate(&file, SIZE + 4096).is_err(),
        "it does not grow"
    );
    let flags = rustix::io::fcntl_getfd(&file).unwrap();
    assert!(
        flags.contains(rustix::io::FdFlags::CLOEXEC),
        "and programs do not inherit it"
    );
}

#[test]
fn a_mapping_is_not_inherited_and_ends_with_its_ends() {
    let (client, server, file) = pair(RingSize::MIN);
    let lines = mappings(&file);
    let flags: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("VmFlags:"))
        .collect();
    assert_eq!(flags.len(), 2, "one mapping for each end: {lines:?}");
    for line in flags {
        assert!(
            line.split_whitespace().any(|flag| flag == "dc"),
            "not copied by fork: {line}"
        );
    }
    drop(client);
    let page = server.page.clone();
    drop(server);
    assert_eq!(
        page.largest(),
        None,
        "whoever still holds a part keeps the mapping"
    );
    drop(page);
    assert!(mappings(&file).is_empty(), "then it is gone");
}

#[test]
#[should_panic(expected = "a record lies within its ring")]
fn nothing_is_copied_past_the_end_of_a_ring() {
    let (_client, _server, file) = pair(RingSize::MIN);
    let memory = Memory::map(&file, layout()).unwrap();
    memory.copy_in(Direction::ToClient, (64 << 10) - 8, &[0; 9]);
}

#[test]
fn rings_are_powers_of_two_from_64_kib_to_8_mib() {
    for bytes in [
        0,
        1,
        32 << 10,
        65_535,
        65_537,
        96 << 10,
        16 << 20,
        1 << 31,
        u32::MAX,
    ] {
        assert_eq!(RingSize::new(bytes), None, "{bytes} is none");
    }
    for shift in 16..=23 {
        let size = RingSize::new(1 << shift);
        assert_eq!(
            size.map(RingSize::bytes),
            Some(1 << shift),
            "2^{shift} is one"
        );
    }
}
