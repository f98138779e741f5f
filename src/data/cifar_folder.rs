//! CIFAR's binary files, as the archives unpack them: `data_batch_1.bin` to `data_batch_5.bin` and
//! `test_batch.bin` of CIFAR-10, `train.bin` and `test.bin` of CIFAR-100.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{About, Dataset, Files, Images, Reading, Source, cifar, file};
use crate::error::Result;

/// Larger than any file of them.
const LARGEST: u64 = 1 << 30;

/// What a file's name says: whether it is a test part; `None` when it is no CIFAR file.
fn is_test(path: &Path) -> Option<bool> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let batch = name.strip_prefix("data_batch_");
    let number = batch.and_then(|rest| rest.strip_suffix(".bin"));
    match name.as_str() {
        "test_batch.bin" | "test.bin" => Some(true),
        "train.bin" => Some(false),
        _ => number
            .is_some_and(|n| n.parse::<u32>().is_ok())
            .then_some(false),
    }
}

/// Whether `path` is a file of CIFAR's binary form, by its name.
pub(super) fn is_file(path: &Path) -> bool {
    path.is_file()
        && path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("bin"))
}

/// The train and the test files of `folder`, in the order of their names.
pub(super) fn files(folder: &Path) -> [Vec<PathBuf>; 2] {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_file()).collect();
    all.sort();
    [false, true].map(|test| {
        let part = all.iter().filter(|p| is_test(p) == Some(test));
        part.cloned().collect()
    })
}

/// The names of the classes that lie beside the images, CIFAR-10's or the finer ones of CIFAR-100; empty where none do.
pub(super) fn class_names(folder: &Path) -> Vec<String> {
    let files = ["batches.meta.txt", "fine_label_names.txt"];
    let text = files
        .iter()
        .find_map(|name| std::fs::read_to_string(folder.join(name)).ok());
    let text = text.unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// The images of `files`, one after the other.
fn read(files: &[PathBuf], reading: Reading) -> Result<Arc<dyn Source>> {
    let size = || -> Result<u64> {
        let sizes = files.iter().map(|path| Ok(file::open(path)?.1));
        sizes.sum()
    };
    if reading.in_place(size)? {
        return Ok(Arc::new(Files::cifar(files)?));
    }
    let (mut pixels, mut labels, mut record) = (Vec::new(), Vec::new(), None);
    for path in files {
        let bytes = file::read(path, LARGEST)?;
        let images = cifar::parse(&path.display().to_string(), &bytes)?;
        cifar::same_kind(&mut record, bytes.len() / images.len(), path)?;
        pixels.extend(images.pixels);
        labels.extend(images.labels.unwrap_or_default());
    }
    Ok(Arc::new(Images {
        shape: cifar::SHAPE,
        pixels,
        labels: Some(labels),
    }))
}

/// The set in `files`, train and test, one of which may be empty: then a test part is held out.
///
/// # Errors
/// [`Error::File`] names the file that is no CIFAR file; [`Error::Data`] as [`Dataset::hold_out`].
pub(super) fn dataset(
    name: &Path,
    [train, test]: &[Vec<PathBuf>; 2],
    seed: u64,
    reading: Reading,
) -> Result<Dataset> {
    let name = name.display().to_string();
    if train.is_empty() || test.is_empty() {
        let images = read(if train.is_empty() { test } else { train }, reading)?;
        return Dataset::hold_out(&name, images, seed);
    }
    let dataset = Dataset {
        name,
        train: read(train, reading)?,
        test: read(test, reading)?,
        about: About::default(),
    };
    dataset.validate()?;
    Ok(dataset)
}

#[cfg(test)]
mod tests {
    use crate::data::{Dataset, read};

    fn records(labels: usize, count: u8) -> Vec<u8> {
        let record = |i: u8| [vec![i % 10; labels], vec![i; 3 * 32 * 32]].concat();
        (0..count).flat_map(record).collect()
    }

    #[test]
    fn both_archives_and_single_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let put =
            |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes).unwrap();
        put("test.bin", records(2, 20));
        let held_out = read(folder.path(), 0).unwrap();
        assert_eq!((held_out.train.len(), held_out.test.len()), (18, 2));
        let file = read(&folder.path().join("test.bin"), 0).unwrap();
        let all = |set: &Dataset| {
            [&set.train, &set.test].map(|part| part.read_range(0..part.len()).unwrap())
        };
        assert_eq!(all(&file), all(&held_out));
        put("train.bin", records(2, 30));
        let pair = read(folder.path(), 0).unwrap();
        assert_eq!((pair.train.len(), pair.test.len()), (30, 20));
        put("train.bin", records(1, 30));
        std::fs::remove_file(folder.path().join("test.bin")).unwrap();
        put("data_batch_2.bin", records(2, 30));
        let error = read(folder.path(), 0).unwrap_err().to_string();
        assert!(error.contains("the other CIFAR"), "{error}");
        std::fs::remove_file(folder.path().join("train.bin")).unwrap();
        // Files that IDX names as its own come first, whatever lies beside them.
        put("train-images-idx3-ubyte", Vec::new());
        let error = read(folder.path(), 0).unwrap_err().to_string();
        assert!(error.contains("idx3-ubyte"), "{error}");
        std::fs::remove_file(folder.path().join("train-images-idx3-ubyte")).unwrap();
        put("data_batch_1.bin", records(1, 5));
        put("data_batch_2.bin", records(1, 6));
        put("test_batch.bin", records(1, 3));
        let batches = read(folder.path(), 0).unwrap();
        assert_eq!((batches.train.len(), batches.test.len()), (11, 3));
        assert_eq!(
            batches.train.read_range(5..6).unwrap()[0],
            0,
            "the second batch comes second"
        );
    }
}
