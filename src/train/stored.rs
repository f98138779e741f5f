//! A run's options as files, flags and the page have them: flat JSON. The way to [`TrainOptions`] and back.

use serde::{Deserialize, Serialize};

use super::effect::{self, Idle};
use super::every::CheckpointEvery;
use super::methods::Method;
use super::options::TrainOptions;
use super::session::check_accumulation;
use crate::error::{Error, Result};
use crate::models::{ModelOptions, OutputClamp, ResNetOptions, SimpleOptions};
use crate::ops::loss::PixelLoss;
use crate::optim::Optimizer;
use crate::optim::schedule::{self, Decay, Schedule};
use crate::options::WIDTH;
use crate::quant::{QuantizerConfig, VectorQuantConfig};

/// [`TrainOptions`], flat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    pub(super) model: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) width: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) blocks: Option<usize>,
    pub(super) method: Method,
    pub(super) vq: VectorQuantConfig,
    #[serde(
        default,
        deserialize_with = "some",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) output_clamp: Option<OutputClamp>,
    pub(super) commitment_weight: f32,
    pub(super) optimizer: Optimizer,
    pub(super) lr: f32,
    pub(super) batch: usize,
    pub(super) seed: u64,
    pub(super) data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) init: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) image_size: Option<usize>,
    #[serde(default)]
    pub(super) skip_bad: bool,
    #[serde(default)]
    pub(super) flip: bool,
    pub(super) log_every: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) steps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) epochs: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) checkpoint_every: Option<CheckpointEvery>,
    #[serde(default)]
    pub(super) schedule: schedule::Kind,
    #[serde(default)]
    pub(super) warmup: u32,
    #[serde(default)]
    pub(super) min_lr: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) decay_every: Option<u32>,
    #[serde(default = "tenth")]
    pub(super) decay_factor: f32,
    #[serde(default = "one")]
    pub(super) quantizer_lr: f32,
    #[serde(default)]
    pub(super) clip_norm: f32,
    #[serde(default = "one")]
    pub(super) accumulate: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) loss: Option<PixelLoss>,
    #[serde(default)]
    pub(super) eval_every: u32,
    #[serde(default)]
    pub(super) keep_best: bool,
    #[serde(default = "one")]
    pub(super) keep_last: u32,
    #[serde(default)]
    pub(super) patience: u32,
    #[serde(default)]
    pub(super) min_delta: f32,
}

/// A value that may be left out, but is not null.
fn some<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn one<T: From<u8>>() -> T {
    T::from(1)
}

fn tenth() -> f32 {
    0.1
}

/// `min_lr`, `decay_every` and `decay_factor` as they are stored, those that the schedule lacks at their defaults.
fn flat(decay: Decay) -> (f32, Option<u32>, f32) {
    match decay {
        Decay::Constant => (0.0, None, tenth()),
        Decay::Cosine { min_lr } => (min_lr, None, tenth()),
        Decay::Step { every, factor } => (0.0, every, factor),
    }
}

impl From<&TrainOptions> for Stored {
    fn from(options: &TrainOptions) -> Self {
        let vq = VectorQuantConfig::from(&options.quantizer);
        let (output_clamp, residual) = match options.model {
            ModelOptions::Simple(simple) => (Some(simple.output_clamp), None),
            ModelOptions::ResNet(resnet) => (None, Some((vq.feature_size, resnet.blocks))),
        };
        let (min_lr, decay_every, decay_factor) = flat(options.schedule.decay);
        Self {
            model: options.model.name().to_owned(),
            width: residual.map(|(width, _)| width),
            blocks: residual.map(|(_, blocks)| blocks),
            method: options.method,
            vq,
            output_clamp,
            commitment_weight: options.model.commitment_weight(),
            optimizer: options.optimizer,
            lr: options.lr,
            batch: options.batch,
            seed: options.seed,
            data: options.data.clone(),
            init: options.init.clone(),
            image_size: options.image_size,
            skip_bad: options.skip_bad,
            flip: options.flip,
            log_every: options.log_every,
            steps: options.steps,
            epochs: options.epochs,
            checkpoint_every: options.checkpoint_every,
            schedule: options.schedule.kind(),
            warmup: options.schedule.warmup,
            min_lr,
            decay_every,
            decay_factor,
            quantizer_lr: options.quantizer_lr,
            clip_norm: options.clip_norm,
            accumulate: options.accumulate,
            loss: options.loss,
            eval_every: options.eval_every,
            keep_best: options.keep_best,
            keep_last: options.keep_last,
            patience: options.patience,
            min_delta: options.min_delta,
        }
    }
}

impl TryFrom<Stored> for TrainOptions {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        let schedule = stored.schedule();
        let options = Self {
            model: stored.model()?,
            method: stored.method,
            quantizer: QuantizerConfig::default(),
            optimizer: stored.optimizer,
            lr: stored.lr,
            batch: stored.batch,
            seed: stored.seed,
            data: stored.data,
            init: stored.init,
            image_size: stored.image_size,
            skip_bad: stored.skip_bad,
            flip: stored.flip,
            log_every: stored.log_every,
            steps: stored.steps,
            epochs: stored.epochs,
            checkpoint_every: stored.checkpoint_every,
            schedule,
            quantizer_lr: stored.quantizer_lr,
            clip_norm: stored.clip_norm,
            accumulate: stored.accumulate,
            loss: stored.loss,
            eval_every: stored.eval_every,
            keep_best: stored.keep_best,
            keep_last: stored.keep_last,
            patience: stored.patience,
            min_delta: stored.min_delta,
        };
        options.validate_numbers()?;
        let quantizer = QuantizerConfig::try_from(&stored.vq).map_err(|e| e.within("vq"))?;
        options.validate_axis(stored.vq.dim)?;
        check_accumulation(options.accumulate, stored.vq.inplace_optimizer.is_some())?;
        Ok(Self {
            quantizer,
            ..options
        })
    }
}

impl Serialize for TrainOptions {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        Stored::from(self).serialize(to)
    }
}

impl Stored {
    pub(super) fn idle(&self) -> Vec<Idle> {
        let mut all = effect::without_effect(
            &self.model,
            &self.vq,
            self.commitment_weight,
            &self.optimizer,
        );
        all.extend(effect::of_training(
            &self.vq,
            self.schedule,
            self.eval_every,
            self.patience,
        ));
        all
    }

    /// The model's options; [`Error::Conflict`] names those that it does not have.
    fn model(&self) -> Result<ModelOptions> {
        let model = ModelOptions::named(&self.model)?;
        let name = model.name();
        let foreign = |option: &str| {
            let message = format!("{option} has no effect: the model {name} has none");
            Err(Error::Conflict(message))
        };
        match model {
            ModelOptions::Simple(_) if self.width.is_some() => foreign("width"),
            ModelOptions::Simple(_) if self.blocks.is_some() => foreign("blocks"),
            ModelOptions::ResNet(_) if self.output_clamp.is_some() => foreign("output_clamp"),
            ModelOptions::Simple(own) => Ok(ModelOptions::Simple(SimpleOptions {
                output_clamp: self.output_clamp.unwrap_or(own.output_clamp),
                commitment_weight: self.commitment_weight,
            })),
            ModelOptions::ResNet(own) => {
                let features = self.vq.feature_size;
                let width = self.width.unwrap_or(features);
                WIDTH.check(width)?;
                if width != features {
                    return Err(Error::Conflict(format!(
                        "width {width} and feature_size {features} differ: in the model {name} they are one number, so \
                         give one of them"
                    )));
                }
                Ok(ModelOptions::ResNet(ResNetOptions {
                    blocks: self.blocks.unwrap_or(own.blocks),
                    commitment_weight: self.commitment_weight,
                    ..own
                }))
            }
        }
    }

    fn schedule(&self) -> Schedule {
        let decay = match self.schedule {
            schedule::Kind::Constant => Decay::Constant,
            schedule::Kind::Cosine => Decay::Cosine {
                min_lr: self.min_lr,
            },
            schedule::Kind::Step => Decay::Step {
                every: self.decay_every,
                factor: self.decay_factor,
            },
        };
        Schedule {
            warmup: self.warmup,
            decay,
        }
    }
}
