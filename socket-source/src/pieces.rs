//! Memory to receive into: one buffer per thread, from which the pieces that arrive are cut.
//!
//! It belongs to the thread and not to the socket, so that ten thousand idle sockets hold none.

use std::cell::Cell;
use std::io;

use bytes::{Bytes, BytesMut};

/// Receives one piece of at most `most` bytes; an empty one means that there is nothing to come.
///
/// A piece may be kept for as long as anybody likes. A large one keeps the memory it was received into; a small one is
/// copied out, so that keeping a word does not keep a buffer.
pub(crate) fn receive(
    most: usize,
    fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<Bytes> {
    receive_with(BUFFER_BYTES / 2, most, fill)
}

/// As [`receive`], for what cannot be received in parts: there is always room for 64 KiB.
pub(crate) fn receive_whole(
    fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<Bytes> {
    receive_with(BUFFER_BYTES, BUFFER_BYTES, fill)
}

fn receive_with(
    least: usize,
    most: usize,
    fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<Bytes> {
    // A thread that is near its end has no buffer any more, and pays for a new one.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    make_room(&mut buffer, least);
    let room = most.min(buffer.len());
    let piece = fill(&mut buffer[..room]).map(|count| cut(&mut buffer, count));
    // Where there is no place to keep it, it goes.
    let _kept = BUFFER.try_with(|kept| kept.set(buffer));
    piece
}

/// Has a buffer hold that many bytes at least: in the old memory if all pieces of it are gone, otherwise in new memory.
pub(crate) fn make_room(buffer: &mut BytesMut, least: usize) {
    if buffer.len() < least {
        buffer.clear();
        buffer.resize(BUFFER_BYTES, 0);
    }
}

/// The first bytes of a buffer, as a piece of their own: a small one is a copy.
pub(crate) fn cut(buffer: &mut BytesMut, count: usize) -> Bytes {
    if count < COPIED_BELOW {
        Bytes::copy_from_slice(&buffer[..count])
    } else {
        buffer.split_to(count).freeze()
    }
}

thread_local! {
    /// Every byte of it has been written, so that it can be filled without looking.
    static BUFFER: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// The size of a buffer, and so of the largest piece.
pub(crate) const BUFFER_BYTES: usize = 64 * 1_024;
/// Smaller pieces are copied.
const COPIED_BELOW: usize = 4 * 1_024;

#[cfg(test)]
mod tests {
    use std::io;

    use super::{BUFFER_BYTES, COPIED_BELOW, receive};

    fn piece(count: usize, byte: u8) -> bytes::Bytes {
        let filled = receive(usize::MAX, |room| {
            room[..count].fill(byte);
            Ok(count)
        });
        filled.unwrap()
    }

    #[test]
    fn pieces_that_are_kept_are_not_written_over() {
        let sizes = [1, COPIED_BELOW, 20_000, COPIED_BELOW - 1, 32_768, 7, 32_768];
        let kept: Vec<_> = (0_u8..)
            .zip(sizes)
            .map(|(n, size)| (n, piece(size, n)))
            .collect();
        for (byte, piece) in kept {
            assert!(
                piece.iter().all(|&found| found == byte),
                "piece {byte} is as it came"
            );
        }
    }

    #[test]
    fn a_large_piece_is_not_copied_and_its_memory_comes_back() {
        let address = |piece: &bytes::Bytes| piece.as_ptr() as usize;
        drop(piece(BUFFER_BYTES, 1));
        let first = piece(BUFFER_BYTES, 2);
        let at = address(&first);
        drop(first);
        let word = piece(3, 4);
        // Would get the memory if that were free.
        let decoy = vec![0_u8; BUFFER_BYTES];
        assert_eq!(
            address(&piece(BUFFER_BYTES, 3)),
            at,
            "nothing was allocated, although a word is kept"
        );
        assert_eq!(
            (word.as_ref(), decoy[0]),
            ([4; 3].as_ref(), 0),
            "both are there"
        );
    }

    #[test]
    fn there_is_half_a_buffer_of_room_at_least_and_never_more_than_asked_for() {
        for count in [20_000, 20_000, 20_000, 20_000] {
            let rooms = receive(usize::MAX, |room| {
                assert!(
                    room.len() >= BUFFER_BYTES / 2,
                    "{} bytes of room",
                    room.len()
                );
                Ok(count)
            });
            drop(rooms.unwrap());
        }
        let asked = receive(3, |room| Ok(room.len()));
        assert_eq!(asked.unwrap().len(), 3, "a limit is a limit");
    }

    #[test]
    fn an_error_leaves_the_buffer_in_place() {
        let failed = receive(1, |_| Err(io::ErrorKind::WouldBlock.into()));
        assert_eq!(
            failed.unwrap_err().kind(),
            io::ErrorKind::WouldBlock,
            "as given"
        );
        assert_eq!(piece(5, 9).as_ref(), [9; 5], "the next one is received");
    }
}
