//! CIFAR's binary form: records of a label and 3 x 32 x 32 bytes, channels first.
//!
//! CIFAR-10 has one label byte, CIFAR-100 two (coarse, fine). Source: the description on the page
//! of Krizhevsky's data sets.

use std::path::Path;

use super::Images;
use crate::error::{Error, Result};

/// `[C, H, W]`
pub(super) const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// Images from the bytes of a file such as `data_batch_1.bin`; `name` is for errors.
///
/// # Errors
/// [`Error::File`] when the size fits neither CIFAR-10 nor CIFAR-100, or a label does not exist.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Images> {
    let size = bytes.len() as u64;
    let (labels, classes) = labels(Path::new(name), size, |at| Ok(bytes[at as usize]))?;
    let records = bytes.chunks(labels + PIXELS);
    Ok(Images {
        shape: SHAPE,
        pixels: records.flat_map(|r| &r[labels..]).copied().collect(),
        labels: Some(classes),
    })
}

/// Labels of a record in the file of `size` bytes at `path`, and each image's (the finer one); `byte` reads the
/// byte at a place.
///
/// # Errors
/// As [`parse`]; those of `byte`.
pub(super) fn labels(
    path: &Path,
    size: u64,
    mut byte: impl FnMut(u64) -> Result<u8>,
) -> Result<(usize, Vec<u8>)> {
    'kinds: for (labels, classes) in [(1, 10), (2, 100)] {
        let record = labels + PIXELS as u64;
        if size == 0 || !size.is_multiple_of(record) {
            continue;
        }
        let mut all = Vec::new();
        for i in 0..size / record {
            let label = byte(i * record + labels - 1)?;
            if label >= classes {
                continue 'kinds;
            }
            all.push(label);
        }
        return Ok((labels as usize, all));
    }
    Err(Error::file(
        path,
        format!(
            "holds {size} bytes, which are no whole records of CIFAR-10 (3073 bytes, label 0 to 9) or CIFAR-100 \
             (3074, label 0 to 99)"
        ),
    ))
}

/// [`Error::File`] when the records of `path`, `size` bytes long, are not as those of the files `before`.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn same_kind(before: &mut Option<usize>, size: usize, path: &Path) -> Result<()> {
    if *before.get_or_insert(size) == size {
        return Ok(());
    }
    let message = "is of the other CIFAR (10 or 100 classes) than the files beside it";
    Err(Error::file(path, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_both_kinds_are_read_and_others_refused() {
        for labels in [1, 2] {
            let record = |i: u8| [vec![i; labels], vec![100 + i; PIXELS]].concat();
            let bytes = [record(3), record(7)].concat();
            let images = parse("batch", &bytes).unwrap();
            assert_eq!((images.len(), images.shape), (2, [3, 32, 32]));
            assert_eq!(images.labels, Some(vec![3, 7]));
            assert_eq!(images.range(1, 2), vec![107; PIXELS]);
            let error = parse("batch", &bytes[1..]).unwrap_err().to_string();
            assert!(error.contains("no whole records"), "{error}");
        }
    }
}
