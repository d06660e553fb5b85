//! The file names that stand for a name, whatever characters it has.
//!
//! For those who look for, make and remove such files. Pure: it opens none.

use super::port_name::PortName;

/// What the file names of one port have in common: its name, made safe.
///
/// Every file name ends in one of two suffixes, so no file name of one name can be that of
/// another. Two names that are both too long to be spelled out share a stem if their hashes are
/// equal; the hash is not cryptographic, because the lock file contains the whole name and such a
/// pair therefore exclude each other instead of being taken for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stem(String);

impl Stem {
    /// The stem of `name`.
    pub(super) fn of(name: &PortName) -> Self {
        let mut stem = String::with_capacity(name.as_str().len() + 8);
        for (position, character) in name.as_str().char_indices() {
            match character {
                '/' => stem.push_str("%2F"),
                '%' => stem.push_str("%25"),
                '.' if position == 0 => stem.push_str("%2E"),
                other => stem.push(other),
            }
        }
        if stem.len() > SPELLED_MAX {
            stem = format!("{HASHED}{:032x}", hash(name.as_str().as_bytes()));
        }
        Self(stem)
    }

    /// The stem of the socket file called `file`, if that is what it is.
    pub(super) fn of_socket(file: &str) -> Option<Self> {
        file.strip_suffix(SOCKET).map(|stem| Self(stem.to_owned()))
    }

    /// Whether `path` could lead to a lock file.
    pub(super) fn is_lock_file(path: &[u8]) -> bool {
        path.ends_with(LOCK.as_bytes())
    }

    /// The name that is spelled out in this stem; none if it is hashed, or of no name at all.
    pub(super) fn spelled(&self) -> Option<PortName> {
        let mut name = String::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some((plain, escaped)) = rest.split_once('%') {
            name.push_str(plain);
            name.push(match escaped.get(..2)? {
                "2F" => '/',
                "25" => '%',
                "2E" => '.',
                _ => return None,
            });
            rest = escaped.get(2..)?;
        }
        name.push_str(rest);
        let name = PortName::new(&name).ok()?;
        (Self::of(&name) == *self).then_some(name)
    }

    /// Whether this is the stem of `name`.
    pub(super) fn is_of(&self, name: &PortName) -> bool {
        *self == Self::of(name)
    }

    /// The file that is locked for as long as the name is owned.
    pub(super) fn lock_file(&self) -> String {
        format!("{}{LOCK}", self.0)
    }

    /// The socket to which clients connect.
    pub(super) fn socket_file(&self) -> String {
        format!("{}{SOCKET}", self.0)
    }
}

/// FNV-1a with 128 bits: small, well known, and the same in every version of this library.
fn hash(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, &byte| {
        (hash ^ u128::from(byte)).wrapping_mul(PRIME)
    })
}

/// The longest stem that spells its name out; with a suffix it stays below what a file name holds.
const SPELLED_MAX: usize = 200;
/// The start of a stem that does not. No escape looks like this, so no spelled stem does.
const HASHED: &str = "%h-";
/// The end of a lock file's name.
const LOCK: &str = ".lock";
/// The end of a socket's name.
const SOCKET: &str = ".sock";

#[cfg(test)]
mod tests {
    use super::super::port_name::PortName;
    use super::{Stem, hash};

    fn stem(name: &str) -> Stem {
        Stem::of(&PortName::new(name).unwrap())
    }

    #[test]
    fn only_slash_percent_and_a_leading_dot_are_escaped() {
        assert_eq!(
            stem("org.example ü~").socket_file(),
            "org.example ü~.sock",
            "as it is"
        );
        assert_eq!(stem("a/b").lock_file(), "a%2Fb.lock", "slash");
        assert_eq!(stem("..").socket_file(), "%2E..sock", "leading dot");
        assert_eq!(
            stem("../../etc").socket_file(),
            "%2E.%2F..%2Fetc.sock",
            "no way out"
        );
        assert_eq!(stem("100%").socket_file(), "100%25.sock", "percent");
    }

    #[test]
    fn a_stem_that_would_be_too_long_is_a_hash() {
        let spelled = stem(&"x".repeat(200)).socket_file();
        assert_eq!(spelled.len(), 205, "200 bytes are spelled out");
        for name in ["x".repeat(201), "/".repeat(67), "x".repeat(255)] {
            let file = stem(&name).lock_file();
            assert!(file.starts_with("%h-"), "{file} is hashed");
            assert_eq!(file.len(), 3 + 32 + 5, "and short");
            assert_eq!(stem(&name).spelled(), None, "and cannot be read back");
        }
    }

    #[test]
    fn different_names_have_different_stems() {
        let long = "x".repeat(201);
        let hashed = stem(&long).socket_file();
        let looks_hashed = hashed.strip_suffix(".sock").unwrap();
        let names = [
            "a",
            "A",
            "a/",
            "a%2F",
            "%",
            "%25",
            ".a",
            "%2Ea",
            ".sock",
            ".lock",
            looks_hashed,
        ];
        for (i, one) in names.iter().enumerate() {
            for other in &names[i + 1..] {
                assert_ne!(stem(one), stem(other), "{one} and {other}");
            }
        }
        assert_ne!(
            stem(looks_hashed),
            stem(&long),
            "a name cannot pose as the hash of another"
        );
    }

    #[test]
    fn a_spelled_stem_reads_back_as_its_name() {
        for name in ["a", "a/b", "..", "%2F", "100%", "ü.sock", ".lock", "%"] {
            let file = stem(name).socket_file();
            let read = Stem::of_socket(&file).and_then(|stem| stem.spelled());
            assert_eq!(read, PortName::new(name).ok(), "{file}");
        }
        for file in [
            "x",
            "x.lock",
            ".sock",
            "%.sock",
            "%2.sock",
            "a%2Eb.sock",
            "%zz.sock",
            "%ü.sock",
        ] {
            let read = Stem::of_socket(file).and_then(|stem| stem.spelled());
            assert_eq!(read, None, "{file} is of no name");
        }
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(
            hash(b""),
            0x6c62_272e_07bb_0142_62b8_2175_6295_c58d,
            "of nothing"
        );
        assert_eq!(
            hash(b"a"),
            0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964,
            "of a"
        );
        assert_eq!(
            hash(b"foobar"),
            0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18,
            "of foobar"
        );
    }
}
