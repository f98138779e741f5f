//! A trained model as it was saved: the folder of a run, or a checkpoint file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::images::{load, locate};
use super::{CHECKPOINT, CONFIG, io_error, read_config, read_next};
use crate::data::{BuiltIn, Dataset, Images};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::train::checkpoint::{State, Training};
use crate::train::{Session, Taken, TrainOptions, Weights};

/// Model and options.
#[derive(Debug)]
pub struct Saved {
    /// The options of its run.
    pub options: TrainOptions,
    /// The model; the training state only where it is in the checkpoint itself.
    pub state: State,
    /// The checkpoint.
    pub file: PathBuf,
    /// What results are called by default: a folder, and what their names begin with.
    beside: (PathBuf, String),
}

impl Saved {
    /// What `path` names.
    ///
    /// # Errors
    /// [`Error::File`] when there is nothing, when it is damaged, or when checkpoint and
    /// configuration contradict each other.
    pub fn read(path: &Path) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(|e| {
            let message = format!("{e}; want the folder of a run, or a checkpoint file");
            Error::file(path, message)
        })?;
        if !kind.is_dir() {
            let state = read_state(path, false)?;
            return Ok(Self {
                options: options_of(&state, path)?,
                state,
                file: path.to_path_buf(),
                beside: beside(path),
            });
        }
        let file = path.join(CHECKPOINT);
        let config = read_config(path)?;
        if !file.exists() {
            return Err(match config {
                None => no_run(path),
                Some(_) => Error::file(
                    &file,
                    "is not there: the run has made no step yet; go on with it first",
                ),
            });
        }
        let state = read_state(&file, false)?;
        Ok(Self {
            options: agreed(path, config, &state)?.0,
            state,
            file,
            beside: (path.to_path_buf(), String::new()),
        })
    }

    /// Where a result called `name` goes by default.
    #[must_use]
    pub fn output(&self, name: &str) -> PathBuf {
        let (folder, prefix) = &self.beside;
        folder.join(format!("{prefix}{name}"))
    }

    /// Channels of the model's images.
    ///
    /// # Errors
    /// [`Error::File`] when its first convolution is not there.
    pub fn channels(&self) -> Result<usize> {
        let name = self.options.model.first_parameter();
        let first = self.state.tensors.iter().find(|t| t.0 == name);
        match first.map(|(_, shape, _)| shape[..].to_owned()).as_deref() {
            Some([_, channels, _, _]) => Ok(*channels),
            _ => Err(self.refuse(format!("has no first convolution `{name}` [O, C, H, W]"))),
        }
    }

    fn refuse(&self, message: impl Into<String>) -> Error {
        Error::file(&self.file, message)
    }

    /// The images it was trained on, or those in `given`.
    ///
    /// # Errors
    /// [`Error::File`] names the folder that is not there any more; [`Error::Data`] when the model
    /// takes others.
    pub fn data(&self, given: Option<&Path>) -> Result<Dataset> {
        let want = self.channels()?;
        let mut data = load(&self.options, given, &self.file, None)?;
        if data.shape()[0] != want {
            // Images of a folder are grey or in colour, as they are wanted.
            data = load(&self.options, given, &self.file, Some(want))?;
        }
        let have = data.shape()[0];
        if have != want {
            let message = format!("has images of {have} channels, the model takes {want}");
            return Err(Error::Data {
                name: data.name,
                message,
            });
        }
        Ok(data)
    }

    /// A session to evaluate it with. Its training plan is not used, so it is recorded for the
    /// smallest batch.
    ///
    /// # Errors
    /// [`Error::File`] when the checkpoint is of other options, or holds NaN or infinity.
    pub fn session(&self, gpu: Arc<Gpu>, data: Dataset) -> Result<Session> {
        let options = TrainOptions {
            batch: 1,
            accumulate: 1,
            ..self.options.clone()
        };
        let mut session = open_session(gpu, &options, data)?;
        session
            .restore_model(&self.state)
            .map_err(|e| self.refuse(e.to_string()))?;
        Ok(session)
    }

    /// As [`Self::session`], for what needs no data set.
    ///
    /// # Errors
    /// As [`Self::session`].
    pub fn session_without_data(&self, gpu: Arc<Gpu>) -> Result<Session> {
        let side = 32_usize.next_multiple_of(self.options.model.granularity());
        let shape = [self.channels()?, side, side];
        let blank = || Images {
            shape,
            pixels: vec![0; shape.iter().product()],
            labels: None,
        };
        self.session(gpu, Dataset::new("no images", blank(), blank()))
    }
}

/// Where results of a checkpoint file go: beside it, under its name; in a run's folder as those of
/// the run.
fn beside(file: &Path) -> (PathBuf, String) {
    let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
    if file.ends_with(CHECKPOINT) && folder.join(CONFIG).exists() {
        return (folder, String::new());
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    (folder, format!("{stem}-"))
}

/// What to say of a folder without a run.
#[must_use]
pub fn no_run(dir: &Path) -> Error {
    let message = format!("not found; is {} the folder of a run?", dir.display());
    Error::file(dir.join(CONFIG), message)
}

/// The state in a checkpoint; with `training` that of training too, which may be in a file beside it.
///
/// # Errors
/// [`Error::File`] names the file that is missing or damaged.
pub fn read_state(path: &Path, training: bool) -> Result<State> {
    // A run under way may replace both files between the two reads; it needs many steps for it.
    const TRIES: usize = 3;
    for left in (0..TRIES).rev() {
        let bytes = std::fs::read(path).map_err(|e| io_error(path, &e))?;
        let mut state = State::from_bytes(&bytes).map_err(|e| Error::file(path, e.to_string()))?;
        let Training::InFile(name) = &state.training else {
            return Ok(state);
        };
        if !training {
            return Ok(state);
        }
        let beside = path.with_file_name(name);
        match std::fs::read(&beside) {
            Ok(bytes) => {
                let added = state.add_training(&bytes);
                added.map_err(|e| Error::file(&beside, e.to_string()))?;
                return Ok(state);
            }
            Err(e) if e.kind() == ErrorKind::NotFound && left > 0 => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let message = format!("is the model alone; to go on, {name} is needed beside it");
                return Err(Error::file(path, message));
            }
            Err(e) => return Err(io_error(&beside, &e)),
        }
    }
    Err(Error::file(
        path,
        "is replaced again and again; stop its run first",
    ))
}

/// The options inside a checkpoint.
///
/// # Errors
/// [`Error::File`] when there are none, or names the one that this version does not know or take.
pub fn options_of(state: &State, path: &Path) -> Result<TrainOptions> {
    if state.options.is_null() {
        let message =
            format!("does not say what run it is of; give the run's folder, with {CONFIG} in it");
        return Err(Error::file(path, message));
    }
    TrainOptions::from_stored(&state.options.to_string()).map_err(|e| {
        let message = format!("holds options that cannot be read ({e})");
        Error::file(path, message)
    })
}

/// The options of the run in `dir`, and whether its configuration is to be written anew: it is
/// missing, or a kill came between a change of options and it.
///
/// # Errors
/// [`Error::File`] names the fields in which configuration and checkpoint differ.
pub fn agreed(
    dir: &Path,
    config: Option<TrainOptions>,
    state: &State,
) -> Result<(TrainOptions, bool)> {
    let path = dir.join(CHECKPOINT);
    let inside = if state.options.is_null() && config.is_some() {
        None
    } else {
        Some(options_of(state, &path)?)
    };
    let (options, stale) = match (config, inside) {
        (Some(config), None) => (config, false),
        (None, Some(inside)) => (inside, true),
        (Some(config), Some(inside)) if config == inside => (config, false),
        (_, Some(inside)) if read_next(dir).as_ref() == Some(&inside) => (inside, true),
        // Images that were moved are no contradiction: those of before are not there any more.
        (Some(config), Some(inside)) if were_moved(dir, &config, &inside) => (config, false),
        (Some(config), Some(inside)) => {
            let moved = config.data != inside.data;
            let [config, inside] =
                [config, inside].map(|o| serde_json::to_value(o).unwrap_or_default());
            let mut fields = Vec::new();
            differences("", &config, &inside, &mut fields);
            return Err(Error::file(
                dir.join(CONFIG),
                format!(
                    "contradicts {CHECKPOINT} (config.json first): {}; undo what was changed in it{}",
                    fields.join(", "),
                    if moved {
                        ", and name images that were moved with `data`"
                    } else {
                        ""
                    }
                ),
            ));
        }
        (None, None) => return Err(no_run(dir)),
    };
    if state.seed != options.seed || state.model != options.model.name() {
        let message = format!(
            "is of model {} and seed {}, {CONFIG} says {} and {}",
            state.model,
            state.seed,
            options.model.name(),
            options.seed
        );
        return Err(Error::file(path, message));
    }
    Ok((options, stale))
}

/// Whether the options differ in nothing but where the images are, and those of `inside` are gone.
fn were_moved(dir: &Path, config: &TrainOptions, inside: &TrainOptions) -> bool {
    let (Some(_), Some(before)) = (&config.data, &inside.data) else {
        return false;
    };
    let rest = TrainOptions {
        data: config.data.clone(),
        ..inside.clone()
    };
    *config == rest && BuiltIn::named(before).is_none() && !locate(before, dir).exists()
}

/// Fields in which `a` and `b` differ, as `vq.norm: "l2", "none"`.
fn differences(at: &str, a: &Value, b: &Value, fields: &mut Vec<String>) {
    if let (Value::Object(x), Value::Object(y)) = (a, b) {
        let mut keys: Vec<&String> = x.keys().chain(y.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let name = if at.is_empty() {
                key.clone()
            } else {
                format!("{at}.{key}")
            };
            let [x, y] = [x, y].map(|map| map.get(key).unwrap_or(&Value::Null));
            differences(&name, x, y, fields);
        }
    } else if a != b {
        fields.push(format!("{at}: {a}, {b}"));
    }
}

/// Gives a session that has made no step the weights that `options` name, where they name any. A run that goes on
/// asks for it too: whether k-means places a codebook depends on it.
///
/// # Errors
/// [`Error::File`] names the file that is missing, damaged, or of another model.
pub fn take_weights(
    session: &mut Session,
    options: &TrainOptions,
    near: &Path,
) -> Result<Option<Taken>> {
    let stored = options.init.as_deref();
    let Some(stored) = stored.filter(|_| session.steps_done() == 0) else {
        return Ok(None);
    };
    let file = locate(stored, near);
    let taken = session.take_weights(&Weights::read(&file)?);
    taken
        .map(Some)
        .map_err(|e| Error::file(&file, e.to_string()))
}

/// A session of `options`.
///
/// # Errors
/// As [`Session::new`].
pub fn open_session(gpu: Arc<Gpu>, options: &TrainOptions, data: Dataset) -> Result<Session> {
    let model = options.build_model(data.shape()[0])?;
    Session::new(gpu, model, data, options.session())
}
