//! The header of a record: what stands before each piece of a message in a ring.
//!
//! For the two ends of a link, which write and judge headers. Here is only what one header says by itself, in bytes and
//! as plain data; how records lie in a ring and how pieces make a message is decided elsewhere.

/// What stands before the payload of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of payload in this record.
    pub(crate) len: u32,
    /// Where in its message the record stands.
    pub(crate) place: Place,
    /// Bytes of payload in the whole message.
    pub(crate) total: u64,
    /// What the record says of its message.
    pub(crate) head: Head,
}

impl Header {
    /// The header that fills the rest of a ring, of which `len` bytes follow it.
    pub(crate) fn skip(len: u32) -> Self {
        let head = Head {
            kind: Kind::Skip,
            msgid: 0,
            aux: 0,
            conversation: 0,
            nfds: 0,
        };
        Self {
            len,
            place: Place::Last,
            total: 0,
            head,
        }
    }

    /// The record that ends a message before its last piece.
    pub(crate) fn abort(conversation: u64) -> Self {
        let head = Head {
            kind: Kind::Abort,
            msgid: 0,
            aux: 0,
            conversation,
            nfds: 0,
        };
        Self {
            len: 0,
            place: Place::Last,
            total: 0,
            head,
        }
    }

    /// The header as it stands in the ring: words whose lowest bytes come first.
    #[inline]
    pub(crate) fn encode(&self) -> Encoded {
        let [l0, l1, l2, l3] = self.len.to_le_bytes();
        let [n0, n1] = self.head.nfds.to_le_bytes();
        let [m0, m1, m2, m3] = self.head.msgid.to_le_bytes();
        let [a0, a1, a2, a3] = self.head.aux.to_le_bytes();
        let (kind, flags) = (self.head.kind.code(), self.place.flags());
        [
            u64::from_le_bytes([l0, l1, l2, l3, kind, flags, n0, n1]),
            u64::from_le_bytes([m0, m1, m2, m3, a0, a1, a2, a3]),
            self.head.conversation,
            self.total,
        ]
    }

    /// Reads a header that somebody else wrote.
    ///
    /// # Errors
    ///
    /// [`Malformed`] says which rule of a single header is broken.
    #[inline]
    pub(crate) fn decode(encoded: &Encoded) -> Result<Self, Malformed> {
        let [l0, l1, l2, l3, kind, flags, n0, n1] = encoded[0].to_le_bytes();
        let [m0, m1, m2, m3, a0, a1, a2, a3] = encoded[1].to_le_bytes();
        let head = Head {
            kind: Kind::from_code(kind).ok_or(Malformed::Kind(kind))?,
            msgid: i32::from_le_bytes([m0, m1, m2, m3]),
            aux: u32::from_le_bytes([a0, a1, a2, a3]),
            conversation: encoded[2],
            nfds: u16::from_le_bytes([n0, n1]),
        };
        let header = Self {
            len: u32::from_le_bytes([l0, l1, l2, l3]),
            place: Place::from_flags(flags).ok_or(Malformed::Flags(flags))?,
            total: encoded[3],
            head,
        };
        header.check()?;
        Ok(header)
    }

    /// The rules that tie the fields of one header together.
    fn check(&self) -> Result<(), Malformed> {
        let Head {
            kind,
            nfds,
            conversation,
            aux,
            ..
        } = self.head;
        if nfds > DESCRIPTORS_MAX || (nfds > 0 && !self.place.is_first()) {
            return Err(Malformed::Descriptors(nfds));
        }
        if (conversation == 0) != (kind == Kind::Skip) {
            return Err(Malformed::Conversation);
        }
        match kind {
            Kind::Skip => self.check_bare(Place::Last),
            Kind::Abort if self.len > 0 => Err(Malformed::Reserved),
            Kind::Abort => self.check_bare(Place::Last),
            Kind::Cancel if self.len > 0 => Err(Malformed::Reserved),
            Kind::Cancel => self.check_bare(Place::Whole),
            Kind::OneWay if aux != 0 => Err(Malformed::Reserved),
            Kind::Reply if Status::from_aux(aux).is_none() => Err(Malformed::Status(aux)),
            Kind::OneWay | Kind::Request | Kind::Reply => self.check_lengths(),
        }
    }

    /// Records of the transport itself say nothing but their kind and whom they mean.
    fn check_bare(&self, place: Place) -> Result<(), Malformed> {
        let Head {
            msgid, aux, nfds, ..
        } = self.head;
        let bare = self.place == place && self.total == 0 && msgid == 0 && aux == 0 && nfds == 0;
        if bare {
            Ok(())
        } else {
            Err(Malformed::Reserved)
        }
    }

    /// A piece adds something, and no record is longer than its message.
    fn check_lengths(&self) -> Result<(), Malformed> {
        let len = u64::from(self.len);
        let fits = match self.place {
            Place::Whole => len == self.total,
            Place::First | Place::Middle | Place::Last => 0 < len && len < self.total,
        };
        if fits {
            Ok(())
        } else {
            Err(Malformed::Lengths {
                len: self.len,
                total: self.total,
            })
        }
    }
}

/// What a record says of its message, and what is told of the message to those who serve it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// What the message is.
    pub(crate) kind: Kind,
    /// The number by which the sender says what it wants.
    pub(crate) msgid: i32,
    /// Of a request: its time to live in milliseconds, 0 for none. Of a reply: its [`Status`].
    pub(crate) aux: u32,
    /// Which conversation of the link, from 1.
    pub(crate) conversation: u64,
    /// How many descriptors travel beside it on the socket.
    pub(crate) nfds: u16,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing; the next record stands at the ring's beginning.
    Skip,
    /// A message without an answer.
    OneWay,
    /// A message that wants an answer.
    Request,
    /// The answer.
    Reply,
    /// The end of a message of which the rest will not come.
    Abort,
    /// The requester no longer waits.
    Cancel,
}

impl Kind {
    #[inline]
    fn code(self) -> u8 {
        match self {
            Self::Skip => 0,
            Self::OneWay => 1,
            Self::Request => 2,
            Self::Reply => 3,
            Self::Abort => 4,
            Self::Cancel => 5,
        }
    }

    #[inline]
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Skip,
            1 => Self::OneWay,
            2 => Self::Request,
            3 => Self::Reply,
            4 => Self::Abort,
            5 => Self::Cancel,
            _ => return None,
        })
    }
}

/// Where in its message a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The record is the whole message.
    Whole,
    /// More pieces follow this first one.
    First,
    /// Pieces went before, and more follow.
    Middle,
    /// The last piece.
    Last,
}

impl Place {
    /// Whether the record begins its message.
    pub(crate) fn is_first(self) -> bool {
        matches!(self, Self::Whole | Self::First)
    }

    #[inline]
    fn flags(self) -> u8 {
        match self {
            Self::Whole => FIRST,
            Self::First => FIRST | MORE,
            Self::Middle => MORE,
            Self::Last => 0,
        }
    }

    #[inline]
    fn from_flags(flags: u8) -> Option<Self> {
        const FIRST_OF_MANY: u8 = FIRST | MORE;
        Some(match flags {
            FIRST => Self::Whole,
            FIRST_OF_MANY => Self::First,
            MORE => Self::Middle,
            0 => Self::Last,
            _ => return None,
        })
    }
}

/// How a request fared, as its reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The payload is the answer.
    Ok,
    /// The port was invalidated before it answered.
    Invalidated,
    /// The port holds too many answers that the requester does not read.
    Overload,
    /// The request was larger than the port takes.
    TooLarge,
    /// The answer has descriptors that cannot travel.
    Unpassable,
}

impl Status {
    /// The status as it stands in [`Head::aux`].
    pub(crate) fn aux(self) -> u32 {
        match self {
            Self::Ok => 0,
            Self::Invalidated => 1,
            Self::Overload => 2,
            Self::TooLarge => 3,
            Self::Unpassable => 4,
        }
    }

    /// The status that stands in [`Head::aux`] of a reply.
    pub(crate) fn from_aux(aux: u32) -> Option<Self> {
        Some(match aux {
            0 => Self::Ok,
            1 => Self::Invalidated,
            2 => Self::Overload,
            3 => Self::TooLarge,
            4 => Self::Unpassable,
            _ => return None,
        })
    }
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// There is no such kind of record.
    #[error("a record has the unknown kind {0}")]
    Kind(u8),
    /// There are no such flags.
    #[error("a record has the unknown flags {0:#x}")]
    Flags(u8),
    /// Too many descriptors, or not on the first record of a message.
    #[error("a record claims {0} descriptors where it may not")]
    Descriptors(u16),
    /// A message without a conversation, or the reverse.
    #[error("a record has a conversation where there can be none, or none where it needs one")]
    Conversation,
    /// A reply whose status is none.
    #[error("a reply has the unknown status {0}")]
    Status(u32),
    /// A field that has no meaning for this kind is in use.
    #[error("a record uses a field that its kind has not")]
    Reserved,
    /// The length of the record and that of its message contradict each other.
    #[error("a record of {len} bytes cannot belong to a message of {total}")]
    Lengths {
        /// Bytes in the record.
        len: u32,
        /// Bytes in the message.
        total: u64,
    },
}

/// A header as words.
pub(crate) type Encoded = [u64; 4];

/// The most descriptors that travel with one message.
pub(crate) const DESCRIPTORS_MAX: u16 = 16;

/// Flag: the record begins its message.
const FIRST: u8 = 1;
/// Flag: more records of the message follow.
const MORE: u8 = 2;

#[cfg(test)]
mod tests;
