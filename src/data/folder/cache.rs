//! Decoded images in a file, so that they are decoded once.
//!
//! The pixels of the train images and then of the test images, channels first; behind them a [`Footer`] as JSON, its
//! length in bytes (8), its CRC (4) and a mark (8). One file for each folder and choice of options; it is made anew when
//! a file of the folder changes, and when it is damaged.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::{Files, IN_MEMORY, Images, Reading, Source, file};
use crate::error::{Error, Result};

/// The end of a cache file.
const MARK: &[u8; 8] = b"semivq-1";
/// Bytes behind the footer.
const TAIL: u64 = 20;
/// Longer than any footer of sound files: 2^32 images of one class each do not fit in memory before.
const LONGEST_FOOTER: u64 = 1 << 30;

/// Both parts, as they come out of memory or of the cache.
pub(super) struct Stored {
    pub train: Box<dyn Source>,
    pub test: Box<dyn Source>,
    pub notes: Vec<String>,
}

/// What lies where, and what it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Footer {
    /// Of what it was made, see `prepare::key`.
    pub key: u64,
    /// `[C, H, W]`
    pub shape: [usize; 3],
    /// How many images the parts have.
    pub counts: [usize; 2],
    pub labels: [Option<Vec<u8>>; 2],
    pub notes: Vec<String>,
    /// The CRC of all pixels.
    pub crc: u32,
}

/// Where decoded images are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cache {
    /// `$SEMIVQ_CACHE`, or the folder `semivq` where the system has its user's caches.
    #[default]
    User,
    /// In this folder.
    In(PathBuf),
    /// Nowhere: they are decoded each time, into memory.
    Off,
}

impl Cache {
    /// The file for the images of `folder` in this form; none where there is no place for it.
    pub(super) fn file(&self, folder: &Path, form: &impl std::hash::Hash) -> Option<PathBuf> {
        let place = match self {
            Self::User => match std::env::var_os("SEMIVQ_CACHE") {
                Some(place) => PathBuf::from(place),
                None => dirs::cache_dir()?.join("semivq"),
            },
            Self::In(place) => place.clone(),
            Self::Off => return None,
        };
        let whole = std::fs::canonicalize(folder).ok()?;
        let mut hash = DefaultHasher::new();
        (&whole, form).hash(&mut hash);
        let name = whole.file_name().unwrap_or_default().to_string_lossy();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = name.chars().map(plain).take(40).collect();
        Some(place.join(format!("{name}-{:016x}.images", hash.finish())))
    }
}

/// A cache file that is being written, under a name of its own until it is whole.
pub(super) struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    temporary: PathBuf,
    crc: flate2::Crc,
    done: bool,
}

impl Writer {
    pub fn new(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let temporary = path.with_extension(format!("{}.part", std::process::id()));
        Ok(Self {
            file: BufWriter::with_capacity(1 << 20, File::create(&temporary)?),
            path: path.to_path_buf(),
            temporary,
            crc: flate2::Crc::new(),
            done: false,
        })
    }

    pub fn write(&mut self, pixels: &[u8]) -> std::io::Result<()> {
        self.crc.update(pixels);
        self.file.write_all(pixels)
    }

    /// Writes `footer`, but for the CRC, and gives the file its name.
    pub fn finish(mut self, footer: Footer) -> std::io::Result<()> {
        let crc = self.crc.sum();
        let json = serde_json::to_vec(&Footer { crc, ..footer })?;
        let mut sum = flate2::Crc::new();
        sum.update(&json);
        self.file.write_all(&json)?;
        self.file.write_all(&(json.len() as u64).to_le_bytes())?;
        self.file.write_all(&sum.sum().to_le_bytes())?;
        self.file.write_all(MARK)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(&self.temporary, &self.path)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.done {
            // What is left of it is of no use; that it cannot be removed is no fault of the images.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// The footer of a sound cache file of `key`, and the bytes before it.
fn footer(path: &Path, key: u64) -> Option<(Footer, u64)> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let mut tail = [0; TAIL as usize];
    file.seek(SeekFrom::Start(size.checked_sub(TAIL)?)).ok()?;
    file.read_exact(&mut tail).ok()?;
    let length = u64::from_le_bytes(tail[..8].try_into().ok()?);
    let pixels = (size - TAIL).checked_sub(length)?;
    if &tail[12..] != MARK || length > LONGEST_FOOTER {
        return None;
    }
    let mut json = vec![0; length as usize];
    file.seek(SeekFrom::Start(pixels)).ok()?;
    file.read_exact(&mut json).ok()?;
    let mut crc = flate2::Crc::new();
    crc.update(&json);
    if tail[8..12] != crc.sum().to_le_bytes() {
        return None;
    }
    let footer: Footer = serde_json::from_slice(&json).ok()?;
    let stride: usize = footer.shape.iter().product();
    let count = footer.counts[0] + footer.counts[1];
    let whole = pixels == count as u64 * stride as u64;
    (whole && footer.key == key).then_some((footer, pixels))
}

/// The images in the cache file at `path`, if they are those of `key` and sound; in memory or in place as
/// `reading` says. Of those in place the pixels are not checked.
///
/// # Errors
/// [`Error::File`] when it becomes unreadable meanwhile.
pub(super) fn open(path: &Path, key: u64, reading: Reading) -> Result<Option<Stored>> {
    let Some((footer, size)) = footer(path, key) else {
        return Ok(None);
    };
    let Footer {
        shape,
        counts,
        labels,
        notes,
        ..
    } = footer;
    let [train_labels, test_labels] = labels;
    let stride: usize = shape.iter().product();
    let begin = counts[0] * stride;
    if reading.in_place(|| Ok(size))? {
        let part = |first: usize, count, labels| -> Result<Box<dyn Source>> {
            let files = Files::raw(path, shape, first as u64, count)?;
            Ok(Box::new(files.with_labels(labels)))
        };
        return Ok(Some(Stored {
            train: part(0, counts[0], train_labels)?,
            test: part(begin, counts[1], test_labels)?,
            notes,
        }));
    }
    let mut train = file::read(path, size.saturating_add(LONGEST_FOOTER + TAIL))?;
    train.truncate(size as usize);
    let mut crc = flate2::Crc::new();
    crc.update(&train);
    if crc.sum() != footer.crc || train.len() as u64 != size {
        return Ok(None);
    }
    let test = train.split_off(begin);
    let part = |pixels, labels| {
        Box::new(Images {
            shape,
            pixels,
            labels,
        })
    };
    Ok(Some(Stored {
        train: part(train, train_labels),
        test: part(test, test_labels),
        notes,
    }))
}

/// What to say where images that do not fit in memory cannot be kept in a file.
pub(super) fn no_room(path: Option<&Path>, bytes: u64, why: &str) -> Error {
    let place = path.map_or("the cache".into(), |p| p.display().to_string());
    Error::Config(format!(
        "the decoded images are {} MiB, more than the {} MiB that are kept in memory, and {place} cannot be written: \
         {why}; make room, or name another folder for it in the environment variable SEMIVQ_CACHE",
        bytes >> 20,
        IN_MEMORY >> 20
    ))
}
