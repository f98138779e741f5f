//! Data sets from files, whatever their kind.

use std::path::Path;

#[cfg(feature = "pictures")]
use super::folder;
use super::{Dataset, ReadOptions, Reading, cifar_folder, idx_folder, pickle};
use crate::error::Result;

/// The data set at `path`: a folder of IDX files, of CIFAR's binary files or of images (PNG, JPEG, WebP, BMP), or one
/// of CIFAR's files alone. Where there is no test part, one is held out by `seed`. Files above [`super::IN_MEMORY`] are
/// read where they lie.
///
/// # Errors
/// [`crate::Error::File`] names what is missing or damaged, and what the folder holds.
pub fn read(path: &Path, seed: u64) -> Result<Dataset> {
    read_by(path, seed, Reading::Auto)
}

/// As [`read`], with images in memory or in their files as `reading` says.
///
/// # Errors
/// As [`read`]; [`crate::Error::File`] also when a file that is to be read in place is compressed.
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
