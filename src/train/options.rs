//! What a run is: everything needed to repeat it.

use super::{CheckpointEvery, Method, SessionOptions};
use crate::error::{Error, Result};
use crate::models::{Model, ModelOptions};
use crate::ops::loss::PixelLoss;
use crate::optim::Optimizer;
use crate::optim::schedule::Schedule;
use crate::options::{
    EPOCHS, EVAL_EVERY, IMAGE_SIZE, KEEP_LAST, LOG_EVERY, MIN_DELTA, PATIENCE, STEPS,
};
use crate::quant::codebook::CodebookConfig;
use crate::quant::{QuantizerConfig, VectorQuantConfig};

/// A run's options. The defaults are those of the PyTorch package's README, but for `output_clamp`. As JSON
/// they are flat, see [`Self::from_partial`] and [`Self::from_stored`].
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// The model and its own options.
    pub model: ModelOptions,
    /// The method that set the quantiser's options; they may have been changed after it.
    pub method: Method,
    /// The quantiser.
    pub quantizer: QuantizerConfig,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Learning rate; with a schedule the greatest.
    pub lr: f32,
    /// How it changes over the steps.
    pub schedule: Schedule,
    /// Factor of the learning rate for what the quantiser learns besides its codebook.
    pub quantizer_lr: f32,
    /// Greatest norm of all gradients together; 0 for no limit.
    pub clip_norm: f32,
    /// Reconstruction loss; none for the model's own.
    pub loss: Option<PixelLoss>,
    /// Images a step.
    pub batch: usize,
    /// Parts of them that pass one after the other.
    pub accumulate: usize,
    /// Seed of parameters and data order (and of the built-in data).
    pub seed: u64,
    /// Folder or file of the data set, or the name of a built-in one ([`crate::data::BuiltIn`]); none for the built-in
    /// one of the model, see [`ModelOptions::built_in`].
    pub data: Option<String>,
    /// File of the weights that it starts from, see [`super::Weights`]; none for those that the seed draws.
    pub init: Option<String>,
    /// Height and width that images of a folder are resized and cropped to, and in which built-in scenes are drawn;
    /// none for what [`crate::data::ReadOptions::image_size`] says.
    pub image_size: Option<usize>,
    /// Whether images of a folder that cannot be read are left out.
    pub skip_bad: bool,
    /// Whether half of the training images, others in each step, are flipped left to right.
    pub flip: bool,
    /// Every how many steps a metrics line is written.
    pub log_every: u32,
    /// The goal: steps in all; none where nobody said (on the page, in version 0.1.0).
    pub steps: Option<u32>,
    /// The goal in passes over the training images, from which the steps were made or are to be made, see
    /// [`Self::with_goal`].
    pub epochs: Option<u32>,
    /// When a checkpoint is written; none for the default.
    pub checkpoint_every: Option<CheckpointEvery>,
    /// Every how many steps the test images are evaluated; 0 for at the end only.
    pub eval_every: u32,
    /// Whether the checkpoint of the best evaluation is kept.
    pub keep_best: bool,
    /// How many checkpoints are kept.
    pub keep_last: u32,
    /// Evaluations without improvement after which the run ends; 0 for never.
    pub patience: u32,
    /// How far the test loss must fall to be an improvement.
    pub min_delta: f32,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            model: ModelOptions::default(),
            method: Method::Vq,
            quantizer: QuantizerConfig::default(),
            optimizer: Optimizer::default(),
            lr: 3e-4,
            schedule: Schedule::default(),
            quantizer_lr: 1.0,
            clip_norm: 0.0,
            loss: None,
            batch: 256,
            accumulate: 1,
            seed: 0,
            data: None,
            init: None,
            image_size: None,
            skip_bad: false,
            flip: false,
            log_every: 1,
            steps: None,
            epochs: None,
            checkpoint_every: None,
            eval_every: 0,
            keep_best: false,
            keep_last: 1,
            patience: 0,
            min_delta: 0.0,
        }
    }
}

impl TrainOptions {
    /// The defaults beside `model`, which are those of its original; the quantiser's F and K, the rate and the
    /// optimiser's constants differ from model to model.
    #[must_use]
    pub fn of(model: ModelOptions) -> Self {
        let common = Self {
            model,
            ..Self::default()
        };
        match model {
            ModelOptions::Simple(_) => common,
            ModelOptions::ResNet(_) => Self {
                quantizer: QuantizerConfig::Codebook(CodebookConfig {
                    feature_size: 64,
                    num_codes: 1024,
                    ..CodebookConfig::default()
                }),
                optimizer: Optimizer::Adamw {
                    beta1: 0.9,
                    beta2: 0.95,
                    eps: 1e-8,
                    weight_decay: 1e-4,
                },
                lr: 1e-4,
                ..common
            },
        }
    }

    /// Whether the options are in range and go together.
    ///
    /// # Errors
    /// [`Error::Option`] names the option by its path in JSON, its value and the range;
    /// [`Error::Conflict`] names the options that do not go together.
    pub fn validate(&self) -> Result<()> {
        self.validate_numbers()?;
        let quantizer = self.quantizer.build().map_err(|e| e.within("vq"))?;
        self.validate_axis(quantizer.latent().axis)
    }

    /// All but the quantiser's.
    pub(super) fn validate_numbers(&self) -> Result<()> {
        self.session().validate()?;
        self.model.validate()?;
        LOG_EVERY.check(self.log_every)?;
        if let Some(size) = self.image_size {
            IMAGE_SIZE.check(size)?;
        }
        EVAL_EVERY.check(self.eval_every)?;
        KEEP_LAST.check(self.keep_last)?;
        PATIENCE.check(self.patience)?;
        MIN_DELTA.check(self.min_delta)?;
        self.epochs.map_or(Ok(()), |epochs| EPOCHS.check(epochs))?;
        self.steps.map_or(Ok(()), |steps| STEPS.check(steps))
    }

    /// Whether the features lie on the axis on which the models have them.
    pub(super) fn validate_axis(&self, axis: usize) -> Result<()> {
        if axis == 1 {
            return Ok(());
        }
        Err(Error::Option {
            name: "vq.dim".into(),
            value: axis.to_string(),
            want: format!(
                "1, the axis of the features [B, F, H, W] in the model {}",
                self.model.name()
            ),
        })
    }

    /// The same with the steps that `epochs` are, where they were given in place of steps: an epoch has as many as
    /// whole batches fit into the `images` for training.
    ///
    /// # Errors
    /// [`Error::Config`] when they are more than can be counted, or none.
    pub fn with_goal(self, images: usize) -> Result<Self> {
        let (None, Some(epochs)) = (self.steps, self.epochs) else {
            return Ok(self);
        };
        let each = (images / self.batch.max(1)) as u64;
        let steps = u32::try_from(each * u64::from(epochs)).ok();
        let steps = steps.filter(|steps| *steps > 0).ok_or_else(|| {
            Error::Config(format!(
                "`epochs` ({epochs}) of {images} images make {} steps of `batch` {}: give a number from 1 to {}",
                each * u64::from(epochs),
                self.batch,
                u32::MAX
            ))
        })?;
        Ok(Self {
            steps: Some(steps),
            ..self
        })
    }

    /// The same with `method`, whose settings the quantiser takes, and whose losses the run takes where it has any; F and
    /// K stay.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn with_method(self, method: Method) -> Result<Self> {
        let mut options = self.with_quantizer(|flat| method.apply(flat))?;
        if let Some((loss, weight)) = method.bound() {
            options.loss = Some(loss);
            options.model = options.model.with_commitment_weight(weight);
        }
        Ok(Self { method, ..options })
    }

    /// The same with the quantiser changed, in its flat form.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn with_quantizer(self, change: impl FnOnce(&mut VectorQuantConfig)) -> Result<Self> {
        let mut flat = VectorQuantConfig::from(&self.quantizer);
        change(&mut flat);
        let quantizer = QuantizerConfig::try_from(&flat).map_err(|e| e.within("vq"))?;
        Ok(Self { quantizer, ..self })
    }

    /// What the session trains with.
    #[must_use]
    pub fn session(&self) -> SessionOptions {
        SessionOptions {
            batch: self.batch,
            accumulate: self.accumulate,
            lr: self.lr,
            schedule: self.schedule,
            steps: self.steps,
            seed: self.seed,
            optimizer: self.optimizer,
            flip: self.flip,
            quantizer_lr: self.quantizer_lr,
            clip_norm: self.clip_norm,
            loss: self.loss,
        }
    }

    /// The model that the options describe, for images of `channels` channels.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn build_model(&self, channels: usize) -> Result<Box<dyn Model>> {
        self.validate()?;
        let quantizer = self.quantizer.build()?;
        Ok(self.model.build(quantizer, channels))
    }
}

impl Default for SessionOptions {
    /// Those of [`TrainOptions`].
    fn default() -> Self {
        TrainOptions::default().session()
    }
}
