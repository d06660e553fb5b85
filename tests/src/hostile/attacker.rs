//! A peer with a link, who writes what its script says: into the rings, into the words beside them, onto the socket.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::Shutdown;

use super::script::Script;
use crate::raw::{MEMORY, RING, record, send};

/// Which end of a link a peer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// A peer that need not keep to any rule.
#[derive(Debug)]
pub(super) struct Attacker {
    side: Side,
    socket: OwnedFd,
    memory: OwnedFd,
    /// Wakes the other side.
    bell: OwnedFd,
    /// How far the ring is written, by its own account.
    at: u64,
    /// Where its latest header stands in the memory.
    latest: u64,
    /// The newest conversation it has spoken of.
    conversation: u64,
    /// How many packets it may still send: the other side need not read any.
    packets: u32,
}

/// What comes after an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes on.
    Own,
    /// The other side may do something.
    Theirs,
    /// Nothing more comes of it.
    Over,
}

impl Attacker {
    /// A peer that has been introduced.
    pub(super) fn new(side: Side, socket: OwnedFd, memory: OwnedFd, bell: OwnedFd) -> Self {
        Self {
            side,
            socket,
            memory,
            bell,
            at: 0,
            latest: 0,
            conversation: 0,
            packets: 32,
        }
    }

    /// Does the next thing of the script.
    pub(super) fn act(&mut self, script: &mut Script) -> Turn {
        self.act_if_told(script).unwrap_or(Turn::Over)
    }

    /// Hangs up.
    pub(super) fn leave(&self) {
        rustix::net::shutdown(&self.socket, Shutdown::Both).ok();
    }

    fn act_if_told(&mut self, script: &mut Script) -> Option<Turn> {
        match script.below(14)? {
            0..=3 => self.record(script)?,
            4 => self.skip(script)?,
            5 => self.set_word(script)?,
            6 => {
                let at = u64::from(script.word()?) * 4 + u64::from(script.byte()?);
                self.write(at, &script.bytes(40));
            }
            7 => self.ring(),
            8 => self.packet(script)?,
            9 => self.read_everything(),
            10 => self.conversation = script.number(self.conversation)?,
            11 => {
                // A header that changes after it was published.
                let at = self.latest + u64::from(script.below(32)?);
                self.write(at, &[script.byte()?]);
            }
            12 => return Some(Turn::Theirs),
            _ => {
                self.leave();
                return Some(Turn::Theirs);
            }
        }
        Some(Turn::Own)
    }

    /// Writes a record that is right by itself but for what the script wants otherwise, and mostly publishes it.
    fn record(&mut self, script: &mut Script) -> Option<()> {
        let how = script.byte()?;
        let kind = match how % 8 {
            0..=3 => self.usual_kind(how),
            4 => 4,
            5 => 5,
            6 => script.below(8)?,
            _ => script.byte()?,
        };
        let len = match how / 8 % 4 {
            0 => 0,
            1 => u32::from(script.byte()?),
            2 => u32::from(script.word()?),
            _ => 16_384 - 32,
        };
        // Whole, first, middle and last; and flags that do not exist.
        let flags =
            [1, 3, 2, 0][usize::from(how / 32 % 4)] | if how >= 128 { script.byte()? } else { 0 };
        if flags & 1 != 0 && kind != 4 && kind != 5 {
            self.conversation = self.conversation.wrapping_add(1);
        }
        let total = match (flags, script.below(4)?) {
            (2, 0..=2) => 0,
            (_, 0 | 1) => u64::from(len),
            (_, 2) => u64::from(len) + u64::from(script.word()?),
            _ => script.number(u64::from(len))?,
        };
        let mut header = record(kind, flags, self.conversation, len, total);
        let rest = script.below(8)?;
        match rest {
            // Descriptors and fields that are none, or some that a packet may have brought.
            0 => header[6..16].copy_from_slice(&[script.byte()?; 10]),
            7 => header[6] = script.below(4)?,
            number => header[8] = number,
        }
        self.put(&header, len);
        if script.below(8)? > 0 {
            self.publish();
        }
        Some(())
    }

    fn usual_kind(&self, how: u8) -> u8 {
        match self.side {
            Side::Server => 3,
            Side::Client => 1 + how % 2,
        }
    }

    /// Writes a header where the ring is written to, with as much behind it as there is room for.
    fn put(&mut self, header: &[u8; 32], len: u32) {
        let (ring, place) = (u64::from(RING), self.at % u64::from(RING));
        self.latest = self.start() + place;
        self.write(self.latest, header);
        let behind = usize::try_from(u64::from(len).min(ring - 32 - place.min(ring - 32))).unwrap();
        self.write(self.latest + 32, &vec![0x5a; behind]);
        let size = 32 + u64::from(len).next_multiple_of(32);
        self.at = self.at.wrapping_add(size);
    }

    /// Goes to the end of the ring, or says so.
    fn skip(&mut self, script: &mut Script) -> Option<()> {
        let rest = u64::from(RING) - self.at % u64::from(RING) - 32;
        let len = u32::try_from(script.number(rest)? & 0xffff_ffff).unwrap();
        self.put(&record(0, 0, 0, len, 0), len);
        self.publish();
        Some(())
    }

    fn publish(&mut self) {
        self.write(self.own_words(), &self.at.to_le_bytes());
        self.ring();
    }

    /// Changes a word of the first page, of either ring.
    fn set_word(&mut self, script: &mut Script) -> Option<()> {
        let words = [self.own_words(), self.their_words()][usize::from(script.below(2)?)];
        let word = [0, 8, 12, 128, 256, 384, 448][usize::from(script.below(7)?)];
        let value = script.number(self.at)?;
        self.write(
            words + word,
            &value.to_le_bytes()[..if word == 0 || word == 128 { 8 } else { 4 }],
        );
        if script.below(2)? == 0 {
            self.at = value & !31;
        }
        Some(())
    }

    /// Sends a packet over the socket, with descriptors or without.
    fn packet(&mut self, script: &mut Script) -> Option<()> {
        if self.packets == 0 {
            return Some(());
        }
        self.packets -= 1;
        let mut packet = [0; 16];
        packet[0] = script.below(4)?;
        packet[4] = script.byte()?;
        let next = self.conversation.wrapping_add(u64::from(script.below(2)?));
        packet[8..].copy_from_slice(&next.to_le_bytes());
        let bytes = match script.below(3)? {
            0 => {
                let len = script.below(32)?;
                script.bytes(usize::from(len))
            }
            1 => packet[..1].to_vec(),
            _ => packet.to_vec(),
        };
        let descriptors = vec![self.memory.as_fd(); usize::from(script.below(5)?)];
        if !bytes.is_empty() {
            send(&self.socket, &bytes, &descriptors);
        }
        Some(())
    }

    /// Says that it has read all that the other side has written.
    fn read_everything(&self) {
        let mut written = [0; 8];
        let read = rustix::io::pread(&self.memory, &mut written, self.their_words());
        assert_eq!(read, Ok(8), "the first page is there");
        self.write(self.their_words() + 128, &written);
        self.ring();
    }

    /// Writes into the memory, as far as it goes.
    fn write(&self, at: u64, bytes: &[u8]) {
        let room = usize::try_from(MEMORY.saturating_sub(at)).unwrap();
        let bytes = &bytes[..bytes.len().min(room)];
        assert_eq!(rustix::io::pwrite(&self.memory, bytes, at), Ok(bytes.len()));
    }

    fn ring(&self) {
        // A bell that nobody has heard for so long is full.
        let rung = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        assert!(matches!(rung, Ok(8) | Err(Errno::AGAIN)), "{rung:?}");
    }

    fn own_words(&self) -> u64 {
        match self.side {
            Side::Client => 0,
            Side::Server => 512,
        }
    }

    fn their_words(&self) -> u64 {
        512 - self.own_words()
    }

    /// Where the bytes of its own ring begin.
    fn start(&self) -> u64 {
        match self.side {
            Side::Client => 4_096,
            Side::Server => 4_096 + u64::from(RING),
        }
    }
}
