//! CIFAR's Python files, which are refused: a pickle is a program.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The names that CIFAR-10's and CIFAR-100's archives for Python have.
const NAMES: [&str; 4] = ["test_batch", "train", "test", "batches.meta"];

/// Whether a file is a pickle, by its name and its first two bytes (`PROTO` of version 2 to 5).
fn is_pickle(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = NAMES.contains(&&*name)
        || name.starts_with("data_batch_")
        || [".pkl", ".pickle"].iter().any(|end| name.ends_with(end));
    let mut start = [0; 2];
    named
        && path.is_file()
        && File::open(path)
            .and_then(|mut file| file.read_exact(&mut start))
            .is_ok()
        && start[0] == 0x80
        && (2..=5).contains(&start[1])
}

/// [`Error::File`] when `path` is a pickle, or a folder of them without a file that can be read.
pub(super) fn refuse(path: &Path) -> Result<()> {
    let found = if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let all: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        if all.iter().any(|p| super::cifar_folder::is_file(p)) {
            return Ok(());
        }
        all.into_iter().filter(|p| is_pickle(p)).min()
    } else {
        is_pickle(path).then(|| path.to_path_buf())
    };
    match found {
        None => Ok(()),
        Some(file) => Err(Error::file(
            file,
            "is a Python pickle, which could run any program and is not read; take the binary version of the data \
             set, for CIFAR cifar-10-binary.tar.gz or cifar-100-binary.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html",
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::data::read;

    #[test]
    fn pickles_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let pickle = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02";
        for name in ["data_batch_1", "train", "images.pkl"] {
            let path = folder.path().join(name);
            std::fs::write(&path, pickle).unwrap();
            for given in [&path, folder.path()] {
                let error = read(given, 0).unwrap_err().to_string();
                let want = format!("{name}: is a Python pickle");
                assert!(
                    error.contains(&want) && error.contains("cifar-10-binary"),
                    "{error}"
                );
            }
            std::fs::remove_file(&path).unwrap();
        }
        // Other files of these names are no pickles.
        std::fs::write(folder.path().join("train"), b"text").unwrap();
        let error = read(folder.path(), 0).unwrap_err().to_string();
        assert!(
            !error.contains("pickle") && error.contains("holds train"),
            "{error}"
        );
    }
}
