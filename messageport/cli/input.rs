//! The bytes of a message: from an argument, a file or standard input.

use crate::failure::Failure;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The message: the text if there is one, otherwise what the file or standard input has.
///
/// Of what no port takes for its size, only as much is read as shows that.
pub(crate) fn read(text: Option<OsString>, file: Option<PathBuf>) -> Result<Vec<u8>, Failure> {
    if let Some(text) = text {
        return Ok(text.into_vec());
    }
    let path = file.unwrap_or_else(|| Path::new("-").to_owned());
    let result = if path == Path::new("-") {
        bytes(io::stdin().lock())
    } else {
        File::open(&path).and_then(bytes)
    };
    result.map_err(|source| Failure::Input { path, source })
}

fn bytes(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut data)?;
    Ok(data)
}

/// The largest message of any port, in bytes.
const LARGEST: u64 = 1 << 30;
