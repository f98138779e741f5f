//! Data sets from files, whatever their kind.

use std::path::Path;

#[cfg(feature = "pictures")]
use super::folder::{self, Cache};
use super::{Dataset, Reading, cifar_folder, idx_folder, pickle};
use crate::error::Result;

/// How a data set is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// Draws the test part where there is none.
    pub seed: u64,
    /// Whether images are in memory or in their files.
    pub reading: Reading,
    /// Height and width that images of a folder are resized and cropped to; none for the one size that all of them
    /// have, if it is at most 256 and [`Self::granularity`] divides it, otherwise 64.
    pub image_size: Option<usize>,
    /// What divides the height and width of the images that the model takes.
    pub granularity: usize,
    /// Channels that images of a folder are read with, 1 (grey) or 3; none for 1 where all of them are grey, otherwise 3.
    pub channels: Option<usize>,
    /// Whether images of a folder that cannot be read are left out.
    pub skip_bad: bool,
    /// Where decoded images of a folder are kept.
    #[cfg(feature = "pictures")]
    pub cache: Cache,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            reading: Reading::default(),
            image_size: None,
            granularity: 1,
            channels: None,
            skip_bad: false,
            #[cfg(feature = "pictures")]
            cache: Cache::default(),
        }
    }
}

/// The data set at `path`: a folder of IDX files, of CIFAR's binary files or of images (PNG, JPEG, WebP, BMP), or one
/// of CIFAR's files alone. Where there is no test part, one is held out by `seed`. Files above [`super::IN_MEMORY`] are
/// read where they lie.
///
/// # Errors
/// [`Error::File`] names what is missing or damaged, and what the folder holds.
pub fn read(path: &Path, seed: u64) -> Result<Dataset> {
    read_by(path, seed, Reading::Auto)
}

/// As [`read`], with images in memory or in their files as `reading` says.
///
/// # Errors
/// As [`read`]; [`Error::File`] also when a file that is to be read in place is compressed.
pub fn read_by(path: &Path, seed: u64, reading: Reading) -> Result<Dataset> {
    let options = ReadOptions {
        seed,
        reading,
        ..ReadOptions::default()
    };
    read_with(path, &options)
}

/// As [`read`], with options; those of folders of images have no effect on others, see [`super::About::takes`].
///
/// # Errors
/// As [`read_by`]; [`crate::Error::Option`] when the model takes no images of the size that is asked for.
pub fn read_with(path: &Path, options: &ReadOptions) -> Result<Dataset> {
    if let Some(set) = of_one_size(path, options)? {
        return Ok(set);
    }
    #[cfg(feature = "pictures")]
    if path.is_dir() {
        if let Some(set) = folder::dataset(path, options)? {
            return Ok(set);
        }
        if let Some(error) = idx_folder::holds_nothing(path)? {
            return Err(error);
        }
    }
    // Says what it wants and what there is.
    idx_folder::read_folder_by(path, options.reading)
}

/// The set of files that hold many images; `None` where there are no such files.
fn of_one_size(path: &Path, options: &ReadOptions) -> Result<Option<Dataset>> {
    let ReadOptions { seed, reading, .. } = *options;
    pickle::refuse(path)?;
    let named = |set: Dataset, format: &str| {
        let mut set = set;
        set.about.format = format.to_owned();
        Some(set)
    };
    if cifar_folder::is_file(path) {
        let files = [vec![path.to_path_buf()], Vec::new()];
        let set = cifar_folder::dataset(path, &files, seed, reading)?;
        return Ok(named(set, "one of CIFAR's binary files"));
    }
    if idx_folder::holds_images(path) {
        let set = idx_folder::read_folder_by(path, reading)?;
        return Ok(named(set, "IDX files"));
    }
    let files = cifar_folder::files(path);
    if files.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let mut set = cifar_folder::dataset(path, &files, seed, reading)?;
    set.about.classes = cifar_folder::class_names(path);
    Ok(named(set, "CIFAR's binary files"))
}
