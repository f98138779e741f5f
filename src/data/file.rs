//! Opening a file that a user named: only what is a file, and no larger than it can sensibly be.

use std::fs::File;
use std::io::ErrorKind;
use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, Result};

/// `path` and its size in bytes. A pipe, which could make the program wait for ever, and a folder
/// are refused before they are opened.
pub(super) fn open(path: &Path) -> Result<(File, u64)> {
    let failed = |e: std::io::Error| {
        let hint = match e.kind() {
            ErrorKind::NotFound => "; check the path",
            _ => "",
        };
        Error::file(path, format!("{e}{hint}"))
    };
    let about = std::fs::metadata(path).map_err(failed)?;
    if about.is_dir() {
        return Err(Error::file(path, "is a folder, a file is wanted"));
    }
    if !about.is_file() {
        return Err(Error::file(
            path,
            "is a pipe or a device, not a file; write it to a file first",
        ));
    }
    Ok((File::open(path).map_err(failed)?, about.len()))
}

/// The bytes of `path`, refused above `largest` of them before any is read.
pub(super) fn read(path: &Path, largest: u64) -> Result<Vec<u8>> {
    let (file, size) = open(path)?;
    if size > largest {
        let message = format!("is {size} bytes long, at most {largest} can be read");
        return Err(Error::file(path, message));
    }
    let mut bytes = Vec::new();
    file.take(size)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    Ok(bytes)
}
