//! The folder itself. Every file is written under a temporary name and renamed, so that a reader
//! sees the old one or the new one; only the metrics are appended to. One process at a time holds
//! the folder, by a lock that ends with it.
//!
//! A kill may come between any two writes, so their order matters: a new run first has its
//! configuration, then its checkpoint; one that begins at a checkpoint the other way round, so that
//! it is never taken for one that begins at step 0.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::files::{TEMPORARY, files, io_error, remove, write_file, write_json};
use crate::error::{Error, Result};
use crate::train::checkpoint::State;
use crate::train::{Method, Session, TrainOptions};

/// The run's options, all that is needed to repeat it.
pub const CONFIG: &str = "config.json";
/// The model: parameters and buffers. Beside it lies `training-STEP.safetensors`.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// The model of the best evaluation. Beside it lies `training-best-STEP.safetensors`.
pub const BEST: &str = "checkpoint-best.safetensors";
/// Test figures under way, a line an evaluation.
pub const EVALUATIONS: &str = "evaluations.jsonl";
/// The learning rate over the steps.
pub const SCHEDULE: &str = "schedule.png";
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

/// The prior over the run's codes.
pub const PRIOR: &str = "prior.safetensors";
/// Its figures.
pub const PRIOR_SUMMARY: &str = "prior.json";
/// The folder of what `sample` draws.
pub const SAMPLES: &str = "samples";
/// What `interpolate` draws.
pub const INTERPOLATION: &str = "interpolation.png";

/// The configuration that a change of options leads to, until the checkpoint has them too.
const NEXT_CONFIG: &str = "config.next.json";
const LOCK: &str = ".semivq.lock";
/// What a finished run has besides its checkpoint.
const RESULTS: [&str; 6] = [
    SUMMARY,
    CURVES,
    CODES_PICTURE,
    RECONSTRUCTIONS,
    TEST_IMAGE,
    SCHEDULE,
];

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
        let stored = serde_json::to_value(options).unwrap_or_default();
        self.write_kept(&session.state(stored).await?, options.keep_last)
    }

    /// Writes the state of `session` and `options` as that of the best evaluation: first the training state, then the
    /// model that names it.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub async fn save_best(&self, session: &Session, options: &TrainOptions) -> Result<()> {
        let stored = serde_json::to_value(options).unwrap_or_default();
        let state = session.state(stored).await?;
        let name = format!("training-best-{}.safetensors", state.step);
        let [model, training] = state.to_files(&name)?;
        write_file(&self.dir.join(&name), &training)?;
        write_file(&self.dir.join(BEST), &model)?;
        forget_best(&self.dir, Some(&name))
    }

    /// The step of the best evaluation's checkpoint, if there is one that can be read.
    #[must_use]
    pub fn best_step(&self) -> Option<u32> {
        let bytes = std::fs::read(self.dir.join(BEST)).ok()?;
        Some(State::from_bytes(&bytes).ok()?.step)
    }

    /// Writes `state` as the checkpoint: first the training state, then the model that names it, so
    /// that what is there is whole at any moment.
    ///
    /// # Errors
    /// As [`State::to_files`] and [`write_file`].
    pub fn write_state(&self, state: &State) -> Result<()> {
        self.write_kept(state, 1)
    }

    /// The same, the last `keep` checkpoints kept: with more than one each is there under its step too.
    ///
    /// # Errors
    /// As [`Self::write_state`].
    pub fn write_kept(&self, state: &State, keep: u32) -> Result<()> {
        let name = format!("training-{}.safetensors", state.step);
        let [model, training] = state.to_files(&name)?;
        let path = self.dir.join(&name);
        let new = !path.exists();
        write_file(&path, &training)?;
        if keep > 1 {
            let numbered = format!("checkpoint-{}.safetensors", state.step);
            write_file(&self.dir.join(numbered), &model)?;
        }
        if let Err(error) = write_file(&self.dir.join(CHECKPOINT), &model) {
            if new {
                // Of no use without it, and it may be what fills the disk.
                let _ = remove(&path);
            }
            return Err(error);
        }
        forget(&self.dir, Some(state.step), keep)
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

/// The step in `name`, if that is `PREFIX-STEP.safetensors`.
fn step_in(name: &str, prefix: &str) -> Option<u32> {
    let step = name.strip_prefix(prefix)?.strip_prefix('-')?;
    step.strip_suffix(".safetensors")?.parse().ok()
}

/// Whether `name` is `training-STEP.safetensors`.
fn is_training(name: &str) -> bool {
    step_in(name, "training").is_some()
}

/// Whether `name` is that of a checkpoint under its step.
fn is_numbered(name: &str) -> bool {
    step_in(name, "checkpoint").is_some()
}

fn is_best_training(name: &str) -> bool {
    step_in(name, "training-best").is_some()
}

/// Removes the checkpoints under their steps but for the last `keep` up to step `last` (with one, all of them), and
/// the training states that then belong to none.
fn forget(dir: &Path, last: Option<u32>, keep: u32) -> Result<()> {
    let of = |path: &PathBuf, prefix: &str| step_in(path.file_name()?.to_str()?, prefix);
    let mut numbered = files(dir, is_numbered);
    numbered.sort_by_key(|path| std::cmp::Reverse(of(path, "checkpoint")));
    let mut steps: Vec<Option<u32>> = vec![last];
    let mut left = if keep > 1 { keep } else { 0 };
    for path in numbered {
        let step = of(&path, "checkpoint");
        if left > 0 && step <= last {
            steps.push(step);
            left -= 1;
        } else {
            remove(&path)?;
        }
    }
    let training = files(dir, is_training);
    let old = training
        .iter()
        .filter(|path| !steps.contains(&of(path, "training")));
    old.into_iter().try_for_each(|path| remove(path))
}

/// Removes the training states of best evaluations but `keep`.
fn forget_best(dir: &Path, keep: Option<&str>) -> Result<()> {
    let old = files(dir, |n| is_best_training(n) && Some(n) != keep);
    old.iter().try_for_each(|path| remove(path))
}

/// Removes what a run leaves, and nothing else. The configuration goes first: what is left when this
/// is cut short must not be taken for a run that has yet to begin.
fn clear(dir: &Path) -> Result<()> {
    for name in [CONFIG, NEXT_CONFIG, CHECKPOINT, BEST] {
        remove(&dir.join(name))?;
    }
    clear_leftovers(dir, None)?;
    for name in [METRICS, EVALUATIONS, CODES] {
        remove(&dir.join(name))?;
    }
    for path in files(dir, is_best_training) {
        remove(&path)?;
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
        let others = [CONFIG, NEXT_CONFIG, CHECKPOINT, BEST, METRICS, EVALUATIONS];
        let of_steps = is_training(name) || is_numbered(name) || is_best_training(name);
        of_steps || others.contains(&name) || RESULTS.contains(&name)
    };
    for path in files(dir, |n| n.strip_suffix(TEMPORARY).is_some_and(written)) {
        remove(&path)?;
    }
    // A kill between the best model and what it takes the place of leaves two training states.
    match std::fs::read(dir.join(BEST)).map(|bytes| State::from_bytes(&bytes)) {
        Ok(Ok(best)) => {
            let name = format!("training-best-{}.safetensors", best.step);
            forget_best(dir, Some(&name))?;
        }
        Err(e) if e.kind() == ErrorKind::NotFound => forget_best(dir, None)?,
        // One that cannot be read is looked at by whoever needs it.
        Ok(Err(_)) | Err(_) => {}
    }
    let last = keep.and_then(|name| step_in(name, "training"));
    // Of earlier checkpoints the next one forgets what is too many.
    forget(dir, last, u32::MAX)
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
