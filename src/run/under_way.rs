//! A run under way: its steps, what is written after them, and when it is over.

use std::sync::atomic::{AtomicBool, Ordering};

use web_time::Instant;

use super::{Evaluated, EvaluationsLog, MetricsLog, RunFolder, Watch};
use crate::error::Result;
use crate::gpu::STEPS_AT_ONCE;
use crate::train::{CheckpointEvery, Session, StepMetrics, TrainOptions};

/// Who hears of a run under way.
pub trait Observer {
    /// A step has reported; that lags a few steps behind.
    fn reported(&mut self, _metrics: &StepMetrics) {}

    /// So many steps are done.
    fn stepped(&mut self, _step: u32) {}

    /// The test images were evaluated.
    fn evaluated(&mut self, _evaluated: &Evaluated) {}
}

/// A session and the folder that keeps it.
#[derive(Debug)]
pub struct UnderWay {
    /// What is trained.
    pub session: Session,
    /// The options of the run.
    pub options: TrainOptions,
    /// Its folder.
    pub folder: RunFolder,
    /// Its metrics.
    pub log: MetricsLog,
    /// Its evaluations under way.
    pub evaluations: EvaluationsLog,
}

impl UnderWay {
    /// The run in `folder`, from the step that the session is at.
    ///
    /// # Errors
    /// [`crate::Error::File`] names the file that cannot be read or written.
    pub fn open(folder: RunFolder, session: Session, options: TrainOptions) -> Result<Self> {
        let done = session.steps_done();
        Ok(Self {
            log: MetricsLog::open(&folder, done, options.log_every)?,
            evaluations: EvaluationsLog::open(&folder, done)?,
            session,
            options,
            folder,
        })
    }

    /// Steps in all.
    #[must_use]
    pub fn goal(&self) -> u32 {
        self.options.steps.unwrap_or(0)
    }

    /// What the evaluations so far say.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let lines = &self.evaluations.lines;
        Watch::over(lines, self.session.loss(), self.options.min_delta)
    }

    /// Whether nothing is left to train: all steps are done, or the test loss falls no more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.session.steps_done() >= self.goal() || self.watch().ends(self.options.patience)
    }

    /// Steps to be submitted together: as many as one submission takes, up to whatever is due after a step; on a
    /// software adapter one, so that a stop does not wait for long.
    fn together(&self) -> u32 {
        let done = self.session.steps_done();
        let most = match self.session.gpu().is_software() {
            true => 1,
            false => STEPS_AT_ONCE as u32,
        };
        let until = |every: u32| match every {
            0 => u32::MAX,
            every => every - done % every,
        };
        let saved = match self.options.checkpoint_every.unwrap_or_default() {
            CheckpointEvery::Steps(every) => until(every),
            CheckpointEvery::Seconds(_) => u32::MAX,
        };
        let due = until(self.options.eval_every).min(saved);
        most.min(due).min(self.goal() - done)
    }

    /// Steps until the run is over, or until `stop`, with the checkpoints and evaluations that fall due. All steps have
    /// reported then; the state after them is for the caller to save, see [`Self::save`].
    ///
    /// # Errors
    /// As [`Session::step`], [`Session::evaluate`] and [`super::write_file`].
    pub async fn train(&mut self, stop: &AtomicBool, observer: &mut dyn Observer) -> Result<()> {
        let every = self.options.checkpoint_every.unwrap_or_default();
        let mut saved = Instant::now();
        self.save_best().await?;
        while !self.is_over() && !stop.load(Ordering::SeqCst) {
            let mut arrived = Vec::new();
            let count = self.together();
            self.session.steps(count, |m| arrived.push(m)).await?;
            for metrics in arrived {
                observer.reported(&metrics);
                self.log.add(metrics)?;
            }
            let step = self.session.steps_done();
            observer.stepped(step);
            if self.options.eval_every > 0 && step.is_multiple_of(self.options.eval_every) {
                self.evaluate(observer).await?;
            }
            if every.is_due(step, saved.elapsed().as_secs_f64()) && !self.is_over() {
                self.drain(observer).await?;
                self.folder.save(&self.session, &self.options).await?;
                saved = Instant::now();
            }
        }
        self.drain(observer).await
    }

    /// Writes the checkpoint of this step, and that of the best evaluation where it is of this step.
    ///
    /// # Errors
    /// As [`RunFolder::save`].
    pub async fn save(&self) -> Result<()> {
        self.folder.save(&self.session, &self.options).await?;
        self.save_best().await
    }

    /// Evaluates on the test images. A kill may come at any moment, so the checkpoint of the step is there before that
    /// of the best; after the last step both are the caller's to write.
    async fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<()> {
        self.drain(observer).await?;
        let step = self.session.steps_done();
        let test = self.session.evaluate(&self.session.data().test).await?;
        let evaluated = Evaluated { step, test };
        observer.evaluated(&evaluated);
        self.evaluations.add(&evaluated)?;
        let best = self.watch().best.is_some_and(|(best, _)| best == step);
        if self.options.keep_best && best && !self.is_over() {
            self.save().await?;
        }
        Ok(())
    }

    /// Writes the checkpoint of the best evaluation, where that is of this step and is not there.
    async fn save_best(&self) -> Result<()> {
        let best = self.watch().best.map(|(step, _)| step);
        let here = best == Some(self.session.steps_done());
        if self.options.keep_best && here && self.folder.best_step() != best {
            self.folder.save_best(&self.session, &self.options).await?;
        }
        Ok(())
    }

    async fn drain(&mut self, observer: &mut dyn Observer) -> Result<()> {
        while let Some(metrics) = self.session.next_metrics().await? {
            observer.reported(&metrics);
            self.log.add(metrics)?;
        }
        self.log.flush()
    }
}
