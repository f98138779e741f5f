//! The folder itself. Every file is written under a temporary name and renamed, so that a reader
//! sees the old one or the new one; only the metrics are appended to. One process at a time holds
//! the folder, by a lock that ends with it.
//!
//! A kill may come between any two writes, so their order matters: a new run first has its
//! configuration, then its checkpoint; one that begins at a checkpoint the other way round, so that
//! it is never taken for one that begins at step 0.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::train::checkpoint::State;
use crate::train::{Method, Session, TrainOptions};

/// The run's options, all that is needed to repeat it.
pub const CONFIG: &str = "config.json";
/// The model: parameters and buffers. Beside it lies `training-STEP.safetensors`.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// Metrics, a line a step.
pub const METRICS: &str = "metrics.jsonl";
/// Test figures.
pub const SUMMARY: &str = "summary.json";
/// Losses, perplexity and active codes over the steps.
pub const CURVES: &str = "curves.png";
/// How the codes are used, and their ages.
pub const CODES_PICTURE: &str = "codes.png";
/// Test images above, reconstructions below.
pub const RECONSTRUCTIONS: &str = "reconstructions.png";
/// The first test image.
pub const TEST_IMAGE: &str = "test-image.png";
/// What `encode` writes.
pub const CODES: &str = "codes.npy";
/// The folder of what `decode` writes.
pub const DECODED: &str = "decoded";
/// The folder of what `reconstruct` writes.
pub const RECONSTRUCTED: &str = "reconstructed";

/// The configuration that a change of options leads to, until the checkpoint has them too.
const NEXT_CONFIG: &str = "config.next.json";
const LOCK: &str = ".semivq.lock";
const TEMPORARY: &str = ".tmp";
/// What a finished run has besides its checkpoint.
const RESULTS: [&str; 5] = [SUMMARY, CURVES, CODES_PICTURE, RECONSTRUCTIONS, TEST_IMAGE];

/// An I/O error about `path`, with what to do about the usual ones.
#[must_use]
pub fn io_error(path: &Path, error: &std::io::Error) -> Error {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; check the permissions of its folder"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some space",
        ErrorKind::NotFound => "; check the path",
        _ => "",
    };
    Error::file(path, format!("{error}{hint}"))
}

/// Writes `bytes` to `path`, under a temporary name first.
///
/// # Errors
/// [`Error::File`] names the file and what to do.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        // What is left of the temporary file is of no use, and may be what fills the disk.
        let _ = std::fs::remove_file(&temporary);
        io_error(path, &e)
    })
}

/// Writes `value` to `path` as indented JSON, see [`write_file`].
///
/// # Errors
/// As [`write_file`].
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|e| Error::file(path, e.to_string()))?;
    text.push('\n');
    write_file(path, text.as_bytes())
}

/// Whether there is a run in `dir`.
#[must_use]
pub fn holds_run(dir: &Path) -> bool {
    dir.join(CONFIG).exists() || dir.join(CHECKPOINT).exists()
}

/// A run's folder, held by this process until this is dropped.
#[derive(Debug)]
pub struct RunFolder {
    dir: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Takes the folder `dir`, which is there.
    ///
    /// # Errors
    /// [`Error::File`] when another process has it.
    pub fn hold(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| io_error(&path, &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message =
                    "another semivq process trains the run in it; wait for its end, or stop it";
                return Err(Error::file(dir, message));
            }
            // A file system without locks.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(io_error(&path, &e)),
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            _lock: lock,
        })
    }

    /// The folder of a new run, created and held: `out`, or the next free `runs/METHOD-N`. With
    /// `overwrite` nothing of the run before is left.
    ///
    /// # Errors
    /// [`Error::Config`] when there is a run in it already; [`Error::File`] when it cannot be made or
    /// another process has it.
    pub fn create(out: Option<&Path>, overwrite: bool, method: Method) -> Result<Self> {
        let Some(dir) = out else {
            return Self::hold(&numbered(method)?);
        };
        std::fs::create_dir_all(dir).map_err(|e| io_error(dir, &e))?;
        let known = dir.join(LOCK).exists() || holds_run(dir);
        let held = Self::hold(dir)?;
        if !overwrite && holds_run(dir) {
            return Err(Error::Config(format!(
                "{} holds a run already; go on with it, choose another folder, or replace it (`overwrite`)",
                dir.display()
            )));
        }
        if known {
            clear(dir)?;
        }
        Ok(held)
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes the run's options.
    ///
    /// # Errors
    /// As [`write_file`].
    pub fn write_config(&self, options: &TrainOptions) -> Result<()> {
        write_json(&self.dir.join(CONFIG), options)
    }

    /// Says that the run's options are about to become `options`: then comes a checkpoint with them,
    /// then [`Self::adopt`]. After a kill in between the two files differ, but it is known why.
    ///
    /// # Errors
    /// As [`write_file`].
    pub fn announce(&self, options: &TrainOptions) -> Result<()> {
        write_json(&self.dir.join(NEXT_CONFIG), options)
    }

    /// Makes the announced options the run's.
    ///
    /// # Errors
    /// As [`write_file`].
    pub fn adopt(&self) -> Result<()> {
        let from = self.dir.join(NEXT_CONFIG);
        std::fs::rename(&from, self.dir.join(CONFIG)).map_err(|e| io_error(&from, &e))
    }

    /// Forgets what was announced but did not come.
    ///
    /// # Errors
    /// As [`write_file`].
    pub fn withdraw(&self) -> Result<()> {
        remove(&self.dir.join(NEXT_CONFIG))
    }

    /// Writes the checkpoint of `session` and `options`.
    ///
    /// # Errors
    /// As [`Session::state`] and [`Self::write_state`].
    pub async fn save(&self, session: &Session, options: &TrainOptions) -> Result<()> {
        let options = serde_json::to_value(options).unwrap_or_default();
        self.write_state(&session.state(options).await?)
    }

    /// Writes `state` as the checkpoint: first the training state, then the model that names it, so
    /// that what is there is whole at any moment.
    ///
    /// # Errors
    /// As [`State::to_files`] and [`write_file`].
    pub fn write_state(&self, state: &State) -> Result<()> {
        let name = format!("training-{}.safetensors", state.step);
        let [model, training] = state.to_files(&name)?;
        let path = self.dir.join(&name);
        let new = !path.exists();
        write_file(&path, &training)?;
        if let Err(error) = write_file(&self.dir.join(CHECKPOINT), &model) {
            if new {
                // Of no use without it, and it may be what fills the disk.
                let _ = remove(&path);
            }
            return Err(error);
        }
        remove_training_but(&self.dir, Some(&name))
    }

    /// Removes summary and pictures.
    ///
    /// # Errors
    /// As [`write_file`].
    pub fn clear_results(&self) -> Result<()> {
        clear_results(&self.dir)
    }

    /// Removes what a kill left half written, and training states but `keep`.
    ///
    /// # Errors
    /// As [`write_file`].
    pub fn clear_leftovers(&self, keep: Option<&str>) -> Result<()> {
        clear_leftovers(&self.dir, keep)
    }
}

/// The next free `runs/METHOD-N`, created. Whoever creates it has it, so that two runs that begin at
/// once get two.
fn numbered(method: Method) -> Result<PathBuf> {
    let runs = Path::new("runs");
    std::fs::create_dir_all(runs).map_err(|e| io_error(runs, &e))?;
    for n in 1_u32.. {
        let dir = runs.join(format!("{}-{n}", method.name()));
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(io_error(&dir, &e)),
        }
    }
    Err(Error::file(runs, "is full; name a folder with `out`"))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(io_error(path, &e)),
        _ => Ok(()),
    }
}

/// Files in `dir` whose names are `wanted`.
fn files(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_name().to_str().is_some_and(&wanted))
        .map(|e| e.path())
        .collect()
}

/// Whether `name` is `training-STEP.safetensors`.
fn is_training(name: &str) -> bool {
    let step = name.strip_prefix("training-");
    step.and_then(|n| n.strip_suffix(".safetensors"))
        .is_some_and(|n| n.parse::<u32>().is_ok())
}

fn remove_training_but(dir: &Path, keep: Option<&str>) -> Result<()> {
    let old = files(dir, |name| is_training(name) && Some(name) != keep);
    old.iter().try_for_each(|path| remove(path))
}

/// Removes what a run leaves, and nothing else. The configuration goes first: what is left when this
/// is cut short must not be taken for a run that has yet to begin.
fn clear(dir: &Path) -> Result<()> {
    for name in [CONFIG, NEXT_CONFIG, CHECKPOINT] {
        remove(&dir.join(name))?;
    }
    clear_leftovers(dir, None)?;
    for name in [METRICS, CODES] {
        remove(&dir.join(name))?;
    }
    clear_results(dir)?;
    let numbered = |name: &str| name.parse::<u32>().is_ok();
    let any = |_: &str| true;
    for (folder, ours) in [
        (DECODED, &numbered as &dyn Fn(&str) -> bool),
        (RECONSTRUCTED, &any),
    ] {
        let folder = dir.join(folder);
        for path in files(&folder, |n| n.strip_suffix(".png").is_some_and(ours)) {
            remove(&path)?;
        }
        // Fails where something else is in it, which stays.
        let _ = std::fs::remove_dir(&folder);
    }
    Ok(())
}

/// Removes summary and pictures.
fn clear_results(dir: &Path) -> Result<()> {
    RESULTS.iter().try_for_each(|name| remove(&dir.join(name)))
}

/// Removes what a kill left half written, and training states but `keep`.
fn clear_leftovers(dir: &Path, keep: Option<&str>) -> Result<()> {
    let written = |name: &str| {
        let others = [CONFIG, NEXT_CONFIG, CHECKPOINT, METRICS];
        is_training(name) || others.contains(&name) || RESULTS.contains(&name)
    };
    for path in files(dir, |n| n.strip_suffix(TEMPORARY).is_some_and(written)) {
        remove(&path)?;
    }
    remove_training_but(dir, keep)
}

/// The options in `dir`'s configuration; `None` without one.
///
/// # Errors
/// [`Error::File`] when it is damaged.
pub fn read_config(dir: &Path) -> Result<Option<TrainOptions>> {
    read_options(&dir.join(CONFIG))
}

fn read_options(path: &Path) -> Result<Option<TrainOptions>> {
    match std::fs::read_to_string(path) {
        Ok(text) => TrainOptions::from_stored(&text)
            .map(Some)
            .map_err(|e| Error::file(path, format!("is no configuration of a run ({e})"))),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io_error(path, &e)),
    }
}

/// The configuration that [`RunFolder::announce`] wrote and [`RunFolder::adopt`] has not made the
/// run's yet. One that cannot be read was never announced.
#[must_use]
pub fn read_next(dir: &Path) -> Option<TrainOptions> {
    read_options(&dir.join(NEXT_CONFIG)).ok().flatten()
}
