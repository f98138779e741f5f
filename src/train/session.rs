//! A training session: one object for the command line and the page. It knows no terminal, no
//! file and no DOM.

use std::sync::Arc;

use super::checkpoint::State;
use super::inference::{Evaluation, Inference, Tally};
use crate::data::{Dataset, Images};
use crate::error::{Error, Result};
use crate::gpu::{Arena, BuildOptions, Gpu, ParameterLayout, Plan, Readback, Recorder, Store, Var};
use crate::models::{Builder, Model};
use crate::optim::Optimizer;
use crate::rng::Stream;

/// Steps that may be in flight on the device.
const SLOTS: usize = 3;

/// What a step reports.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StepMetrics {
    /// Counts from 1.
    pub step: u32,
    /// Reconstruction loss of the batch.
    pub rec_loss: f32,
    /// Commitment loss; absent without a quantiser, as all below.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cmt_loss: Option<f32>,
    /// Perplexity of the batch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub perplexity: Option<f32>,
    /// Percent of the codes that the batch used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub active_ratio: Option<f32>,
    /// Mean of alpha, with Approach 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alpha_mean: Option<f32>,
    /// The penalty on alpha, where it has a weight.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alpha_penalty: Option<f32>,
}

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

/// A model, its data and its parameters on a device.
pub struct Session {
    gpu: Arc<Gpu>,
    model: Box<dyn Model>,
    data: Dataset,
    options: SessionOptions,
    store: Store,
    plan: Plan,
    scalars: Vec<(&'static str, Var)>,
    order: wgpu::Buffer,
    epoch: Option<u32>,
    readback: Readback,
    step: u32,
    codes: usize,
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
    /// [`Error::Config`] when the batch is larger than the data set or an option is out of range,
    /// [`Error::Limit`] when a tensor is too large for the device, [`crate::ShapeError`] when the
    /// images do not fit the model.
    pub fn new(
        gpu: Arc<Gpu>,
        model: Box<dyn Model>,
        data: Dataset,
        options: SessionOptions,
    ) -> Result<Self> {
        data.validate()?;
        if options.batch == 0 || options.batch > data.train.len() {
            return Err(Error::Config(format!(
                "batch must be between 1 and the {} training images of `{}`, not {}",
                data.train.len(),
                data.name,
                options.batch
            )));
        }
        let label = format!("the training images of `{}`", data.name);
        let images = gpu.storage(&label, &data.train.pixels)?;
        let order = gpu.zeros("the order of the images", data.train.len())?;
        let mut layout = ParameterLayout::default();
        let mut rec = Recorder::new(&mut layout, true);
        let [c, h, w] = data.train.shape;
        let shape = [options.batch, c, h, w];
        let resident = rec.external("data set", &[data.train.pixels.len() / 4], &images);
        let order_var = rec.external("order", &[data.train.len()], &order);
        let batch =
            crate::ops::gather::gather(&mut rec, resident, order_var, &shape, model.pixel_range())?;
        let mut net = Builder::new(&mut rec, model.commitment_weight());
        let output = model.forward(&mut net, batch)?;
        let record = net.record();
        let rec_loss = model
            .reconstruction_loss()
            .apply(&mut rec, "rec_loss", output, batch, 1.0)?;
        rec.backward()?;
        options.optimizer.record(&mut rec);
        let mut scalars = vec![("rec_loss", rec_loss)];
        let mut codes = 0;
        if let Some(record) = record {
            codes = rec.len(record.counts);
            scalars.push(("cmt_loss", record.loss));
            scalars.push(("perplexity", record.perplexity));
            scalars.push(("active_ratio", record.active_ratio));
            scalars.extend(record.alpha_mean.map(|v| ("alpha_mean", v)));
            scalars.extend(record.penalty.map(|v| ("alpha_penalty", v)));
        }
        let recording = rec.finish();
        let store = Store::new(&gpu, layout, options.seed)?;
        let plan = recording.build(&gpu, &store, BuildOptions::default())?;
        let readback = Readback::new(&gpu, SLOTS, scalars.len());
        Ok(Self {
            gpu,
            model,
            data,
            options,
            store,
            plan,
            scalars,
            order,
            epoch: None,
            readback,
            step: 0,
            codes,
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
        &self.data
    }

    /// Number of trained values.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.store.layout().parameter_count()
    }

    /// Submits a step. When all staging slots were in flight, the oldest was waited for, and its
    /// metrics are returned; so they lag a few steps behind.
    ///
    /// # Errors
    /// [`Error::Diverged`] when a loss that came back is not finite; [`Error::Gpu`] when the
    /// device fails.
    pub async fn step(&mut self) -> Result<Option<StepMetrics>> {
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
        let batches = (self.data.train.len() / self.options.batch) as u32;
        let epoch = self.step / batches;
        if self.epoch != Some(epoch) {
            let order =
                Stream::new(self.options.seed, epoch).permutation(self.data.train.len() as u32);
            self.gpu
                .queue
                .write_buffer(&self.order, 0, bytemuck::cast_slice(&order));
            self.epoch = Some(epoch);
        }
        let mut uniform = self.options.optimizer.step(self.step + 1, self.options.lr);
        uniform.batch_start = self.step % batches * self.options.batch as u32;
        self.plan.set_step(&self.gpu, &uniform);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        self.plan.encode(&mut encoder);
        let mut sources = Vec::new();
        for (_, var) in &self.scalars {
            sources.push(self.plan.location(*var)?);
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
        let get = |name: &str| {
            let at = self.scalars.iter().position(|(n, _)| *n == name);
            at.map(|i| values[i])
        };
        let metrics = StepMetrics {
            step,
            rec_loss: values[0],
            cmt_loss: get("cmt_loss"),
            perplexity: get("perplexity"),
            active_ratio: get("active_ratio"),
            alpha_mean: get("alpha_mean"),
            alpha_penalty: get("alpha_penalty"),
        };
        for value in [Some(metrics.rec_loss), metrics.cmt_loss]
            .into_iter()
            .flatten()
        {
            if !value.is_finite() {
                return Err(self.diverged(step, value));
            }
        }
        Ok(Some(metrics))
    }

    fn diverged(&self, step: u32, value: f32) -> Error {
        let hint = if self.scalars.iter().any(|(n, _)| *n == "alpha_penalty") {
            " or --penalty-weight: the penalty on alpha has no lower bound"
        } else {
            ""
        };
        Error::Diverged {
            step,
            value,
            lr: self.options.lr,
            hint: hint.into(),
        }
    }

    /// Figures over `images`, in evaluation mode; nothing of the model changes.
    ///
    /// # Errors
    /// As [`Inference::new`] and [`Inference::run`].
    pub async fn evaluate(&self, images: &Images) -> Result<Evaluation> {
        let [c, h, w] = images.shape;
        let batch = images.len().min(256);
        let mut tally = Tally::new(self.codes);
        let mut plan: Option<(usize, Inference)> = None;
        let mut start = 0;
        while start < images.len() {
            let count = batch.min(images.len() - start);
            let inference = match plan.take() {
                Some((size, inference)) if size == count => inference,
                _ => Inference::new(
                    &self.gpu,
                    &self.store,
                    self.model.as_ref(),
                    &[count, c, h, w],
                )?,
            };
            let inferred = inference
                .run(&self.gpu, images.range(start, start + count))
                .await?;
            tally.add(count, &inferred);
            start += count;
            plan = Some((count, inference));
        }
        Ok(tally.finish())
    }

    /// Reconstructions of `images`, as bytes.
    ///
    /// # Errors
    /// As [`Inference::new`] and [`Inference::run`].
    pub async fn reconstruct(&self, images: &Images) -> Result<Images> {
        let [c, h, w] = images.shape;
        let shape = [images.len(), c, h, w];
        let inference = Inference::new(&self.gpu, &self.store, self.model.as_ref(), &shape)?;
        let inferred = inference.run(&self.gpu, &images.pixels).await?;
        Ok(Images {
            shape: images.shape,
            pixels: inference.to_bytes(&inferred.images),
            labels: None,
        })
    }

    /// The state as a safetensors file, with `options` inside for whoever reads it; see
    /// [`super::checkpoint`]. All steps must have reported, see [`Self::next_metrics`].
    ///
    /// # Errors
    /// [`Error::Diverged`] when a parameter is not finite, so that a good checkpoint is never
    /// replaced by a bad one.
    pub async fn checkpoint(&self, options: serde_json::Value) -> Result<Vec<u8>> {
        let state = State {
            model: self.model.name().to_owned(),
            step: self.step,
            seed: self.options.seed,
            options,
            parameters: self.store.read(&self.gpu, Arena::Parameters).await?,
            buffers: self.store.read(&self.gpu, Arena::Buffers).await?,
            moment1: self.store.read(&self.gpu, Arena::Moment1).await?,
            moment2: self.store.read(&self.gpu, Arena::Moment2).await?,
        };
        let all = state.parameters.iter().chain(&state.buffers);
        if let Some(bad) = all
            .flat_map(|(_, _, values)| values)
            .find(|v| !v.is_finite())
        {
            return Err(self.diverged(self.step + 1, *bad));
        }
        state.to_bytes()
    }

    /// Takes up the state of a checkpoint of the same model.
    ///
    /// # Errors
    /// [`Error::Config`] when it is no checkpoint, or one of another model.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<()> {
        let state = State::from_bytes(bytes)?;
        state.check(self.model.name(), self.store.layout())?;
        for (arena, tensors) in [
            (Arena::Parameters, &state.parameters),
            (Arena::Buffers, &state.buffers),
            (Arena::Moment1, &state.moment1),
            (Arena::Moment2, &state.moment2),
        ] {
            for (name, _, values) in tensors {
                self.store.write(&self.gpu, arena, name, values)?;
            }
        }
        self.step = state.step;
        self.epoch = None;
        Ok(())
    }
}
