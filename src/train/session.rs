//! A training session: one object for the command line and the page. It knows no terminal, no
//! file and no DOM.

use std::ops::Range;
use std::sync::Arc;

use super::feed::{Feed, Feeding};
use super::metrics::{Scalars, StepMetrics};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::{
    Arena, BuildOptions, Gpu, ParameterLayout, Plan, Readback, Recorder, StepUniform, Store,
};
use crate::models::{Builder, Model};
use crate::optim::Optimizer;
use crate::options::{BATCH, LR};
use crate::quant::Seen;

/// Steps that may be in flight on the device.
const SLOTS: usize = 3;

/// What a session trains with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionOptions {
    /// Images a step.
    pub batch: usize,
    /// Learning rate.
    pub lr: f32,
    /// Seed of parameters and data order.
    pub seed: u64,
    /// The optimiser.
    pub optimizer: Optimizer,
}

impl SessionOptions {
    /// Whether they are in range.
    ///
    /// # Errors
    /// [`Error::Option`] names the option, its value and the range.
    pub fn validate(&self) -> Result<()> {
        BATCH.check(self.batch)?;
        LR.check(self.lr)?;
        let optimizer = self.optimizer.validate();
        optimizer.map_err(|e| e.within("optimizer"))
    }
}

/// A model, its data and its parameters on a device.
pub struct Session {
    pub(super) gpu: Arc<Gpu>,
    pub(super) model: Box<dyn Model>,
    pub(super) options: SessionOptions,
    pub(super) store: Store,
    pub(super) plan: Plan,
    /// The stretches of the plan that are submitted one after the other.
    parts: Vec<Range<usize>>,
    pub(super) scalars: Scalars,
    /// What can be seen of the quantisers in a step, by their names.
    pub(super) seen: Vec<(String, Seen)>,
    pub(super) feed: Feed,
    readback: Readback,
    pub(super) step: u32,
    /// The step of the checkpoint that it went on from; 0 without one.
    pub(super) began: u32,
    /// See [`super::checkpoint::State::run`]; none before there was a checkpoint.
    pub(super) run: Option<u32>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("model", &self.model.name())
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Records the training step and draws the parameters.
    ///
    /// # Errors
    /// [`Error::Config`] when the batch is larger than the data set, [`Error::Option`] when an option
    /// is out of range, [`Error::Limit`] when a tensor is too large for the device, [`Error::Data`] when the images
    /// are of a size that the model cannot take, [`Error::File`] when they cannot be read.
    pub fn new(
        gpu: Arc<Gpu>,
        model: Box<dyn Model>,
        data: impl Into<Arc<Dataset>>,
        options: SessionOptions,
    ) -> Result<Self> {
        Self::with_feeding(gpu, model, data, options, Feeding::Auto)
    }

    /// As [`Self::new`], with the training images on the device or streamed to it as `feeding` says.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_feeding(
        gpu: Arc<Gpu>,
        model: Box<dyn Model>,
        data: impl Into<Arc<Dataset>>,
        options: SessionOptions,
        feeding: Feeding,
    ) -> Result<Self> {
        let data = data.into();
        data.validate()?;
        data.check_size(model.granularity())?;
        if options.batch == 0 || options.batch > data.train.len() {
            return Err(Error::Config(format!(
                "`batch` must be between 1 and the {} training images of `{}`, not {}",
                data.train.len(),
                data.name,
                options.batch
            )));
        }
        let feed = Feed::new(&gpu, data, options.batch, feeding)?;
        Self::record(gpu, model, feed, options)
    }

    /// Records the step over images that are ready.
    fn record(
        gpu: Arc<Gpu>,
        model: Box<dyn Model>,
        feed: Feed,
        options: SessionOptions,
    ) -> Result<Self> {
        options.validate()?;
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, true).tuned_for(&gpu);
        let batch = feed.record(&mut rec, model.pixel_range())?;
        let mut net = Builder::new(&mut rec, model.commitment_weight());
        let output = model.forward(&mut net, batch)?;
        let seen = net.seen().to_vec();
        let rec_loss = model
            .reconstruction_loss()
            .apply(&mut rec, "rec_loss", output, batch, 1.0)?;
        rec.backward()?;
        options.optimizer.record(&mut rec);
        let scalars = Scalars::new(rec_loss, &seen);
        let recording = rec.finish();
        let store = Store::new(&gpu, layout, options.seed)?;
        let plan = recording.build(&gpu, &store, BuildOptions::default())?;
        let readback = Readback::new(&gpu, SLOTS, scalars.vars().count());
        Ok(Self {
            gpu,
            model,
            feed,
            options,
            store,
            parts: plan.parts(1),
            plan,
            scalars,
            seen,
            readback,
            step: 0,
            began: 0,
            run: None,
        })
    }

    /// Steps done so far.
    #[must_use]
    pub fn steps_done(&self) -> u32 {
        self.step
    }

    /// The plan of a training step.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The device.
    #[must_use]
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The data set.
    #[must_use]
    pub fn data(&self) -> &Dataset {
        self.feed.data()
    }

    /// Whether the training images are streamed to the device, because it does not hold all of them.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.feed.streams()
    }

    /// What it trains with.
    #[must_use]
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// Submits each step in about `parts` pieces of equal work, so that a slow device can serve
    /// others (a browser, a desktop) in between. Results do not depend on it.
    pub fn submit_in_parts(&mut self, parts: usize) {
        self.parts = self.plan.parts(parts);
    }

    /// Goes on with other options: the step is recorded anew, and everything that has the same
    /// name (parameters, moments, running statistics) is carried over; what is new starts as in a
    /// new session. All steps must have reported, see [`Self::next_metrics`].
    ///
    /// # Errors
    /// [`Error::Config`] when something of the same name has another shape, or the seed or the
    /// images of a batch differ: that needs a new session; otherwise as [`Self::new`].
    pub async fn reconfigure(
        &mut self,
        model: Box<dyn Model>,
        options: SessionOptions,
    ) -> Result<()> {
        if options.seed != self.options.seed || options.batch != self.options.batch {
            return Err(Error::Config(
                "another seed or batch size makes another run: start a new session".into(),
            ));
        }
        let mut next = Self::record(Arc::clone(&self.gpu), model, self.feed.clone(), options)?;
        let arenas = [
            Arena::Parameters,
            Arena::Buffers,
            Arena::Moment1,
            Arena::Moment2,
        ];
        let all = self.store.read_many(&self.gpu, &arenas).await?;
        for (arena, tensors) in arenas.into_iter().zip(all) {
            for (name, _, values) in tensors {
                if next.store.layout().holds(arena, &name) {
                    next.store.write(&self.gpu, arena, &name, &values)?;
                }
            }
        }
        next.step = self.step;
        next.began = self.began;
        next.run = self.run;
        next.submit_in_parts(self.parts.len());
        *self = next;
        Ok(())
    }

    /// Number of trained values.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.store.layout().parameter_count()
    }

    /// Steps of an epoch.
    pub(super) fn epoch_steps(&self) -> u32 {
        self.feed.epoch_steps()
    }

    /// Submits a step. When all staging slots were in flight, the oldest was waited for, and its
    /// metrics are returned; so they lag a few steps behind.
    ///
    /// # Errors
    /// [`Error::Diverged`] when a loss that came back is not finite; [`Error::Gpu`] when the
    /// device fails; [`Error::File`] when streamed images cannot be read.
    pub async fn step(&mut self) -> Result<Option<StepMetrics>> {
        // First, because it can fail, and a slot that is taken must be used.
        self.feed
            .prepare(&self.gpu, self.options.seed, self.step..self.step + 1)?;
        let (slot, metrics) = match self.readback.slot() {
            Some(slot) => (slot, None),
            None => {
                let metrics = self.next_metrics().await?;
                let slot = self.readback.slot().ok_or_else(|| Error::Gpu {
                    place: "training".into(),
                    message: "no staging buffer came back".into(),
                })?;
                (slot, metrics)
            }
        };
        if self.step == 0 {
            self.start_codebooks().await?;
        }
        let optimizer = &self.options.optimizer;
        let uniform = StepUniform {
            batch_start: self.feed.batch_start(self.step),
            epoch_steps: self.epoch_steps(),
            ..optimizer.step(self.step + 1, self.options.lr)
        }
        .with_seed(self.options.seed);
        self.plan.set_step(&self.gpu, &uniform);
        let (last, first) = self.parts.split_last().ok_or_else(|| Error::Gpu {
            place: "training".into(),
            message: "the plan is empty".into(),
        })?;
        for part in first {
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            self.plan.encode_part(&mut encoder, part.clone());
            self.gpu.queue.submit([encoder.finish()]);
        }
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        self.plan.encode_part(&mut encoder, last.clone());
        let mut sources = Vec::new();
        for var in self.scalars.vars() {
            sources.push(self.plan.location(var)?);
        }
        Readback::copy(&mut encoder, &slot, &sources);
        let submission = self.gpu.queue.submit([encoder.finish()]);
        self.step += 1;
        self.readback.submitted(self.step, slot, submission);
        Ok(metrics)
    }

    /// The metrics of the oldest step in flight, waited for; `None` when none is.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub async fn next_metrics(&mut self) -> Result<Option<StepMetrics>> {
        let Some((step, values)) = self.readback.next(&self.gpu).await? else {
            return Ok(None);
        };
        let report = self.scalars.report(step, &values);
        if report.lost.is_some() || report.bad_vectors > 0 {
            let value = report.lost.unwrap_or(report.metrics.rec_loss);
            // A step's loss is that of the parameters before it.
            let moves = (step - 1).saturating_sub(self.began);
            return Err(self.diverged("the loss", step, moves, value, report.bad_vectors));
        }
        Ok(Some(report.metrics))
    }
}
