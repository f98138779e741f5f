//! The layer: parameters, the posterior, what can be seen of it, the temperature.

use super::posterior::Inputs;
use super::sizes::Posterior;
use super::variance::Variance;
use crate::error::Result;
use crate::gpu::{Init, Recorder, Var};
use crate::quant::codebook::quantize;
use crate::quant::feature_norm::Norm;
use crate::quant::interface::{Encoded, Latent, Quantized, Quantizer, Seen, check_maps, tensor};
use crate::quant::norm::{self, Length};
use crate::quant::usage;
use crate::quant::vectors::Vectors;

/// Guards the division of PyTorch's `normalize`.
const DIRECTION: Length = Length::Unit(1e-12);
/// The log of 20: where s begins.
const SPREAD: f32 = 2.995_732_3;

/// How the noise falls: `max(start e^(-decay step), least)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    /// Of the first step.
    pub start: f32,
    /// Fall a step.
    pub decay: f32,
    /// Where it stays.
    pub least: f32,
}

impl Temperature {
    /// That of step `step`, from 1.
    #[must_use]
    pub fn at(&self, step: u32) -> f32 {
        let fall = f64::from(self.decay) * f64::from(step.saturating_sub(1));
        let value = f64::from(self.start) * libm::exp(-fall);
        (value as f32).max(self.least)
    }
}

/// Options of [`Stochastic`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StochasticConfig {
    /// F, features of a vector.
    pub feature_size: usize,
    /// K, codes of the codebook.
    pub num_codes: usize,
    /// Axis of the features.
    pub dim: usize,
    /// Normalisation of z.
    pub norm: Norm,
    /// What has a variance of its own.
    pub variance: Variance,
    /// Of the noise in training.
    pub temperature: Temperature,
}

/// What a test asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Probe {
    /// The noise `[N, K]` in place of what is drawn.
    pub noise: Option<Var>,
    /// Whether the logits `[K, N]` can be seen, as the tensor `logits`, where one chunk has all rows.
    pub logits: bool,
    /// How many rows are taken at once, in place of as many as memory allows.
    pub rows: Option<usize>,
}

/// Stochastic quantisation.
#[derive(Debug, Clone, Copy)]
pub struct Stochastic {
    config: StochasticConfig,
}

impl Stochastic {
    /// The quantiser of these options, which are in range.
    #[must_use]
    pub fn new(config: StochasticConfig) -> Self {
        Self { config }
    }

    fn vectors(&self, shape: &[usize]) -> Result<Vectors> {
        let config = &self.config;
        Ok(Vectors::new(shape, config.dim, config.feature_size)?)
    }

    /// The codes as they are stored, and as they are drawn.
    fn codes(&self, rec: &mut Recorder<'_>) -> Result<(Var, Var)> {
        let shape = [self.config.num_codes, self.config.feature_size];
        let stored = rec.parameter("codebook", &shape, Init::Normal(1.0))?;
        let drawn = match self.config.variance {
            Variance::Directions => norm::normalize(rec, stored, &Vectors::rows(&shape), DIRECTION),
            _ => stored,
        };
        Ok((stored, drawn))
    }

    /// Records the quantisation as a test wants it.
    ///
    /// # Errors
    /// As [`Quantizer::apply`].
    pub fn apply_with(
        &self,
        rec: &mut Recorder<'_>,
        encoded: Encoded,
        weight: f32,
        probe: Probe,
    ) -> Result<Quantized> {
        let config = &self.config;
        let vectors = self.vectors(rec.shape(encoded.z))?;
        let z = config.norm.apply(rec, encoded.z, &vectors)?;
        let z = match config.variance {
            Variance::Directions => norm::normalize(rec, z, &vectors, DIRECTION),
            _ => z,
        };
        let (stored, codebook) = self.codes(rec)?;
        let spread = rec.parameter("log_param_q_scalar", &[1], Init::Constant(SPREAD))?;
        let inputs = Inputs {
            z,
            log_var: encoded.log_var,
            codebook,
            spread,
            noise: probe.noise,
        };
        let posterior = Posterior::new(config.variance, vectors, config.num_codes, weight);
        let posterior = match probe.rows {
            Some(rows) => posterior.in_chunks_of(rows),
            None => posterior,
        };
        let drawn = posterior.record(rec, inputs)?;
        let logits = drawn.logits().filter(|_| probe.logits);
        let logits = logits.map(|logits| ("logits", rec.keep(logits)));
        let used = usage::of(rec, drawn.q, config.num_codes)?;
        let mut scalars = vec![
            ("cmt_loss", drawn.loss),
            ("posterior_entropy", drawn.entropy),
            ("variance_mean", drawn.variance),
        ];
        scalars.extend(drawn.perplexity.map(|p| ("posterior_perplexity", p)));
        scalars.extend(used.scalars());
        let seen = Seen {
            z: rec.keep(z),
            z_q: rec.keep(drawn.z_q),
            vectors,
            codes: config.num_codes,
            q: rec.keep(drawn.q),
            bad_vectors: usage::count_bad(rec, drawn.losses),
            scalars,
            usage: used.usage,
            window: used.window,
            tensors: [
                (tensor::CODEBOOK, stored),
                (tensor::EFFECTIVE, rec.keep(codebook)),
            ]
            .into_iter()
            .chain(logits)
            .collect(),
        };
        Ok(Quantized {
            output: drawn.z_q,
            seen: vec![seen],
        })
    }
}

impl Quantizer for Stochastic {
    fn latent(&self) -> Latent {
        Latent {
            features: self.config.feature_size,
            axis: self.config.dim,
            log_var: self.config.variance.of_encoder(),
        }
    }

    fn apply(&self, rec: &mut Recorder<'_>, encoded: Encoded, weight: f32) -> Result<Quantized> {
        self.apply_with(rec, encoded, weight, Probe::default())
    }

    fn decode(&self, rec: &mut Recorder<'_>, q: &[Var], shape: &[usize]) -> Result<Var> {
        check_maps(q, 1)?;
        let vectors = self.vectors(shape)?;
        let (_, codebook) = self.codes(rec)?;
        let z_q = quantize::lookup(rec, q[0], codebook, &vectors);
        Ok(rec.view(z_q, shape))
    }

    fn step_values(&self, step: u32) -> Vec<(&'static str, f32)> {
        vec![("temperature", self.config.temperature.at(step))]
    }
}
