//! Images read where they lie: in uncompressed IDX files and in CIFAR's binary files.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::source::{Source, check};
use super::{cifar, file, idx};
use crate::error::{Error, Result};

/// Bytes of a part's files up to which they are read into memory at the beginning; larger ones are read in place.
pub const IN_MEMORY: u64 = 1 << 30;

/// Where the images of files are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// In memory up to [`IN_MEMORY`] or where they are compressed, otherwise in their files.
    #[default]
    Auto,
    /// In memory.
    Memory,
    /// In their files, which must not change meanwhile.
    InPlace,
}

impl Reading {
    /// Whether a part is read in place whose files have so many bytes that can be.
    pub(super) fn in_place(self, size: impl FnOnce() -> Result<u64>) -> Result<bool> {
        Ok(match self {
            Self::Auto => size()? > IN_MEMORY,
            Self::Memory => false,
            Self::InPlace => true,
        })
    }
}

/// Images in files that stay open and are read image by image. No pixels are in memory; files that change meanwhile
/// are an error of [`Source::read`].
#[derive(Debug)]
pub struct Files {
    shape: [usize; 3],
    parts: Vec<Part>,
    labels: Option<Vec<u8>>,
}

/// One file.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: Mutex<File>,
    /// Bytes of the file when it was opened.
    size: u64,
    /// Place of its first image in all.
    first: usize,
    count: usize,
    /// Bytes before the first record.
    header: u64,
    /// Bytes before the image in each record.
    gap: usize,
}

impl Files {
    /// The images of an uncompressed IDX file.
    ///
    /// # Errors
    /// [`Error::File`] when it is no such file, or is not as long as its header says.
    pub fn idx(path: &Path) -> Result<Self> {
        if idx::plain_size(path)? == 0 {
            let message =
                "is empty or compressed, and cannot be read in place; unpack it with gzip -d";
            return Err(Error::file(path, message));
        }
        let (mut file, size) = file::open(path)?;
        let (count, shape, header) = idx::layout(path, &mut file, size)?;
        let part = Part {
            path: path.to_path_buf(),
            file: Mutex::new(file),
            size,
            first: 0,
            count,
            header,
            gap: 0,
        };
        Ok(Self {
            shape,
            parts: vec![part],
            labels: None,
        })
    }

    /// The images of CIFAR's binary files, one file after the other.
    ///
    /// # Errors
    /// [`Error::File`] when one is no such file, or of the other CIFAR than those before.
    pub fn cifar(paths: &[PathBuf]) -> Result<Self> {
        let shape = cifar::SHAPE;
        let stride: usize = shape.iter().product();
        let (mut parts, mut labels, mut record) = (Vec::new(), Vec::new(), None);
        for path in paths {
            let (file, size) = file::open(path)?;
            let mut part = Part {
                path: path.clone(),
                file: Mutex::new(file),
                size,
                first: labels.len(),
                count: 0,
                header: 0,
                gap: 0,
            };
            let (gap, own) = cifar::labels(path, size, |at| {
                let mut byte = [0];
                part.read_at(at, &mut byte, "a label")?;
                Ok(byte[0])
            })?;
            (part.gap, part.count) = (gap, own.len());
            cifar::same_kind(&mut record, gap + stride, path)?;
            labels.extend(own);
            parts.push(part);
        }
        Ok(Self {
            shape,
            parts,
            labels: Some(labels),
        })
    }

    /// `count` images of `shape` from byte `first` of a file, one after the other.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be opened.
    #[cfg(feature = "pictures")]
    pub(super) fn raw(path: &Path, shape: [usize; 3], first: u64, count: usize) -> Result<Self> {
        let (file, size) = file::open(path)?;
        let part = Part {
            path: path.to_path_buf(),
            file: Mutex::new(file),
            size,
            first: 0,
            count,
            header: first,
            gap: 0,
        };
        Ok(Self {
            shape,
            parts: vec![part],
            labels: None,
        })
    }

    /// The same with the classes of the images.
    #[must_use]
    pub(super) fn with_labels(self, labels: Option<Vec<u8>>) -> Self {
        Self { labels, ..self }
    }

    /// The file that holds image `at` of all.
    fn part(&self, at: usize) -> &Part {
        let after = |part: &Part| part.first + part.count <= at;
        &self.parts[self.parts.partition_point(after)]
    }
}

impl Part {
    /// Fills `out` from byte `offset`; `what` is being read.
    fn read_at(&self, offset: u64, out: &mut [u8], what: &str) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = || -> std::io::Result<Option<u64>> {
            let now = file.metadata()?.len();
            if now != self.size {
                return Ok(Some(now));
            }
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(out)?;
            Ok(None)
        };
        let message = match read() {
            Ok(None) => return Ok(()),
            Ok(Some(now)) => format!("the file was {} bytes long, and is {now} now", self.size),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => "the file became shorter".into(),
            Err(e) => e.to_string(),
        };
        Err(Error::file(
            &self.path,
            format!("{what} cannot be read: {message}; it must stay as it is while it is in use"),
        ))
    }
}

impl Source for Files {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.count).sum()
    }

    fn read(&self, at: &[u32], out: &mut [u8]) -> Result<()> {
        check(self, at, out)?;
        let stride = self.stride();
        let (mut at, mut out) = (at, out);
        while let Some(first) = at.first() {
            let first = *first as usize;
            let part = self.part(first);
            // Images that lie one behind the other are read together.
            let place = first - part.first;
            let most = match part.gap {
                0 => part.count - place,
                _ => 1,
            };
            let follows = |(i, image): &(usize, &u32)| **image as usize == first + i;
            let run = at.iter().enumerate().take(most).take_while(follows);
            let run = run.count();
            let record = (part.gap + stride) as u64;
            let offset = part.header + place as u64 * record + part.gap as u64;
            let (now, later) = out.split_at_mut(run * stride);
            part.read_at(offset, now, &format!("image {place}"))?;
            (at, out) = (&at[run..], later);
        }
        Ok(())
    }

    fn label(&self, at: usize) -> Option<u8> {
        self.labels.as_ref()?.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, read_by};
    use std::io::Write as _;

    fn idx_file(magic: u8, sizes: &[u32], bytes: impl Iterator<Item = u8>) -> Vec<u8> {
        let mut file = vec![0, 0, 8, magic];
        file.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
        file.extend(bytes);
        file
    }

    fn write_idx(folder: &Path) {
        for (part, count) in [("train", 30), ("t10k", 5)] {
            let pixels = (0..count * 96).map(|i| (i / 7 * 37) as u8);
            let images = idx_file(3, &[count, 8, 12], pixels);
            std::fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        }
        let labels = idx_file(1, &[30], (0..30).map(|i| i % 10));
        std::fs::write(folder.join("train-labels-idx1-ubyte"), labels).unwrap();
    }

    fn write_cifar(folder: &Path, labels: usize) {
        let names: &[(&str, u8)] = match labels {
            1 => &[
                ("data_batch_1.bin", 7),
                ("data_batch_2.bin", 5),
                ("test_batch.bin", 3),
            ],
            // No test part: one is held out.
            _ => &[("train.bin", 20)],
        };
        for (i, (name, count)) in names.iter().enumerate() {
            let record = |n: u8| {
                let pixels = (0..3072).map(|p| (p * 7 + usize::from(n) * 31 + i) as u8);
                [vec![n % 10; labels], pixels.collect()].concat()
            };
            let bytes: Vec<u8> = (0..*count).flat_map(record).collect();
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }

    #[test]
    fn what_is_read_in_place_is_what_is_read_into_memory() {
        for kind in 0..3 {
            let folder = tempfile::tempdir().unwrap();
            match kind {
                0 => write_idx(folder.path()),
                labels => write_cifar(folder.path(), labels),
            }
            let [memory, place, auto] = [Reading::Memory, Reading::InPlace, Reading::Auto]
                .map(|reading| read_by(folder.path(), 3, reading).unwrap());
            let in_files = |set: &Dataset| format!("{set:?}").contains("Files");
            assert!(in_files(&place) && !in_files(&memory) && !in_files(&auto));
            for (want, got) in [(&memory.train, &place.train), (&memory.test, &place.test)] {
                assert_eq!((want.shape(), want.len()), (got.shape(), got.len()));
                let len = want.len();
                let labels =
                    |part: &dyn Source| (0..len).map(|i| part.label(i)).collect::<Vec<_>>();
                assert_eq!(labels(want), labels(got));
                let last = len as u32 - 1;
                for at in [
                    (0..=last).collect(),
                    (0..=last).rev().collect(),
                    (0..=last).map(|i| i * 7 % (last + 1)).collect(),
                    vec![last, last, 0, 1, 1, last / 2, last],
                    vec![],
                ] {
                    let both = [want, got].map(|part| {
                        let mut out = vec![0; at.len() * part.stride()];
                        part.read(&at, &mut out).unwrap();
                        out
                    });
                    assert!(both[0] == both[1], "kind {kind}: {at:?} differ");
                }
            }
        }
    }

    #[test]
    fn a_file_that_changes_is_named_with_its_image() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path());
        let path = folder.path().join("train-images-idx3-ubyte");
        let good = std::fs::read(&path).unwrap();
        let files = Files::idx(&path).unwrap();
        let mut out = [0; 96];
        files.read(&[7], &mut out).unwrap();
        for length in [good.len() - 1, 20, 0, good.len() + 1] {
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(length as u64).unwrap();
            let error = files.read(&[7], &mut out).unwrap_err().to_string();
            for want in [
                "train-images-idx3-ubyte: image 7 cannot be read",
                &format!("was {} bytes long, and is {length} now", good.len()),
            ] {
                assert!(error.contains(want), "{error}");
            }
        }
        // One that takes its place is another file.
        std::fs::write(&path, &good).unwrap();
        let files = Files::idx(&path).unwrap();
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        std::fs::write(&path, b"another").unwrap();
        files.read(&[7], &mut out).unwrap();
        assert_eq!(out, good[16 + 7 * 96..16 + 8 * 96]);
    }

    #[test]
    fn damage_is_named_when_a_file_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let good = idx_file(3, &[3, 4, 8], 0..96);
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(&good).unwrap();
        let longer = [&good[..], &[0]].concat();
        for (bytes, want) in [
            (good[..50].to_vec(), "96 bytes, but it holds 34"),
            (longer, "96 bytes, but it holds 97"),
            (good[..10].to_vec(), "ends inside its header"),
            (idx_file(1, &[3], 0..3), "ends inside its header"),
            (idx_file(1, &[30], 0..30), "that is a file of labels"),
            (idx_file(3, &[5, 0, 8], 0..0), "images of 0 x 8 pixels"),
            (idx_file(3, &[u32::MAX; 3], 0..9), "more than 2^64 bytes"),
            (
                zip.finish().unwrap(),
                "compressed, and cannot be read in place; unpack",
            ),
            (Vec::new(), "is empty"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Files::idx(&path).unwrap_err().to_string();
            assert!(error.contains(want), "{error:?} does not say {want:?}");
            assert!(error.contains("file: "), "{error}");
        }
        write_cifar(folder.path(), 1);
        write_cifar(folder.path(), 2);
        let cifar = |names: &[&str]| {
            let paths: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
            Files::cifar(&paths).unwrap_err().to_string()
        };
        let error = cifar(&["data_batch_1.bin", "file"]);
        assert!(error.contains("file: holds 0 bytes"), "{error}");
        let error = cifar(&["data_batch_1.bin", "train.bin"]);
        assert!(
            error.contains("train.bin: is of the other CIFAR"),
            "{error}"
        );
    }
}
