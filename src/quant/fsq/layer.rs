//! The layer: norm, rounding, usage.

use super::rounding::{decode, fsq};
use crate::error::Result;
use crate::gpu::{Recorder, Var};
use crate::ops::sum;
use crate::quant::feature_norm::Norm;
use crate::quant::interface::{Encoded, Latent, Quantized, Quantizer, Seen, check_maps, tensor};
use crate::quant::usage;
use crate::quant::vectors::Vectors;

/// Options of [`Fsq`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsqConfig {
    /// F, features of a vector.
    pub feature_size: usize,
    /// Axis of the features.
    pub dim: usize,
    /// Normalisation of z.
    pub norm: Norm,
    /// L, the number of values of each channel.
    pub levels: Vec<usize>,
}

/// Finite scalar quantisation. It has no commitment loss.
#[derive(Debug, Clone)]
pub struct Fsq {
    config: FsqConfig,
}

impl Fsq {
    pub(in crate::quant) fn new(config: FsqConfig) -> Self {
        Self { config }
    }

    fn vectors(&self, shape: &[usize]) -> Result<Vectors> {
        let config = &self.config;
        Ok(Vectors::new(shape, config.dim, config.feature_size)?)
    }
}

impl Quantizer for Fsq {
    fn latent(&self) -> Latent {
        Latent {
            features: self.config.feature_size,
            axis: self.config.dim,
            log_var: false,
        }
    }

    fn apply(&self, rec: &mut Recorder<'_>, encoded: Encoded, _: f32) -> Result<Quantized> {
        let levels = &self.config.levels;
        let vectors = self.vectors(rec.shape(encoded.z))?;
        let z = self.config.norm.apply(rec, encoded.z, &vectors)?;
        let rounded = fsq(rec, z, &vectors, levels)?;
        let codes = levels.iter().product();
        let used = usage::of(rec, rounded.q, codes)?;
        // A column of zeros, so that runs can be compared.
        let loss = sum::sum(rec, "cmt_loss", rounded.squares, 0.0);
        let seen = Seen {
            z: rec.keep(z),
            z_q: rec.keep(rounded.z_q),
            vectors,
            codes,
            q: rec.keep(rounded.q),
            bad_vectors: usage::count_bad(rec, rounded.squares),
            scalars: [("cmt_loss", loss)]
                .into_iter()
                .chain(used.scalars())
                .collect(),
            usage: used.usage,
            window: used.window,
            tensors: vec![(tensor::DISTANCE, rec.keep(rounded.d))],
        };
        Ok(Quantized {
            output: rounded.z_q,
            seen: vec![seen],
        })
    }

    fn decode(&self, rec: &mut Recorder<'_>, q: &[Var], shape: &[usize]) -> Result<Var> {
        check_maps(q, 1)?;
        let vectors = self.vectors(shape)?;
        let z_q = decode(rec, q[0], &vectors, &self.config.levels)?;
        Ok(rec.view(z_q, shape))
    }
}
