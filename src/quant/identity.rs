//! No quantisation: the plain autoencoder.

use super::interface::{Encoded, Latent, Quantized, Quantizer};
use crate::error::{Error, Result};
use crate::gpu::{Recorder, Var};

/// Hands z through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// F, features of a vector.
    pub feature_size: usize,
    /// The axis on which they lie.
    pub dim: usize,
}

impl Quantizer for Identity {
    fn latent(&self) -> Latent {
        Latent {
            features: self.feature_size,
            axis: self.dim,
            log_var: false,
        }
    }

    fn apply(&self, _: &mut Recorder<'_>, encoded: Encoded, _: f32) -> Result<Quantized> {
        Ok(Quantized {
            output: encoded.z,
            seen: Vec::new(),
        })
    }

    fn decode(&self, _: &mut Recorder<'_>, _: &[Var], _: &[usize]) -> Result<Var> {
        Err(Error::Config(
            "no_vq quantises nothing, so there are no codes".into(),
        ))
    }
}
