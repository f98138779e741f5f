//! One run of an experiment, in its folder, from wherever a kill left it to its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::{Seen, samples};
use super::table::Status;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::run::{
    CHECKPOINT, Observer, RunFolder, UnderWay, agreed, charts, io_error, open_session, read_config,
    read_state, take_weights, write_json,
};
use crate::train::TrainOptions;

/// What a run's folder holds of how it ended; it is written last.
pub const OUTCOME: &str = "outcome.json";

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether it came to its end.
    pub status: Status,
    /// Its steps; none where it diverged.
    pub steps: Option<u32>,
    /// The test figures by their names in `summary.json`.
    pub figures: BTreeMap<String, f64>,
    /// Seconds of training up to its end, since it went on last.
    pub seconds: Option<f64>,
    /// What went wrong, where something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Outcome {
    /// That of the run in `dir`, if it has ended.
    ///
    /// # Errors
    /// [`Error::File`] when it is damaged.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(OUTCOME);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| Error::file(&path, format!("{e}; remove it, then go on"))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error(&path, &e)),
        }
    }
}

/// A run that is to be.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name, that of its folder.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Its options.
    pub options: TrainOptions,
}

impl Task {
    /// The steps that it does in all.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.options.steps.unwrap_or(0)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// [`Error::File`] when the folder holds a run of other options.
    pub fn outcome(&self) -> Result<Option<Outcome>> {
        let outcome = Outcome::read(&self.dir)?;
        if outcome.is_some()
            && let Some(config) = read_config(&self.dir)?
        {
            self.check(&config)?;
        }
        Ok(outcome)
    }

    /// [`Error::File`] when a run of the options `found` is not this one. Where the images lie may have changed,
    /// and so may what a run keeps and how long it goes on elsewhere.
    fn check(&self, found: &TrainOptions) -> Result<()> {
        let found = TrainOptions {
            data: self.options.data.clone(),
            steps: self.options.steps,
            checkpoint_every: self.options.checkpoint_every,
            log_every: self.options.log_every,
            ..found.clone()
        };
        if found == self.options {
            return Ok(());
        }
        Err(Error::file(
            &self.dir,
            "holds a run of other options than the experiment's; move it away, then go on",
        ))
    }
}

/// A run under way.
pub(super) struct Run {
    pub run: UnderWay,
}

/// Tells of the steps alone.
struct Steps<'a>(&'a mut dyn FnMut(u32));

impl Observer for Steps<'_> {
    fn stepped(&mut self, step: u32) {
        (self.0)(step);
    }
}

impl Run {
    /// Begins the run of `task` or goes on with it.
    ///
    /// # Errors
    /// [`Error::File`] when its folder is held by another process, or damaged; as [`crate::train::Session::new`].
    pub fn open(gpu: &Arc<Gpu>, task: &Task, data: Dataset) -> Result<Self> {
        let (dir, options) = (&task.dir, &task.options);
        std::fs::create_dir_all(dir).map_err(|e| io_error(dir, &e))?;
        let folder = RunFolder::hold(dir)?;
        let mut session = open_session(Arc::clone(gpu), options, data)?;
        let checkpoint = dir.join(CHECKPOINT);
        folder.clear_results()?;
        if checkpoint.exists() {
            let state = read_state(&checkpoint, true)?;
            let (found, _) = agreed(dir, read_config(dir)?, &state)?;
            task.check(&found)?;
            let restored = session.restore_state(&state);
            restored.map_err(|e| Error::file(&checkpoint, e.to_string()))?;
            folder.withdraw()?;
            if found == *options {
                folder.write_config(options)?;
            } else {
                folder.announce(options)?;
                pollster::block_on(folder.save(&session, options))?;
                folder.adopt()?;
            }
            let keep = format!("training-{}.safetensors", state.step);
            folder.clear_leftovers(Some(&keep))?;
        } else {
            folder.clear_leftovers(None)?;
            folder.write_config(options)?;
        }
        take_weights(&mut session, options, dir)?;
        let run = UnderWay::open(folder, session, options.clone())?;
        Ok(Self { run })
    }

    /// Trains until the goal or until `stop`, and concludes at the goal. `tell` hears of steps. Returns how it
    /// ended; `None` where it was stopped.
    ///
    /// # Errors
    /// As [`crate::train::Session::step`], but for what diverges, which is an outcome, and [`crate::run::write_file`].
    pub async fn go(
        mut self,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(u32),
    ) -> Result<Option<Outcome>> {
        let began = Instant::now();
        let outcome = match self.finish(stop, tell, began).await {
            Ok(None) => return Ok(None),
            Ok(Some(outcome)) => outcome,
            Err(error @ (Error::Diverged { .. } | Error::NotFinite { .. })) => {
                // What came before it is worth seeing.
                let UnderWay {
                    folder,
                    log,
                    evaluations,
                    ..
                } = &mut self.run;
                log.flush()?;
                charts::curves_with(folder.dir(), &log.lines, &evaluations.lines)?;
                Outcome {
                    status: Status::Diverged,
                    steps: None,
                    figures: BTreeMap::new(),
                    seconds: None,
                    message: Some(error.to_string()),
                }
            }
            Err(error) => return Err(error),
        };
        write_json(&self.run.folder.dir().join(OUTCOME), &outcome)?;
        Ok(Some(outcome))
    }

    async fn finish(
        &mut self,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(u32),
        began: Instant,
    ) -> Result<Option<Outcome>> {
        let first = self.run.session.steps_done();
        if !self.run.is_over() && !self.train(stop, tell).await? {
            return Ok(None);
        }
        let UnderWay {
            session,
            options,
            folder,
            log,
            ..
        } = &self.run;
        let done = session.steps_done();
        let seconds = (done > first).then(|| began.elapsed().as_secs_f64());
        samples(folder.dir(), session).await?;
        let concluded = folder.conclude(session, options, &log.lines, seconds);
        let test = json!(concluded.await?);
        let mut figures = BTreeMap::new();
        for (name, value) in test.as_object().into_iter().flatten() {
            if name != "images"
                && let Some(value) = Value::as_f64(value)
            {
                figures.insert(name.clone(), value);
            }
        }
        Ok(Some(Outcome {
            status: Status::Done,
            steps: Some(done),
            figures,
            seconds,
            message: None,
        }))
    }

    /// Whether it came to its end. What the last step left is written before the checkpoint of that step, since a
    /// checkpoint does not hold it.
    async fn train(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(u32)) -> Result<bool> {
        self.run.train(stop, &mut Steps(tell)).await?;
        let done = self.run.is_over();
        if done && let Some(seen) = Seen::of(&self.run.session).await? {
            seen.write(self.run.folder.dir())?;
        }
        self.run.save().await?;
        Ok(done)
    }
}
