//! CIFAR's binary form: records of a label and 3 x 32 x 32 bytes, channels first.
//!
//! CIFAR-10 has one label byte, CIFAR-100 two (coarse, fine). Source: the description on the page
//! of Krizhevsky's data sets.

use super::Images;
use crate::error::{Error, Result};

const PIXELS: usize = 3 * 32 * 32;

/// Images from the bytes of a file such as `data_batch_1.bin`; `name` is for errors.
///
/// # Errors
/// [`Error::File`] when the size fits neither CIFAR-10 nor CIFAR-100, or a label does not exist.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Images> {
    let fits = |labels: usize, classes: u8| {
        let record = labels + PIXELS;
        !bytes.is_empty()
            && bytes.len().is_multiple_of(record)
            && bytes.chunks(record).all(|r| r[labels - 1] < classes)
    };
    let labels = match (fits(1, 10), fits(2, 100)) {
        (true, _) => 1,
        (_, true) => 2,
        _ => {
            return Err(Error::file(
                name,
                format!(
                    "holds {} bytes, which are no whole records of CIFAR-10 (3073 bytes, label 0 to 9) or \
                     CIFAR-100 (3074, label 0 to 99)",
                    bytes.len()
                ),
            ));
        }
    };
    let records = || bytes.chunks(labels + PIXELS);
    Ok(Images {
        shape: [3, 32, 32],
        pixels: records().flat_map(|r| &r[labels..]).copied().collect(),
        labels: Some(records().map(|r| r[labels - 1]).collect()),
    })
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
