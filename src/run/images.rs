//! The images of a run: where they lie, and how they are read.

use std::path::{Path, PathBuf};

use super::io_error;
use crate::data::{self, BuiltIn, Dataset, ReadOptions};
use crate::error::{Error, Result};
use crate::train::TrainOptions;

/// `path`, that of the option `name`, as it is stored: found from any working directory. The name of a built-in data
/// set stays as it is.
///
/// # Errors
/// [`Error::Config`] when JSON cannot hold it.
pub fn stored(path: &Path, name: &str) -> Result<String> {
    let built_in = path.to_str().filter(|path| BuiltIn::named(path).is_some());
    if let (Some(set), "data") = (built_in, name) {
        return Ok(set.to_owned());
    }
    let whole = std::path::absolute(path).map_err(|e| io_error(path, &e))?;
    whole.into_os_string().into_string().map_err(|_| {
        Error::Config(format!(
            "`{name}` {}: its path is no UTF-8, so that config.json cannot hold it; rename it, or name a link to it",
            path.display()
        ))
    })
}

/// The folder of the images of a run whose files lie at `near`. A relative one, of version 0.1.0, is
/// looked for in the working directory and in the folders above the run.
#[must_use]
pub fn locate(stored: &str, near: &Path) -> PathBuf {
    let built_in = BuiltIn::named(stored).is_some();
    let stored = Path::new(stored);
    if built_in || stored.is_absolute() || stored.exists() {
        return stored.to_path_buf();
    }
    let near = std::path::absolute(near).unwrap_or_default();
    let found = near
        .ancestors()
        .map(|a| a.join(stored))
        .find(|p| p.exists());
    found.unwrap_or_else(|| stored.to_path_buf())
}

/// The data set in `given`, or that of the options; of images that their model takes.
///
/// # Errors
/// [`Error::File`] names the folder that is not there any more, and what to do; [`Error::Data`] as
/// [`Dataset::check_size`].
pub fn load_data(options: &TrainOptions, given: Option<&Path>, near: &Path) -> Result<Dataset> {
    load(options, given, near, None)
}

/// As [`load_data`]; where images can be read with any number of channels, with `channels`.
pub(super) fn load(
    options: &TrainOptions,
    given: Option<&Path>,
    near: &Path,
    channels: Option<usize>,
) -> Result<Dataset> {
    let (usual, size) = options.model.built_in();
    let stored = options.data.as_deref();
    let named = match given {
        Some(given) => given.to_str().and_then(BuiltIn::named),
        None => stored.map_or(Some(usual), BuiltIn::named),
    };
    if let Some(set) = named {
        let own = if set == usual { size } else { set.sizes()[0] };
        // What a run of other images had for a size need not be one of these.
        let wanted = options.image_size;
        let wanted = wanted.filter(|size| given.is_none() || set.sizes().contains(size));
        let data = set.dataset(options.seed, wanted.unwrap_or(own))?;
        data.check_size(options.model.granularity())?;
        return Ok(data);
    }
    let stored = stored.unwrap_or_default();
    let folder = match given {
        Some(folder) => folder.to_path_buf(),
        None => locate(stored, near),
    };
    if given.is_none() && !folder.exists() {
        let message = format!(
            "was trained on the images in {stored}, which is not here; if they were moved, name theirs with `data`"
        );
        return Err(Error::file(near, message));
    }
    let read = ReadOptions {
        seed: options.seed,
        image_size: options.image_size,
        granularity: options.model.granularity(),
        channels,
        skip_bad: options.skip_bad,
        ..ReadOptions::default()
    };
    let data = data::read_with(&folder, &read)?;
    data.check_size(options.model.granularity())?;
    Ok(data)
}
