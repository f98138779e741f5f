//! IDX, the format of MNIST, plain or gzip.
//!
//! A big-endian header (magic `0x0000 08 dd` for bytes in dd dimensions, then the sizes), then the
//! bytes. Source: the description on the MNIST page of `LeCun`, Cortes and Burges.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{Dataset, Images};
use crate::error::{Error, Result};

/// Reads the four files of an MNIST-like folder; labels are optional.
///
/// # Errors
/// [`Error::File`] names the file, what is wrong with it, and what was expected.
pub fn read_folder(folder: &Path) -> Result<Dataset> {
    if !folder.is_dir() {
        return Err(Error::file(
            folder,
            "is no folder; --data wants one that holds train-images-idx3-ubyte and t10k-images-idx3-ubyte \
             (plain or .gz)",
        ));
    }
    let dataset = Dataset {
        name: folder.display().to_string(),
        train: read_part(folder, "train")?,
        test: read_part(folder, "t10k")?,
    };
    dataset.validate()?;
    Ok(dataset)
}

fn read_part(folder: &Path, part: &str) -> Result<Images> {
    let stem = format!("{part}-images-idx3-ubyte");
    let path = find(folder, &stem).ok_or_else(|| {
        let message = format!(
            "not found (nor {stem}.gz); --data wants a folder with IDX files named as MNIST's"
        );
        Error::file(folder.join(&stem), message)
    })?;
    let mut images = read_images(&path)?;
    if let Some(path) = find(folder, &format!("{part}-labels-idx1-ubyte")) {
        let labels = read_labels(&path)?;
        if labels.len() != images.len() {
            return Err(Error::file(
                &path,
                format!(
                    "holds {} labels for {} images; the two files do not belong together",
                    labels.len(),
                    images.len()
                ),
            ));
        }
        images.labels = Some(labels);
    }
    Ok(images)
}

/// The plain file or the gzip one.
fn find(folder: &Path, stem: &str) -> Option<PathBuf> {
    [stem.to_owned(), format!("{stem}.gz")]
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.exists())
}

/// Reads a file of images (three dimensions).
///
/// # Errors
/// [`Error::File`], see [`read_folder`].
pub fn read_images(path: &Path) -> Result<Images> {
    let (sizes, pixels) = read(path, 3)?;
    Ok(Images {
        shape: [1, sizes[1], sizes[2]],
        pixels,
        labels: None,
    })
}

/// Reads a file of labels (one dimension).
///
/// # Errors
/// [`Error::File`], see [`read_folder`].
pub fn read_labels(path: &Path) -> Result<Vec<u8>> {
    Ok(read(path, 1)?.1)
}

/// Images from the bytes of a file, plain or gzip; `name` is for errors.
///
/// # Errors
/// [`Error::File`], see [`read_folder`].
pub fn parse_images(name: &str, bytes: &[u8]) -> Result<Images> {
    let (sizes, pixels) = read_from(Path::new(name), bytes, 3)?;
    Ok(Images {
        shape: [1, sizes[1], sizes[2]],
        pixels,
        labels: None,
    })
}

fn read(path: &Path, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let file = File::open(path).map_err(|e| Error::file(path, e.to_string()))?;
    read_from(path, BufReader::new(file), dimensions)
}

fn read_from(
    path: &Path,
    mut reader: impl Read,
    dimensions: usize,
) -> Result<(Vec<usize>, Vec<u8>)> {
    let mut start = [0; 2];
    let gzip = reader.read_exact(&mut start).is_ok() && start == [0x1f, 0x8b];
    let whole = std::io::Cursor::new(start).chain(reader);
    if gzip {
        parse(path, MultiGzDecoder::new(whole), dimensions)
    } else {
        parse(path, whole, dimensions)
    }
}

fn parse(path: &Path, mut reader: impl Read, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let fail = |message: String| Err(Error::file(path, message));
    let mut header = vec![0; 4 + 4 * dimensions];
    if let Err(error) = reader.read_exact(&mut header) {
        return fail(cut_short(&error, "ends inside its header"));
    }
    let word = |i: usize| {
        u32::from_be_bytes([
            header[4 * i],
            header[4 * i + 1],
            header[4 * i + 2],
            header[4 * i + 3],
        ])
    };
    let expected = 0x0800 + dimensions as u32;
    if word(0) != expected {
        let kind = match word(0) {
            0x0801 => " (that is a file of labels)",
            0x0803 => " (that is a file of images)",
            _ => "",
        };
        return fail(format!(
            "begins with {:#010x}{kind}, an IDX file of this name with {expected:#010x}",
            word(0)
        ));
    }
    let sizes: Vec<usize> = (1..=dimensions).map(|i| word(i) as usize).collect();
    let Some(total) = sizes.iter().try_fold(1_usize, |n, s| n.checked_mul(*s)) else {
        return fail(format!(
            "its header says {sizes:?}, more than any file holds"
        ));
    };
    // One byte more than the header promises, to see whether the file goes on.
    let mut bytes = Vec::new();
    if let Err(error) = reader.take(total as u64 + 1).read_to_end(&mut bytes) {
        return fail(cut_short(
            &error,
            &format!(
                "is cut short: {} of {total} bytes could be read",
                bytes.len()
            ),
        ));
    }
    if bytes.len() != total {
        let held = if bytes.len() > total {
            "more".to_owned()
        } else {
            bytes.len().to_string()
        };
        return fail(format!(
            "its header says {sizes:?}, {total} bytes, but it holds {held}"
        ));
    }
    Ok((sizes, bytes))
}

/// `message`, or the error's own words where it is not about the end of the file.
fn cut_short(error: &std::io::Error, message: &str) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => format!("{message}; fetch the file again"),
        _ => format!("cannot be read: {error}; fetch the file again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn images(count: u32, height: u32, width: u32) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3];
        for size in [count, height, width] {
            bytes.extend(size.to_be_bytes());
        }
        bytes.extend((0..count * height * width).map(|i| i as u8));
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Images, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        read_images(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn plain_and_gzip_are_the_same() {
        let plain = read_bytes(&images(3, 4, 8)).unwrap();
        assert_eq!(plain.shape, [1, 4, 8]);
        assert_eq!(plain.len(), 3);
        assert_eq!(plain, read_bytes(&gzip(&images(3, 4, 8))).unwrap());
    }

    #[test]
    fn damage_is_named() {
        let good = images(3, 4, 8);
        let zipped = gzip(&good);
        let mut labels = good.clone();
        labels[3] = 1;
        let mut longer = good.clone();
        longer.push(0);
        for (bytes, want) in [
            (&good[..10], "ends inside its header"),
            (&good[..50], "it holds 34"),
            (&longer[..], "it holds more"),
            (&labels[..], "that is a file of labels"),
            (&zipped[..zipped.len() - 12], "fetch the file again"),
            (&b""[..], "ends inside its header"),
        ] {
            let error = read_bytes(bytes).unwrap_err();
            assert!(error.contains(want), "{error:?} does not say {want:?}");
        }
    }
}
