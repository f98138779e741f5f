//! What a run is: everything needed to repeat it.

use serde::{Deserialize, Serialize};

use super::{Method, SessionOptions};
use crate::error::{Error, Result};
use crate::models::{Model, OutputClamp, Simple};
use crate::optim::Optimizer;
use crate::vq::{VectorQuant, VectorQuantConfig};

/// A run's options. The defaults are those of the seed's README, but for `output_clamp`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainOptions {
    /// The model's name.
    pub model: String,
    /// The method that set the quantiser's options; they may have been changed after it.
    pub method: Method,
    /// The quantiser.
    pub vq: VectorQuantConfig,
    /// Where the output is clamped.
    pub output_clamp: OutputClamp,
    /// Weight of the commitment loss.
    pub commitment_weight: f32,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Learning rate.
    pub lr: f32,
    /// Images a step.
    pub batch: usize,
    /// Seed of parameters and data order (and of the built-in data).
    pub seed: u64,
    /// Folder of the data set; none for the built-in one.
    pub data: Option<String>,
    /// Every how many steps a metrics line is written.
    pub log_every: u32,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            model: "simple".into(),
            method: Method::Vq,
            vq: VectorQuantConfig::default(),
            output_clamp: OutputClamp::default(),
            commitment_weight: 10.0,
            optimizer: Optimizer::default(),
            lr: 3e-4,
            batch: 256,
            seed: 0,
            data: None,
            log_every: 1,
        }
    }
}

impl TrainOptions {
    /// What the session trains with.
    #[must_use]
    pub fn session(&self) -> SessionOptions {
        SessionOptions {
            batch: self.batch,
            lr: self.lr,
            seed: self.seed,
            optimizer: self.optimizer,
        }
    }

    /// The model that the options describe, for images of `channels` channels.
    ///
    /// # Errors
    /// [`Error::Config`] names the option that is out of range.
    pub fn build_model(&self, channels: usize) -> Result<Box<dyn Model>> {
        let refuse = |message: String| Err(Error::Config(message));
        if self.model != "simple" {
            return refuse(format!("unknown model `{}`; there is: simple", self.model));
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return refuse(format!("lr must be a number above 0, not {}", self.lr));
        }
        if !(self.commitment_weight.is_finite() && self.commitment_weight >= 0.0) {
            return refuse(format!(
                "commitment_weight must be a number of at least 0, not {}",
                self.commitment_weight
            ));
        }
        if self.batch == 0 || self.log_every == 0 {
            return refuse("batch and log_every must be at least 1".into());
        }
        let quantizer = VectorQuant::new(self.vq.clone())?;
        let simple = Simple::new(quantizer, self.output_clamp, self.commitment_weight);
        Ok(Box::new(simple.with_channels(channels)))
    }
}
