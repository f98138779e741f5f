//! Files: written under a temporary name and renamed, removed, listed; and what is said when that fails.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What a file's name ends with until it is whole.
pub(super) const TEMPORARY: &str = ".tmp";

/// An I/O error about `path`, with what to do about the usual ones.
#[must_use]
pub fn io_error(path: &Path, error: &std::io::Error) -> Error {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; check the permissions of its folder"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some space",
        ErrorKind::NotFound => "; check the path",
        _ => "",
    };
    Error::file(path, format!("{error}{hint}"))
}

/// Writes `bytes` to `path`, under a temporary name first.
///
/// # Errors
/// [`Error::File`] names the file and what to do.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // What is left of the temporary file is of no use, and may be what fills the disk.
        let _ = std::fs::remove_file(&temporary);
        io_error(path, &e)
    })
}

/// Writes `value` to `path` as indented JSON, see [`write_file`].
///
/// # Errors
/// As [`write_file`].
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|e| Error::file(path, e.to_string()))?;
    text.push('\n');
    write_file(path, text.as_bytes())
}

/// Removes the file at `path`, if there is one.
pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(io_error(path, &e)),
        _ => Ok(()),
    }
}

/// Files in `dir` whose names are `wanted`.
pub(super) fn files(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_name().to_str().is_some_and(&wanted))
        .map(|e| e.path())
        .collect()
}
