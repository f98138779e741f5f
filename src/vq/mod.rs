//! The vector quantiser: baseline, Approach 1 (learnable standard deviation of the codebook,
//! alpha), Approach 2 (learnable offset, gamma) and Approach 3 (gamma per vector).
//!
//! A codebook goes through three stages, each a `[K, F]` tensor: the raw C, the effective C' that
//! is searched ([`affine`], [`alpha`]), and the table T of what the codes stand for ([`gamma`]).
//! Stages that an option leaves out are the tensor before them.

pub mod affine;
pub mod alpha;
pub mod config;
pub mod gamma;
mod mlp;
pub mod quantize;
pub mod search;
pub mod usage;

pub use config::{AlterPenalty, CodebookNorm, Distance, GammaPolicy, Norm, VectorQuantConfig};

use crate::error::{Result, ShapeError};
use crate::gpu::{Init, Recorder, Var};

/// The fragment with `element`, the twin of [`Vectors::index`].
pub(crate) const VECTORS: (&str, &str) = (
    "lib/vectors.wgsl",
    include_str!("../../shaders/lib/vectors.wgsl"),
);

/// How the vectors lie in z: `[outer, F, positions]`, the features on their axis. Vector n is
/// `z[n / positions, :, n % positions]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vectors {
    /// Product of the axes before the features.
    pub outer: usize,
    /// F
    pub features: usize,
    /// Product of the axes behind the features.
    pub positions: usize,
}

impl Vectors {
    /// The vectors of a tensor of `shape` whose features lie on axis `dim`.
    ///
    /// # Errors
    /// [`ShapeError`] when that axis does not exist or has another length.
    pub fn new(shape: &[usize], dim: usize, features: usize) -> Result<Self, ShapeError> {
        if shape.get(dim) != Some(&features) {
            let message = format!("z {shape:?} must have {features} features on axis {dim}");
            return Err(ShapeError::new("vector_quant", message));
        }
        Ok(Self {
            outer: shape[..dim].iter().product(),
            features,
            positions: shape[dim + 1..].iter().product(),
        })
    }

    /// N
    #[must_use]
    pub fn count(&self) -> usize {
        self.outer * self.positions
    }

    /// Index in z of feature `f` of vector `n`.
    #[must_use]
    pub fn index(&self, n: usize, f: usize) -> usize {
        (n / self.positions * self.features + f) * self.positions + n % self.positions
    }
}

/// The record of a quantisation. All of it can be read back.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// The input, in its own layout.
    pub z: Var,
    /// The quantised vectors, in the layout of z; the layer's output.
    pub z_q: Var,
    /// Distance of each vector to its code `[N]`.
    pub d: Var,
    /// Codes `[N]`, integers.
    pub q: Var,
    /// Commitment loss, a scalar.
    pub loss: Var,
    /// Perplexity of the batch, a scalar.
    pub perplexity: Var,
    /// Percent of the codes that the batch uses, a scalar.
    pub active_ratio: Var,
    /// Vectors of each code `[K]`, integers.
    pub counts: Var,
    /// Alpha `[F, G]`, with Approach 1.
    pub alpha: Option<Var>,
    /// Mean of alpha, a scalar.
    pub alpha_mean: Option<Var>,
    /// The penalty on alpha, a scalar, where it has a weight.
    pub penalty: Option<Var>,
}

/// The quantiser.
#[derive(Debug, Clone)]
pub struct VectorQuant {
    config: VectorQuantConfig,
}

impl VectorQuant {
    /// A quantiser with these options.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when they are out of range or exclude each other.
    pub fn new(config: VectorQuantConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config })
    }

    /// Its options.
    #[must_use]
    pub fn config(&self) -> &VectorQuantConfig {
        &self.config
    }

    /// Records the quantisation of `z` `[B, F, ..]` (features on axis `dim`) and adds
    /// `commitment_weight * loss` to what is trained. Returns the output, of the shape of z, and
    /// the record; with `no_vq` z itself and none.
    ///
    /// # Errors
    /// [`ShapeError`] when z has no such axis.
    pub fn apply(
        &self,
        rec: &mut Recorder<'_>,
        z: Var,
        commitment_weight: f32,
    ) -> Result<(Var, Option<Record>)> {
        let config = &self.config;
        if config.no_vq {
            return Ok((z, None));
        }
        let vectors = Vectors::new(rec.shape(z), config.dim, config.feature_size)?;
        let shape = [config.num_codes, config.feature_size];
        let raw = rec.parameter("codebook.weight", &shape, Init::Normal)?;
        let (codebook, alpha) = self.effective(rec, z, &vectors, raw)?;
        let q = search::search(rec, z, &vectors, codebook);
        let values = if config.use_learnable_gamma {
            rec.scope("gamma_learner", |rec| {
                gamma::gamma(rec, codebook, config.gamma_policy)
            })?
        } else {
            codebook
        };
        let weights = quantize::Weights {
            commitment: commitment_weight,
            beta: config.beta,
            sync_nu: config.sync_nu,
        };
        let quantized = quantize::quantize(rec, z, q, codebook, values, &vectors, weights)?;
        let usage = usage::usage(rec, q, config.num_codes);
        let alpha_mean = alpha.map(|alpha| {
            let count = rec.len(alpha);
            crate::ops::sum::sum(rec, "alpha_mean", alpha, 1.0 / count as f32)
        });
        let penalty = alpha
            .filter(|_| config.penalty_weight > 0.0)
            .map(|alpha| alpha::penalty(rec, alpha, config.alter_penalty, config.penalty_weight));
        let record = Record {
            z: rec.keep(z),
            z_q: rec.keep(quantized.z_q),
            d: rec.keep(quantized.d),
            q: rec.keep(q),
            loss: quantized.loss,
            perplexity: usage.perplexity,
            active_ratio: usage.active_ratio,
            counts: usage.counts,
            alpha,
            alpha_mean,
            penalty,
        };
        Ok((quantized.z_q, Some(record)))
    }

    /// C' and, with Approach 1, alpha.
    fn effective(
        &self,
        rec: &mut Recorder<'_>,
        z: Var,
        vectors: &Vectors,
        raw: Var,
    ) -> Result<(Var, Option<Var>)> {
        if !self.config.use_learnable_std {
            return Ok((raw, None));
        }
        rec.scope("affine_transform", |rec| {
            let moments = affine::match_moments(rec, z, vectors, raw, self.config.affine_groups)?;
            let alpha = alpha::alpha(rec, raw, moments)?;
            let codebook = affine::apply(rec, raw, alpha, moments.bias0);
            Ok((codebook, Some(alpha)))
        })
    }
}
