//! The norm of z before it is quantised.

use serde::{Deserialize, Serialize};

use super::norm::{self, Length};
use super::vectors::Vectors;
use crate::error::Result;
use crate::gpu::{Recorder, Var};
use crate::nn;
use crate::ops::group_norm::group_norm;

/// Normalisation of z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// None.
    #[default]
    None,
    /// Unit length.
    L2,
    /// Length at most 10.
    L2c,
    /// Batch norm.
    Bn,
    /// Group norm, 32 groups.
    Gn,
    /// Instance norm.
    In,
}

impl Norm {
    /// Records the norm of `z`, which lies as `vectors` says.
    ///
    /// # Errors
    /// Those of declaring the parameters.
    pub fn apply(self, rec: &mut Recorder<'_>, z: Var, vectors: &Vectors) -> Result<Var> {
        let length = match self {
            Self::None => return Ok(z),
            Self::L2 => Length::Unit(1e-6),
            Self::L2c => Length::Limited(1e-8),
            Self::Bn | Self::Gn | Self::In => return self.of_channels(rec, z, vectors),
        };
        Ok(norm::normalize(rec, z, vectors, length))
    }

    /// The norms that see z as images of F channels.
    fn of_channels(self, rec: &mut Recorder<'_>, z: Var, vectors: &Vectors) -> Result<Var> {
        let shape = rec.shape(z).to_vec();
        let features = vectors.features;
        let image = [vectors.outer, features, vectors.positions, 1];
        let x = rec.view(z, &image);
        let y = match self {
            Self::In => rec.scope("norm_layer", |rec| group_norm(rec, x, features, 1e-5, None)),
            Self::Gn => nn::group_norm(rec, "norm_layer", x, 32, 1e-6),
            _ => nn::batch_norm(rec, "norm_layer", x),
        }?;
        Ok(rec.view(y, &shape))
    }
}
