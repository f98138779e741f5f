//! IDX, the format of MNIST, plain or gzip.
//!
//! A big-endian header (magic `0x0000 08 dd` for bytes in dd dimensions, then the sizes), then the
//! bytes. Source: the description on the MNIST page of `LeCun`, Cortes and Burges.

use std::io::{BufRead, ErrorKind, Read};
use std::path::Path;

use super::Images;
#[cfg(not(target_arch = "wasm32"))]
use super::file;
use super::gunzip::Gunzip;
use crate::error::{Error, Result};

#[cfg(not(target_arch = "wasm32"))]
pub use super::idx_folder::read_folder;

/// The most bytes of pixels that a file may promise that is read into memory: a header that promises more is no data set but
/// a bomb or damage, and is refused before anything is read.
pub const LARGEST: u64 = if usize::BITS > 32 { 1 << 32 } else { 1 << 30 };

/// What a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bytes that one byte of a gzip file can stand for at most (deflate's longest match is 258 bytes
/// in two bits), rounded up.
const DEFLATE: u64 = 1032;

/// Above so many bytes, images that are compressed more than a hundredfold are taken for a bomb:
/// those of MNIST and its kin are at some five.
const LARGE: u64 = 1 << 28;
const HUNDREDFOLD: u64 = 100;

/// Reads a file of images (three dimensions).
///
/// # Errors
/// [`Error::File`], see [`read_folder`].
#[cfg(not(target_arch = "wasm32"))]
pub fn read_images(path: &Path) -> Result<Images> {
    let (sizes, pixels) = read(path, 3)?;
    to_images(path, &sizes, pixels)
}

/// Reads a file of labels (one dimension).
///
/// # Errors
/// [`Error::File`], see [`read_folder`].
#[cfg(not(target_arch = "wasm32"))]
pub fn read_labels(path: &Path) -> Result<Vec<u8>> {
    Ok(read(path, 1)?.1)
}

/// Images from the bytes of a file, plain or gzip; `name` is for errors.
///
/// # Errors
/// [`Error::File`] names the file and what is wrong with it.
pub fn parse_images(name: &str, bytes: &[u8]) -> Result<Images> {
    let (sizes, pixels) = read_from(Path::new(name), bytes, bytes.len() as u64, 3)?;
    to_images(Path::new(name), &sizes, pixels)
}

/// Labels from the bytes of a file, plain or gzip; `name` is for errors.
///
/// # Errors
/// [`Error::File`] names the file and what is wrong with it.
pub fn parse_labels(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(read_from(Path::new(name), bytes, bytes.len() as u64, 1)?.1)
}

fn to_images(path: &Path, sizes: &[usize], pixels: Vec<u8>) -> Result<Images> {
    Ok(Images {
        shape: shape_of(path, sizes)?,
        pixels,
        labels: None,
    })
}

/// `[1, H, W]` of the images of a file whose header says `sizes`.
fn shape_of(path: &Path, sizes: &[usize]) -> Result<[usize; 3]> {
    let (height, width) = (sizes[1], sizes[2]);
    if sizes[0] > 0 && (height == 0 || width == 0) {
        let message = format!("its header says {sizes:?}: images of {height} x {width} pixels");
        return Err(Error::file(path, message));
    }
    Ok([1, height, width])
}

#[cfg(not(target_arch = "wasm32"))]
fn read(path: &Path, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let (file, size) = file::open(path)?;
    read_from(path, std::io::BufReader::new(file), size, dimensions)
}

/// Bytes of a file of images that can be read where they lie; none of one that is compressed.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn plain_size(path: &Path) -> Result<u64> {
    let (file, size) = file::open(path)?;
    let mut start = Vec::new();
    let read = file.take(2).read_to_end(&mut start);
    read.map_err(|e| unreadable(path, &e))?;
    Ok(if start == GZIP { 0 } else { size })
}

/// What the header of a file of images at `path` says: how many, `[1, H, W]`, and where the first one begins.
/// They fill the file to its end, at byte `size`.
///
/// # Errors
/// [`Error::File`] names the file and what is wrong with it.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn layout(path: &Path, file: impl Read, size: u64) -> Result<(usize, [usize; 3], u64)> {
    let (sizes, total, header) = read_header(path, file, 3)?;
    let held = size.saturating_sub(header);
    if total != Some(held) {
        let total = total.map_or("more than 2^64".into(), |n| n.to_string());
        return Err(Error::file(
            path,
            format!(
                "its header says {sizes:?}, {total} bytes, but it holds {held}; fetch the file again"
            ),
        ));
    }
    Ok((sizes[0], shape_of(path, &sizes)?, header))
}

/// `size` is that of the file, in bytes.
fn read_from(
    path: &Path,
    mut reader: impl BufRead,
    size: u64,
    dimensions: usize,
) -> Result<(Vec<usize>, Vec<u8>)> {
    let start = reader.fill_buf().map_err(|e| unreadable(path, &e))?;
    if start.starts_with(&GZIP) {
        parse(path, Gunzip::new(reader), size, DEFLATE, dimensions)
    } else {
        parse(path, reader, size, 1, dimensions)
    }
}

/// The sizes that a header names, their product where it is no more than 2^64, and the header's own bytes.
fn read_header(
    path: &Path,
    mut reader: impl Read,
    dimensions: usize,
) -> Result<(Vec<usize>, Option<u64>, u64)> {
    let fail = |message: String| Err(Error::file(path, message));
    let mut header = vec![0; 4 + 4 * dimensions];
    if let Err(error) = reader.read_exact(&mut header) {
        return match error.kind() {
            ErrorKind::UnexpectedEof => fail("ends inside its header; fetch the file again".into()),
            _ => Err(unreadable(path, &error)),
        };
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
            "begins with {:#010x}{kind}, an IDX file of this name should begin with {expected:#010x}",
            word(0)
        ));
    }
    let sizes: Vec<usize> = (1..=dimensions).map(|i| word(i) as usize).collect();
    let promised = sizes
        .iter()
        .try_fold(1_u64, |n, s| n.checked_mul(*s as u64));
    Ok((sizes, promised, header.len() as u64))
}

/// The reader gives at most `fold` bytes for each of the `size` bytes of the file.
fn parse(
    path: &Path,
    mut reader: impl Read,
    size: u64,
    fold: u64,
    dimensions: usize,
) -> Result<(Vec<usize>, Vec<u8>)> {
    let fail = |message: String| Err(Error::file(path, message));
    let (sizes, promised, header) = read_header(path, &mut reader, dimensions)?;
    let total = match promised {
        Some(total) if total <= LARGEST => total,
        _ => {
            let bytes = promised.map_or("more than 2^64".into(), |n| n.to_string());
            return fail(format!(
                "its header says {sizes:?}, {bytes} bytes; at most {LARGEST} can be read"
            ));
        }
    };
    let most = size.saturating_mul(fold);
    if total > most {
        return fail(format!(
            "its header says {sizes:?}, {total} bytes, but it holds {} at most; fetch the file again",
            most.saturating_sub(header)
        ));
    }
    if total > LARGE && total / HUNDREDFOLD > size {
        return fail(format!(
            "its header says {sizes:?}, {total} bytes, in a file of {size}, as no images are compressed; if these \
             are, unpack it with gzip -d"
        ));
    }
    // One byte more than the header promises, to see whether the file goes on.
    let mut bytes = Vec::new();
    let refused = bytes.try_reserve_exact(total as usize + 1).is_err();
    if refused {
        return fail(format!(
            "needs {total} bytes of memory, which there are not"
        ));
    }
    if let Err(error) = reader.take(total + 1).read_to_end(&mut bytes) {
        return match error.kind() {
            ErrorKind::UnexpectedEof if bytes.len() as u64 >= total => fail(
                "is cut short: the checksum at its end is missing; fetch the file again".into(),
            ),
            ErrorKind::UnexpectedEof => fail(format!(
                "is cut short: {} of {total} bytes could be read; fetch the file again",
                bytes.len()
            )),
            _ => Err(unreadable(path, &error)),
        };
    }
    let held = bytes.len() as u64;
    if held != total {
        let held = if held > total {
            "more".to_owned()
        } else {
            held.to_string()
        };
        return fail(format!(
            "its header says {sizes:?}, {total} bytes, but it holds {held}"
        ));
    }
    Ok((sizes, bytes))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::file(
        path,
        format!("cannot be read: {error}; fetch the file again"),
    )
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

    /// A header that promises more than a file can hold is refused by its size, nothing is inflated.
    #[test]
    fn bombs_are_refused_by_what_they_promise() {
        let header = |sizes: [u32; 3]| {
            let mut bytes = vec![0, 0, 8, 3];
            bytes.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
            bytes
        };
        let most = u32::MAX;
        for (sizes, want) in [
            ([10_485_760, 32, 1024], "at most 4294967296 can be read"),
            ([most, most, most], "more than 2^64 bytes"),
            ([2, 1000, 1000], "at most; fetch the file again"),
        ] {
            for bytes in [header(sizes), gzip(&header(sizes))] {
                let error = read_bytes(&bytes).unwrap_err();
                assert!(error.contains(want), "{error:?} does not say {want:?}");
            }
        }
        // Three megabytes that are full of promises; what they hold does not come into it.
        let bomb = [gzip(&header([2_000_000, 32, 32])), vec![0; 3 << 20]].concat();
        let error = read_bytes(&bomb).unwrap_err();
        assert!(error.contains("unpack it with gzip -d"), "{error}");
        let error = read_bytes(&header([5, 0, 8])).unwrap_err();
        assert!(error.contains("images of 0 x 8 pixels"), "{error}");
        assert!(read_bytes(&header([0, 4, 8])).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_images(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is a folder"), "{error}");
        let error = read_images(&folder.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("check the path"), "{error}");
    }

    #[test]
    fn damage_is_named() {
        let good = images(3, 4, 8);
        let zipped = gzip(&good);
        let behind = |end: &[u8]| [&zipped[..], end].concat();
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
            (
                &zipped[..zipped.len() - 8],
                "the checksum at its end is missing",
            ),
            (
                &zipped[..zipped.len() - 1],
                "the checksum at its end is missing",
            ),
            (&behind(b"\0more"), "neither zeros nor gzip; fetch"),
            (&b""[..], "ends inside its header"),
        ] {
            let error = read_bytes(bytes).unwrap_err();
            assert!(error.contains(want), "{error:?} does not say {want:?}");
        }
    }
}
