//! What the commands say of a saved model besides what the library does.

use std::path::Path;

use semivq::data::{Dataset, Images, picture};
use semivq::error::with_names;
use semivq::run::{self, CHECKPOINT, Saved};
use semivq::{Error, Result};

use super::given::{Given, flag};
use super::output::note;
use super::suggest;

/// What `path` names, see [`Saved::read`].
pub fn read(path: &Path) -> Result<Saved> {
    let file = path.join(CHECKPOINT);
    if path.is_dir() && !file.exists() && run::read_config(path)?.is_some() {
        let command = suggest::resume(path);
        return Err(Error::file(
            file,
            format!("is not there: the run has made no step yet; go on with it: {command}"),
        ));
    }
    Saved::read(path)
}

/// The images it was trained on, or those in `given`, which is said.
pub fn data(saved: &Saved, given: Option<&Path>) -> Result<Dataset> {
    let stored = saved.options.data.as_deref();
    if let Some(given) = given {
        let same =
            stored.is_some_and(|s| std::path::absolute(given).is_ok_and(|g| g == Path::new(s)));
        if !same {
            let stored = stored.unwrap_or("the built-in images");
            note(format_args!(
                "note: on the images in {}; the run was trained on {stored}",
                given.display()
            ));
        }
    }
    let data = saved.data(given)?;
    for text in &data.about.notes {
        note(format_args!(
            "note: {}",
            with_names(text, |name| Some(flag(name)))
        ));
    }
    Ok(data)
}

/// What there is to say of a data set that was read, its options named as they are typed.
pub fn notes(data: &Dataset, given: &Given) -> Vec<String> {
    let notes = data.about.notes.iter();
    notes.map(|note| given.named(note)).collect()
}

/// The image at `path`, of a size that the model takes.
pub fn image(saved: &Saved, path: &Path) -> Result<Images> {
    let image = picture::read(path, saved.channels()?)?;
    let ([_, height, width], by) = (image.shape, saved.options.model.granularity());
    if width.is_multiple_of(by) && height.is_multiple_of(by) {
        return Ok(image);
    }
    Err(Error::file(
        path,
        format!(
            "is {width} x {height}; width and height must be divisible by {by}: crop or resize it"
        ),
    ))
}

/// [`Error::Config`] when there is a run in `dir` already.
pub fn refuse_taken(dir: &Path, overwrite: bool) -> Result<()> {
    if overwrite || !run::holds_run(dir) {
        return Ok(());
    }
    Err(Error::Config(format!(
        "{} holds a run already; go on with it ({}), choose another --out, or replace it (--overwrite)",
        dir.display(),
        suggest::resume(dir)
    )))
}

/// An error that came of what `path` holds: a code that does not exist, an image too large for the
/// device. What the file has no part in stays as it is.
pub fn about(path: &Path, error: Error) -> Error {
    match error {
        Error::Limit {
            tensor,
            bytes,
            limit,
            allowed,
        } => Error::file(
            path,
            format!(
                "is too large for this device: tensor `{tensor}` needs {bytes} bytes, more than the limit \
                 `{limit}` of {allowed} bytes; crop or resize it"
            ),
        ),
        Error::Shape(_) | Error::NotFinite { .. } => Error::file(path, error.to_string()),
        other => other,
    }
}
