//! What a run is: everything needed to repeat it.

use super::{CheckpointEvery, Method, SessionOptions};
use crate::error::{Error, Result};
use crate::models::{Model, ModelOptions};
use crate::optim::Optimizer;
use crate::options::{IMAGE_SIZE, LOG_EVERY, STEPS};
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
    /// Learning rate.
    pub lr: f32,
    /// Images a step.
    pub batch: usize,
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
    /// When a checkpoint is written; none for the default.
    pub checkpoint_every: Option<CheckpointEvery>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            model: ModelOptions::default(),
            method: Method::Vq,
            quantizer: QuantizerConfig::default(),
            optimizer: Optimizer::default(),
            lr: 3e-4,
            batch: 256,
            seed: 0,
            data: None,
            init: None,
            image_size: None,
            skip_bad: false,
            flip: false,
            log_every: 1,
            steps: None,
            checkpoint_every: None,
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

    /// The same with `method`, whose settings the quantiser takes; its F and K stay.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn with_method(self, method: Method) -> Result<Self> {
        let options = self.with_quantizer(|flat| method.apply(flat))?;
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
            lr: self.lr,
            seed: self.seed,
            optimizer: self.optimizer,
            flip: self.flip,
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
