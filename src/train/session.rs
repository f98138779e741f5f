//! A training session: one object for the command line and the page. It knows no terminal, no
//! file and no DOM.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::feed::{Feed, Feeding};
use super::metrics::Scalars;
use super::reports::Reports;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::{
    Arena, BuildOptions, Exchange, Gpu, ParameterLayout, Phase, Plan, Recorder, Store, Var,
};
use crate::models::{Builder, Model};
use crate::ops::loss::PixelLoss;
use crate::optim::schedule::Schedule;
use crate::optim::{Optimizer, Update, clip};
use crate::options::{ACCUMULATE, BATCH, CLIP_NORM, LR, QUANTIZER_LR, STEPS};
use crate::quant::{Seen, tensor};

/// What a session trains with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionOptions {
    /// Images a step.
    pub batch: usize,
    /// Parts of them that pass one after the other (gradient accumulation), a divisor of the batch. A step is that of the
    /// whole batch to rounding, but for batch norms and running moments, which move once a part, and for the vectors
    /// that replaced codes are drawn from, which are those of the last part.
    pub accumulate: usize,
    /// Learning rate; with a schedule the greatest.
    pub lr: f32,
    /// How it changes over the steps.
    pub schedule: Schedule,
    /// The steps of the run, where the schedule needs them.
    pub steps: Option<u32>,
    /// Seed of parameters and data order.
    pub seed: u64,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Whether half of the training images, others in each step, are flipped left to right.
    pub flip: bool,
    /// Factor of the learning rate for what the quantisers train besides their codebooks.
    pub quantizer_lr: f32,
    /// Greatest norm of all gradients together; 0 for no limit.
    pub clip_norm: f32,
    /// Reconstruction loss; none for the model's own.
    pub loss: Option<PixelLoss>,
}

/// Whether a batch can be accumulated over its parts by a quantiser that does or does not move its codebook in place.
///
/// # Errors
/// [`Error::Conflict`] says why not.
pub(super) fn check_accumulation(accumulate: usize, in_place: bool) -> Result<()> {
    if accumulate == 1 || !in_place {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "accumulate ({accumulate}) and inplace_optimizer exclude each other: the in-place step moves the codebook in \
         each part of a batch, before the others are seen"
    )))
}

impl SessionOptions {
    /// Whether they are in range.
    ///
    /// # Errors
    /// [`Error::Option`] names the option, its value and the range.
    pub fn validate(&self) -> Result<()> {
        BATCH.check(self.batch)?;
        ACCUMULATE.check(self.accumulate)?;
        if !self.batch.is_multiple_of(self.accumulate) {
            return Err(Error::Conflict(format!(
                "accumulate ({}) must divide the batch ({})",
                self.accumulate, self.batch
            )));
        }
        LR.check(self.lr)?;
        self.steps.map_or(Ok(()), |steps| STEPS.check(steps))?;
        self.schedule.validate(self.lr)?;
        QUANTIZER_LR.check(self.quantizer_lr)?;
        CLIP_NORM.check(self.clip_norm)?;
        let optimizer = self.optimizer.validate();
        optimizer.map_err(|e| e.within("optimizer"))
    }
}

/// Records the update of all parameters; the norm of the gradients, where they are clipped.
fn update(
    rec: &mut Recorder<'_>,
    options: &SessionOptions,
    model: &dyn Model,
    seen: &[(String, Seen)],
) -> Option<Var> {
    rec.enter(Phase::Optimiser);
    let clip = (options.clip_norm > 0.0).then(|| clip::record(rec, options.clip_norm));
    let mut how = Update {
        factor: clip.map(|clip| clip.factor),
        rates: Vec::new(),
    };
    if options.quantizer_lr != 1.0 {
        let codebooks = seen.iter().filter_map(|(_, s)| s.tensor(tensor::CODEBOOK));
        let codebooks: Vec<String> = codebooks.map(|c| rec.name(c).to_owned()).collect();
        let quantizers = model.quantizers();
        let inner = |name: &str| {
            let own = |(q, _): &(&str, _)| name.strip_prefix(q).is_some_and(|n| n.starts_with('.'));
            quantizers.iter().any(own) && !codebooks.iter().any(|c| c == name)
        };
        let factor = |name: &str| {
            if inner(name) {
                options.quantizer_lr
            } else {
                1.0
            }
        };
        how.rates = rec.layout().stretches(factor);
    }
    options.optimizer.record_with(rec, &how);
    clip.map(|clip| clip.norm)
}

/// What a recorded step tells.
pub(super) struct Recorded {
    rec_loss: Var,
    seen: Vec<(String, Seen)>,
    /// Norm of the gradients, where they are clipped.
    grad_norm: Option<Var>,
}

/// Records a training step over the images that `images` records.
pub(super) fn record_step(
    rec: &mut Recorder<'_>,
    model: &dyn Model,
    options: &SessionOptions,
    images: impl FnOnce(&mut Recorder<'_>) -> Result<Var>,
) -> Result<Recorded> {
    rec.in_parts(options.accumulate);
    let batch = images(rec)?;
    let mut net = Builder::new(rec, model.commitment_weight());
    let output = model.forward(&mut net, batch)?;
    let seen = net.seen().to_vec();
    let loss = options.loss.unwrap_or(model.reconstruction_loss());
    let rec_loss = loss.apply(rec, "rec_loss", output, batch, 1.0)?;
    rec.backward()?;
    let grad_norm = update(rec, options, model, &seen);
    Ok(Recorded {
        rec_loss,
        seen,
        grad_norm,
    })
}

/// A model, its data and its parameters on a device.
pub struct Session {
    pub(super) gpu: Arc<Gpu>,
    pub(super) model: Box<dyn Model>,
    pub(super) options: SessionOptions,
    pub(super) store: Store,
    pub(super) plan: Plan,
    /// The stretches of the plan that are submitted one after the other.
    pub(super) parts: Vec<Range<usize>>,
    pub(super) scalars: Scalars,
    /// What can be seen of the quantisers' code maps in a step, by their names.
    pub(super) seen: Vec<(String, Seen)>,
    pub(super) feed: Feed,
    pub(super) reports: Reports,
    pub(super) exchange: Option<Box<dyn Exchange>>,
    /// Learning rates of the steps that have not reported, where they are reported.
    pub(super) rates: VecDeque<f32>,
    pub(super) step: u32,
    /// The step of the checkpoint that it went on from; 0 without one.
    pub(super) began: u32,
    /// See [`super::checkpoint::State::run`]; none before there was a checkpoint.
    pub(super) run: Option<u32>,
    /// Tensors that came from outside, which nothing places anew before the first step.
    pub(super) placed: Vec<String>,
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
        options.schedule.validate_goal(options.steps)?;
        let in_place = model.quantizers().iter().any(|(_, q)| q.steps_by_itself());
        check_accumulation(options.accumulate, in_place)?;
        let feed = feed.in_parts(options.accumulate);
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, true).tuned_for(&gpu);
        let Recorded {
            rec_loss,
            seen,
            grad_norm,
        } = record_step(&mut rec, model.as_ref(), &options, |rec| {
            feed.record(rec, model.pixel_range(), options.flip)
        })?;
        let scalars = Scalars::new(
            rec_loss,
            &seen,
            model.quantizers().len(),
            grad_norm,
            options.accumulate,
        );
        let recording = rec.finish();
        let store = Store::new(&gpu, layout, options.seed)?;
        let plan = recording.build(&gpu, &store, BuildOptions::default())?;
        let reports = Reports::new(&gpu, &plan, &scalars)?;
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
            reports,
            exchange: None,
            rates: VecDeque::new(),
            step: 0,
            began: 0,
            run: None,
            placed: Vec::new(),
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

    /// Goes on with another learning rate from the next step on, with a schedule another greatest one. Nothing is recorded anew, and steps may be in
    /// flight.
    ///
    /// # Errors
    /// [`Error::Option`] when it is out of range, [`Error::Conflict`] when it is below the schedule's least.
    pub fn set_lr(&mut self, lr: f32) -> Result<()> {
        LR.check(lr)?;
        self.options.schedule.validate(lr)?;
        self.options.lr = lr;
        Ok(())
    }

    /// Exchanges gradients and statistics with other devices in each step from now on, or no longer. A step is
    /// submitted in two parts then. Moments, parameters and the rest are this device's own, as before.
    pub fn set_exchange(&mut self, exchange: Option<Box<dyn Exchange>>) {
        self.exchange = exchange;
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
        let store = &next.store;
        store.take_over(&self.gpu, &self.store, &arenas).await?;
        next.step = self.step;
        next.began = self.began;
        next.run = self.run;
        next.placed = std::mem::take(&mut self.placed);
        next.submit_in_parts(self.parts.len());
        next.exchange = self.exchange.take();
        *self = next;
        Ok(())
    }

    /// The loss of reconstructions that it trains with.
    #[must_use]
    pub fn loss(&self) -> PixelLoss {
        let own = self.model.reconstruction_loss();
        self.options.loss.unwrap_or(own)
    }

    /// The learning rate of step `step` (from 1).
    #[must_use]
    pub fn lr_of(&self, step: u32) -> f32 {
        let SessionOptions {
            schedule,
            lr,
            steps,
            ..
        } = self.options;
        schedule.lr(step, lr, steps)
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
}
